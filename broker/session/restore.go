package session

import (
	"github.com/skeinmq/skein/hooks/store"
)

// Restore rebuilds a persistent session from what was committed. An entry whose
// state cannot be (an identifier that is 0 or taken, a phase its QoS does not
// have) is delivered anew: that may repeat it, and never loses it.
func Restore(img *store.Image, l Limits) *Session {
	s := New(true, l)
	for i := range img.Entries {
		se := &img.Entries[i]
		s.seq = max(s.seq, se.Seq)
		if se.QoS == 0 { // no session writes one
			continue
		}
		e := Entry{Entry: se.Entry}
		if sl := s.place(se); sl != nil {
			sl.entry, sl.phase = e, se.State.Phase
			s.win.last = se.State.ID
		} else {
			s.queue.push(e)
		}
	}
	for _, id := range img.Received {
		s.received.add(id)
	}
	return s
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
