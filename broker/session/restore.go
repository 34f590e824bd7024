package session

import (
	"github.com/skeinmq/skein/hooks/store"
)

// Restore rebuilds a persistent session from what was committed, be the queue in
// the image or only its figures. An entry whose state cannot be (an identifier
// that is 0 or taken, a phase its QoS does not have) is delivered anew: that may
// repeat it, and never loses it.
func Restore(img *store.Image, l Limits) *Session {
	q := queued(img)
	whole := q.Messages >= img.Queue.Messages
	if !whole {
		q = img.Queue
	}
	q.Last, q.Asking = max(q.Last, img.Queue.Last), img.Queue.Asking
	s := New(true, l)
	if whole && !s.pages() {
		s.seq, s.asking = q.Last, q.Asking
		for i := range img.Entries {
			if e := &img.Entries[i]; e.State.Phase == store.Queued && e.QoS > 0 {
				s.queue.push(Entry{Entry: e.Entry})
			}
		}
	} else {
		s = RestoreHead(q, l)
	}
	s.Load(img)
	return s
}

// queued counts the queue that is in an image.
func queued(img *store.Image) (q store.Queue) {
	for i := range img.Entries {
		e := &img.Entries[i]
		q.Last = max(q.Last, e.Seq)
		if e.State.Phase == store.Queued && e.QoS > 0 { // no session writes QoS 0
			q.Messages++
			q.Bytes += int64(e.Msg.Size())
		}
	}
	return q
}

// RestoreHead rebuilds a persistent session from its figures alone: the queue is in
// the store, and what is in flight is not known until Load. Before Load messages
// may be enqueued and pages taken over, and it must not be connected.
func RestoreHead(q store.Queue, l Limits) *Session {
	s := New(true, l)
	s.seq, s.asking = q.Last, q.Asking
	if q.Messages > 0 {
		if !s.pages() {
			s.limits.PageMessages, s.limits.PageBytes = anyPageMessages, anyPageBytes
		}
		r := s.own()
		r.messages, r.bytes = q.Messages, q.Bytes
	}
	return s
}

// Load completes a session of RestoreHead with what is in flight and received. The
// queue stays as the session has followed it since; what an image has of it is
// passed over.
func (s *Session) Load(img *store.Image) {
	var anew deque
	for i := range img.Entries {
		se := &img.Entries[i]
		s.seq = max(s.seq, se.Seq)
		if se.QoS == 0 || se.State.Phase == store.Queued {
			continue
		}
		e := Entry{Entry: se.Entry}
		if sl := s.place(se); sl != nil {
			sl.entry, sl.phase = e, se.State.Phase
			s.win.last = se.State.ID
		} else {
			anew.push(e)
		}
	}
	for _, id := range img.Received {
		s.received.add(id)
	}
	s.first(&anew)
}

// first puts entries before what came to the loose ones since. A page would not
// have them, because the store has them as begun.
func (s *Session) first(anew *deque) {
	if anew.n == 0 {
		return
	}
	r := s.own()
	for ; r.loose.n > 0; r.loose.pop() {
		anew.push(*r.loose.peek())
	}
	r.loose = *anew
}

// place gives an entry that is in flight its slot back.
func (s *Session) place(se *store.StoredEntry) *slot {
	switch {
	case se.State.Phase == store.Sent, se.State.Phase == store.Released && se.QoS == 2:
		return s.win.place(se.State.ID)
	}
	return nil
}

// Leave takes out what must go back to shared groups when a member leaves:
// entries of a Source that were sent at QoS 1 and not acknowledged. QoS 2 that was
// sent stays with the session [MQTT-4.8.2-4] and ends with it [MQTT-4.8.2-5]; so
// does what was sent on a connection that still stands, because a delivery that
// was begun is completed after UNSUBSCRIBE [MQTT-3.10.4-3].
// take is called in order and reports whether it took the entry over.
func (s *Session) Leave(o *Output, take func(*Entry) bool) {
	if s.win.used == 0 {
		return
	}
	for _, id := range s.win.inOrder() {
		sl := s.win.at(id)
		if sl.entry.Source == nil || sl.entry.QoS != 1 || s.enc != nil && sl.live || !take(&sl.entry) {
			continue
		}
		s.forget(o, &sl.entry)
		s.win.free(sl)
	}
}
