package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

func retainOp(topic, payload string, id message.ID) store.Op {
	m := &message.Message{ID: id, Topic: topic, Payload: []byte(payload), Publisher: "p", Created: time.Now().UnixNano()}
	return store.Op{Kind: store.KindRetained, Filter: topic, Msg: m}
}

func forgetOp(topic string, id message.ID) store.Op {
	op := retainOp(topic, "", id)
	op.Delete = true
	return op
}

// follows starts following and waits until it does.
func (r *rig) follows(t *testing.T) *heard {
	t.Helper()
	h := &heard{}
	if err := r.start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *heard) want(t *testing.T, topic, payload string) {
	t.Helper()
	if got, ok := h.get(topic); got != payload || !ok {
		t.Errorf("%s has %.20q (%v), want %.20q", topic, got, ok, payload)
	}
}

// What was set before Latest, by anybody, has been heard when it returns.
func TestRetainedReadYourWrites(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	a, b := newRig(t, s.URL(), prefix, "a"), newRig(t, s.URL(), prefix, "b")
	a.must(t, batchOf("", retainOp("before", "x", message.ID{Run: 1, Seq: 1})))
	ha, hb := a.follows(t), b.follows(t)
	hb.want(t, "before", "x")
	large := strings.Repeat("large", 1000)
	for i := range uint64(20) {
		topic := fmt.Sprint("t/", i)
		a.must(t, batchOf("", retainOp(topic, "small", message.ID{Run: 1, Seq: i + 2}), retainOp("large", large+topic, message.ID{Run: 1, Seq: i + 2})))
		b.must(t, batchOf("", forgetOp("before", message.ID{Run: 2, Seq: i})))
		for _, r := range []*rig{a, b} {
			if err := r.Latest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range []*heard{ha, hb} {
			h.want(t, topic, "small")
			h.want(t, "large", large+topic)
			if _, ok := h.get("before"); ok {
				t.Error("what was removed is still there")
			}
		}
	}
}

// Instances that set the same topics at once hear the same end.
func TestRetainedConverges(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	rigs := []*rig{newRig(t, s.URL(), prefix, "a"), newRig(t, s.URL(), prefix, "b"), newRig(t, s.URL(), prefix, "c")}
	var all []*heard
	for _, r := range rigs {
		all = append(all, r.follows(t))
	}
	var wg sync.WaitGroup
	for i, r := range rigs {
		wg.Go(func() {
			var p pending
			for n := range uint64(200) {
				op := retainOp(fmt.Sprint("t", n%5), fmt.Sprint(i, ".", n), message.ID{Run: uint64(i), Seq: n})
				op.Msg.Publisher = message.ClientID(fmt.Sprint("p", i))
				op.Delete = n%7 == 3
				p.commit(r, batchOf("", op))
			}
			p.must(t)
		})
	}
	wg.Wait()
	for _, r := range rigs {
		if err := r.Latest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stored := map[string]string{}
	if err := rigs[0].Retained(context.Background(), func(m *message.Message) bool {
		stored[m.Topic] = string(m.Payload)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for i, h := range all {
		if fmt.Sprint(h.all) != fmt.Sprint(stored) {
			t.Errorf("instance %d has %v, stored are %v", i, h.all, stored)
		}
	}
}

// A publisher's older message does not replace its newer one, nor undo its removal. It is
// answered like any other.
func TestRetainedOlder(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	h := r.follows(t)
	at := time.Now()
	op := func(topic, payload string, id message.ID, ago time.Duration, by message.ClientID) store.Op {
		op := retainOp(topic, payload, id)
		op.Msg.Created, op.Msg.Publisher = at.Add(-ago).UnixNano(), by
		return op
	}
	r.must(t, batchOf("", op("t", "new", message.ID{Run: 1, Seq: 5}, 0, "p")))
	removed := op("gone", "", message.ID{Run: 1, Seq: 5}, 0, "p")
	removed.Delete = true
	r.must(t, batchOf("", op("gone", "old", message.ID{Run: 1, Seq: 3}, time.Minute, "p"), removed))
	for _, old := range []store.Op{
		op("t", "lower number", message.ID{Run: 1, Seq: 4}, 0, "p"),
		op("t", "another run, long ago", message.ID{Run: 2, Seq: 9}, time.Minute, "p"),
		op("gone", "lower number", message.ID{Run: 1, Seq: 4}, 0, "p"),
		op("gone", "another run, long ago", message.ID{Run: 2, Seq: 9}, time.Minute, "p"),
	} {
		r.must(t, batchOf("", old))
	}
	if err := r.Latest(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t, "t", "new")
	if v, ok := h.get("gone"); ok {
		t.Errorf("what was removed is %q", v)
	}
	r.must(t, batchOf("", op("t", "another publisher", message.ID{Run: 2, Seq: 1}, time.Minute, "q"), op("gone", "a clock that is late", message.ID{Run: 2, Seq: 1}, time.Second, "p")))
	if err := r.Latest(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t, "t", "another publisher")
	h.want(t, "gone", "a clock that is late")
}

// A process whose mailbox was taken over sets nothing any more, however new it thinks that
// it is: the publisher may have gone on elsewhere.
func TestRetainedOfALostMailbox(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	slow, fast := newRig(t, s.URL(), prefix, "slow"), newRig(t, s.URL(), prefix, "fast")
	h := fast.follows(t)
	slow.must(t, batchOf("", retainOp("t", "first", message.ID{Run: 1, Seq: 1})))
	if _, err := fast.link.step(t.Context(), stepBoxTake, []string{fast.link.keys.box("slow", boxMeta)}, 2); err != nil {
		t.Fatal(err)
	}
	fast.must(t, batchOf("", retainOp("t", "second", message.ID{Run: 2, Seq: 1})))
	for _, op := range []store.Op{retainOp("t", "late", message.ID{Run: 1, Seq: 2}), forgetOp("t", message.ID{Run: 1, Seq: 3})} {
		if err := slow.do(batchOf("", op)); !errors.Is(err, store.ErrFenced) {
			t.Errorf("%v, want that it is refused", err)
		}
	}
	if err := fast.Latest(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t, "t", "second")
}

// A follower that fell behind the log loads the shard again, and hears what is gone.
func TestRetainedBehind(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	p := newProxy(t, s.Addr)
	a, b := newRig(t, s.URL(), prefix, "a"), newRig(t, p.url(), prefix, "b")
	a.must(t, batchOf("", retainOp("gone", "x", message.ID{Run: 1, Seq: 1}), retainOp("stays", "x", message.ID{Run: 1, Seq: 1})))
	h := b.follows(t)
	p.down.Store(true)
	p.sever()
	a.must(t, batchOf("", forgetOp("gone", message.ID{Run: 1, Seq: 2}), retainOp("stays", "y", message.ID{Run: 1, Seq: 2}), retainOp("gone", "z", message.ID{Run: 1, Seq: 3}), forgetOp("gone", message.ID{Run: 1, Seq: 4})))
	for _, sh := range a.shards {
		if err := a.client.XTrimMaxLen(t.Context(), a.link.keys.shard(sh.n, shardLog), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.must(t, batchOf("", retainOp("gone", "again", message.ID{Run: 1, Seq: 5}), forgetOp("gone", message.ID{Run: 1, Seq: 6}), retainOp("stays", "z", message.ID{Run: 1, Seq: 5})))
	p.down.Store(false)
	server.Poll(t, 0, func() bool {
		_, there := h.get("gone")
		v, _ := h.get("stays")
		return !there && v == "z"
	})
}

func TestExclusive(t *testing.T) {
	s := startRedis(t)
	prefix := newPrefix()
	a, b := newRig(t, s.URL(), prefix, "a"), newRig(t, s.URL(), prefix, "b")
	ctx := t.Context()
	hold := func(r *rig, id message.ClientID, want bool) {
		t.Helper()
		if got, err := r.holds.Hold(ctx, "f", id); err != nil || got != want {
			t.Errorf("hold answers %v, %v to %s", got, err, id)
		}
	}
	a.must(t, batchOf("one", headOp("one")))
	b.must(t, batchOf("two", headOp("two")))
	hold(a, "one", true)
	hold(a, "one", true)
	hold(b, "two", false)
	b.holds.Let("f", "two") // it is not its holder
	hold(b, "two", false)
	for range 20 {
		a.holds.Let("f", "one")
		hold(a, "one", true)
	}
	hold(b, "two", false)
	a.must(t, batchOf("one", store.Op{Kind: store.KindSession, Delete: true})) // as when its process died and others ended it
	hold(b, "two", true)
	b.holds.Let("f", "two")
	hold(b, "three", true)
}
