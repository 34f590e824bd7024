package message

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Identifiers of the properties a PUBLISH may carry (MQTT 5 section 2.2.2.2).
const (
	PropPayloadFormat   byte = 0x01
	PropExpiry          byte = 0x02
	PropContentType     byte = 0x03
	PropResponseTopic   byte = 0x08
	PropCorrelationData byte = 0x09
	PropSubscriptionID  byte = 0x0B
	PropTopicAlias      byte = 0x23
	PropUser            byte = 0x26
)

// Uvarint reads an MQTT variable byte integer: its value and its length in
// bytes, 0 when b ends early, -1 when it is longer than four bytes.
func Uvarint(b []byte) (v, n int) {
	for i := 0; i < len(b) && i < 4; i++ {
		v |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

// AppendUvarint appends v as an MQTT variable byte integer.
func AppendUvarint(dst []byte, v int) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// UvarintLen is the number of bytes AppendUvarint writes.
func UvarintLen(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// propSize is the length of the value of property id at the head of b, or -1.
func propSize(id byte, b []byte) int {
	switch id {
	case PropPayloadFormat:
		return 1
	case PropExpiry:
		return 4
	case PropTopicAlias:
		return 2
	case PropContentType, PropResponseTopic, PropCorrelationData:
		return strSize(b)
	case PropUser:
		k := strSize(b)
		if k < 0 || k > len(b) {
			return -1
		}
		v := strSize(b[k:])
		if v < 0 {
			return -1
		}
		return k + v
	case PropSubscriptionID:
		if _, n := Uvarint(b); n > 0 {
			return n
		}
	}
	return -1
}

// cut splits the first property off props; ok is false at the end, and at one that is
// not valid, which no Message has.
func cut(props []byte) (id byte, value, rest []byte, ok bool) {
	if len(props) == 0 {
		return 0, nil, nil, false
	}
	n := propSize(props[0], props[1:])
	if n < 0 || n >= len(props) {
		return 0, nil, nil, false
	}
	return props[0], props[1 : 1+n], props[1+n:], true
}

func strSize(b []byte) int {
	if len(b) < 2 {
		return -1
	}
	return 2 + int(binary.BigEndian.Uint16(b))
}

// ValidUTF8 reports whether b is an MQTT UTF-8 string: well formed and without
// U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2].
func ValidUTF8(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }
