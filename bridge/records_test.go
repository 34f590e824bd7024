package bridge

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// pending hands batches in and waits for their answers later.
type pending struct{ all []result }

func (p *pending) commit(r *rig, b *store.Batch) {
	done := make(result, 1)
	p.all = append(p.all, done)
	r.Commit(b, done)
}

func (p *pending) answered() (n int) {
	for _, r := range p.all {
		n += len(r)
	}
	return n
}

func (p *pending) must(t *testing.T) {
	t.Helper()
	for i, r := range p.all {
		select {
		case err := <-r:
			if err != nil {
				t.Fatalf("batch %d: %v", i, err)
			}
		case <-time.After(server.Deadline):
			t.Fatalf("batch %d is not answered", i)
		}
	}
}

func (r *rig) entries(t *testing.T, id message.ClientID) []uint64 {
	t.Helper()
	img, err := whole{r}.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	var seqs []uint64
	for i := range img.Entries {
		seqs = append(seqs, img.Entries[i].Seq)
	}
	return seqs
}

// A step whose answer is lost is done once, and answered as if it had not been lost.
func TestAnswersCutOff(t *testing.T) {
	s := startRedis(t)
	p := newProxy(t, s.Addr)
	r := newRig(t, p.url(), newPrefix(), "own")
	const n = 60
	for i := range uint64(n) {
		p.cutEvery(4 + int64(i%2)) // so that each kind of step meets it
		id := message.ClientID(fmt.Sprint("c", i%3))
		ops := []store.Op{entryOp(i+1, 1+byte(i%2)), {Kind: store.KindState, Seq: i + 1, State: store.State{ID: 1, Phase: store.Sent}}}
		if i < 3 {
			ops = append(ops, headOp(id))
		}
		if i >= 30 {
			ops = append(ops, unqueueOp(i-29))
		}
		r.must(t, batchOf(id, ops...))
		retain := store.Op{Kind: store.KindRetained, Filter: "t", Msg: &message.Message{ID: message.ID{Run: 1, Seq: i + 1}, Topic: "t", Payload: []byte{byte(i)}}}
		r.must(t, batchOf("", retain))
	}
	p.cutEvery(0)
	if p.cuts.Load() < 10 {
		t.Fatalf("only %d answers were swallowed", p.cuts.Load())
	}
	for c := range uint64(3) {
		got := r.entries(t, message.ClientID(fmt.Sprint("c", c)))
		if len(got) != 10 || got[0] != 31+c {
			t.Errorf("session %d has %v", c, got)
		}
		q, err := r.client.XInfoStream(t.Context(), r.link.keys.session(message.ClientID(fmt.Sprint("c", c)))+sessionQueue).Result()
		if err != nil || q.EntriesAdded != n/3 {
			t.Errorf("session %d had %d entries, %v", c, q.EntriesAdded, err)
		}
	}
	if got, err := r.ends(t.Context(), r.shards[shardOf("t", len(r.shards))]); err != nil || got[0] != n {
		t.Errorf("the log of retained messages ends at %v (%v), want %d", got, err, n)
	}
}

// What was answered is there after Redis was killed and started again; what was handed in
// meanwhile is written when it is back.
func TestRedisRestarted(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	r.must(t, batchOf("c", headOp("c"), entryOp(1, 1)))
	s.Kill()
	var p pending
	for i := range uint64(20) {
		p.commit(r, batchOf("c", entryOp(i+2, 1)))
	}
	s.Restart()
	p.must(t)
	if got := r.entries(t, "c"); len(got) != 21 {
		t.Errorf("the session has %v", got)
	}
}

func TestScriptsFlushed(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	for i := range uint64(5) {
		if err := r.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.must(t, batchOf("c", headOp("c"), entryOp(i+1, 1)))
	}
	if got := r.entries(t, "c"); len(got) != 5 {
		t.Errorf("the session has %v", got)
	}
}

// While Redis has no memory left nothing that needs some is answered, but what gives some
// back is; afterwards all is.
func TestOutOfMemory(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	for _, id := range []message.ClientID{"full", "drains"} {
		r.must(t, batchOf(id, headOp(id), entryOp(1, 1), entryOp(2, 1)))
	}
	limit := func(n string) {
		if err := r.client.ConfigSet(t.Context(), "maxmemory", n).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1000000")
	var waits pending
	waits.commit(r, batchOf("full", entryOp(3, 1)))
	waits.commit(r, batchOf("full", unqueueOp(1))) // behind it
	waits.commit(r, batchOf("", store.Op{Kind: store.KindDelayed, Seq: 1, Msg: entryOp(1, 1).Entry.Msg}))
	r.must(t, batchOf("drains", unqueueOp(1)))
	r.must(t, batchOf("drains", unqueueOp(2)))
	all := make(answer, 1)
	r.hand(work{done: all, flush: true})
	r.must(t, batchOf("drains")) // the flush has been met
	if n := len(all); n > 0 {
		t.Error("all is answered while something waits")
	}
	if n := waits.answered(); n > 0 {
		t.Errorf("%d batches were answered that need memory", n)
	}
	if got := r.entries(t, "full"); len(got) != 2 {
		t.Errorf("the session has %v", got)
	}
	if got := r.entries(t, "drains"); len(got) != 0 {
		t.Errorf("the session that drains has %v", got)
	}
	limit("0")
	waits.must(t)
	if got := r.entries(t, "full"); len(got) != 2 || got[1] != 3 {
		t.Errorf("the session has %v", got)
	}
	if err := all.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A replica accepts nothing; nothing is answered until there is a primary again.
func TestReadOnly(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	r.must(t, batchOf("c", headOp("c")))
	if err := r.client.SlaveOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var p pending
	p.commit(r, batchOf("c", entryOp(1, 1)))
	server.Poll(t, 0, func() bool { return r.link.out.errs.Load() > 1 })
	if p.answered() > 0 {
		t.Error("a replica's refusal is an answer")
	}
	if err := r.client.SlaveOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	p.must(t)
}

// Keys that are not what they should be are an error of their session, and of no other.
func TestDamagedKeys(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	ctx := t.Context()
	for _, key := range []string{sessionHead, sessionFilters, sessionQueue, sessionWindow, sessionReceived, sessionCursors, sessionKnown} {
		id := message.ClientID("bad" + key)
		full := batchOf(id, headOp(id), entryOp(1, 2),
			store.Op{Kind: store.KindState, Seq: 1, State: store.State{ID: 1, Phase: store.Sent}},
			store.Op{Kind: store.KindSubscription, Filter: "f", Sub: &store.Subscription{Filter: "f"}},
			store.Op{Kind: store.KindReceived, ID: 1}, store.Op{Kind: store.KindCursor, Filter: "f", Cursor: &store.Cursor{Filter: "f"}})
		r.must(t, full)
		name := r.link.keys.session(id) + key
		if err := r.client.Do(ctx, "set", name, "x").Err(); err != nil {
			t.Fatal(err)
		}
		var good pending
		good.commit(r, batchOf("good", headOp("good"), entryOp(1, 1)))
		full.Ops[0], full.Ops[1] = entryOp(2, 2), entryOp(3, 2)
		if err := r.do(full); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: a batch is answered with %v", key, err)
		}
		good.must(t)
		if key == sessionKnown {
			_, err := r.known(ctx, id, []message.ID{{Run: 1}})
			if !errors.Is(err, ErrRecord) {
				t.Errorf("%s: known answers %v", key, err)
			}
			continue
		}
		if _, err := r.Load(ctx, id); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: load answers %v", key, err)
		}
	}
}

// Values that cannot be read name their key; nothing panics and nothing is changed.
func TestDamagedValues(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	ctx := t.Context()
	for name, c := range map[string]struct {
		command []any
		want    error
	}{
		"figures":       {[]any{"hset", "s", fieldFigures, "\x01x"}, ErrRecord},
		"newer figures": {[]any{"hset", "s", fieldFigures, "\x02xxxxxxxxxxxxxxxx"}, ErrNewer},
		"head":          {[]any{"hset", "s", fieldHead, ""}, ErrRecord},
		"newer head":    {[]any{"hset", "s", fieldHead, "\x63"}, ErrNewer},
		"position":      {[]any{"hset", "s", fieldAt, "x"}, ErrRecord},
		"overlap":       {[]any{"hset", "s", fieldOverlap, "x"}, ErrRecord},
		"filter":        {[]any{"hset", "f", "f", "\x01"}, ErrRecord},
		"state":         {[]any{"hset", "w", "1-1", "\x01\x09"}, ErrRecord},
		"received":      {[]any{"hset", "r", "70000", "\x01"}, ErrRecord},
		"receipt":       {[]any{"hset", "r", "7", "\x01\x01"}, ErrRecord},
		"cursor":        {[]any{"hset", "c", "f", "\x01"}, ErrRecord},
	} {
		id := message.ClientID(name)
		r.must(t, batchOf(id, headOp(id), entryOp(1, 1)))
		base := r.link.keys.session(id)
		c.command[1] = base + c.command[1].(string)
		if err := r.client.Do(ctx, c.command...).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Load(ctx, id); !errors.Is(err, c.want) {
			t.Errorf("%s: load answers %v", name, err)
		}
	}
	base := r.link.keys.session("entry")
	r.must(t, batchOf("entry", headOp("entry")))
	if err := r.client.Do(ctx, "xadd", base+sessionQueue, "5-1", "d", "\x01\x09").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Page(ctx, "entry", 0, 9, 1<<20); !errors.Is(err, ErrRecord) {
		t.Errorf("a damaged entry: page answers %v", err)
	}
	// figures that the step reads
	id := message.ClientID("figures")
	r.place(id, place{box: "own", epoch: 1})
	if err := r.do(batchOf(id, headOp(id))); !errors.Is(err, ErrRecord) {
		t.Errorf("damaged figures: a batch is answered with %v", err)
	}
	n := 0
	if err := r.Heads(ctx, func(*store.Head) bool { n++; return true }); err != nil || n < 5 {
		t.Errorf("heads visits %d of those that can be read, %v", n, err)
	}
}

// An owner that another has replaced commits nothing, and its later batches are refused.
func TestFencedOwner(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	a, b := newRig(t, s.URL(), prefix, "a"), newRig(t, s.URL(), prefix, "b")
	ctx := t.Context()
	a.must(t, batchOf("c", headOp("c"), entryOp(1, 1)))
	if err := b.do(batchOf("c", headOp("c"))); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a session of another instance: %v", err)
	}
	l, err := b.records.load(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	mine := place{box: "b", epoch: 1, n: l.n}
	if err := b.client.HSet(ctx, b.link.keys.session("c")+sessionHead, fieldOwner, mine.tag()).Err(); err != nil {
		t.Fatal(err)
	}
	b.place("c", mine)
	b.must(t, batchOf("c", entryOp(2, 1)))
	var stale pending
	for i := range uint64(5) {
		stale.commit(a, batchOf("c", entryOp(10+i, 1)))
	}
	for _, done := range stale.all {
		if err := <-done; !errors.Is(err, store.ErrFenced) {
			t.Errorf("a stale owner's batch: %v", err)
		}
	}
	if _, err := a.Load(ctx, "c"); err != nil {
		t.Errorf("a stranger may look: %v", err)
	}
	if got := b.entries(t, "c"); len(got) != 2 {
		t.Errorf("the session has %v", got)
	}
	b.drop("c")
	if err := b.do(batchOf("c", entryOp(3, 1))); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a batch of a session that was given away: %v", err)
	}
	b.place("c", mine)
	b.lose("b")
	if err := b.do(batchOf("", store.Op{Kind: store.KindDelayed, Seq: 1, Msg: entryOp(1, 1).Entry.Msg})); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a record of a mailbox that was lost: %v", err)
	}
}

// Sessions are in their mailbox's set exactly as long as they are there.
func TestMembers(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	end := store.Op{Kind: store.KindSession, Delete: true}
	has := func() []string {
		ids, err := r.residents(t.Context(), "own")
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	r.must(t, batchOf("a", headOp("a")))
	r.must(t, batchOf("b", headOp("b")))
	if got := has(); len(got) != 2 {
		t.Errorf("the set has %v", got)
	}
	r.must(t, batchOf("a", end))
	r.must(t, batchOf("a", headOp("a")))
	r.must(t, batchOf("b", end))
	server.Poll(t, 0, func() bool { got := has(); return len(got) == 1 && got[0] == "a" })
	r.inUse("a", true)
	r.must(t, batchOf("a", end))
	r.must(t, batchOf("other", headOp("other"))) // the set is changed by now
	if got := has(); len(got) != 2 {
		t.Errorf("a client id in use is not in the set: %v", got)
	}
	owner, err := r.client.HGet(t.Context(), r.link.keys.session("a")+sessionHead, fieldOwner).Result()
	if err != nil || owner != "own 1" {
		t.Errorf("a client id in use belongs to %q, %v", owner, err)
	}
	if _, err := r.Load(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it has a session: %v", err)
	}
	r.must(t, batchOf("a", headOp("a"), entryOp(1, 1)))
	if got := r.entries(t, "a"); len(got) != 1 {
		t.Errorf("the session has %v", got)
	}
}

// A session that ends in an adopted mailbox may begin again, in the own one.
func TestBeginsAtHome(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	a, b := newRig(t, s.URL(), prefix, "a"), newRig(t, s.URL(), prefix, "b")
	a.must(t, batchOf("c", headOp("c"), entryOp(1, 1)))
	key := b.link.keys.session("c") + sessionHead
	if err := b.client.HSet(t.Context(), key, fieldOwner, "a 2").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.client.HSet(t.Context(), b.link.keys.box("a", boxMeta), "epoch", "2").Err(); err != nil {
		t.Fatal(err)
	}
	b.hold("a", 2)
	b.place("c", place{box: "a", epoch: 2, n: 1})
	var p pending
	b.Begin() // so that all of them are taken at once
	p.commit(b, batchOf("c", unqueueOp(1)))
	p.commit(b, batchOf("c", store.Op{Kind: store.KindSession, Delete: true}))
	p.commit(b, batchOf("c", headOp("c"), entryOp(1, 1)))
	p.commit(b, batchOf("c", entryOp(2, 1)))
	b.End()
	p.must(t)
	if owner := b.client.HGet(t.Context(), key, fieldOwner).Val(); owner != "b 1" {
		t.Errorf("the new session is of %q", owner)
	}
	server.Poll(t, 0, func() bool {
		old, err1 := b.residents(t.Context(), "a")
		now, err2 := b.residents(t.Context(), "b")
		return err1 == nil && err2 == nil && len(old) == 0 && len(now) == 1
	})
	if got := b.entries(t, "c"); len(got) != 2 {
		t.Errorf("the session has %v", got)
	}
}

// The ids of QoS 2 messages are known from the step that writes the entry, also when it
// has gone, and for the window.
func TestKnown(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	r.must(t, batchOf("c", headOp("c"), entryOp(1, 2), entryOp(2, 1)))
	r.must(t, batchOf("c", entryOp(3, 2), unqueueOp(3)))
	r.must(t, batchOf("c", unqueueOp(1)))
	ids := []message.ID{{Run: 7, Seq: 1}, {Run: 7, Seq: 2}, {Run: 7, Seq: 3}, {Run: 8, Seq: 1}}
	got, err := r.known(t.Context(), "c", ids)
	if err != nil || fmt.Sprint(got) != "[true false true false]" {
		t.Errorf("known are %v, %v", got, err)
	}
	ttl := r.client.TTL(t.Context(), r.link.keys.session("c")+sessionKnown).Val()
	if ttl <= time.Hour || ttl > 2*time.Hour {
		t.Errorf("they end in %v", ttl)
	}
}

// An entry that ends before it was written is not written.
func TestElision(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	r.must(t, batchOf("c", headOp("c")))
	var p pending
	r.Begin() // so that all of them are taken at once
	p.commit(r, batchOf("c", entryOp(1, 1), store.Op{Kind: store.KindState, Seq: 1, State: store.State{ID: 1, Phase: store.Sent}}))
	p.commit(r, batchOf("c", unqueueOp(1)))
	p.commit(r, batchOf("c", entryOp(2, 1)))
	r.End()
	p.must(t)
	added, err := r.client.XInfoStream(t.Context(), r.link.keys.session("c")+sessionQueue).Result()
	if err != nil || added.EntriesAdded != 1 {
		t.Errorf("%d entries were written, %v", added.EntriesAdded, err)
	}
}

// The end does not wait for ever for a Redis that is away.
func TestCloseWithoutRedis(t *testing.T) {
	s := startRedis(t)
	p := newProxy(t, s.Addr)
	r := newRig(t, p.url(), newPrefix(), "own")
	r.must(t, batchOf("c", headOp("c")))
	p.down.Store(true)
	p.sever()
	var left pending
	left.commit(r, batchOf("c", entryOp(1, 1)))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-left.all[0]; !errors.Is(err, store.ErrClosed) {
		t.Errorf("the batch is answered with %v", err)
	}
}
