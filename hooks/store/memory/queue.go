package memory

import (
	"slices"

	"github.com/skeinmq/skein/hooks/store"
)

// queue holds a session's entries, in order of Seq without sorting: they come in
// that order, and nearly go in it.
type queue struct {
	entries map[uint64]store.StoredEntry
	order   []uint64 // from head on rising; some may have gone from entries
	head    int
	peak    int // entries since there were none
}

// many is how much an emptied queue may keep, and how many numbers of gone entries
// the order may hold besides as many as there are entries.
const many = 64

func (q *queue) put(seq uint64, e store.StoredEntry) {
	put(&q.entries, seq, e)
	q.peak = max(q.peak, len(q.entries))
	n := len(q.order)
	if n == 0 || q.order[n-1] < seq {
		q.order = append(q.order, seq)
	} else if i, ok := slices.BinarySearch(q.order[q.head:], seq); !ok {
		q.order = slices.Insert(q.order, q.head+i, seq)
	}
}

func (q *queue) remove(seq uint64) {
	delete(q.entries, seq)
	switch {
	case len(q.entries) > 0:
		for !q.has(q.order[q.head]) {
			q.head++
		}
		if len(q.order) > 2*len(q.entries)+many {
			q.order = slices.DeleteFunc(q.order[q.head:], func(seq uint64) bool { return !q.has(seq) })
			q.order, q.head = slices.Clone(q.order), 0
		}
	case q.peak > many:
		*q = queue{}
	default:
		q.order, q.head = q.order[:0], 0
	}
}

func (q *queue) has(seq uint64) bool {
	_, ok := q.entries[seq]
	return ok
}

func (q *queue) setState(seq uint64, state store.State) {
	if e, ok := q.entries[seq]; ok {
		e.State = state
		q.entries[seq] = e
	}
}

// all visits the entries.
func (q *queue) all(visit func(*store.StoredEntry) bool) { q.visit(q.order[q.head:], visit) }

// after visits the entries above a Seq.
func (q *queue) after(seq uint64, visit func(*store.StoredEntry) bool) {
	order := q.order[q.head:]
	i, ok := slices.BinarySearch(order, seq)
	if ok {
		i++
	}
	q.visit(order[i:], visit)
}

// visit goes on until visit answers false.
func (q *queue) visit(order []uint64, visit func(*store.StoredEntry) bool) {
	for _, seq := range order {
		if e, ok := q.entries[seq]; ok && !visit(&e) {
			return
		}
	}
}
