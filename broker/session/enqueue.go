package session

// Enqueue adds a message behind what waits; Fill sends it. It reports false if
// the overflow rule is Disconnect and the queue is full.
//
// What is in flight never counts and is never taken. A message that is larger
// than the byte limit by itself passes only when it may be sent at once: no
// number of older ones would make room for it. One of QoS 0 never takes the
// place of one of QoS 1 or 2.
//
// An entry with a Source is for Push: what is read back from a store has none.
func (s *Session) Enqueue(o *Output, e Entry) bool {
	size := int64(e.Msg.Size())
	if s.limits.Bytes > 0 && size > s.limits.Bytes && !s.Ready(1) || !s.makeRoom(o, &e, size) {
		return s.refuse(o, e)
	}
	s.seq++
	e.Seq = s.seq
	s.put(&e, size)
	s.keep(o, &e)
	return true
}

// makeRoom drops what an entry may take the place of. It reports whether the
// queue takes it.
func (s *Session) makeRoom(o *Output, e *Entry, size int64) bool {
	for s.full(size) {
		if s.limits.Overflow != DropOldest {
			return false
		}
		q := s.oldest()
		if q == nil {
			return e.QoS > 0 && s.owe(size)
		}
		old := q.peek()
		if e.QoS == 0 && old.QoS > 0 {
			return false
		}
		s.end(o, old, DropQueueFull)
		q.pop()
	}
	return true
}

// full reports whether size bytes more would be over a limit. Messages that the
// window has room for only pass through the queue and do not count; their bytes
// do, because a slow connection may hold them up. An empty queue takes any.
func (s *Session) full(size int64) bool {
	l := &s.limits
	n, bytes := s.waiting()
	return n > 0 && (l.Messages > 0 && n-s.room() >= l.Messages || l.Bytes > 0 && bytes+size > l.Bytes)
}

// over reports whether the queue is above a limit.
func (s *Session) over() bool {
	l := &s.limits
	n, bytes := s.waiting()
	return n > 1 && (l.Messages > 0 && n-s.room() > l.Messages || l.Bytes > 0 && bytes > l.Bytes)
}

// owe lets a message in whose place is taken by one in the tail, which is dropped
// when it is read. That goes for as much as one page above the limit, or one
// message; then it answers false.
func (s *Session) owe(size int64) bool {
	l := &s.limits
	n, bytes := s.waiting()
	s.own().owes = true
	return (l.Messages == 0 || n-s.room()-l.Messages < l.PageMessages) &&
		(l.Bytes == 0 || bytes <= l.Bytes || bytes-l.Bytes+size <= l.PageBytes)
}

// refuse drops a message that the queue does not take. It takes the entry by value:
// the report lets it escape, and most are not reported.
func (s *Session) refuse(o *Output, e Entry) bool {
	o.dropped(&e, DropQueueFull)
	return s.limits.Overflow != Disconnect
}

// end drops an entry that was queued.
func (s *Session) end(o *Output, e *Entry, why Drop) {
	s.forget(o, e)
	o.dropped(e, why)
}
