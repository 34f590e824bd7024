package load

import (
	"encoding/binary"
	"errors"
)

// Types of control packets, in the upper four bits of a frame's first byte.
const (
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typePubrec     = 5
	typePubrel     = 6
	typePubcomp    = 7
	typeSuback     = 9
	typePingresp   = 13
	typeDisconnect = 14
)

// First bytes of the frames a client sends.
const (
	headConnect    = 0x10
	headPublish    = 0x30
	headPuback     = 0x40
	headPubrec     = 0x50
	headPubrel     = 0x62
	headPubcomp    = 0x70
	headSubscribe  = 0x82
	headPingreq    = 0xC0
	headDisconnect = 0xE0

	flagRetain = 0x01
	qosShift   = 1
)

// Properties of MQTT 5 that a load driver meets.
const (
	propSessionExpiry   = 0x11
	propServerKeepAlive = 0x13
	propReceiveMaximum  = 0x21
	propMaximumQoS      = 0x24
	propRetainAvailable = 0x25
	propMaximumPacket   = 0x27
)

// failure is the lowest reason code that refuses [MQTT 5, 2.4].
const failure = 0x80

var errMalformed = errors.New("the broker sent a malformed packet")

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendLength(b []byte, n int) []byte {
	for n > 127 {
		b = append(b, byte(n)|128)
		n >>= 7
	}
	return append(b, byte(n))
}

// readLength reads a variable byte integer; size 0 means that it is not all there,
// and a negative one that it is longer than four bytes.
func readLength(b []byte) (n, size int) {
	for i := range min(len(b), 4) {
		n |= int(b[i]&127) << (7 * i)
		if b[i] < 128 {
			return n, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

func frame(head byte, body []byte) []byte {
	b := make([]byte, 0, len(body)+5)
	return append(appendLength(append(b, head), len(body)), body...)
}

// sessionExpiry is how long a session that a run makes may outlive it, in seconds,
// if the run is killed before it removes it.
const sessionExpiry = 3600

// connectFrame is CONNECT with keep alive off. A session that is kept ends
// sessionExpiry after its connection in MQTT 5, and never by itself in 3.1.1.
func connectFrame(o *Options, id string, kind sessionKind) []byte {
	const cleanFlag, userFlag, passwordFlag = 0x02, 0x80, 0x40
	var flags byte
	if kind == cleanSession {
		flags |= cleanFlag
	}
	if o.User != "" {
		flags |= userFlag
	}
	if o.Password != "" {
		flags |= passwordFlag
	}
	b := appendString(nil, "MQTT")
	b = append(b, byte(o.Version), flags, 0, 0)
	if o.Version == MQTT5 && kind == keptSession {
		b = append(b, 5, propSessionExpiry)
		b = binary.BigEndian.AppendUint32(b, sessionExpiry)
	} else if o.Version == MQTT5 {
		b = append(b, 0)
	}
	b = appendString(b, id)
	if o.User != "" {
		b = appendString(b, o.User)
	}
	if o.Password != "" {
		b = appendString(b, o.Password)
	}
	return frame(headConnect, b)
}

func subscribeFrame(v Version, id uint16, filter string, qos byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	if v == MQTT5 {
		b = append(b, 0)
	}
	b = append(appendString(b, filter), qos)
	return frame(headSubscribe, b)
}

// publishHead is a PUBLISH up to its payload of the given size, with packet id 0 if
// the QoS has one; see [idOffset].
func publishHead(v Version, topic string, flags byte, size int) []byte {
	n := 2 + len(topic) + size
	if flags>>qosShift&3 > 0 {
		n += 2
	}
	if v == MQTT5 {
		n++
	}
	b := appendLength([]byte{headPublish | flags}, n)
	b = appendString(b, topic)
	if flags>>qosShift&3 > 0 {
		b = append(b, 0, 0)
	}
	if v == MQTT5 {
		b = append(b, 0)
	}
	return b
}

// idOffset is how far before the payload a PUBLISH with QoS 1 or 2 has its packet id.
func idOffset(v Version) int {
	if v == MQTT5 {
		return 3
	}
	return 2
}

func appendAck(b []byte, head byte, id uint16) []byte {
	return append(b, head, 2, byte(id>>8), byte(id))
}

// splitPublish takes a PUBLISH apart; id is 0 with QoS 0.
func splitPublish(v Version, head byte, body []byte) (payload []byte, qos byte, id uint16, err error) {
	qos = head >> qosShift & 3
	if len(body) < 2 {
		return nil, 0, 0, errMalformed
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if qos > 0 {
		if len(body) < at+2 {
			return nil, 0, 0, errMalformed
		}
		id = binary.BigEndian.Uint16(body[at:])
		at += 2
	}
	if v == MQTT5 {
		if len(body) <= at {
			return nil, 0, 0, errMalformed
		}
		n, size := readLength(body[at:])
		if size <= 0 {
			return nil, 0, 0, errMalformed
		}
		at += n + size
	}
	if len(body) < at {
		return nil, 0, 0, errMalformed
	}
	return body[at:], qos, id, nil
}

// splitAck takes PUBACK, PUBREC, PUBREL or PUBCOMP apart. A reason that is left out
// is success [MQTT 5, 3.4.2.1].
func splitAck(body []byte) (id uint16, reason byte, err error) {
	if len(body) < 2 {
		return 0, 0, errMalformed
	}
	if len(body) > 2 {
		reason = body[2]
	}
	return binary.BigEndian.Uint16(body), reason, nil
}
