package bridge

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// What was asked of Redis and given up, and asked again on another connection, may still
// arrive, behind all that was done since. None of it does anything then.

func newLateRig(t *testing.T) (*rigProxy, *rig) {
	t.Helper()
	p := newRigProxy(t, startRedis(t).Addr)
	return p, newRig(t, "redis://"+p.addr, newPrefix(), "own")
}

func TestLateEntry(t *testing.T) {
	p, r := newLateRig(t)
	r.must(t, batchOf("c", headOp("c"), entryOp(1, 2)))
	p.strand()
	r.must(t, batchOf("c", entryOp(2, 2)))
	r.must(t, batchOf("c", unqueueOp(2)))
	r.must(t, batchOf("c", entryOp(3, 2)))
	p.land(t)
	if got := r.entries(t, "c"); len(got) != 2 {
		t.Errorf("the session has %v", got)
	}
	r.must(t, batchOf("c", entryOp(4, 2))) // the number in the record is that of the last batch
	if got := r.entries(t, "c"); len(got) != 3 {
		t.Errorf("the session has %v", got)
	}
}

func TestLateRecordOfAMailbox(t *testing.T) {
	p, r := newLateRig(t)
	m := entryOp(1, 2).Entry.Msg
	r.must(t, batchOf("", store.Op{Kind: store.KindDelayed, Seq: 1, At: 1, Msg: m}))
	p.strand()
	r.must(t, batchOf("", store.Op{Kind: store.KindDelayed, Seq: 2, At: 2, Msg: m}, store.Op{Kind: store.KindGroupEntry, Filter: "g/f", Seq: 3, Msg: m}))
	r.must(t, batchOf("", store.Op{Kind: store.KindDelayed, Seq: 2, Delete: true}, store.Op{Kind: store.KindGroupEntry, Filter: "g/f", Seq: 3, Delete: true}))
	p.land(t)
	var left []uint64
	if err := r.Delayed(t.Context(), func(seq uint64, _ int64, _ *message.Message) bool {
		left = append(left, seq)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.groupsOf(t.Context(), "own", func(_ string, seq uint64, _ *message.Message) bool {
		left = append(left, seq)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(left, []uint64{1}) {
		t.Errorf("%v are left", left)
	}
}

// The newest word on a client id counts, in whatever order the commands arrive.
func TestMembersInAnyOrder(t *testing.T) {
	s := startRedis(t)
	r := newRig(t, s.URL(), newPrefix(), "own")
	change := func(number int, rest ...any) {
		t.Helper()
		v, err := r.link.step(t.Context(), stepMembers, []string{r.link.keys.box("own", boxMeta)}, append([]any{1, number}, rest...)...)
		if err != nil || v != int64(1) {
			t.Fatal(v, err)
		}
	}
	want := func(ids ...string) {
		t.Helper()
		got, err := r.residents(t.Context(), "own")
		if err != nil || !slices.Equal(got, ids) {
			t.Errorf("%q, %v; want %q", got, err, ids)
		}
	}
	change(1, 1, "c")
	change(4, 1, "c") // came again
	change(3, 0, "c", 3)
	want("c")
	change(2, 2, "c", "d")
	change(3, 0, "c", 3)
	want("c", "d")
	change(5, 0, "c", 4, "d", 2)
	want()
	if v, err := r.link.step(t.Context(), stepMembers, []string{r.link.keys.box("own", boxMeta)}, 2, 6, 1, "c"); v != int64(0) || err != nil {
		t.Error("another epoch changed it", v, err)
	}
}

func TestLateRouteChange(t *testing.T) {
	r := server.StartRedis(t)
	p := newRigProxy(t, r.Addr)
	a, b := joined(t, p.addr), joined(t, r.Addr)
	if err := a.change1(t, "x"); err != nil {
		t.Fatal(err)
	}
	p.strand()
	at, err := a.change(within(t), a.box, nil, []string{"x"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.change1(t, "x"); err != nil {
		t.Fatal(err)
	}
	p.land(t)
	o, err := b.change(within(t), b.box, []string{"y"}, nil, true) // behind what came late
	if err != nil || o <= at {
		t.Fatal(o, err)
	}
	if err := b.pass(within(t), o); err != nil {
		t.Fatal(err)
	}
	if !b.hasKey(a.box, "x") {
		t.Error("a route is lost")
	}
}

// A client id whose record names a mailbox that nobody has any more can be had.
func TestOrphan(t *testing.T) {
	s := startRedis(t)
	b := openBridge(t, s.URL())
	key := b.keys.session("c") + sessionHead
	if err := b.client.HSet(t.Context(), key, fieldOwner, "gone 3").Err(); err != nil {
		t.Fatal(err)
	}
	cl, err := b.Claim(within(t), &store.Claimant{ID: "c"}, func(*store.Head) { t.Error("it is expected from somewhere") })
	if err != nil || cl.Moved {
		t.Fatal(cl, err)
	}
	if owner := b.client.HGet(t.Context(), key, fieldOwner).Val(); owner != string(b.own)+" 1" {
		t.Errorf("owner %q", owner)
	}
}

// alone is the router of an instance that nobody asks for anything.
type alone struct{ Inbox }

func (alone) Route(message.Position, []store.RouteChange) {}
func (alone) Retained(*message.Message, bool)             {}

// openBridge is a whole bridge that has joined.
func openBridge(t *testing.T, url string) *Bridge {
	t.Helper()
	b := newBridge(t, url)
	if err := b.Start(within(t), alone{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func newBridge(t *testing.T, url string) *Bridge {
	t.Helper()
	client, err := redis.New(redis.Options{URL: url, Scripts: Scripts(), ReadTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{Client: client, Prefix: newPrefix(), Lease: rigTerm, DedupeWindow: time.Hour, Log: slog.New(slog.NewTextHandler(logTo{t}, nil)), Now: time.Now})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_ = client.Close() // the test is over
	})
	return b
}

// overtaken is alone, and another instance takes over before it has all routes.
type overtaken struct {
	alone
	b *Bridge
	t *testing.T
}

func (o overtaken) Route(message.Position, []store.RouteChange) {
	err := o.b.client.HSet(o.t.Context(), o.b.keys.leases(), string(o.b.own), row{owner: "other", epoch: 2, generation: 1, deadline: 1 << 50}.String()).Err()
	if err != nil {
		o.t.Error(err)
	}
	o.b.cluster.kick()
	server.Poll(o.t, 0, func() bool { return o.b.cluster.mine() == "" })
}

// A start that takes longer than a lease is no failure: it can be tried again at once.
func TestOvertakenWhileItStarts(t *testing.T) {
	b := newBridge(t, startRedis(t).URL())
	if err := b.Start(within(t), overtaken{b: b, t: t}); !errors.Is(err, ErrRejoin) {
		t.Error(err)
	}
}
