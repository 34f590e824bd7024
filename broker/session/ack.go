package session

import (
	"errors"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Reason codes of the QoS flows.
const (
	CodeSuccess     byte = 0x00
	CodeIDNotFound  byte = 0x92
	firstFailure    byte = 0x80
	puback, pubrec       = 4, 5
	pubrel, pubcomp      = 6, 7
)

// ErrWrongFlow is an acknowledgement of the other QoS flow; a protocol error.
var ErrWrongFlow = errors.New("session: acknowledgement does not belong to the QoS of its packet identifier")

func (s *Session) appendAck(o *Output, version, typ byte, id message.PacketID, code byte) {
	dst := &o.Now
	if len(o.Ops) > 0 {
		dst = &o.After
	}
	h := typ << 4
	if typ == pubrel {
		h |= 2
	}
	if version >= message.V5 && code != CodeSuccess {
		*dst = append(*dst, h, 3, byte(id>>8), byte(id), code)
		return
	}
	*dst = append(*dst, h, 2, byte(id>>8), byte(id))
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

// Pubrec moves a QoS 2 delivery on to PUBREL, or ends it when the receiver
// refused the message [MQTT-4.3.3-4].
func (s *Session) Pubrec(o *Output, version byte, id message.PacketID, code byte) (bool, error) {
	sl := s.win.at(id)
	if sl == nil {
		if code < firstFailure {
			s.appendAck(o, version, pubrel, id, CodeIDNotFound)
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
	if sl.phase != store.Released {
		sl.phase = store.Released
		if s.persistent {
			o.Ops = append(o.Ops, store.Op{Kind: store.KindState, Seq: sl.entry.Seq, State: store.State{ID: id, Phase: store.Released}})
		}
	}
	if !sl.live { // answered before it was sent again on this connection
		sl.live = true
		s.win.live++
	}
	s.appendAck(o, version, pubrel, id, CodeSuccess)
	return true, nil
}

// Pubcomp ends a QoS 2 delivery.
func (s *Session) Pubcomp(o *Output, id message.PacketID) (bool, error) {
	sl := s.win.at(id)
	if sl == nil {
		return false, nil
	}
	if sl.entry.QoS != 2 {
		return true, ErrWrongFlow
	}
	if sl.phase != store.Released {
		return true, ErrWrongFlow
	}
	s.finish(o, sl, CodeSuccess)
	return true, nil
}

func (s *Session) finish(o *Output, sl *slot, code byte) {
	if s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindEntry, Delete: true, Seq: sl.entry.Seq})
	}
	if code >= firstFailure && sl.entry.Msg != nil {
		o.dropped(&sl.entry, DropRefused)
	}
	if sl.entry.Source != nil && o.Acked != nil {
		o.Acked(&sl.entry)
	}
	s.win.free(sl)
}

// Received notes an incoming QoS 2 identifier. It reports false if it is known:
// the PUBLISH is a repetition and is not routed again [MQTT-4.3.3-10].
func (s *Session) Received(o *Output, id message.PacketID) bool {
	if s.received == nil {
		s.received = new(idSet)
	}
	if s.received.has(id) {
		return false
	}
	s.received.add(id)
	if s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindReceived, ID: id})
	}
	return true
}

// Unreceive takes an identifier back whose PUBLISH was refused: a PUBREC of 0x80
// or more ends the flow [MQTT-4.3.3-9].
func (s *Session) Unreceive(o *Output, id message.PacketID) {
	if s.received != nil && s.received.has(id) {
		s.received.remove(id)
		if s.persistent {
			o.Ops = append(o.Ops, store.Op{Kind: store.KindReceived, Delete: true, ID: id})
		}
	}
}

// ReceivedCount is the number of QoS 2 flows that wait for their PUBREL.
func (s *Session) ReceivedCount() int {
	if s.received == nil {
		return 0
	}
	return s.received.n
}

// Pubrel releases an incoming QoS 2 identifier and answers PUBCOMP
// [MQTT-4.3.3-11].
func (s *Session) Pubrel(o *Output, version byte, id message.PacketID) bool {
	if s.received == nil || !s.received.has(id) {
		s.appendAck(o, version, pubcomp, id, CodeIDNotFound)
		return false
	}
	s.Unreceive(o, id)
	s.appendAck(o, version, pubcomp, id, CodeSuccess)
	return true
}
