package disk

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// order collects answers.
type order struct {
	mu  sync.Mutex
	got []int
	err error
}

type nth struct {
	o *order
	n int
}

// Committed implements store.Committed.
func (c nth) Committed(err error) {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.o.got = append(c.o.got, c.n)
	if err != nil {
		c.o.err = err
	}
}

func (o *order) is(want ...int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Equal(o.got, want)
}

// watched is a store that counts what it writes.
type watched struct {
	*Store
	mu     sync.Mutex
	bytes  int
	elided int
}

func watch(t *testing.T, linger time.Duration) *watched {
	w := new(watched)
	w.Store = open(t, Options{Linger: linger, Observe: func(c Commit) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bytes += c.Bytes
		w.elided += c.Elided
	}})
	return w
}

func (w *watched) wrote() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

func linger(id message.ClientID, ops ...store.Op) *store.Batch {
	b := on(id, ops...)
	b.Linger = true
	return b
}

// settle waits until the committer has taken what was handed in.
func settle(t *testing.T, s store.Store) { must(t, s, &store.Batch{}) }

// An entry that is acknowledged in time leaves no byte, and its publisher is
// answered at once.
func TestElision(t *testing.T) {
	w := watch(t, time.Hour)
	must(t, w, begin("c"), begin("d"))
	before := w.wrote()
	var o order
	for i := range 100 {
		seq := uint64(i + 1)
		b := linger("c", put(seq, text(i, 64)), sent(seq))
		b.Queue = store.Queue{Last: seq}
		w.Commit(b, nth{&o, 2 * i})
		d := on("c", del(seq))
		d.Queue = b.Queue
		w.Commit(d, nth{&o, 2*i + 1})
	}
	settle(t, w)
	o.mu.Lock()
	if !slices.IsSorted(o.got) || len(o.got) != 200 || o.err != nil {
		t.Errorf("answers %v, %v", o.got, o.err)
	}
	o.mu.Unlock()
	if n := w.wrote() - before; n != 0 {
		t.Errorf("%d bytes were written", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Dir: w.opts.Dir})
	img, err := whole{s}.Load(context.Background(), "c")
	if err != nil || len(img.Entries) != 0 || img.Queue.Last != 100 {
		t.Errorf("stored is %+v, %v", img, err)
	}
}

// The answers of a client come in order even when a later batch is done first.
func TestElisionKeepsOrder(t *testing.T) {
	w := watch(t, time.Hour)
	must(t, w, begin("c"))
	var o order
	w.Commit(linger("c", put(1, text(1, 64))), nth{&o, 0})
	w.Commit(linger("c", put(2, text(2, 64))), nth{&o, 1})
	w.Commit(on("c", del(2)), nth{&o, 2})
	settle(t, w)
	if !o.is() {
		t.Errorf("answers %v before the first is done", o.got)
	}
	w.Commit(on("c", del(1)), nth{&o, 3})
	settle(t, w)
	if !o.is(0, 1, 2, 3) {
		t.Errorf("answers %v", o.got)
	}
}

// What has to be written takes along what its client holds, and nothing of others.
func TestLingerIsBroken(t *testing.T) {
	w := watch(t, time.Hour)
	must(t, w, begin("c"), begin("d"))
	var c, d order
	w.Commit(linger("c", put(1, text(1, 64))), nth{&c, 0})
	w.Commit(linger("d", put(1, text(1, 64))), nth{&d, 0})
	must(t, w, on("c", store.Op{Kind: store.KindReceived, ID: 3}))
	if !c.is(0) || !d.is() {
		t.Errorf("answers %v and %v", c.got, d.got)
	}
	qos2 := put(2, text(2, 64))
	qos2.Entry.QoS = 2
	must(t, w, linger("c", qos2)) // is never held
	a := make(answer, 1)
	w.Commit(&store.Batch{Client: "d", Epoch: 0, Ops: []store.Op{del(1)}}, a) // fenced, in its turn
	settle(t, w)
	if len(a) != 0 {
		t.Error("the answer overtook")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-a; !errors.Is(err, store.ErrFenced) || !d.is(0) {
		t.Errorf("answers %v, %v", err, d.got)
	}
}

// After Linger it is written whatever comes.
func TestLingerEnds(t *testing.T) {
	s := open(t, Options{Linger: time.Millisecond})
	must(t, s, begin("c"), linger("c", put(1, text(1, 64))), on("c", del(1)))
	for i := range uint64(20) {
		must(t, s, linger("c", put(i+2, text(1, 64))))
	}
	page, err := s.Page(context.Background(), "c", 0, 100, 1<<20)
	if err != nil || len(page) != 20 {
		t.Errorf("%d entries, %v", len(page), err)
	}
}

// A batch that came between the same Begin and End goes along, of whatever client.
func TestLingerJoined(t *testing.T) {
	w := watch(t, time.Hour)
	must(t, w, begin("c"), begin("d"), begin("e"))
	var c, e order
	w.Begin()
	w.Commit(linger("c", put(1, text(1, 64))), nth{&c, 0})
	a := make(answer, 1)
	w.Commit(on("d", store.Op{Kind: store.KindReceived, ID: 3}), a)
	w.End()
	w.Commit(linger("e", put(1, text(1, 64))), nth{&e, 0})
	if err := <-a; err != nil {
		t.Fatal(err)
	}
	settle(t, w)
	if !c.is(0) || !e.is() {
		t.Errorf("answers %v and %v", c.got, e.got)
	}
}
