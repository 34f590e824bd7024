package bridge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// stop makes Route of a node wait until the answer is called.
func (n *mailNode) stop() (resume func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gate := make(chan struct{})
	n.gate = gate
	return func() { close(gate) }
}

// A barrier waits for a process that is slow.
func TestBarrierWaits(t *testing.T) {
	r := server.StartRedis(t)
	a, b, c := joined(t, r.Addr), joined(t, r.Addr), joined(t, r.Addr)
	resume := b.stop()
	o := newOutcome()
	a.Join(a.box, []string{"x"}, o)
	server.Poll(t, 0, func() bool { return c.hasKey(a.box, "x") })
	b.renewed() // it lives, and says nothing of the change
	if o.told() {
		t.Error("the barrier did not wait")
	}
	resume()
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	if !b.hasKey(a.box, "x") {
		t.Error("the barrier has passed, the route is not there")
	}
}

// A process that does not report is waited for as long as its lease runs. When it is back
// it acknowledges nothing that it had routed before.
func TestBarrierEndsALease(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, r.Addr), joined(t, p.addr)
	a.take(false) // so that b keeps its mailbox
	matched := b.routes.applied.now()
	p.hold()
	pending := newOutcome()
	b.Confirm(matched, pending) // asked before, answered after
	a.expire(b.box)
	if err := a.change1(t, "x"); err != nil {
		t.Fatal(err)
	}
	if got := a.rowOf(b.box); got.deadline != ended {
		t.Errorf("the barrier has passed with the lease %v", got)
	}
	p.resume()
	if err := pending.wait(t); !errors.Is(err, errTooStale) {
		t.Error("confirmed:", err)
	}
	server.Poll(t, 0, func() bool { return b.hasKey(a.box, "x") })
	o := newOutcome()
	b.Confirm(b.routes.applied.now(), o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
	if err := b.change1(t, "y"); err != nil { // it is one of them again
		t.Error(err)
	}
}

// A newcomer has all routes before it takes clients, and is waited for.
func TestNewcomer(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	var keys []string
	for i := range 3000 {
		keys = append(keys, fmt.Sprintf("k/%d", i))
	}
	if err := a.change1(t, keys...); err != nil {
		t.Fatal(err)
	}
	b := joined(t, r.Addr)
	if n := len(b.table[a.box]); n != len(keys) {
		t.Errorf("it has %d routes", n)
	}
	resume := b.stop()
	o := newOutcome()
	a.Join(a.box, []string{"late"}, o)
	b.renewed()
	if o.told() {
		t.Error("nobody waited for it")
	}
	resume()
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
}

// Who misses changes, because Redis has trimmed them or they cannot be read, loads all
// again: nothing is missing and nothing is left over.
func TestMissedChanges(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, r.Addr), joined(t, p.addr)
	if err := a.change1(t, "stays", "goes"); err != nil {
		t.Fatal(err)
	}
	p.dead.Store(true)
	p.kill()
	at, err := a.change(within(t), a.box, []string{"new"}, []string{"goes"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.link.client.XTrimMaxLen(t.Context(), a.link.keys.routes(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.change(within(t), a.box, []string{"newest"}, nil, false); err != nil {
		t.Fatal(err)
	}
	p.dead.Store(false)
	server.Poll(t, 0, func() bool { return b.hasKey(a.box, "newest") })
	for key, want := range map[string]bool{"stays": true, "goes": false, "new": true} {
		if b.hasKey(a.box, key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
	if b.tableAt() < at {
		t.Errorf("at %d", b.tableAt())
	}
	// An entry that cannot be read.
	loads := b.routes.table.reloads.Load()
	pos, err := a.link.client.HIncrBy(t.Context(), a.link.keys.meta(), "pos", 1).Result()
	if err != nil {
		t.Fatal(err)
	}
	err = a.link.client.XAdd(t.Context(), &goredis.XAddArgs{
		Stream: a.link.keys.routes(), ID: entryID(message.Position(pos)), Values: []string{"b", "\xff"},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.change1(t, "after"); err != nil {
		t.Fatal(err)
	}
	if !b.hasKey(a.box, "after") || b.routes.table.reloads.Load() == loads {
		t.Error("a damaged entry was not noticed")
	}
}

func (n *mailNode) tableAt() message.Position {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// Whatever order keys are joined and left in, the set in Redis and the tables of others
// are in the end what was said last.
func TestJoinAndLeave(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, p.addr), joined(t, r.Addr)
	counts := make(map[string]int)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var told tally
	joins := 0
	for i := range 4000 {
		if i%500 == 250 {
			p.cut.Store(1)
		}
		key := fmt.Sprintf("k%d", rnd.IntN(20))
		if counts[key] > 0 && rnd.IntN(2) == 0 {
			counts[key]--
			a.Leave(a.box, []string{key})
			continue
		}
		counts[key]++
		joins++
		a.Join(a.box, []string{key}, &told)
		if rnd.IntN(50) == 0 {
			server.Poll(t, 0, func() bool { return told.good.Load() == int64(joins) })
			if !b.hasKey(a.box, key) {
				t.Fatalf("%s is joined, and b does not route by it", key)
			}
		}
	}
	if err := a.change1(t, "last"); err != nil {
		t.Fatal(err)
	}
	counts["last"] = 1
	server.Poll(t, 0, func() bool { return told.good.Load() == int64(joins) })
	set, err := a.link.client.HKeys(t.Context(), a.link.keys.set(a.box)).Result()
	if err != nil {
		t.Fatal(err)
	}
	for key, n := range counts {
		if (n > 0) != slices.Contains(set, key) || (n > 0) != b.hasKey(a.box, key) {
			t.Errorf("%s, wanted %d times: in the set %v, routed %v", key, n, slices.Contains(set, key), b.hasKey(a.box, key))
		}
	}
	if len(a.table[a.box]) > 0 {
		t.Error("the own routes came back")
	}
}

// Members of a group that are online are told.
func TestOnline(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	const key = "$share/g/x"
	if err := a.change1(t, key); err != nil {
		t.Fatal(err)
	}
	online := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.table[a.box][key]
	}
	for _, n := range []int{3, 0, 2} {
		a.Online(a.box, key, n)
		server.Poll(t, 0, func() bool { return online() == n })
	}
	c := joined(t, r.Addr)
	if got := c.table[a.box][key]; got != 2 {
		t.Errorf("a newcomer thinks that %d are online", got)
	}
}

// A forced change has a position of its own, also when nothing changes.
func TestForcedChange(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	first, err := a.change(within(t), a.box, []string{"x"}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	same, err := a.change(within(t), a.box, []string{"x"}, nil, false)
	if err != nil || same != first {
		t.Errorf("%d, %v; want %d", same, err, first)
	}
	forced, err := a.change(within(t), a.box, nil, nil, true)
	if err != nil || forced <= first {
		t.Errorf("%d, %v; want more than %d", forced, err, first)
	}
	if err := a.pass(within(t), forced); err != nil {
		t.Error(err)
	}
}

// A mailbox that takes nothing does not keep others waiting for ever: what is on its way
// there is given up, and never acknowledged.
func TestStuckInboxIsGivenUp(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), newNode(t, r.Addr)
	if err := b.open(within(t), b.box); err != nil { // it consumes nothing
		t.Fatal(err)
	}
	if err := b.start(within(t), router{b}); err != nil {
		t.Fatal(err)
	}
	pipe := a.client.Pipeline()
	for i := range inboxMax {
		pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: a.keys.box(b.box, boxInbox), ID: entryID(message.Position(i + 2)), Values: []string{"b", "x"}})
	}
	pipe.HSet(t.Context(), a.keys.box(b.box, boxMeta), "pos", inboxMax+1)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := newOutcome()
	a.Append(b.box, bundle("t", "0"), o)
	server.Poll(t, 0, func() bool { return a.figures.Full.Load() > 0 })
	if o.told() {
		t.Fatal("a full inbox took it")
	}
	if err := b.change1(t, "x"); err != nil {
		t.Fatal(err)
	}
	if err := o.wait(t); !errors.Is(err, errGivenUp) {
		t.Error(err)
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add(string(appendRoutes(nil, "box", []store.RouteChange{{Key: "a/b", Online: 3}, {Key: "c", Delete: true}})))
	f.Add("")
	f.Fuzz(func(t *testing.T, data string) {
		changes, box, err := parseRoutes(nil, data)
		if err != nil {
			return
		}
		again, box2, err := parseRoutes(nil, string(appendRoutes(nil, box, changes)))
		if err != nil || box2 != box || !slices.Equal(again, changes) {
			t.Errorf("%v became %v, %v", changes, again, err)
		}
	})
}

func FuzzParcel(f *testing.F) {
	p := new(parcel)
	p.begin("sender", 300)
	p.bundle(bundle("t", "a", "b"))
	p.other(recordControl, []byte("c"))
	f.Add(p.buf)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = walk(data, func(kind byte, payload []byte) error {
			if kind == recordBundle {
				_, err := oneBundle(payload)
				return err
			}
			return nil
		})
	})
}
