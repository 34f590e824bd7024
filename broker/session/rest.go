package session

// rest is what waits in a session besides its queue. Most sessions have nothing of
// it and share one that is empty and never written, see own.
type rest struct {
	// loose holds what the store would not give back in a page: entries of QoS 0,
	// which have no record.
	loose deque
	// The tail is in the store alone. All of it comes after the queue and has a Seq
	// above Session.after.
	messages int
	bytes    int64
	// fresh is what came after the tail while the client is connected: the newest of
	// the queue, kept so that a client that catches up need not read them back. It is
	// empty when the tail is.
	fresh deque
	// owes says that a message was let in above a limit because the oldest was in the
	// tail: it is to be dropped when it is read.
	owes bool
}

var noRest rest

// own answers the session's rest for writing.
func (s *Session) own() *rest {
	if s.rest == &noRest {
		s.rest = new(rest)
	}
	return s.rest
}

func (s *Session) trimRest() {
	r := s.rest
	if r == &noRest {
		return
	}
	if r.loose.n+r.messages == 0 {
		s.rest = &noRest
		return
	}
	r.loose.trim()
	r.fresh.trim()
}

// waiting is the number of messages that wait for their delivery, and their bytes.
func (s *Session) waiting() (int, int64) {
	r := s.rest
	return s.queue.n + r.loose.n + r.messages + r.fresh.n, s.queue.bytes + r.loose.bytes + r.bytes + r.fresh.bytes
}

// oldest answers the part whose head is the oldest of all that waits; nil if that
// may be in the tail, or nothing waits.
func (s *Session) oldest() *deque {
	r, q := s.rest, &s.queue
	if r.loose.n > 0 {
		seq := r.loose.peek().Seq
		if q.n > 0 && seq < q.peek().Seq || q.n == 0 && (r.messages == 0 || seq <= s.after) {
			return &r.loose
		}
	}
	if q.n > 0 {
		return q
	}
	return nil
}
