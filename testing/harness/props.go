package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Property identifiers of MQTT 5.
const (
	PPayloadFormat          byte = 0x01
	PMessageExpiry          byte = 0x02
	PContentType            byte = 0x03
	PResponseTopic          byte = 0x08
	PCorrelationData        byte = 0x09
	PSubscriptionID         byte = 0x0B
	PSessionExpiry          byte = 0x11
	PAssignedClientID       byte = 0x12
	PServerKeepAlive        byte = 0x13
	PAuthMethod             byte = 0x15
	PAuthData               byte = 0x16
	PRequestProblemInfo     byte = 0x17
	PWillDelay              byte = 0x18
	PRequestResponseInfo    byte = 0x19
	PResponseInfo           byte = 0x1A
	PServerReference        byte = 0x1C
	PReasonString           byte = 0x1F
	PReceiveMaximum         byte = 0x21
	PTopicAliasMaximum      byte = 0x22
	PTopicAlias             byte = 0x23
	PMaximumQoS             byte = 0x24
	PRetainAvailable        byte = 0x25
	PUserProperty           byte = 0x26
	PMaximumPacketSize      byte = 0x27
	PWildcardAvailable      byte = 0x28
	PSubscriptionIDsAllowed byte = 0x29
	PSharedAvailable        byte = 0x2A
)

type kind byte

const (
	kByte kind = iota
	kU16
	kU32
	kVar
	kStr
	kBin
	kPair
)

// fromServer says which packets of a broker may carry a property, and its type.
var fromServer = map[byte]struct {
	kind kind
	in   []byte
}{
	PPayloadFormat:          {kByte, []byte{PUBLISH}},
	PMessageExpiry:          {kU32, []byte{PUBLISH}},
	PContentType:            {kStr, []byte{PUBLISH}},
	PResponseTopic:          {kStr, []byte{PUBLISH}},
	PCorrelationData:        {kBin, []byte{PUBLISH}},
	PSubscriptionID:         {kVar, []byte{PUBLISH}},
	PSessionExpiry:          {kU32, []byte{CONNACK}}, // not in a DISCONNECT of the server [MQTT-3.14.2-2]
	PAssignedClientID:       {kStr, []byte{CONNACK}},
	PServerKeepAlive:        {kU16, []byte{CONNACK}},
	PAuthMethod:             {kStr, []byte{CONNACK, AUTH}},
	PAuthData:               {kBin, []byte{CONNACK, AUTH}},
	PResponseInfo:           {kStr, []byte{CONNACK}},
	PServerReference:        {kStr, []byte{CONNACK, DISCONNECT}},
	PReasonString:           {kStr, []byte{CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH}},
	PReceiveMaximum:         {kU16, []byte{CONNACK}},
	PTopicAliasMaximum:      {kU16, []byte{CONNACK}},
	PTopicAlias:             {kU16, []byte{PUBLISH}},
	PMaximumQoS:             {kByte, []byte{CONNACK}},
	PRetainAvailable:        {kByte, []byte{CONNACK}},
	PUserProperty:           {kPair, []byte{CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH}},
	PMaximumPacketSize:      {kU32, []byte{CONNACK}},
	PWildcardAvailable:      {kByte, []byte{CONNACK}},
	PSubscriptionIDsAllowed: {kByte, []byte{CONNACK}},
	PSharedAvailable:        {kByte, []byte{CONNACK}},
}

// Property is one property of a received packet.
type Property struct {
	ID    byte
	Num   int
	Str   string // also of binary data; the key of a pair
	Value string // of a pair
}

// Properties are those of a packet, in order.
type Properties []Property

// Has reports whether the property is there.
func (ps Properties) Has(id byte) bool {
	_, ok := ps.find(id)
	return ok
}

// Num is a number's value, def when the property is absent.
func (ps Properties) Num(id byte, def int) int {
	if p, ok := ps.find(id); ok {
		return p.Num
	}
	return def
}

// Text is a string's value, empty when the property is absent.
func (ps Properties) Text(id byte) string {
	p, _ := ps.find(id)
	return p.Str
}

// All are the properties with an identifier.
func (ps Properties) All(id byte) Properties {
	var out Properties
	for _, p := range ps {
		if p.ID == id {
			out = append(out, p)
		}
	}
	return out
}

func (ps Properties) find(id byte) (Property, bool) {
	for _, p := range ps {
		if p.ID == id {
			return p, true
		}
	}
	return Property{}, false
}

var errShort = errors.New("ends early")

// cursor reads a packet; the first error sticks.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.b) < n {
		c.err = errShort
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) u32() int {
	if b := c.take(4); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) bin() string { return string(c.take(c.u16())) }

func (c *cursor) str() string {
	s := c.bin()
	if c.err == nil && !wellFormed(s) {
		c.err = fmt.Errorf("%q is not a UTF-8 string of MQTT", s)
	}
	return s
}

func wellFormed(s string) bool {
	for _, r := range s {
		if r == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

func (c *cursor) varInt() int {
	n := 0
	for i := range 4 {
		b := c.byte()
		n |= int(b&0x7F) << (7 * i)
		if b&0x80 == 0 {
			if i > 0 && b == 0 && c.err == nil {
				c.err = errors.New("a length is not in its shortest form")
			}
			return n
		}
	}
	c.err = errors.New("a length has more than four bytes")
	return 0
}

// properties reads the list that a packet of the broker carries.
func (c *cursor) properties(packet byte) Properties {
	list := cursor{b: c.take(c.varInt())}
	if c.err != nil {
		return nil
	}
	var ps Properties
	for len(list.b) > 0 && list.err == nil {
		p := list.property(packet)
		if p.ID != PUserProperty && p.ID != PSubscriptionID && ps.Has(p.ID) && list.err == nil {
			list.err = fmt.Errorf("property %#02x twice", p.ID)
		}
		ps = append(ps, p)
	}
	if list.err != nil {
		c.err = fmt.Errorf("properties: %w", list.err)
	}
	return ps
}

func (c *cursor) property(packet byte) Property {
	p := Property{ID: c.byte()}
	rule, ok := fromServer[p.ID]
	if !ok || !has(rule.in, packet) {
		c.err = fmt.Errorf("property %#02x may not be in packet type %d of a broker", p.ID, packet)
		return p
	}
	switch rule.kind {
	case kByte:
		p.Num = int(c.byte())
		if p.Num > 1 && c.err == nil {
			c.err = fmt.Errorf("property %#02x is %d", p.ID, p.Num)
		}
	case kU16:
		p.Num = c.u16()
	case kU32:
		p.Num = c.u32()
	case kVar:
		p.Num = c.varInt()
	case kStr:
		p.Str = c.str()
	case kBin:
		p.Str = c.bin()
	case kPair:
		p.Str, p.Value = c.str(), c.str()
	}
	return p
}

func has(list []byte, b byte) bool {
	for _, x := range list {
		if x == b {
			return true
		}
	}
	return false
}
