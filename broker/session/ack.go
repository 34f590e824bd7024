package session

import (
	"errors"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Reason codes of the QoS flows.
const (
	CodeSuccess    byte = 0x00
	CodeIDNotFound byte = 0x92
	firstFailure   byte = 0x80
)

// First bytes of the packets that the flows answer with.
const (
	headPubrel  byte = 0x62
	headPubcomp byte = 0x70
)

// ErrWrongFlow is an acknowledgement of the other QoS flow; a protocol error.
var ErrWrongFlow = errors.New("session: acknowledgement does not belong to the QoS of its packet identifier")

// behind is where frames go that wait for the records of this output, if any.
func (o *Output) behind() *[]byte {
	if len(o.Ops) > 0 {
		return &o.After
	}
	return &o.Now
}

// appendAck appends a PUBREL or PUBCOMP.
func appendAck(dst []byte, version, head byte, id message.PacketID, code byte) []byte {
	if version >= message.V5 && code != CodeSuccess {
		return append(dst, head, 3, byte(id>>8), byte(id), code)
	}
	return append(dst, head, 2, byte(id>>8), byte(id))
}

// Puback ends a QoS 1 delivery [MQTT-4.3.2-3]. It reports whether the identifier
// was in use.
func (s *Session) Puback(o *Output, id message.PacketID, code byte) (bool, error) {
	sl := s.win.at(id)
	if sl == nil {
		return false, nil
	}
	if sl.entry.QoS != 1 {
		return true, ErrWrongFlow
	}
	s.finish(o, sl, code)
	return true, nil
}

// Pubrec moves a QoS 2 delivery on to PUBREL [MQTT-4.3.3-4], or ends it when the
// receiver refused the message [MQTT-4.4.0-2]. It reports whether the identifier was in
// use; if not, PUBREL says so, which closes the flow at the client.
func (s *Session) Pubrec(o *Output, version byte, id message.PacketID, code byte) (bool, error) {
	sl := s.win.at(id)
	if sl == nil {
		if code < firstFailure {
			dst := o.behind()
			*dst = appendAck(*dst, version, headPubrel, id, CodeIDNotFound)
		}
		return false, nil
	}
	if sl.entry.QoS != 2 {
		return true, ErrWrongFlow
	}
	if code >= firstFailure {
		s.finish(o, sl, code)
		return true, nil
	}
	s.release(o, sl)
	return true, nil
}

// Pubcomp ends a QoS 2 delivery. It reports whether the identifier was in use.
func (s *Session) Pubcomp(o *Output, id message.PacketID) (bool, error) {
	sl := s.win.at(id)
	if sl == nil {
		return false, nil
	}
	if sl.phase != store.Released { // QoS 1, or no PUBREL was sent
		return true, ErrWrongFlow
	}
	s.finish(o, sl, CodeSuccess)
	return true, nil
}

// release answers PUBREC with PUBREL, for the first time or again. None leaves before the phase is
// committed, so that a PUBLISH never follows a PUBREL [MQTT-4.3.3-6].
func (s *Session) release(o *Output, sl *slot) {
	if sl.phase == store.Released {
		s.await(o, sl.state())
	} else {
		sl.phase = store.Released
		s.record(o, sl.state())
	}
	s.begin(sl, store.Released) // also if answered before it was sent again on this connection
	dst := o.behind()
	*dst = appendAck(*dst, 0, headPubrel, sl.id, CodeSuccess)
}

// finish ends a delivery. A refusal after PUBREC had accepted the message is no drop.
func (s *Session) finish(o *Output, sl *slot, code byte) {
	if sl.lent {
		s.repay(o, sl, code)
		return
	}
	s.forget(o, &sl.entry)
	if code >= firstFailure && sl.phase == store.Sent {
		o.Code = code
		o.dropped(&sl.entry, DropRefused)
	} else {
		o.acked(&sl.entry)
	}
	s.win.free(sl)
}
