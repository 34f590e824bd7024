package harness

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Packet is one packet of the broker.
type Packet struct {
	Type    byte
	Flags   byte
	Size    int // bytes on the wire
	ID      int
	Code    byte   // reason or return code
	Codes   []byte // of SUBACK and UNSUBACK
	Present bool   // session present
	Topic   string
	Payload string
	Props   Properties
}

// QoS is that of a PUBLISH.
func (p Packet) QoS() byte { return p.Flags >> 1 & 3 }

// Dup is the DUP flag of a PUBLISH.
func (p Packet) Dup() bool { return p.Flags&8 != 0 }

// Retain is the RETAIN flag of a PUBLISH.
func (p Packet) Retain() bool { return p.Flags&1 != 0 }

var typeNames = [16]string{"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

// String names a packet in a failure.
func (p Packet) String() string {
	var b strings.Builder
	b.WriteString(typeNames[p.Type&15])
	if p.ID != 0 {
		fmt.Fprintf(&b, " id=%d", p.ID)
	}
	if p.Type == PUBLISH {
		fmt.Fprintf(&b, " flags=%04b topic=%q payload=%.40q", p.Flags, p.Topic, p.Payload)
	} else {
		fmt.Fprintf(&b, " code=%#02x", p.Code)
	}
	if len(p.Codes) > 0 {
		fmt.Fprintf(&b, " codes=% x", p.Codes)
	}
	if len(p.Props) > 0 {
		fmt.Fprintf(&b, " props=%+v", p.Props)
	}
	return b.String()
}

// Packets are what came before the end of a connection.
type Packets []Packet

// String shows the last of them.
func (ps Packets) String() string {
	const show = 3
	var b strings.Builder
	b.WriteByte('[')
	if len(ps) > show {
		fmt.Fprintf(&b, "%d packets, then: ", len(ps)-show)
		ps = ps[len(ps)-show:]
	}
	for i, p := range ps {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.String())
	}
	return b.String() + "]"
}

// codes5 are the reason codes a broker may send in each packet of MQTT 5.
var codes5 = map[byte]string{
	CONNACK:    "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f",
	PUBACK:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREC:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREL:     "\x00\x92",
	PUBCOMP:    "\x00\x92",
	SUBACK:     "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2",
	UNSUBACK:   "\x00\x11\x80\x83\x87\x8f\x91",
	DISCONNECT: "\x00\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2",
	AUTH:       "\x00\x18",
}

// readPacket reads one packet of a broker and refuses every deviation from the
// specification. An end of the stream between packets is io.EOF.
func readPacket(r io.Reader, version byte) (Packet, error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return Packet{}, err
	}
	p := Packet{Type: first[0] >> 4, Flags: first[0] & 15}
	length, n, err := readLength(r)
	if err != nil {
		return p, fmt.Errorf("%v: length: %w", p, err)
	}
	p.Size = 1 + n + length
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return p, fmt.Errorf("%v: %w", p, err)
	}
	c := &cursor{b: body}
	p.decode(c, version)
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%d bytes are left over", len(c.b))
	}
	if c.err != nil {
		return p, fmt.Errorf("the broker sent a malformed packet: %v (% x): %w", p, body[:min(len(body), 64)], c.err)
	}
	return p, nil
}

func readLength(r io.Reader) (length, n int, err error) {
	var raw []byte
	for {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, 0, err
		}
		raw = append(raw, b[0])
		if b[0]&0x80 == 0 || len(raw) == 4 {
			break
		}
	}
	c := &cursor{b: raw}
	length = c.varInt()
	return length, len(raw), c.err
}

func (p *Packet) decode(c *cursor, version byte) {
	want := byte(0)
	switch p.Type {
	case PUBREL:
		want = 2
	case PUBLISH:
		want = p.Flags
	}
	if p.Flags != want {
		c.err = fmt.Errorf("flags %04b", p.Flags)
		return
	}
	switch p.Type {
	case CONNACK:
		p.decodeConnack(c, version)
	case PUBLISH:
		p.decodePublish(c, version)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p.ID = c.u16()
		p.decodeReason(c, version)
	case SUBACK, UNSUBACK:
		p.decodeSuback(c, version)
	case PINGRESP:
	case DISCONNECT, AUTH:
		if version != V5 {
			c.err = fmt.Errorf("not a packet that a broker may send in version %d", version)
			return
		}
		p.decodeReason(c, version)
	default:
		c.err = fmt.Errorf("not a packet that a broker may send")
	}
	if hasID := p.Type >= PUBACK && p.Type <= UNSUBACK; hasID && p.ID == 0 && c.err == nil {
		c.err = fmt.Errorf("packet identifier 0")
	}
}

func (p *Packet) decodeConnack(c *cursor, version byte) {
	flags := c.byte()
	p.Present = flags&1 != 0
	p.Code = c.byte()
	if flags&^1 != 0 && c.err == nil {
		c.err = fmt.Errorf("acknowledge flags %#02x", flags)
	}
	if p.Present && p.Code != 0 && c.err == nil {
		c.err = fmt.Errorf("session present in a refusal")
	}
	if version != V5 {
		if p.Code > 5 && c.err == nil {
			c.err = fmt.Errorf("return code %d", p.Code)
		}
		return
	}
	p.checkCode(c, p.Code)
	p.Props = c.properties(p.Type)
}

func (p *Packet) decodePublish(c *cursor, version byte) {
	p.Topic = c.str()
	switch p.QoS() {
	case 0:
		if p.Dup() {
			c.err = fmt.Errorf("DUP at QoS 0")
		}
	case 3:
		c.err = fmt.Errorf("QoS 3")
	default:
		if p.ID = c.u16(); p.ID == 0 && c.err == nil {
			c.err = fmt.Errorf("packet identifier 0")
		}
	}
	if version == V5 {
		p.Props = c.properties(PUBLISH)
	}
	if strings.ContainsAny(p.Topic, "+#") && c.err == nil {
		c.err = fmt.Errorf("wildcard in a topic name")
	}
	if c.err == nil {
		p.Payload = string(c.b)
		c.b = nil
	}
}

// decodeReason reads the reason code and properties, both of which may be left out.
func (p *Packet) decodeReason(c *cursor, version byte) {
	if version != V5 || len(c.b) == 0 || c.err != nil {
		return
	}
	p.Code = c.byte()
	p.checkCode(c, p.Code)
	if len(c.b) > 0 && c.err == nil {
		p.Props = c.properties(p.Type)
	}
}

func (p *Packet) decodeSuback(c *cursor, version byte) {
	p.ID = c.u16()
	if version != V5 {
		p.Codes = c.take(len(c.b))
		for _, code := range p.Codes {
			if p.Type == UNSUBACK || code > 2 && code != 0x80 {
				c.err = fmt.Errorf("return code %#02x", code)
			}
		}
		return
	}
	p.Props = c.properties(p.Type)
	p.Codes = c.take(len(c.b))
	for _, code := range p.Codes {
		p.checkCode(c, code)
	}
}

func (p *Packet) checkCode(c *cursor, code byte) {
	if c.err == nil && bytes.IndexByte([]byte(codes5[p.Type]), code) < 0 {
		c.err = fmt.Errorf("reason code %#02x", code)
	}
}
