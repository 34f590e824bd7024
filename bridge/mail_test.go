package bridge

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/testing/server"
)

// What is appended comes, once and in order, and leaves the inbox when it is done.
func TestMessagesComeInOrder(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	const count = 5000
	var told tally
	for i := range count {
		a.Append(b.box, bundle("t", strconv.Itoa(i)), &told)
	}
	server.Poll(t, 0, func() bool { return told.good.Load() == count })
	server.Poll(t, 0, func() bool { return b.count() == count })
	inOrder(t, b.came, count)
	server.Poll(t, 0, func() bool { return length(t, b, b.box) == 0 })
	if n := a.figures.Batch.Snapshot().Count; n >= count/2 {
		t.Errorf("%d batches for %d messages", n, count)
	}
	if a.bytes.Load() != 0 {
		t.Errorf("%d bytes are said to wait", a.bytes.Load())
	}
}

// length is how many entries an inbox has.
func length(t testing.TB, n *mailNode, box message.MailboxID) int64 {
	t.Helper()
	l, err := n.link.client.XLen(t.Context(), n.link.keys.box(box, boxInbox)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An answer that is cut off leaves open whether the batch is in the inbox: it is sent
// again until that is known, and is there once.
func TestAppendIsOnceWhateverBecomesOfAnswers(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, p.addr), joined(t, r.Addr)
	var told tally
	const count = 3000
	for i := range count {
		if i%60 == 0 {
			p.cut.Store(1)
			server.Poll(t, 0, func() bool { return p.cut.Load() == 0 || told.good.Load() == int64(i) })
		}
		a.Append(b.box, bundle("t", strconv.Itoa(i)), &told)
		if i%60 == 30 {
			server.Poll(t, 0, func() bool { return told.good.Load() == int64(i+1) })
		}
	}
	server.Poll(t, 0, func() bool { return told.good.Load() == count })
	server.Poll(t, 0, func() bool { return b.count() >= count })
	inOrder(t, b.came, count)
	if a.out.errs.Load() == 0 {
		t.Error("nothing was cut off")
	}
}

// An entry is trimmed when it and all before it are done, and not before.
func TestTrimOnlyWhatIsDone(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	b.held = true
	for i := range 3 {
		o := newOutcome()
		a.Append(b.box, bundle("t", strconv.Itoa(i)), o)
		if err := o.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	server.Poll(t, 0, func() bool { return b.count() == 3 })
	end, err := b.boxEnd(t.Context(), b.box)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CaughtUp(within(t)); err != nil {
		t.Error("what was handed over counts as caught up:", err)
	}
	b.dones[1].Committed(nil)
	b.dones[2].Committed(nil)
	c := b.consumer(b.box)
	if err := c.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := length(t, b, b.box); n != 3 {
		t.Errorf("%d entries are left while the first is not done", n)
	}
	b.dones[0].Committed(nil)
	if err := b.consumed(within(t), b.box, end); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return length(t, b, b.box) == 0 })
}

// A bundle whose effects were refused stays in the inbox.
func TestWhatIsRefusedStays(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	b.held = true
	for i := range 2 {
		o := newOutcome()
		a.Append(b.box, bundle("t", strconv.Itoa(i)), o)
		if err := o.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	server.Poll(t, 0, func() bool { return b.count() == 2 })
	b.dones[0].Committed(errors.New("refused"))
	b.dones[1].Committed(nil)
	if err := b.consumer(b.box).trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := length(t, b, b.box); n != 2 {
		t.Errorf("%d entries are left", n)
	}
	if b.figures.Held.Load() != 1 {
		t.Error("it is not counted")
	}
}

// Who has a mailbox no longer trims nothing there.
func TestStaleTrimIsRefused(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	b.held = true
	o := newOutcome()
	a.Append(b.box, bundle("t", "0"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return b.count() == 1 })
	c := b.consumer(b.box)
	if err := b.link.client.HSet(t.Context(), b.link.keys.box(b.box, boxMeta), "epoch", 2).Err(); err != nil {
		t.Fatal(err)
	}
	b.dones[0].Committed(nil)
	if err := c.trim(t.Context()); !errors.Is(err, errBoxLost) {
		t.Error(err)
	}
	if n := length(t, b, b.box); n != 1 {
		t.Errorf("%d entries are left", n)
	}
}

// QoS 0, answers and control arrive; nothing of QoS 0 is in a stream.
func TestChannels(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	server.Poll(t, 0, func() bool { // until b listens
		a.reply(b.box, []byte("answer"))
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Contains(b.answers, "answer")
	})
	want := numbered(0, 1000)
	for _, s := range want {
		a.Loose(b.box, bundle("t", s))
	}
	server.Poll(t, 0, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.loose, want)
	})
	o := newOutcome()
	a.send(b.box, []byte("control"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.control, []string{"control"})
	})
	a.Loose("nobody", bundle("t", "x", "y"))
	server.Poll(t, 0, func() bool { return a.figures.Lost.Load() == 2 })
}

// A subscription that hears nothing while its connection stands is made again.
func TestDeafSubscription(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, r.Addr), joined(t, p.addr)
	heard := func() bool {
		a.Loose(b.box, bundle("t", "x"))
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.loose) > 0
	}
	server.Poll(t, 0, heard)
	p.deafen()
	server.Poll(t, 0, func() bool { return b.figures.Deaf.Load() > 0 })
	b.mu.Lock()
	b.loose = nil
	b.mu.Unlock()
	server.Poll(t, 0, heard)
}

// An entry that cannot be read is kept aside, and what follows it is delivered.
func TestDamagedEntries(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	inbox, meta := b.keys.box(b.box, boxInbox), b.keys.box(b.box, boxMeta)
	good := bundle("t", "0")
	p := new(parcel)
	p.begin("s", 1)
	p.bundle(good)
	newer := append([]byte{parcelVersion + 1}, p.buf[1:]...)
	cut := p.buf[:len(p.buf)-1]
	future := new(parcel)
	future.begin("s", 1)
	future.bundle(&message.Bundle{Topic: "t", Matched: 1 << 60, Items: good.Items})
	bad := []string{"", "nonsense", string(newer), string(cut), string(future.buf)}
	for _, data := range bad {
		at, err := a.link.client.HIncrBy(t.Context(), meta, "pos", 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		err = a.link.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: inbox, ID: entryID(message.Position(at)), Values: []string{"b", data}}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	var told tally
	a.Append(b.box, good, &told)
	server.Poll(t, 0, func() bool { return b.count() == 1 })
	inOrder(t, b.came, 1)
	server.Poll(t, 0, func() bool { return length(t, b, b.box) == 0 })
	kept, err := b.link.client.XRange(t.Context(), b.link.keys.box(b.box, boxBad), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range kept {
		s, _ := x.Values["b"].(string)
		got = append(got, s)
	}
	if !slices.Equal(got, bad) {
		t.Errorf("%q are kept aside, want %q", got, bad)
	}
}

// Scripts that the server has forgotten are sent again.
func TestMailScriptsFlushed(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	var told tally
	for i := range 200 {
		if i%20 == 0 {
			if err := a.link.client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		a.Append(b.box, bundle("t", strconv.Itoa(i)), &told)
		if i%7 == 0 {
			server.Poll(t, 0, func() bool { return told.good.Load() == int64(i+1) })
		}
	}
	server.Poll(t, 0, func() bool { return b.count() == 200 })
	inOrder(t, b.came, 200)
}

// Redis is killed and started again: what waits is delivered then, once and in order.
func TestRedisIsStartedAgain(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	var told tally
	next := 0
	send := func(n int) {
		for range n {
			a.Append(b.box, bundle("t", strconv.Itoa(next)), &told)
			next++
		}
	}
	send(500)
	r.Kill()
	send(500)
	confirm := newOutcome()
	a.Confirm(a.routes.applied.now(), confirm)
	join := newOutcome()
	b.Join(b.box, []string{"x/#"}, join)
	server.Poll(t, 0, func() bool { return a.out.down.Load() && b.out.down.Load() })
	if confirm.told() || join.told() {
		t.Error("something is answered without Redis")
	}
	r.Restart()
	send(500)
	server.Poll(t, 0, func() bool { return told.good.Load() == int64(next) })
	server.Poll(t, 0, func() bool { return b.count() >= next })
	inOrder(t, b.came, next)
	if err := confirm.wait(t); err != nil {
		t.Error("confirm:", err)
	}
	if err := join.wait(t); err != nil {
		t.Error("join:", err)
	}
	if !a.hasKey(b.box, "x/#") {
		t.Error("the route is not there although its barrier has passed")
	}
	if len(a.losses)+len(b.losses)+len(a.adoptions)+len(b.adoptions) > 0 {
		t.Error("a mailbox changed hands although both processes were back")
	}
}

// Nothing goes to a mailbox that does not exist, and its key is not made again.
func TestAppendToNoMailbox(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	o := newOutcome()
	a.Append("nowhere", bundle("t", "0"), o)
	if err := o.wait(t); !errors.Is(err, errBoxGone) {
		t.Error(err)
	}
	if n, err := a.link.client.Exists(t.Context(), a.link.keys.box("nowhere", boxInbox)).Result(); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// A mailbox is deleted when it is empty, with all it had.
func TestAbolish(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	o := newOutcome()
	a.Append(b.box, bundle("t", "0"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	if err := b.abolish(within(t), b.box); err != nil {
		t.Fatal(err)
	}
	inOrder(t, b.came, 1)
	all, err := a.link.client.Keys(t.Context(), "*"+string(b.box)+"*").Result()
	if err != nil || len(all) > 0 {
		t.Error(all, err)
	}
	if ok, err := a.link.client.HExists(t.Context(), a.link.keys.leases(), string(b.box)).Result(); ok || err != nil {
		t.Error("the lease is still there", err)
	}
}

// A receiver of QoS 0 that is behind costs bounded memory, here and in Redis: what is too
// much is dropped and counted. When it goes on, so does what comes later.
func TestSlowReceiverOfQoS0(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	server.Poll(t, 0, func() bool { // until b listens
		a.Loose(b.box, bundle("t", "x"))
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.loose) > 0
	})
	lost := a.figures.Lost.Load()
	wait := make(chan struct{})
	b.mu.Lock()
	b.loose, b.hold = nil, wait
	b.mu.Unlock()
	big := bundle("t", strings.Repeat("x", 64<<10))
	const count = 400 // 25 MiB
	for range count {
		a.Loose(b.box, big)
	}
	dropped := int(a.figures.Lost.Load() - lost)
	if least := count - (looseBytes+airBytes+2*batchBytes)/(64<<10); dropped < least {
		t.Errorf("%d are dropped, want at least %d", dropped, least)
	}
	close(wait)
	got := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.loose)
	}
	server.Poll(t, 0, func() bool { return got() >= count-dropped })
	a.Loose(b.box, big)
	server.Poll(t, 0, func() bool { return got() == count-dropped+1 })
}

// The same on a Redis Cluster, where each mailbox is at another server than the routes.
func TestOnACluster(t *testing.T) {
	all := server.StartRedisCluster(t)
	url := "redis+cluster://" + all[0].Addr
	exchange(t, func() *mailNode { return nodeAt(t, url, &Options{Clustered: true}) })
}

// With replicas asked for, what is told has been written there too.
func TestReplicas(t *testing.T) {
	r := server.StartRedis(t)
	host, port, _ := net.SplitHostPort(r.Addr)
	replica := server.StartRedis(t, "--replicaof", host+" "+port)
	url := "redis://" + r.Addr
	a, b := exchange(t, func() *mailNode { return nodeAt(t, url, &Options{MinReplicas: 1}) })
	replica.Kill()
	server.Poll(t, 0, func() bool {
		return strings.Contains(a.client.Info(t.Context(), "replication").Val(), "connected_slaves:0")
	})
	o, confirm := newOutcome(), newOutcome()
	a.Append(b.box, bundle("t", "500"), o)
	a.Confirm(a.routes.applied.now(), confirm)
	server.Poll(t, 0, func() bool { return b.count() == 501 }) // it is there
	server.Poll(t, 0, func() bool { return a.out.down.Load() })
	if o.told() {
		t.Error("it is said to be at a replica")
	}
	if confirm.told() {
		t.Error("a server without its replica may not be the primary any more")
	}
	replica.Restart()
	if err := errors.Join(o.wait(t), confirm.wait(t)); err != nil {
		t.Error(err)
	}
	inOrder(t, b.came, 501)
}

// exchange has two instances do everything once.
func exchange(t *testing.T, node func() *mailNode) (a, b *mailNode) {
	t.Helper()
	a, b = node(), node()
	a.join(t)
	b.join(t)
	if err := a.change1(t, "x"); err != nil {
		t.Fatal(err)
	}
	if !b.hasKey(a.box, "x") {
		t.Error("the barrier has passed, the route is not there")
	}
	var told tally
	for i := range 500 {
		a.Append(b.box, bundle("t", strconv.Itoa(i)), &told)
	}
	server.Poll(t, 0, func() bool { return told.good.Load() == 500 && b.count() == 500 })
	inOrder(t, b.came, 500)
	server.Poll(t, 0, func() bool { return length(t, b, b.box) == 0 })
	server.Poll(t, 0, func() bool {
		a.Loose(b.box, bundle("t", "x"))
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.loose) > 0
	})
	o := newOutcome()
	a.Confirm(a.routes.applied.now(), o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
	c := node()
	c.join(t)
	c.die()
	server.Poll(t, 0, func() bool { return len(a.adoptions)+len(b.adoptions) == 1 })
	return a, b
}

// A server that takes over may lack entries that were read already, and give their places
// to others: those are read as well, and nothing is read twice.
func TestServerThatLacksWhatWasRead(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	b.held = true // nothing is trimmed
	var told tally
	for i := range 4 {
		a.Append(b.box, bundle("t", strconv.Itoa(i)), &told)
		server.Poll(t, 0, func() bool { return told.good.Load() == int64(i+1) && b.count() == i+1 })
	}
	if err := a.change1(t, "lost", "kept"); err != nil {
		t.Fatal(err)
	}
	// The last two entries are lost, one message takes the place of the first of them.
	inbox, meta := b.keys.box(b.box, boxInbox), b.keys.box(b.box, boxMeta)
	pipe := a.client.TxPipeline()
	pipe.XDel(t.Context(), inbox, "4-0", "5-0")
	pipe.HSet(t.Context(), meta, "pos", 3)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A stream does not go back: it is built again as the other server has it.
	rebuild(t, a, inbox)
	if err := a.client.HDel(t.Context(), a.keys.set(a.box), "lost").Err(); err != nil {
		t.Fatal(err)
	}
	a.Append(b.box, bundle("t", "4"), &told)
	server.Poll(t, 0, func() bool { return told.good.Load() == 5 })
	if n := b.count(); n != 4 {
		t.Fatalf("%d came: the test is wrong", n)
	}
	r.Kill()
	r.Restart()
	server.Poll(t, 0, func() bool { return b.count() >= 5 })
	inOrder(t, b.came, 5)
	o := newOutcome()
	a.Append(b.box, bundle("t", "5"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return b.count() >= 6 })
	inOrder(t, b.came, 6)
	server.Poll(t, 0, func() bool {
		ok, err := a.client.HExists(t.Context(), a.keys.set(a.box), "lost").Result()
		return ok && err == nil
	})
	if err := a.change1(t, "more"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"lost", "kept", "more"} {
		if !b.hasKey(a.box, key) {
			t.Errorf("%s is not routed", key)
		}
	}
}

// rebuild makes a stream whose last id is that of its last entry.
func rebuild(t *testing.T, n *mailNode, stream string) {
	t.Helper()
	left, err := n.client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	pipe := n.client.TxPipeline()
	pipe.Del(t.Context(), stream)
	for _, x := range left {
		pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, ID: x.ID, Values: x.Values})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}
