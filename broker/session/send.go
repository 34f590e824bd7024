package session

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Assign gives a message that is sent at once its identifier, without keeping
// the message. Only after Ready, and after Lend if the session is persistent.
func (s *Session) Assign(qos byte) message.PacketID {
	sl := s.win.take()
	sl.entry.QoS = qos
	if s.lent != nil {
		s.seq++
		sl.entry.Seq, sl.lent = s.seq, true
	}
	s.begin(sl, store.Sent)
	return sl.id
}

// LastID is the identifier that was given last.
func (s *Session) LastID() message.PacketID { return s.win.last }

// Fill sends what may be sent: first what was in flight, then the queue, while
// the window has room, fewer than room bytes were produced, and what comes next is
// in memory. It reports whether the queue is drained, so that retained messages and shared queues may
// follow. What has expired before its delivery began is dropped
// [MQTT-3.3.2-5]; what was begun is finished [MQTT-4.3.3-7].
func (s *Session) Fill(o *Output, now int64, room int) bool {
	if s.enc == nil {
		return false
	}
	stop := len(o.Now) + len(o.After) + room
	if !s.refill(o, now, stop) {
		return false
	}
	for q := s.oldest(); q != nil; q = s.oldest() {
		e := q.peek()
		if e.Msg.Expired(now) {
			s.end(o, e, DropExpired)
			q.pop()
			continue
		}
		if len(o.Now)+len(o.After) >= stop || e.QoS > 0 && !s.Window(1) {
			return false
		}
		s.send(o, e, now, true)
		q.pop()
	}
	return s.empty()
}

// Push sends an entry from a Source or a retained message at once; the caller
// made sure of Window(1) for QoS 1 and 2.
func (s *Session) Push(o *Output, e Entry, now int64) {
	s.seq++
	e.Seq = s.seq
	s.send(o, &e, now, false)
}

// send sends an entry for the first time. stored says that it has a record.
func (s *Session) send(o *Output, e *Entry, now int64, stored bool) {
	if e.QoS == 0 {
		s.sendQoS0(o, e, now)
		return
	}
	sl := s.win.take()
	sl.entry = *e
	dst := &o.Now
	if s.persistent && e.QoS == 2 { // not before its identifier is committed
		dst = &o.After
	}
	var ok bool
	if *dst, ok = s.enc.AppendPublish(*dst, &sl.entry, sl.id, false, now); !ok {
		if stored {
			s.forget(o, &sl.entry)
		}
		o.dropped(&sl.entry, DropTooLarge)
		s.win.free(sl)
		return
	}
	s.begin(sl, store.Sent)
	if !stored {
		s.keep(o, e)
	}
	s.record(o, sl.state())
}

func (s *Session) sendQoS0(o *Output, e *Entry, now int64) {
	var ok bool
	if o.Now, ok = s.enc.AppendPublish(o.Now, e, 0, false, now); !ok {
		o.dropped(e, DropTooLarge)
		return
	}
	o.acked(e)
}

// begin marks a slot as sent on this connection.
func (s *Session) begin(sl *slot, phase store.Phase) {
	sl.phase = phase
	if !sl.live {
		sl.live = true
		s.win.live++
	}
}

// refill sends again what was in flight, in its original order, until the output
// has stop bytes or the window is full. It reports whether all of it is sent.
func (s *Session) refill(o *Output, now int64, stop int) bool {
	for s.resuming() {
		if len(o.Now)+len(o.After) >= stop || !s.resend(o, s.win.at(s.redeliver[0]), now) {
			return false
		}
		s.redeliver = s.redeliver[1:]
	}
	return true
}

// resend sends one in-flight message again. It reports false if the window is
// full. A PUBREL is no PUBLISH and needs no room in it.
func (s *Session) resend(o *Output, sl *slot, now int64) bool {
	switch {
	case sl.phase == store.Released:
		dst := s.repeat(o, sl)
		*dst = appendAck(*dst, 0, headPubrel, sl.id, CodeSuccess)
		s.begin(sl, store.Released)
		return true
	case sl.entry.Msg == nil: // of a session that ended with its connection
		s.win.free(sl)
		return true
	case s.win.live >= s.max:
		return false
	}
	dst := s.repeat(o, sl)
	var ok bool
	if *dst, ok = s.enc.AppendPublish(*dst, &sl.entry, sl.id, true, now); !ok {
		s.tooLarge(o, sl)
		return true
	}
	s.begin(sl, store.Sent)
	return true
}

// repeat says where a packet that is sent again goes. What is known of QoS 2 may
// not be committed yet: then it waits for the batch of now, as those before it are
// done by then.
func (s *Session) repeat(o *Output, sl *slot) *[]byte {
	if sl.entry.QoS == 1 || s.proven {
		return &o.Now
	}
	s.await(o, sl.state())
	return &o.After
}

// tooLarge ends the delivery of a message that fitted an earlier connection and
// does not fit this one: it counts as sent [MQTT-3.1.2-25]. At QoS 1 that is all.
// At QoS 2 the client may have the message and wait for its PUBREL, so the flow
// goes on there: PUBREL closes it on both sides, whether the client knows the
// identifier or not, and only then may the identifier be used again.
func (s *Session) tooLarge(o *Output, sl *slot) {
	o.dropped(&sl.entry, DropTooLarge)
	sl.entry.Source = nil // it has been told
	if sl.entry.QoS == 2 {
		s.strip(o, sl)
		s.release(o, sl)
		return
	}
	s.forget(o, &sl.entry)
	s.win.free(sl)
}

// Rewrite records again what is in flight and received: some of it may have been
// refused.
func (s *Session) Rewrite(o *Output) {
	for _, id := range s.win.inOrder() {
		if sl := s.win.at(id); sl.entry.Msg != nil && !sl.lent {
			s.record(o, store.Op{Kind: store.KindEntry, Seq: sl.entry.Seq, Entry: sl.entry.Entry})
			s.record(o, sl.state())
		}
	}
	for _, id := range s.received {
		s.record(o, store.Op{Kind: store.KindReceived, ID: id})
	}
}
