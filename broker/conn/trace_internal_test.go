package conn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skeinmq/skein/broker/router"
)

// What a packet says, as far as it can be read.
func TestTracedPackets(t *testing.T) {
	aliased := func(alias uint16) string { return map[uint16]string{7: "by/alias"}[alias] }
	for _, c := range []struct {
		name    string
		version byte
		packet  string
		want    router.TraceEvent
		filters []string
	}{
		{"PUBLISH 3.x", 4, "\x3d\x00\x01t\x00\x05pay", router.TraceEvent{Packet: "PUBLISH", Topic: "t", QoS: 2, ID: 5, Retain: true, Dup: true, Payload: []byte("pay")}, nil},
		{"PUBLISH 5", 5, "\x30\x00\x01t\x02\x01\x01pay", router.TraceEvent{Packet: "PUBLISH", Topic: "t", Payload: []byte("pay")}, nil},
		{"PUBLISH with an alias", 5, "\x30\x00\x00\x03\x23\x00\x07p", router.TraceEvent{Packet: "PUBLISH", Topic: "by/alias", Payload: []byte("p")}, nil},
		{"PUBLISH cut off", 5, "\x32\x00\x09t", router.TraceEvent{Packet: "PUBLISH", Topic: "t", QoS: 1}, nil},
		{"PUBACK", 5, "\x40\x00\x05\x87", router.TraceEvent{Packet: "PUBACK", ID: 5, Code: 0x87}, nil},
		{"SUBSCRIBE", 5, "\x82\x00\x01\x00\x00\x01a\x01\x00\x03b/#\x02", router.TraceEvent{Packet: "SUBSCRIBE", ID: 1, Topic: "a, b/#"}, []string{"a", "b/#"}},
		{"UNSUBSCRIBE", 4, "\xa2\x00\x01\x00\x01a\x00\x01b", router.TraceEvent{Packet: "UNSUBSCRIBE", ID: 1, Topic: "a, b"}, []string{"a", "b"}},
		{"SUBACK", 5, "\x90\x00\x01\x00\x01\x87", router.TraceEvent{Packet: "SUBACK", ID: 1, Code: 0x87}, nil},
		{"CONNACK", 5, "\x20\x00\x86\x00", router.TraceEvent{Packet: "CONNACK", Code: 0x86}, nil},
		{"CONNECT shows no secrets", 5, "\x10\x00\x04MQTT\x05\xc2\x00\x00\x00\x00\x01c\x00\x01u\x00\x01p", router.TraceEvent{Packet: "CONNECT"}, nil},
		{"DISCONNECT", 5, "\xe0\x8e", router.TraceEvent{Packet: "DISCONNECT", Code: 0x8E}, nil},
		{"PINGREQ", 4, "\xc0", router.TraceEvent{Packet: "PINGREQ"}, nil},
	} {
		var e router.TraceEvent
		filters := (&Conn{version: c.version}).describe(&e, c.packet[0], []byte(c.packet[1:]), aliased)
		same := e.Packet == c.want.Packet && e.Topic == c.want.Topic && e.QoS == c.want.QoS && e.ID == c.want.ID && e.Code == c.want.Code &&
			e.Retain == c.want.Retain && e.Dup == c.want.Dup && string(e.Payload) == string(c.want.Payload)
		if !same || !slices.Equal(filters, c.filters) {
			t.Errorf("%s: %+v %q", c.name, e, filters)
		}
	}
}

// It is read before it has been judged: nothing that a client sends may do harm.
func TestTracedNonsense(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		var e router.TraceEvent
		(&Conn{version: byte(3 + r.IntN(3))}).describe(&e, byte(r.Uint32()), b, func(uint16) string { return "" })
	}
}
