package session

// Enqueue adds a message behind what waits; Fill sends it. It reports false if
// the overflow rule is Disconnect and the queue is full.
//
// What is in flight never counts and is never taken. A message that is larger
// than the byte limit by itself passes only when it may be sent at once: no
// number of older ones would make room for it. One of QoS 0 never takes the
// place of one of QoS 1 or 2.
func (s *Session) Enqueue(o *Output, e Entry) bool {
	size := int64(e.Msg.Size())
	if s.limits.Bytes > 0 && size > s.limits.Bytes && !s.Ready(1) {
		return s.refuse(o, e)
	}
	for s.queue.n > 0 && s.full(size) {
		old := s.queue.peek()
		if s.limits.Overflow != DropOldest || e.QoS == 0 && old.QoS > 0 {
			return s.refuse(o, e)
		}
		s.end(o, old, DropQueueFull)
		s.queue.pop()
	}
	s.seq++
	e.Seq = s.seq
	s.queue.push(e)
	s.keep(o, &e)
	return true
}

// full reports whether size bytes more would be over a limit. Messages that the
// window has room for only pass through the queue and do not count; their bytes
// do, because a slow connection may hold them up.
func (s *Session) full(size int64) bool {
	l := &s.limits
	return l.Messages > 0 && s.queue.n-s.room() >= l.Messages || l.Bytes > 0 && s.queue.bytes+size > l.Bytes
}

// refuse drops a message that the queue does not take.
func (s *Session) refuse(o *Output, e Entry) bool {
	o.dropped(&e, DropQueueFull)
	return s.limits.Overflow != Disconnect
}

// end drops an entry that was queued.
func (s *Session) end(o *Output, e *Entry, why Drop) {
	s.forget(o, e)
	o.dropped(e, why)
}
