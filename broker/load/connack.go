package load

import (
	"encoding/binary"
	"fmt"
	"time"
)

// grant is what a broker allows a client, from its CONNACK.
type grant struct {
	present   bool // the session was there already
	inflight  int  // unacknowledged QoS 1 and 2 publishes
	qos       byte // highest of a publish
	retain    bool
	packet    int           // largest frame; 0 is any
	keepAlive time.Duration // that the broker imposes; 0 is none
}

// maxInflight keeps packet ids far from those still in use.
const maxInflight = 30_000

func readConnack(v Version, body []byte) (grant, error) {
	g := grant{inflight: maxInflight, qos: 2, retain: true}
	if len(body) < 2 {
		return g, errMalformed
	}
	if body[1] != 0 {
		return g, fmt.Errorf("the broker refuses the connection: %s", connackReason(v, body[1]))
	}
	g.present = body[0]&1 == 1
	if v != MQTT5 {
		return g, nil
	}
	n, size := readLength(body[2:])
	if size <= 0 || len(body) < 2+size+n {
		return g, errMalformed
	}
	return g, g.properties(body[2+size : 2+size+n])
}

// properties reads those of CONNACK that bind a load driver and steps over the rest.
func (g *grant) properties(b []byte) error {
	for len(b) > 0 {
		n := propertySize(b)
		if n == 0 || len(b) < n {
			return errMalformed
		}
		value := b[1:n]
		switch b[0] {
		case propReceiveMaximum:
			g.inflight = min(maxInflight, int(binary.BigEndian.Uint16(value)))
		case propMaximumQoS:
			g.qos = value[0]
		case propRetainAvailable:
			g.retain = value[0] == 1
		case propMaximumPacket:
			g.packet = int(binary.BigEndian.Uint32(value))
		case propServerKeepAlive:
			g.keepAlive = time.Duration(binary.BigEndian.Uint16(value)) * time.Second
		}
		b = b[n:]
	}
	return nil
}

// propertySize is the length of the property that b begins with, its identifier
// included; 0 when it is cut or unknown.
func propertySize(b []byte) int {
	str := func(at int) int {
		if len(b) < at+2 {
			return 0
		}
		return at + 2 + int(binary.BigEndian.Uint16(b[at:]))
	}
	switch b[0] {
	case 0x24, 0x25, 0x28, 0x29, 0x2A: // one byte
		return 2
	case 0x13, 0x21, 0x22: // two bytes
		return 3
	case 0x11, 0x27: // four bytes
		return 5
	case 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F: // a string or binary data
		return str(1)
	case 0x26: // a pair of strings
		if key := str(1); key > 0 {
			return str(key)
		}
	}
	return 0
}

// check says what the broker does not allow that the options ask for.
func (g *grant) check(o *Options) error {
	if int(g.qos) < o.QoS {
		return fmt.Errorf("the broker allows QoS %d at most", g.qos)
	}
	if g.packet > 0 && g.packet < o.Size+64 {
		return fmt.Errorf("the broker takes packets of at most %d bytes, payloads of %d do not fit", g.packet, o.Size)
	}
	if o.Scenario == Retained && !g.retain {
		return fmt.Errorf("the broker keeps no retained messages")
	}
	return nil
}

// connackReason puts a CONNACK code into words, the frequent ones only.
func connackReason(v Version, code byte) string {
	words := map[byte]string{
		1: "unacceptable protocol version", 2: "identifier rejected", 3: "server unavailable",
		4: "bad user name or password", 5: "not authorized",
	}
	if v == MQTT5 {
		words = map[byte]string{
			0x80: "unspecified error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid",
			0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable",
			0x89: "server busy", 0x8A: "banned", 0x8C: "bad authentication method",
			0x97: "quota exceeded", 0x9C: "use another server", 0x9D: "server moved", 0x9F: "connection rate exceeded",
		}
	}
	if w, ok := words[code]; ok {
		return fmt.Sprintf("%s (0x%02X)", w, code)
	}
	return fmt.Sprintf("code 0x%02X", code)
}
