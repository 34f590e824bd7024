package wire

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// reply is an MQTT 5 packet of a server: a short head, properties and a tail.
type reply struct {
	first   byte
	head    [3]byte
	headLen int
	limit   uint32 // the client's Maximum Packet Size in bytes, 0 is none
	// short: without properties their length is left out, and so is the reason code,
	// the last byte of the head, if it is 0.
	short bool
}

// append writes the packet with properties p, then the reason string and the user
// properties as far as the limit allows.
func (r *reply) append(dst, p []byte, reason string, user []UserProperty, tail []byte) []byte {
	reasonLen, userLen := 0, 0
	if reason != "" && isString(reason) {
		reasonLen = 3 + len(reason)
	}
	for i := range user {
		userLen += userSize(&user[i])
	}
	switch {
	case r.fits(len(p)+reasonLen+userLen, len(tail)):
	case r.fits(len(p)+reasonLen, len(tail)):
		userLen = 0
	case r.fits(len(p), len(tail)):
		reasonLen, userLen = 0, 0
	default:
		return dst
	}
	props := len(p) + reasonLen + userLen
	dst = append(dst, r.first)
	dst = appendVarint(dst, r.bodyLen(props, len(tail)))
	dst = append(dst, r.head[:r.headBytes(props)]...)
	if props > 0 || !r.short {
		dst = appendVarint(dst, props)
		dst = append(dst, p...)
	}
	if reasonLen > 0 {
		dst = appendString(dst, packets.PropReasonString, reason)
	}
	if userLen > 0 {
		for i := range user {
			dst = appendUser(dst, &user[i])
		}
	}
	return append(dst, tail...)
}

// headBytes is how much of the head is written.
func (r *reply) headBytes(props int) int {
	if r.short && props == 0 && r.head[r.headLen-1] == 0 {
		return r.headLen - 1
	}
	return r.headLen
}

// bodyLen is the Remaining Length with so many bytes of properties and tail.
func (r *reply) bodyLen(props, tail int) int {
	n := r.headBytes(props) + props + tail
	if props > 0 || !r.short {
		n += lenVarint(props)
	}
	return n
}

// fits says whether the packet is within the limit of the client and of the protocol.
func (r *reply) fits(props, tail int) bool {
	body := r.bodyLen(props, tail)
	if body > maxRemaining {
		return false
	}
	return r.limit == 0 || uint64(1+lenVarint(body)+body) <= uint64(r.limit)
}

// appendString appends a string property; an empty one, or what is not an MQTT
// string, is left out.
func appendString(dst []byte, id byte, s string) []byte {
	if s == "" || !isString(s) {
		return dst
	}
	dst = append(dst, id, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}

// appendBinary appends a binary property; nil, or more than 65,535 bytes, is left out.
func appendBinary(dst []byte, id byte, b []byte) []byte {
	if b == nil || len(b) > 0xffff {
		return dst
	}
	dst = append(dst, id, byte(len(b)>>8), byte(len(b)))
	return append(dst, b...)
}

// appendMissing says that something is not available; that it is, is the default.
func appendMissing(dst []byte, id byte, available bool) []byte {
	if available {
		return dst
	}
	return append(dst, id, 0)
}

func appendU32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// userSize is the length of a user property, 0 for one that cannot be sent.
func userSize(u *UserProperty) int {
	if !isString(u.Key) || !isString(u.Val) {
		return 0
	}
	return 1 + 2 + len(u.Key) + 2 + len(u.Val)
}

func appendUser(dst []byte, u *UserProperty) []byte {
	if userSize(u) == 0 {
		return dst
	}
	dst = append(dst, packets.PropUser, byte(len(u.Key)>>8), byte(len(u.Key)))
	dst = append(dst, u.Key...)
	dst = append(dst, byte(len(u.Val)>>8), byte(len(u.Val)))
	return append(dst, u.Val...)
}

// isString says whether s can be sent as a UTF-8 Encoded String (1.5.4).
func isString(s string) bool {
	return len(s) <= math.MaxUint16 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
