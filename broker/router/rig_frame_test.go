package router

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/skeinmq/skein/broker/message"
)

// frame is a packet that the router sent.
type frame struct {
	kind    byte
	id      message.PacketID
	code    byte // of an acknowledgement
	qos     byte
	dup     bool
	retain  bool
	topic   string
	payload string
	props   string
	subIDs  int
}

func (f frame) String() string {
	if f.kind != 3 {
		return fmt.Sprintf("%d#%d/%02x", f.kind, f.id, f.code)
	}
	s := fmt.Sprintf("%s=%s/%d", f.topic, f.payload, f.qos)
	if f.dup {
		s += "d"
	}
	if f.retain {
		s += "r"
	}
	return s
}

// frames takes what was sent.
func (p *peer) frames() (list []frame) {
	p.g.store.settle()
	b := p.out.take()
	p.g.store.settle() // what room has made
	for len(b) > 0 {
		size, n := message.Uvarint(b[1:])
		body := b[1+n : 1+n+size]
		f := frame{kind: b[0] >> 4}
		switch {
		case f.kind == 3:
			f.publish(p.link.Version, b[0], body)
		case len(body) >= 2:
			f.id = message.PacketID(binary.BigEndian.Uint16(body))
			if len(body) > 2 {
				f.code = body[2]
			}
		}
		list = append(list, f)
		b = b[1+n+size:]
	}
	return list
}

// publish reads a PUBLISH; parsing is for what clients send, which has no
// Subscription Identifiers.
func (f *frame) publish(version, head byte, body []byte) {
	f.qos, f.dup, f.retain = head>>1&3, head&message.FlagDup != 0, head&message.FlagRetain != 0
	n := int(binary.BigEndian.Uint16(body))
	f.topic, body = string(body[2:2+n]), body[2+n:]
	if f.qos > 0 {
		f.id, body = message.PacketID(binary.BigEndian.Uint16(body)), body[2:]
	}
	if version >= message.V5 {
		size, n := message.Uvarint(body)
		f.props, body = string(body[n:n+size]), body[n+size:]
		f.subIDs = strings.Count(f.props, "\x0b") // identifiers and lengths in tests are not 11
	}
	f.payload = string(body)
}

// got takes what was sent, as words.
func (p *peer) got() string {
	var words []string
	for _, f := range p.frames() {
		words = append(words, f.String())
	}
	return strings.Join(words, " ")
}

// want fails unless exactly the words were sent.
func (p *peer) want(words string) {
	p.g.t.Helper()
	if got := p.got(); got != words {
		p.g.t.Fatalf("%s was sent %q, want %q", p.id, got, words)
	}
}

func (p *peer) ack(kind byte, ids ...message.PacketID) {
	p.g.t.Helper()
	list := make([]Ack, len(ids))
	for i, id := range ids {
		list[i] = Ack{ID: id, Type: kind}
	}
	if err := p.g.r.Acked(p.link, list); err != nil {
		p.g.t.Error(err)
	}
}

// receive takes messages and acknowledges them, whatever their QoS, until nothing
// more comes.
func (p *peer) receive() (list []frame) {
	for {
		var acks []Ack
		for _, f := range p.frames() {
			if a := answer(&f); a.Type != 0 {
				acks = append(acks, a)
			}
			if f.kind == 3 {
				list = append(list, f)
			}
		}
		if len(acks) == 0 {
			return list
		}
		if err := p.g.r.Acked(p.link, acks); err != nil {
			p.g.t.Error(err)
		}
	}
}

// answer is the acknowledgement of a frame; its Type is 0 for none.
func answer(f *frame) Ack {
	a := Ack{ID: f.id}
	switch {
	case f.kind == 3 && f.qos == 1:
		a.Type = typePuback
	case f.kind == 3 && f.qos == 2:
		a.Type = typePubrec
	case f.kind == 5 && f.code < 0x80:
		a.Type = typePubrel
	case f.kind == 6:
		a.Type = typePubcomp
	}
	return a
}

func payloads(list []frame) string {
	words := make([]string, len(list))
	for i := range list {
		words[i] = list[i].payload
	}
	return strings.Join(words, " ")
}
