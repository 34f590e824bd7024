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
	cursors  map[string]store.Cursor
	entries  queue
	received map[message.PacketID]struct{}
	figures  store.Queue
}

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
	if r.head != nil {
		r.figures = b.Queue
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
	case store.KindCursor:
		if op.Delete {
			delete(r.cursors, op.Filter)
		} else {
			put(&r.cursors, op.Filter, *op.Cursor)
		}
	case store.KindEntry:
		if op.Delete {
			r.entries.remove(op.Seq)
		} else {
			r.entries.put(op.Seq, store.StoredEntry{Entry: op.Entry})
		}
	case store.KindState:
		r.entries.setState(op.Seq, op.State)
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
		r.head, r.epoch, r.subs, r.cursors, r.entries, r.received, r.figures = nil, 0, nil, nil, queue{}, nil, store.Queue{}
		return
	}
	head := *op.Session
	r.head = &head
	r.epoch = max(r.epoch, head.Epoch)
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
		Session: *r.head, Subs: r.subsLocked(), Received: slices.Sorted(maps.Keys(r.received)), Queue: r.figures,
		Cursors: slices.SortedFunc(maps.Values(r.cursors), func(a, b store.Cursor) int { return cmp.Compare(a.Filter, b.Filter) }),
	}
	r.entries.all(func(e *store.StoredEntry) bool {
		img.Entries = append(img.Entries, *e)
		return true
	})
	return img
}

// page copies entries whose delivery has not begun. ok is whether there is a session.
func (r *record) page(after uint64, max int, bytes int64) (page []store.Entry, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries.after(after, func(e *store.StoredEntry) bool {
		if e.State.Phase != store.Queued {
			return true
		}
		bytes -= int64(e.Msg.Size())
		if len(page) >= max || bytes < 0 && len(page) > 0 {
			return false
		}
		page = append(page, e.Entry)
		return true
	})
	return page, r.head != nil
}

// top copies what is known of a session without its queue, or answers nil.
func (r *record) top() *store.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == nil {
		return nil
	}
	return &store.Head{Session: *r.head, Queue: r.figures, Subs: r.subsLocked()}
}

func (r *record) subsLocked() []store.Subscription {
	return slices.SortedFunc(maps.Values(r.subs), func(a, b store.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
}
