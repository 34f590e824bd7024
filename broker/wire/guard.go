package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// reader takes fields off the front of a body. The first field that is missing or
// malformed is kept in bad, and what is read after it is zero, so a decoder reads
// a few fields and looks at bad once. What it answers aliases the body.
type reader struct {
	b   []byte
	bad *Error
}

// fail keeps the first reason only.
func (r *reader) fail(e *Error) {
	if r.bad == nil {
		r.bad = e
	}
	r.b = nil
}

func (r *reader) take(n int, what string) []byte {
	if r.bad != nil || len(r.b) < n {
		r.fail(malformed("packet ends early: " + what))
		return nil
	}
	f := r.b[:n:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) u8(what string) byte {
	if f := r.take(1, what); f != nil {
		return f[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if f := r.take(2, what); f != nil {
		return binary.BigEndian.Uint16(f)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if f := r.take(4, what); f != nil {
		return binary.BigEndian.Uint32(f)
	}
	return 0
}

func (r *reader) varint(what string) int {
	v, n, bad := varint(r.b)
	if bad != nil {
		r.fail(bad)
		return 0
	}
	if n == 0 {
		r.fail(malformed("packet ends early: " + what))
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bin reads Binary Data (1.5.6).
func (r *reader) bin(what string) []byte { return r.take(int(r.u16(what)), what) }

// str reads a UTF-8 Encoded String (1.5.4).
func (r *reader) str(what string) []byte {
	f := r.bin(what)
	if !utf8.Valid(f) { // surrogates are not valid to it
		r.fail(malformed("[MQTT-1.5.4-1]"))
		return nil
	}
	if bytes.IndexByte(f, 0) >= 0 {
		r.fail(malformed("[MQTT-1.5.4-2]"))
		return nil
	}
	return f
}

// section splits off the properties: what their length says, to be read to its end.
func (r *reader) section() reader {
	b := r.take(r.varint("property length"), "properties")
	return reader{b: b, bad: r.bad}
}

// end refuses bytes that nothing accounts for.
func (r *reader) end() {
	if r.bad == nil && len(r.b) > 0 {
		r.fail(malformed("bytes left over"))
	}
}

// packetID reads a Packet Identifier, which is never 0.
func (r *reader) packetID() uint16 {
	id := r.u16("packet identifier")
	if r.bad == nil && id == 0 {
		r.fail(violation("[MQTT-2.2.1-3]"))
	}
	return id
}

// reason reads a reason code and refuses those that a client does not send in typ.
func (r *reader) reason(typ byte) byte {
	code := r.u8("reason code")
	if r.bad == nil && strings.IndexByte(clientReasons[typ].codes, code) < 0 {
		r.fail(violation(clientReasons[typ].rule))
	}
	return code
}

// clientReasons are the reason codes a client may send in a packet type.
var clientReasons = [16]struct{ codes, rule string }{
	packets.Puback:  {"\x00\x10\x80\x83\x87\x90\x91\x97\x99", "[MQTT-3.4.2-1]"},
	packets.Pubrec:  {"\x00\x10\x80\x83\x87\x90\x91\x97\x99", "[MQTT-3.5.2-1]"},
	packets.Pubrel:  {"\x00\x92", "[MQTT-3.6.2-1]"},
	packets.Pubcomp: {"\x00\x92", "[MQTT-3.7.2-1]"},
	packets.Disconnect: {"\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99",
		"[MQTT-3.14.2-1]"},
	packets.Auth: {"\x18\x19", "[MQTT-3.15.2-1]"},
}

// topicName judges the name of a topic that is published to.
func topicName(name []byte, rule string) *Error {
	switch {
	case len(name) == 0:
		return violation("[MQTT-4.7.3-1]")
	case bytes.ContainsAny(name, "+#"):
		return violation(rule)
	}
	return nil
}
