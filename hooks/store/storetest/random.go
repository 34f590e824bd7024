package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// shadow is the plainest account of one session.
type shadow struct {
	head     *store.Session
	subs     map[string]store.Subscription
	entries  map[uint64]store.StoredEntry
	received map[message.PacketID]bool
}

func newShadow() *shadow {
	return &shadow{subs: map[string]store.Subscription{}, entries: map[uint64]store.StoredEntry{}, received: map[message.PacketID]bool{}}
}

func (h *shadow) apply(op *store.Op) {
	switch {
	case op.Kind == store.KindSession && op.Delete:
		*h = *newShadow()
	case op.Kind == store.KindSession:
		h.head = op.Session
	case op.Kind == store.KindSubscription && op.Delete:
		delete(h.subs, op.Filter)
	case op.Kind == store.KindSubscription:
		h.subs[op.Filter] = *op.Sub
	case op.Kind == store.KindEntry && op.Delete:
		delete(h.entries, op.Seq)
	case op.Kind == store.KindEntry:
		h.entries[op.Seq] = store.StoredEntry{Entry: op.Entry}
	case op.Kind == store.KindState:
		if e, ok := h.entries[op.Seq]; ok {
			e.State = op.State
			h.entries[op.Seq] = e
		}
	case op.Delete:
		delete(h.received, op.ID)
	default:
		h.received[op.ID] = true
	}
}

func (h *shadow) image() string {
	img := &store.Image{Session: *h.head}
	for _, sub := range h.subs {
		img.Subs = append(img.Subs, sub)
	}
	for _, e := range h.entries {
		img.Entries = append(img.Entries, e)
	}
	slices.SortFunc(img.Entries, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	for id := range h.received {
		img.Received = append(img.Received, id)
	}
	return render(img)
}

// randomOperations: a store and the shadow agree after every batch.
func randomOperations(s *suite) {
	seed := rand.Uint64()
	s.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	want := map[message.ClientID]*shadow{}
	for range 400 {
		id := message.ClientID(fmt.Sprint("c", r.IntN(3)))
		h := want[id]
		if h == nil {
			h = newShadow()
			want[id] = h
		}
		var ops []store.Op
		if h.head == nil {
			ops = append(ops, head(id, 1))
		}
		for range r.IntN(12) {
			ops = append(ops, randomOp(r, id))
		}
		if r.IntN(30) == 0 {
			ops = append(ops, store.Op{Kind: store.KindSession, Delete: true})
		}
		s.commit(on(id, 1, ops...))
		for i := range ops {
			h.apply(&ops[i])
		}
		if h.head == nil {
			s.gone(id)
		} else {
			s.same(string(id), s.image(id), h.image())
		}
		if s.Failed() {
			return
		}
	}
}

func randomOp(r *rand.Rand, id message.ClientID) store.Op {
	seq := r.Uint64N(20)
	var op store.Op
	switch r.IntN(8) {
	case 0:
		op = subscribe(fmt.Sprint("f", r.IntN(4)), byte(r.IntN(3)))
	case 1, 2:
		op = entry(seq)
	case 3, 4:
		return state(seq, message.PacketID(1+r.IntN(65535)), store.Phase(r.IntN(3)))
	case 5:
		op = received(message.PacketID(1 + r.IntN(5)))
	case 6:
		return head(id, 1)
	default:
		op = entry(seq)
	}
	if r.IntN(3) == 0 {
		return remove(op)
	}
	return op
}
