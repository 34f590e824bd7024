package session

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Head visits at most n of the messages that wait, oldest first, as far as they are in
// memory. It answers whether the next ones are in the store alone, and then the Seq that
// they are above. An entry is valid during its call.
func (s *Session) Head(n int, visit func(*Entry)) (after uint64, tail bool) {
	r := s.rest
	q, loose := walk{&s.queue, 0}, walk{&r.loose, 0}
	for ; n > 0; n-- {
		next := &q
		if q.done() || !loose.done() && loose.peek().Seq < q.peek().Seq {
			next = &loose
		}
		if next.done() || next == &loose && q.done() && r.messages > 0 && loose.peek().Seq > s.after {
			break
		}
		visit(next.peek())
		next.i++
	}
	if n > 0 && r.messages == 0 {
		for i := range min(n, r.fresh.n) {
			visit(r.fresh.at(i))
		}
	}
	return s.after, n > 0 && r.messages > 0
}

// walk is a place in a deque.
type walk struct {
	q *deque
	i int
}

func (w *walk) done() bool   { return w.i >= w.q.n }
func (w *walk) peek() *Entry { return w.q.at(w.i) }

// Flight visits at most n of the messages that are in flight, oldest first. The message
// of an entry is nil if Assign sent it. An entry is valid during its call.
func (s *Session) Flight(n int, visit func(e *Entry, id message.PacketID, phase store.Phase)) {
	for _, id := range s.win.inOrder() {
		if n--; n < 0 {
			return
		}
		sl := s.win.at(id)
		visit(&sl.entry, sl.id, sl.phase)
	}
}
