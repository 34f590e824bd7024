package session

import (
	"github.com/skeinmq/skein/hooks/store"
)

// Restore rebuilds a persistent session from what was committed.
func Restore(img *store.Image, l Limits) *Session {
	s := New(true, l)
	for i := range img.Entries {
		se := &img.Entries[i]
		s.seq = max(s.seq, se.Seq)
		e := Entry{Entry: se.Entry}
		if se.State.Phase == store.Queued {
			s.queue.push(e)
			continue
		}
		sl := s.win.place(se.State.ID)
		sl.entry, sl.phase = e, se.State.Phase
		s.win.last = se.State.ID
	}
	for _, id := range img.Received {
		if s.received == nil {
			s.received = new(idSet)
		}
		s.received.add(id)
	}
	return s
}

// Leave takes out what must go back to shared groups when a member leaves:
// entries of a Source that were sent at QoS 1 and not acknowledged. QoS 2 that was
// sent stays with the session [MQTT-4.8.2-4] and ends with it [MQTT-4.8.2-5].
// take is called in order and reports whether it took the entry over.
func (s *Session) Leave(o *Output, take func(*Entry) bool) {
	if s.win.used == 0 {
		return
	}
	for _, id := range s.win.inOrder() {
		sl := s.win.at(id)
		if sl.entry.Source == nil || sl.entry.QoS != 1 || !take(&sl.entry) {
			continue
		}
		s.forget(o, &sl.entry)
		s.win.free(sl)
	}
}
