package harness

import (
	"encoding/binary"
)

// Versions of the protocol as CONNECT carries them.
const (
	V31  byte = 3
	V311 byte = 4
	V5   byte = 5
)

// Packet types.
const (
	CONNECT     byte = 1
	CONNACK     byte = 2
	PUBLISH     byte = 3
	PUBACK      byte = 4
	PUBREC      byte = 5
	PUBREL      byte = 6
	PUBCOMP     byte = 7
	SUBSCRIBE   byte = 8
	SUBACK      byte = 9
	UNSUBSCRIBE byte = 10
	UNSUBACK    byte = 11
	PINGREQ     byte = 12
	PINGRESP    byte = 13
	DISCONNECT  byte = 14
	AUTH        byte = 15
)

// Cat joins byte strings.
func Cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Frame is a packet: its first byte, the length of the body, the body.
func Frame(first byte, body ...[]byte) []byte {
	b := Cat(body...)
	return Cat([]byte{first}, VarInt(len(b)), b)
}

// VarInt is a Variable Byte Integer in its shortest form.
func VarInt(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7F)
		n >>= 7
		if n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// U16 is a Two Byte Integer.
func U16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// U32 is a Four Byte Integer.
func U32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// Str is a length and bytes; they need not be UTF-8.
func Str(s string) []byte { return append(U16(len(s)), s...) }

// Props is a property list with its length.
func Props(ps ...[]byte) []byte {
	b := Cat(ps...)
	return Cat(VarInt(len(b)), b)
}

// Prop is one property: its identifier and its encoded value.
func Prop(id byte, value ...[]byte) []byte { return Cat([]byte{id}, Cat(value...)) }

// PropByte is a property with a one byte value.
func PropByte(id, v byte) []byte { return []byte{id, v} }

// UserProp is a User Property.
func UserProp(k, v string) []byte { return Prop(PUserProperty, Str(k), Str(v)) }

// Will is the will of a CONNECT.
type Will struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
	Props   [][]byte
}

// Connect is a CONNECT. The zero value of Version is MQTT 5, of KeepAlive 60 s.
type Connect struct {
	Version     byte
	ID          string
	Keep        bool // clean start (clean session) off
	KeepAlive   int  // seconds; NoKeepAlive for 0
	Will        *Will
	User        string
	Pass        string
	HasUser     bool // also when User is empty
	HasPass     bool
	Props       [][]byte
	Flags       byte   // xor-ed into the connect flags
	Name        string // instead of the version's protocol name
	Level       byte   // instead of the version
	AfterFields []byte // left over behind the payload
}

// NoKeepAlive is the Connect.KeepAlive that switches keep alive off.
const NoKeepAlive = -1

// Bytes encodes the packet.
func (c Connect) Bytes() []byte {
	v := c.version()
	name, level := c.Name, c.Level
	if name == "" {
		name = map[bool]string{true: "MQIsdp", false: "MQTT"}[v == V31]
	}
	if level == 0 {
		level = v
	}
	keepAlive := c.KeepAlive
	switch keepAlive {
	case 0:
		keepAlive = 60
	case NoKeepAlive:
		keepAlive = 0
	}
	body := Cat(Str(name), []byte{level, c.flags()}, U16(keepAlive))
	if v == V5 {
		body = append(body, Props(c.Props...)...)
	}
	body = append(body, Str(c.ID)...)
	if w := c.Will; w != nil {
		if v == V5 {
			body = append(body, Props(w.Props...)...)
		}
		body = Cat(body, Str(w.Topic), Str(w.Payload))
	}
	if c.hasUser() {
		body = append(body, Str(c.User)...)
	}
	if c.hasPass() {
		body = append(body, Str(c.Pass)...)
	}
	return Frame(CONNECT<<4, body, c.AfterFields)
}

func (c Connect) version() byte {
	if c.Version == 0 {
		return V5
	}
	return c.Version
}

func (c Connect) hasUser() bool { return c.HasUser || c.User != "" }
func (c Connect) hasPass() bool { return c.HasPass || c.Pass != "" }

func (c Connect) flags() byte {
	var f byte
	if !c.Keep {
		f |= 0x02
	}
	if w := c.Will; w != nil {
		f |= 0x04 | w.QoS<<3
		if w.Retain {
			f |= 0x20
		}
	}
	if c.hasPass() {
		f |= 0x40
	}
	if c.hasUser() {
		f |= 0x80
	}
	return f ^ c.Flags
}

// Publish is a PUBLISH.
type Publish struct {
	Topic   string
	Payload string
	ID      int
	QoS     byte
	Retain  bool
	Dup     bool
	Props   [][]byte
}

// Bytes encodes the packet for a version.
func (p Publish) Bytes(version byte) []byte {
	first := PUBLISH<<4 | p.QoS<<1
	if p.Retain {
		first |= 1
	}
	if p.Dup {
		first |= 8
	}
	body := Str(p.Topic)
	if p.QoS > 0 {
		body = append(body, U16(p.ID)...)
	}
	if version == V5 {
		body = append(body, Props(p.Props...)...)
	}
	return Frame(first, body, []byte(p.Payload))
}

// Filter is a topic filter with its subscription options.
type Filter struct {
	Filter  string
	Options byte
}

// To is a Filter.
func To(filter string, options byte) Filter { return Filter{Filter: filter, Options: options} }

// Subscription options of MQTT 5, beside the QoS.
const (
	NoLocal           byte = 0x04
	RetainAsPublished byte = 0x08
	RetainIfNew       byte = 0x10
	RetainNever       byte = 0x20
)

// Subscribe encodes a SUBSCRIBE.
func Subscribe(version byte, id int, props []byte, filters ...Filter) []byte {
	body := U16(id)
	if version == V5 {
		body = append(body, Props(props)...)
	}
	for _, f := range filters {
		body = Cat(body, Str(f.Filter), []byte{f.Options})
	}
	return Frame(SUBSCRIBE<<4|2, body)
}

// Unsubscribe encodes an UNSUBSCRIBE.
func Unsubscribe(version byte, id int, filters ...string) []byte {
	body := U16(id)
	if version == V5 {
		body = append(body, 0)
	}
	for _, f := range filters {
		body = append(body, Str(f)...)
	}
	return Frame(UNSUBSCRIBE<<4|2, body)
}

// Ack encodes PUBACK, PUBREC, PUBREL or PUBCOMP; a code of 0 is left out.
func Ack(kind byte, id int, code byte) []byte {
	first := kind << 4
	if kind == PUBREL {
		first |= 2
	}
	if code == 0 {
		return Frame(first, U16(id))
	}
	return Frame(first, U16(id), []byte{code})
}

// Disconnect encodes a DISCONNECT of MQTT 5; a code of 0 without properties is
// the short form, which is also that of 3.x.
func Disconnect(code byte, props ...[]byte) []byte {
	if code == 0 && len(props) == 0 {
		return Frame(DISCONNECT << 4)
	}
	return Frame(DISCONNECT<<4, []byte{code}, Props(props...))
}

// Auth encodes an AUTH.
func Auth(code byte, props ...[]byte) []byte {
	return Frame(AUTH<<4, []byte{code}, Props(props...))
}

// Ping is a PINGREQ.
func Ping() []byte { return []byte{PINGREQ << 4, 0} }
