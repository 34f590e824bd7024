package message

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestFormGolden(t *testing.T) {
	m := &Message{Topic: "a/b", Payload: []byte("pay"), Props: []byte{PropPayloadFormat, 1}}
	expires := *m
	expires.Expires = int64(10 * time.Second)
	bare := &Message{Topic: "t"}
	tests := []struct {
		name string
		form Form
		m    *Message
		id   PacketID
		want string
	}{
		{"3.1.1, QoS 0", Form{Version: V311}, m, 7, "\x30\x08\x00\x03a/bpay"},
		{"3.1, QoS 1", Form{Version: V31, QoS: 1}, m, 7, "\x32\x0a\x00\x03a/b\x00\x07pay"},
		{"[MQTT-3.3.1-1] QoS 2 with DUP", Form{Version: V311, QoS: 2, Dup: true}, m, 0x1234, "\x3c\x0a\x00\x03a/b\x12\x34pay"},
		{"[MQTT-3.3.1-2] no DUP with QoS 0", Form{Version: V311, Dup: true}, m, 0, "\x30\x08\x00\x03a/bpay"},
		{"retain", Form{Version: V311, Retain: true}, m, 0, "\x31\x08\x00\x03a/bpay"},
		{"empty payload", Form{Version: V311}, bare, 0, "\x30\x03\x00\x01t"},
		{"5, no properties", Form{Version: V5}, bare, 0, "\x30\x04\x00\x01t\x00"},
		{"5, properties of the message", Form{Version: V5, QoS: 1}, m, 1, "\x32\x0d\x00\x03a/b\x00\x01\x02\x01\x01pay"},
		{"[MQTT-3.3.4-3] subscription identifiers", Form{Version: V5, SubIDs: []uint32{1, 268435455}}, bare, 0,
			"\x30\x0b\x00\x01t\x07\x0b\x01\x0b\xff\xff\xff\x7f"},
		{"[MQTT-3.3.2-6] remaining expiry", Form{Version: V5, Now: int64(3 * time.Second)}, &expires, 0,
			"\x30\x10\x00\x03a/b\x07\x02\x00\x00\x00\x07\x01\x01pay"},
		{"3.x has no properties", Form{Version: V311, SubIDs: []uint32{1}, Now: 1}, &expires, 0, "\x30\x08\x00\x03a/bpay"},
		{"alias that the topic establishes", Form{Version: V5, Alias: 0x0102}, m, 0,
			"\x30\x0e\x00\x03a/b\x05\x23\x01\x02\x01\x01pay"},
		{"alias instead of the topic", Form{Version: V5, Alias: 1, Known: true, QoS: 1}, m, 9,
			"\x32\x0d\x00\x00\x00\x09\x05\x23\x00\x01\x01\x01pay"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.form.Append([]byte("before"), tt.m, tt.id)
			if want := "before" + tt.want; string(got) != want {
				t.Errorf("wrote % x\nwant  % x", got, want)
			}
			if n := tt.form.Len(tt.m); n != len(tt.want) {
				t.Errorf("Len = %d, want %d", n, len(tt.want))
			}
		})
	}
}

// split takes the fixed header off a frame.
func split(t *testing.T, frame []byte) (h byte, body []byte) {
	t.Helper()
	l, n := Uvarint(frame[1:])
	if n <= 0 || len(frame) != 1+n+l {
		t.Fatalf("frame of %d bytes says %d after %d", len(frame), l, n)
	}
	return frame[0], frame[1+n:]
}

// decodeMochi reads a frame with mochi's decoder.
func decodeMochi(t *testing.T, version byte, frame []byte) *packets.Packet {
	t.Helper()
	h, body := split(t, frame)
	pk := &packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(h); err != nil {
		t.Fatalf("header: %v", err)
	}
	pk.FixedHeader.Remaining = len(body)
	if err := pk.PublishDecode(body); err != nil {
		t.Fatalf("mochi: %v in % x", err, frame)
	}
	return pk
}

// randomMessage has every property now and then, in any order of user properties.
func randomMessage(rnd *rand.Rand) *Message {
	m := &Message{Topic: strings.Repeat("t/", rnd.IntN(70)) + "x", Payload: make([]byte, rnd.IntN(300))}
	if rnd.IntN(2) == 0 {
		m.Props = append(m.Props, PropPayloadFormat, byte(rnd.IntN(2)))
	}
	if rnd.IntN(2) == 0 {
		m.Props = append(m.Props, PropContentType, 0, 2, 'c', 't')
	}
	if rnd.IntN(2) == 0 {
		m.Props = append(m.Props, PropResponseTopic, 0, 1, 'r', PropCorrelationData, 0, 2, 0xff, 0)
	}
	for range rnd.IntN(4) {
		m.Props = append(m.Props, PropUser, 0, 1, 'k', 0, 1, byte('a'+rnd.IntN(26)))
	}
	if rnd.IntN(2) == 0 {
		m.Expires = int64(time.Second) * int64(1+rnd.IntN(1000))
	}
	return m
}

func TestFormAgainstMochi(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		m := randomMessage(rnd)
		f := Form{
			Version: V31 + byte(rnd.IntN(3)), QoS: byte(rnd.IntN(3)), Retain: rnd.IntN(2) == 0, Dup: rnd.IntN(2) == 0,
			Alias: uint16(rnd.IntN(3)), Now: int64(rnd.IntN(int(time.Second))),
		}
		if f.Version < V5 {
			f.Alias = 0
		}
		for range rnd.IntN(3) {
			f.SubIDs = append(f.SubIDs, 1+uint32(rnd.IntN(1<<28-1)))
		}
		f.Known = f.Alias != 0 && rnd.IntN(2) == 0
		id := PacketID(1 + rnd.IntN(65535))
		pk := decodeMochi(t, f.Version, f.Append(nil, m, id))
		if diff := compare(&f, m, id, pk); diff != "" {
			t.Fatalf("message %d (seed 1, 2): %s\nform %+v\nmessage %+v\npacket %+v", i, diff, f, m, pk)
		}
	}
}

// compare says what differs between what f was to write and what mochi read.
func compare(f *Form, m *Message, id PacketID, pk *packets.Packet) string {
	name := m.Topic
	if f.Known {
		name = ""
	}
	if f.QoS == 0 {
		id = 0
	}
	switch h := pk.FixedHeader; {
	case h.Qos != f.QoS || h.Retain != f.Retain || h.Dup != (f.Dup && f.QoS > 0):
		return "flags"
	case pk.TopicName != name:
		return "topic"
	case pk.PacketID != uint16(id):
		return "packet identifier"
	case !bytes.Equal(pk.Payload, m.Payload):
		return "payload"
	}
	if f.Version < V5 {
		return ""
	}
	return compareProps(f, m, &pk.Properties)
}

func compareProps(f *Form, m *Message, p *packets.Properties) string {
	if fmt.Sprint(p.SubscriptionIdentifier) != fmt.Sprint(f.SubIDs) {
		return "subscription identifiers"
	}
	if p.TopicAlias != f.Alias {
		return "topic alias"
	}
	if m.Expires != 0 && p.MessageExpiryInterval != m.Remaining(f.Now) {
		return "expiry"
	}
	format := Property(m.Props, PropPayloadFormat)
	if p.PayloadFormatFlag != (format != nil) || format != nil && p.PayloadFormat != format[0] {
		return "payload format"
	}
	if p.ContentType != string(Property(m.Props, PropContentType)) {
		return "content type"
	}
	if p.ResponseTopic != string(Property(m.Props, PropResponseTopic)) {
		return "response topic"
	}
	if !bytes.Equal(p.CorrelationData, Property(m.Props, PropCorrelationData)) {
		return "correlation data"
	}
	var user []packets.UserProperty
	UserProperties(m.Props, func(k, v string) { user = append(user, packets.UserProperty{Key: k, Val: v}) })
	if fmt.Sprint(user) != fmt.Sprint(p.User) {
		return "user properties"
	}
	return ""
}

func TestExpiry(t *testing.T) {
	const second = int64(time.Second)
	m := &Message{Expires: 10 * second}
	for _, tt := range []struct {
		now       int64
		expired   bool
		remaining uint32
	}{
		{0, false, 10}, {1, false, 10}, {second, false, 9}, {10*second - 1, false, 1}, // [MQTT-3.3.2-6]
		{10 * second, true, 0}, {11 * second, true, 0}, // [MQTT-3.3.2-5]
	} {
		if m.Expired(tt.now) != tt.expired || m.Remaining(tt.now) != tt.remaining {
			t.Errorf("at %d: expired %v, %d s remain; want %v, %d", tt.now, m.Expired(tt.now), m.Remaining(tt.now), tt.expired, tt.remaining)
		}
	}
	if (&Message{}).Expired(1 << 62) {
		t.Error("a message without expiry expired")
	}
	long := &Message{Expires: int64(0xffffffff) * second}
	if got := long.Remaining(0); got != 0xffffffff {
		t.Errorf("the longest interval remains as %d", got)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := &Message{Topic: "t", Payload: []byte("p"), Props: []byte{PropPayloadFormat, 1}, QoS: 1, Publisher: "c"}
	c := m.Clone()
	m.Payload[0], m.Props[1] = 'x', 0
	if string(c.Payload) != "p" || c.Props[1] != 1 || c.QoS != 1 || c.Publisher != "c" || c.Topic != "t" {
		t.Errorf("clone %+v", c)
	}
	if c.Size() != 4 {
		t.Errorf("Size = %d, want topic, properties and payload", c.Size())
	}
}
