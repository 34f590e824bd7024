package wire

import "github.com/mochi-mqtt/server/v2/packets"

const (
	// maxRemaining is the longest body of a packet, in bytes (2.1.4).
	maxRemaining = 268_435_455
	// maxLengthBytes is how many bytes a Remaining Length may have (1.5.5).
	maxLengthBytes = 4
)

// Next splits the first frame off b: its first byte h, its body (a part of b) and
// the n bytes it takes. n == 0 without an error means that more bytes are needed.
//
// limit is the largest packet accepted in bytes, fixed header included, as Maximum
// Packet Size counts (3.1.2.11.4); 0 is none beyond the protocol's own. A larger one
// is refused with 0x95 and a malformed length with 0x81, both as soon as the length
// has arrived, whatever has come of the body.
func Next(b []byte, limit int) (h byte, body []byte, n int, err error) {
	total, bad := frameLen(b)
	switch {
	case bad != nil:
		return 0, nil, 0, bad
	case total == 0:
		return 0, nil, 0, nil
	case limit > 0 && total > limit:
		return 0, nil, 0, &Error{Code: packets.ErrPacketTooLarge, Rule: "3.1.2.11.4 Maximum Packet Size"}
	case len(b) < total:
		return 0, nil, 0, nil
	}
	head := 2
	for b[head-1]&0x80 != 0 {
		head++
	}
	return b[0], b[head:total:total], total, nil
}

// Need is the length in bytes, fixed header included, of the frame that b begins
// with; ok is false while its header is incomplete or malformed (Next tells which).
func Need(b []byte) (total int, ok bool) {
	total, bad := frameLen(b)
	return total, bad == nil && total > 0
}

// frameLen is the length of the first frame, 0 while it is not known.
func frameLen(b []byte) (int, *Error) {
	if len(b) < 2 {
		return 0, nil
	}
	v, n, bad := varint(b[1:])
	if bad != nil || n == 0 {
		return 0, bad
	}
	return 1 + n + v, nil
}

// varint reads a Variable Byte Integer: its value and how many bytes it has, 0 if
// b ends before it does.
func varint(b []byte) (v, n int, bad *Error) {
	for i, c := range b {
		if i == maxLengthBytes-1 && c&0x80 != 0 {
			return 0, 0, malformed("1.5.5 variable byte integer of more than 4 bytes")
		}
		v |= int(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			if c == 0 && i > 0 {
				return 0, 0, malformed("[MQTT-1.5.5-1]")
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, nil
}

// CheckFirst judges the first byte of a connection's first packet, as soon as it
// has arrived: it must be a CONNECT [MQTT-3.1.0-1] without flags [MQTT-2.1.3-1].
func CheckFirst(h byte) error {
	if h>>4 != packets.Connect {
		return violation("[MQTT-3.1.0-1]")
	}
	if h&0x0f != 0 {
		return malformed("[MQTT-2.1.3-1]")
	}
	return nil
}

// CheckHeader judges the first byte of a packet after CONNECT, as Decode does; a
// reader may ask before it waits for the body.
func CheckHeader(version, h byte) error {
	if bad := checkHeader(version, h); bad != nil {
		return bad
	}
	return nil
}

func checkHeader(version, h byte) *Error {
	typ, flags := h>>4, h&0x0f
	switch typ {
	case packets.Reserved:
		return malformed("2.1.2 packet type 0")
	case packets.Connect:
		return violation("[MQTT-3.1.0-2]")
	case packets.Connack, packets.Suback, packets.Unsuback, packets.Pingresp:
		return violation("2.1.2 a packet only a server sends")
	case packets.Publish:
		return publishFlags(flags)
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		// 3.1 numbers these as QoS 1 messages, which are sent again with DUP.
		if flags != 0x02 && (version != 3 || flags != 0x0a) {
			return malformed("[MQTT-2.1.3-1]")
		}
		return nil
	case packets.Auth:
		if version < 5 {
			return malformed("2.1.2 packet type 15")
		}
	}
	if flags != 0 {
		return malformed("[MQTT-2.1.3-1]")
	}
	return nil
}

func publishFlags(flags byte) *Error {
	switch qos := flags >> 1 & 3; {
	case qos == 3:
		return malformed("[MQTT-3.3.1-4]")
	case qos == 0 && flags&0x08 != 0:
		return malformed("[MQTT-3.3.1-2]")
	}
	return nil
}
