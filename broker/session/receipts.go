package session

import "github.com/skeinmq/skein/hooks/store"

// asks counts an entry that comes or goes, if its publisher wants to know what becomes
// of it.
func (s *Session) asks(e *Entry, change int) {
	if e.Msg != nil && len(e.Msg.Props) > 0 && e.Msg.ReceiptTopic() != "" {
		s.asking += change
	}
}

// Asking is the number of entries of QoS 1 and 2, waiting or in flight, whose publisher
// wants to know what becomes of them. It goes with the figures.
func (s *Session) Asking() int { return s.asking }

// Whole reports whether all that waits is in memory.
func (s *Session) Whole() bool { return s.rest.messages == 0 }

// Each visits everything that is in memory: in flight and waiting, each in its order.
func (s *Session) Each(visit func(*Entry)) {
	for _, id := range s.win.inOrder() {
		visit(&s.win.at(id).entry)
	}
	s.EachLoose(visit)
	for _, q := range [...]*deque{&s.queue, &s.rest.fresh} {
		for i := range q.n {
			visit(q.at(i))
		}
	}
}

// EachLoose visits what waits and has no record.
func (s *Session) EachLoose(visit func(*Entry)) {
	for i := range s.rest.loose.n {
		visit(s.rest.loose.at(i))
	}
}

// strip takes the properties off a message that was reported as dropped and whose flow
// goes on: it is never sent again, and its end must not be reported a second time, after
// a restart neither.
func (s *Session) strip(o *Output, sl *slot) {
	if sl.entry.Msg == nil || len(sl.entry.Msg.Props) == 0 {
		return
	}
	s.asks(&sl.entry, -1)
	m := *sl.entry.Msg
	m.Props = nil
	sl.entry.Msg = &m
	s.record(o, store.Op{Kind: store.KindEntry, Seq: sl.entry.Seq, Entry: sl.entry.Entry})
}
