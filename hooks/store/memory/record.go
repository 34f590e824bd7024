package memory

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// record is one session. The maps are made when they are needed: an idle session
// has none.
type record struct {
	mu       sync.Mutex
	head     *store.Session // nil before it is made and after it is deleted
	epoch    message.Epoch  // highest that committed
	dead     bool           // taken out of the store; the client id has another record or none
	subs     map[string]store.Subscription
	entries  map[uint64]store.StoredEntry
	peak     int // entries since there were none
	received map[message.PacketID]struct{}
}

// manyEntries is how large the map of an emptied session may stay.
const manyEntries = 64

// commitLocked applies b, or nothing.
func (r *record) commitLocked(b *store.Batch) error {
	if r.head == nil && !begins(b) {
		return store.ErrNotFound
	}
	if b.Epoch < r.epoch {
		return store.ErrFenced
	}
	r.epoch = b.Epoch
	for i := range b.Ops {
		r.applyLocked(&b.Ops[i])
	}
	return nil
}

// begins reports whether a batch may be applied where no session is: it makes
// one, or deletes what is gone, or has nothing to do.
func begins(b *store.Batch) bool {
	return len(b.Ops) == 0 || slices.ContainsFunc(b.Ops, func(op store.Op) bool { return op.Kind == store.KindSession })
}

func (r *record) applyLocked(op *store.Op) {
	switch op.Kind {
	case store.KindSession:
		r.applyHeadLocked(op)
	case store.KindSubscription:
		if op.Delete {
			delete(r.subs, op.Filter)
		} else {
			put(&r.subs, op.Filter, *op.Sub)
		}
	case store.KindEntry:
		if op.Delete {
			r.forgetLocked(op.Seq)
		} else {
			put(&r.entries, op.Seq, store.StoredEntry{Entry: op.Entry})
			r.peak = max(r.peak, len(r.entries))
		}
	case store.KindState:
		if e, ok := r.entries[op.Seq]; ok {
			e.State = op.State
			r.entries[op.Seq] = e
		}
	case store.KindReceived:
		if op.Delete {
			delete(r.received, op.ID)
		} else {
			put(&r.received, op.ID, struct{}{})
		}
	}
}

func (r *record) applyHeadLocked(op *store.Op) {
	if op.Delete {
		r.head, r.epoch, r.subs, r.entries, r.peak, r.received = nil, 0, nil, nil, 0, nil
		return
	}
	head := *op.Session
	r.head = &head
	r.epoch = max(r.epoch, head.Epoch)
}

func (r *record) forgetLocked(seq uint64) {
	delete(r.entries, seq)
	if len(r.entries) == 0 && r.peak > manyEntries {
		r.entries, r.peak = nil, 0
	}
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// image copies the session, or answers nil if there is none.
func (r *record) image() *store.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == nil {
		return nil
	}
	img := &store.Image{
		Session: *r.head, Subs: r.subsLocked(), Entries: slices.Collect(maps.Values(r.entries)), Received: slices.Sorted(maps.Keys(r.received)),
	}
	slices.SortFunc(img.Entries, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	return img
}

// top copies head and subscriptions.
func (r *record) top() (store.Session, []store.Subscription, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == nil {
		return store.Session{}, nil, false
	}
	return *r.head, r.subsLocked(), true
}

func (r *record) subsLocked() []store.Subscription {
	return slices.SortedFunc(maps.Values(r.subs), func(a, b store.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
}
