package session

import (
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Received notes an incoming QoS 2 identifier. It reports false if it is known:
// the PUBLISH is a repetition and is not routed again [MQTT-4.3.3-10]. The PUBREC
// must wait for the commit, of a repetition too: its first record may not be
// committed yet, and is written again then.
func (s *Session) Received(o *Output, id message.PacketID) bool {
	op := store.Op{Kind: store.KindReceived, ID: id}
	if !s.received.add(id) {
		s.await(o, op)
		return false
	}
	s.record(o, op)
	return true
}

// Unreceive takes an identifier back whose PUBLISH was refused: a PUBREC of 0x80
// or more ends the flow [MQTT-4.3.3-9]. That PUBREC must wait for the commit.
func (s *Session) Unreceive(o *Output, id message.PacketID) {
	if s.received.remove(id) {
		s.record(o, unreceived(id))
	}
}

// HasReceived reports whether an incoming QoS 2 identifier waits for its PUBREL.
func (s *Session) HasReceived(id message.PacketID) bool { return s.received.has(id) }

// ReceivedCount is the number of QoS 2 flows that wait for their PUBREL.
func (s *Session) ReceivedCount() int { return len(s.received) }

// Pubrel releases an incoming QoS 2 identifier and answers PUBCOMP
// [MQTT-4.3.3-11]. It reports whether the identifier was known; if not, the
// answer waits all the same for the record of the PUBREL before it.
func (s *Session) Pubrel(o *Output, version byte, id message.PacketID) bool {
	known, code := s.received.has(id), CodeSuccess
	if known {
		s.Unreceive(o, id)
	} else {
		s.await(o, unreceived(id))
		code = CodeIDNotFound
	}
	dst := o.behind()
	*dst = appendAck(*dst, version, headPubcomp, id, code)
	return known
}

func unreceived(id message.PacketID) store.Op {
	return store.Op{Kind: store.KindReceived, Delete: true, ID: id}
}

// idSet is a sorted set of identifiers: two bytes each, and identifiers come and
// go at its ends when a client counts them up.
type idSet []message.PacketID

func (s idSet) has(id message.PacketID) bool {
	_, ok := slices.BinarySearch(s, id)
	return ok
}

func (s *idSet) add(id message.PacketID) bool {
	i, ok := slices.BinarySearch(*s, id)
	if ok {
		return false
	}
	*s = slices.Insert(*s, i, id)
	return true
}

func (s *idSet) remove(id message.PacketID) bool {
	i, ok := slices.BinarySearch(*s, id)
	if !ok {
		return false
	}
	*s = slices.Delete(*s, i, i+1)
	if len(*s) == 0 && cap(*s) > 64 {
		*s = nil
	}
	return true
}

func (s *idSet) trim() {
	if len(*s) == 0 {
		*s = nil
		return
	}
	*s = slices.Clip(slices.Clone(*s))
}
