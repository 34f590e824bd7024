package message

import "encoding/binary"

// MaxLen is the length in bytes of the longest packet that MQTT can say (2.1.4).
// Properties of the server can carry a message that came in beyond it: who sends one
// compares [Form.Len] with it, or with the client's smaller Maximum Packet Size.
const MaxLen = 1 + 4 + 268_435_455

// Form says how one PUBLISH is written for one subscriber.
type Form struct {
	Version byte
	QoS     byte
	Retain  bool
	Dup     bool
	Alias   uint16 // outbound topic alias, 0 is none
	Known   bool   // the alias is established: the topic is sent empty
	SubIDs  []uint32
	Now     int64 // Unix nanoseconds, for the remaining expiry
}

// propsLen is the length of the properties that f writes for m, without prefix.
func (f *Form) propsLen(m *Message) int {
	n := len(m.Props)
	if m.Expires != 0 {
		n += 5
	}
	if f.Alias != 0 {
		n += 3
	}
	for _, id := range f.SubIDs {
		n += 1 + UvarintLen(int(id))
	}
	return n
}

// bodyLen is the Remaining Length of m in form f.
func (f *Form) bodyLen(m *Message) int {
	n := 2 + len(m.Payload)
	if !f.Known {
		n += len(m.Topic)
	}
	if f.QoS > 0 {
		n += 2
	}
	if f.Version >= V5 {
		p := f.propsLen(m)
		n += UvarintLen(p) + p
	}
	return n
}

// Len is the length in bytes of the whole packet [MQTT-3.1.2-24].
func (f *Form) Len(m *Message) int {
	n := f.bodyLen(m)
	return 1 + UvarintLen(n) + n
}

// Append appends m as a PUBLISH with packet identifier id (ignored for QoS 0).
func (f *Form) Append(dst []byte, m *Message, id PacketID) []byte {
	h := TypePublish<<4 | f.QoS<<1
	if f.Retain {
		h |= FlagRetain
	}
	if f.Dup && f.QoS > 0 {
		h |= FlagDup
	}
	dst = append(dst, h)
	dst = AppendUvarint(dst, f.bodyLen(m))
	if f.Known {
		dst = append(dst, 0, 0)
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Topic)))
		dst = append(dst, m.Topic...)
	}
	if f.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(id))
	}
	if f.Version >= V5 {
		dst = AppendUvarint(dst, f.propsLen(m))
		dst = f.appendProps(dst, m)
	}
	return append(dst, m.Payload...)
}

func (f *Form) appendProps(dst []byte, m *Message) []byte {
	if m.Expires != 0 {
		dst = append(dst, PropExpiry)
		dst = binary.BigEndian.AppendUint32(dst, m.Remaining(f.Now))
	}
	if f.Alias != 0 {
		dst = append(dst, PropTopicAlias)
		dst = binary.BigEndian.AppendUint16(dst, f.Alias)
	}
	for _, id := range f.SubIDs {
		dst = append(dst, PropSubscriptionID)
		dst = AppendUvarint(dst, int(id))
	}
	return append(dst, m.Props...)
}
