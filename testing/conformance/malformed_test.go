package conformance

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// What the specification asks for. Where it names both, or neither, a broker may
// choose.
const (
	malformed = "\x81"
	protocol  = "\x82"
	either    = "\x81\x82"
	aliasCode = "\x94"
	tooLarge  = "\x95"
)

// badPacket is sent on an open connection and ends it.
type badPacket struct {
	name  string
	p     []byte
	codes string // of the DISCONNECT that MQTT 5 gets, any of them
}

// healthy is a pair of clients that must notice nothing.
type healthy struct {
	sub, pub *Client
	topic    string
	n        int
}

func newHealthy(t *testing.T, b *Broker) *healthy {
	t.Helper()
	h := &healthy{}
	h.sub, h.pub, h.topic = pair(t, b, V5, 1)
	return h
}

// check runs a message from one to the other.
func (h *healthy) check(t *testing.T) {
	t.Helper()
	h.n++
	h.pub.Publish(Publish{Topic: h.topic, Payload: fmt.Sprint(h.n), QoS: 1})
	h.sub.ExpectMessage(h.topic, fmt.Sprint(h.n))
}

func runBad(t *testing.T, b *Broker, v byte, cases []badPacket) {
	t.Helper()
	h := newHealthy(t, b)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			victim := b.Client(t, v)
			victim.Send(c.p)
			refusedWith(t, victim, c.codes)
		})
		h.check(t)
	}
}

// twice is a property that may be there once.
func twice(p []byte) []byte { return Cat(p, p) }

func TestMalformed(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	for name, cases := range map[string][]badPacket{
		"publish": badPublish(), "acks": badAcks(), "subscribe": badSubscribe(), "unsubscribe": badUnsubscribe(), "others": badOthers(),
	} {
		t.Run("v5/"+name, func(t *testing.T) {
			t.Parallel()
			runBad(t, b, V5, cases)
		})
	}
	for _, v := range []byte{V311, V31} {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			t.Parallel()
			runBad(t, b, v, bad3(v))
		})
	}
}

func badPublish() []badPacket {
	pub := func(props ...[]byte) []byte { return Publish{Topic: "a", Props: props}.Bytes(V5) }
	cases := []badPacket{
		{"QoS 3", Frame(0x36, Str("a"), U16(1), []byte{0}), malformed},
		{"QoS 3 with DUP", Frame(0x3E, Str("a"), U16(1), []byte{0}), malformed},
		{"DUP at QoS 0", Publish{Topic: "a", Dup: true}.Bytes(V5), either},
		{"id 0 at QoS 1", Publish{Topic: "a", QoS: 1}.Bytes(V5), either},
		{"id 0 at QoS 2", Publish{Topic: "a", QoS: 2}.Bytes(V5), either},
		{"empty", Frame(0x30), malformed},
		{"empty topic", Publish{}.Bytes(V5), protocol},
		{"topic cut", Frame(0x30, U16(5), []byte("ab")), malformed},
		{"topic not UTF-8", Publish{Topic: "\xff"}.Bytes(V5), malformed},
		{"topic with U+0000", Publish{Topic: "a\x00"}.Bytes(V5), malformed},
		{"topic with #", Publish{Topic: "a/#"}.Bytes(V5), "\x81\x82\x90"},
		{"topic with +", Publish{Topic: "+/a"}.Bytes(V5), "\x81\x82\x90"},
		{"no id", Frame(0x32, Str("a")), malformed},
		{"half an id", Frame(0x32, Str("a"), []byte{0}), malformed},
		{"no property length", Frame(0x32, Str("a"), U16(1)), malformed},
		{"properties longer than the packet", Frame(0x30, Str("a"), []byte{200, 1, 1, 1}), malformed},
		{"property length of five bytes", Frame(0x30, Str("a"), []byte{0x80, 0x80, 0x80, 0x80, 0x00}), malformed},
		{"property length cut", Frame(0x30, Str("a"), []byte{0x80}), malformed},
		{"alias 0", pub(alias(0)), aliasCode},
		{"alias too high", pub(alias(65535)), aliasCode},
		{"alias unknown", Publish{Props: [][]byte{alias(1)}}.Bytes(V5), "\x82\x94"},
		{"alias twice", pub(twice(alias(1))), protocol},
		{"subscription identifier", pub(Prop(PSubscriptionID, VarInt(1))), protocol},
		{"payload format 2", pub(PropByte(PPayloadFormat, 2)), either},
		{"payload format twice", pub(twice(PropByte(PPayloadFormat, 1))), protocol},
		{"message expiry twice", pub(twice(Prop(PMessageExpiry, U32(1)))), protocol},
		{"content type twice", pub(twice(Prop(PContentType, Str("a")))), protocol},
		{"response topic twice", pub(twice(Prop(PResponseTopic, Str("a")))), protocol},
		{"correlation data twice", pub(twice(Prop(PCorrelationData, Str("a")))), protocol},
		{"response topic with a wildcard", pub(Prop(PResponseTopic, Str("a/#"))), either},
		{"response topic not UTF-8", pub(Prop(PResponseTopic, Str("\xff"))), malformed},
		{"content type not UTF-8", pub(Prop(PContentType, Str("\xff"))), malformed},
		{"content type with U+0000", pub(Prop(PContentType, Str("\x00"))), malformed},
		{"user property key not UTF-8", pub(UserProp("\xff", "")), malformed},
		{"user property value not UTF-8", pub(UserProp("", "\xff")), malformed},
		{"user property cut", pub(Prop(PUserProperty, Str("k"))), malformed},
		{"unknown property", pub([]byte{0x7F, 1}), malformed},
		{"property 0", pub([]byte{0, 1}), malformed},
		{"property of CONNECT", pub(Prop(PSessionExpiry, U32(1))), malformed},
		{"property of CONNACK", pub(PropByte(PMaximumQoS, 1)), malformed},
		{"property of a will", pub(Prop(PWillDelay, U32(1))), malformed},
		{"reason string", pub(Prop(PReasonString, Str("a"))), malformed},
		{"expiry cut", pub(Prop(PMessageExpiry, U16(1))), malformed},
		{"correlation data cut", pub(Prop(PCorrelationData, U16(9), []byte("x"))), malformed},
		{"alias cut", pub(Prop(PTopicAlias, []byte{0})), malformed},
		{"properties end inside a property", Frame(0x30, Str("a"), []byte{3, PContentType, 0, 9}, []byte("012345678")), malformed},
		{"too large", Cat([]byte{0x30}, VarInt(64<<20), Str("a")), tooLarge},
		{"length of five bytes", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, malformed},
		{"length of five bytes, largest", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, malformed},
	}
	return append(cases, prefixes("publish cut", Publish{Topic: "a/b", QoS: 1, ID: 1, Props: [][]byte{UserProp("k", "v")}}.Bytes(V5))...)
}

func badAcks() []badPacket {
	var cases []badPacket
	for _, kind := range []byte{PUBACK, PUBREC, PUBREL, PUBCOMP} {
		first, name := kind<<4, fmt.Sprintf("type %d ", kind)
		if kind == PUBREL {
			first |= 2
		}
		cases = append(cases,
			badPacket{name + "flags", Frame(first^4, U16(1)), malformed},
			badPacket{name + "empty", Frame(first), malformed},
			badPacket{name + "half an id", Frame(first, []byte{0}), malformed},
			badPacket{name + "id 0", Frame(first, U16(0)), either},
			badPacket{name + "code 0x01", Frame(first, U16(1), []byte{1}), either},
			badPacket{name + "code 0xFF", Frame(first, U16(1), []byte{0xFF}), either},
			badPacket{name + "properties cut", Frame(first, U16(1), []byte{0, 5, 0x1F}), malformed},
			badPacket{name + "bytes left over", Frame(first, U16(1), []byte{0, 0, 1}), malformed},
			badPacket{name + "reason string twice", Frame(first, U16(1), []byte{0}, Props(twice(Prop(PReasonString, Str("a"))))), protocol},
			badPacket{name + "reason string not UTF-8", Frame(first, U16(1), []byte{0}, Props(Prop(PReasonString, Str("\xff")))), malformed},
			badPacket{name + "property of PUBLISH", Frame(first, U16(1), []byte{0}, Props(alias(1))), malformed},
			badPacket{name + "unknown property", Frame(first, U16(1), []byte{0}, Props([]byte{0x7F})), malformed},
		)
	}
	return cases
}

func badSubscribe() []badPacket {
	sub := func(props []byte, fs ...Filter) []byte { return Subscribe(V5, 1, props, fs...) }
	subID := func(b ...byte) []byte { return Prop(PSubscriptionID, b) }
	cases := []badPacket{
		{"mochi's panic", []byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61}, malformed},
		{"flags", Frame(0x80, U16(1), []byte{0}, Str("a"), []byte{0}), malformed},
		{"empty", Frame(0x82), malformed},
		{"id 0", Subscribe(V5, 0, nil, To("a", 0)), either},
		{"no filter", sub(nil), protocol},
		{"empty filter", sub(nil, To("", 0)), either},
		{"no options", Frame(0x82, U16(1), []byte{0}, Str("a")), malformed},
		{"filter not UTF-8", sub(nil, To("\xff", 0)), malformed},
		{"filter with U+0000", sub(nil, To("a\x00", 0)), malformed},
		{"second filter not UTF-8", sub(nil, To("a", 0), To("\xff", 0)), malformed},
		{"QoS 3", sub(nil, To("a", 3)), either},
		{"retain handling 3", sub(nil, To("a", 0x30)), either},
		{"reserved bit 6", sub(nil, To("a", 0x40)), malformed},
		{"reserved bit 7", sub(nil, To("a", 0x80)), malformed},
		{"no local on a shared subscription", sub(nil, To("$share/g/a", NoLocal)), protocol},
		{"subscription identifier 0", sub(subID(0), To("a", 0)), protocol},
		{"subscription identifier twice", sub(twice(subID(1)), To("a", 0)), protocol},
		{"subscription identifier too long", sub(subID(0x80, 0x80, 0x80, 0x80, 1), To("a", 0)), malformed},
		{"property of PUBLISH", sub(alias(1), To("a", 0)), malformed},
		{"user property cut", sub([]byte{PUserProperty, 0, 1, 'k'}, To("a", 0)), malformed},
		{"properties longer than the packet", Frame(0x82, U16(1), []byte{100}, Str("a"), []byte{0}), malformed},
		{"bytes left over", Frame(0x82, U16(1), []byte{0}, Str("a"), []byte{0, 0}), malformed},
	}
	return append(cases, prefixes("subscribe cut", sub(UserProp("k", "v"), To("a/b", 0)))...)
}

func badUnsubscribe() []badPacket {
	cases := []badPacket{
		{"flags", Frame(0xA0, U16(1), []byte{0}, Str("a")), malformed},
		{"empty", Frame(0xA2), malformed},
		{"id 0", Unsubscribe(V5, 0, "a"), either},
		{"no filter", Unsubscribe(V5, 1), protocol},
		{"empty filter", Unsubscribe(V5, 1, ""), either},
		{"filter not UTF-8", Unsubscribe(V5, 1, "\xff"), malformed},
		{"filter with U+0000", Unsubscribe(V5, 1, "a", "\x00"), malformed},
		{"property of SUBSCRIBE", Frame(0xA2, U16(1), Props(Prop(PSubscriptionID, VarInt(1))), Str("a")), malformed},
		{"bytes left over", Frame(0xA2, U16(1), []byte{0}, Str("a"), []byte{0}), malformed},
	}
	return append(cases, prefixes("unsubscribe cut", Unsubscribe(V5, 1, "a/b"))...)
}

func badOthers() []badPacket {
	return []badPacket{
		{"second CONNECT", Connect{ID: Name()}.Bytes(), protocol},
		{"second CONNECT, malformed", Frame(0x10, []byte{0}), either},
		{"type 0", []byte{0x00, 0x00}, either},
		{"type 0 with a body", Frame(0x00, []byte("abc")), either},
		{"CONNACK", []byte{0x20, 0x03, 0, 0, 0}, either},
		{"SUBACK", Frame(0x90, U16(1), []byte{0, 0}), either},
		{"UNSUBACK", Frame(0xB0, U16(1), []byte{0, 0}), either},
		{"PINGRESP", []byte{0xD0, 0x00}, either},
		{"PINGREQ flags", []byte{0xC1, 0x00}, malformed},
		{"PINGREQ with a body", []byte{0xC0, 0x01, 0x00}, malformed},
		{"DISCONNECT flags", []byte{0xE1, 0x00}, malformed},
		{"DISCONNECT code 0x01", Disconnect(0x01), either},
		{"DISCONNECT code of a server", Disconnect(0x8E), either},
		{"DISCONNECT properties cut", Frame(0xE0, []byte{0x00, 0x05, 0x11}), malformed},
		{"DISCONNECT bytes left over", Frame(0xE0, []byte{0x00, 0x00, 0x00}), malformed},
		{"DISCONNECT expiry twice", Disconnect(0, twice(Prop(PSessionExpiry, U32(0)))), protocol},
		{"DISCONNECT expiry where CONNECT had none", Disconnect(0, Prop(PSessionExpiry, U32(9))), protocol},
		{"DISCONNECT property of PUBLISH", Disconnect(0, alias(1)), malformed},
		{"AUTH without a method", Auth(0x18), protocol},
		{"AUTH with a method that CONNECT had not", Auth(0x19, Prop(PAuthMethod, Str("m"))), protocol},
		{"AUTH short", Frame(0xF0), protocol},
		{"AUTH flags", Frame(0xF1, []byte{0x18, 0}), malformed},
		{"AUTH code 0x01", Auth(0x01, Prop(PAuthMethod, Str("m"))), either},
	}
}

// bad3 are the cases of 3.1.1 and 3.1, all of which end with a closed connection.
func bad3(v byte) []badPacket {
	cases := []badPacket{
		{"QoS 3", Frame(0x36, Str("a"), U16(1)), ""},
		{"publish id 0", Publish{Topic: "a", QoS: 1}.Bytes(v), ""},
		{"publish id 0 at QoS 2", Publish{Topic: "a", QoS: 2}.Bytes(v), ""},
		{"publish empty", Frame(0x30), ""},
		{"publish empty topic", Publish{}.Bytes(v), ""},
		{"publish topic cut", Frame(0x30, U16(5), []byte("ab")), ""},
		{"publish topic not UTF-8", Publish{Topic: "\xff"}.Bytes(v), ""},
		{"publish topic with U+0000", Publish{Topic: "\x00"}.Bytes(v), ""},
		{"publish topic with #", Publish{Topic: "#"}.Bytes(v), ""},
		{"publish without id", Frame(0x32, Str("a")), ""},
		{"publish too large", Cat([]byte{0x30}, VarInt(64<<20), Str("a")), ""},
		{"length of five bytes", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, ""},
		{"puback empty", Frame(0x40), ""},
		{"puback half an id", Frame(0x40, []byte{0}), ""},
		{"pubrel empty", Frame(0x62), ""},
		{"subscribe without options", []byte{0x82, 0x05, 0x00, 0x01, 0x00, 0x01, 0x61}, ""},
		{"mochi's panic", []byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61}, ""},
		{"subscribe id 0", Subscribe(v, 0, nil, To("a", 0)), ""},
		{"subscribe empty filter", Subscribe(v, 1, nil, To("", 0)), ""},
		{"subscribe QoS 3", Subscribe(v, 1, nil, To("a", 3)), ""},
		{"subscribe filter not UTF-8", Subscribe(v, 1, nil, To("\xff", 0)), ""},
		{"subscribe empty", Frame(0x82), ""},
		{"unsubscribe id 0", Unsubscribe(v, 0, "a"), ""},
		{"unsubscribe empty filter", Unsubscribe(v, 1, ""), ""},
		{"unsubscribe empty", Frame(0xA2), ""},
		{"second CONNECT", Connect{Version: v, ID: Name()}.Bytes(), ""},
		{"type 0", []byte{0x00, 0x00}, ""},
		{"AUTH", Auth(0x18), ""},
		{"CONNACK", []byte{0x20, 0x02, 0, 0}, ""},
		{"SUBACK", Frame(0x90, U16(1), []byte{0}), ""},
		{"UNSUBACK", Frame(0xB0, U16(1)), ""},
		{"PINGRESP", []byte{0xD0, 0x00}, ""},
		{"PINGREQ with a body", []byte{0xC0, 0x01, 0x00}, ""},
	}
	if v == V311 {
		cases = append(cases,
			badPacket{"subscribe without a filter", Subscribe(v, 1, nil), ""},
			badPacket{"unsubscribe without a filter", Unsubscribe(v, 1), ""},
			badPacket{"subscribe flags", Frame(0x80, U16(1), Str("a"), []byte{0}), ""},
			badPacket{"unsubscribe flags", Frame(0xA0, U16(1), Str("a")), ""},
			badPacket{"subscribe reserved bits", Subscribe(v, 1, nil, To("a", 0x04)), ""},
			badPacket{"DUP at QoS 0", Publish{Topic: "a", Dup: true}.Bytes(v), ""},
			badPacket{"PINGREQ flags", []byte{0xC1, 0x00}, ""},
			badPacket{"DISCONNECT flags", []byte{0xE1, 0x00}, ""},
			badPacket{"pubrel flags", Frame(0x60, U16(1)), ""},
			badPacket{"puback too long", Frame(0x40, U16(1), []byte{0}), ""},
		)
	}
	cases = append(cases, prefixes("subscribe cut", Subscribe(v, 1, nil, To("a/b", 0)))...)
	return append(cases, prefixes("unsubscribe cut", Unsubscribe(v, 1, "a/b"))...)
}

// prefixes are all beginnings of the body of a packet, each with its right length:
// none of them is whole.
func prefixes(name string, p []byte) []badPacket {
	body := p[2:] // of packets shorter than 128 bytes
	var cases []badPacket
	for n := range body {
		cases = append(cases, badPacket{fmt.Sprintf("%s at %d", name, n), Frame(p[0], body[:n]), either})
	}
	return cases
}

func TestMalformedConnect(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	with := func(props ...[]byte) []byte { return Connect{ID: Name(), Props: props}.Bytes() }
	will := func(props ...[]byte) []byte {
		return Connect{ID: Name(), Will: &Will{Topic: "w", Props: props}}.Bytes()
	}
	cases := []badPacket{
		{"reserved flag", Connect{ID: Name(), Flags: 1}.Bytes(), malformed},
		{"will QoS 3", Connect{ID: Name(), Will: &Will{Topic: "w", QoS: 3}}.Bytes(), malformed},
		{"will QoS without a will", Connect{ID: Name(), Flags: 0x08}.Bytes(), either},
		{"will retain without a will", Connect{ID: Name(), Flags: 0x20}.Bytes(), either},
		{"will topic with a wildcard", Connect{ID: Name(), Will: &Will{Topic: "a/#"}}.Bytes(), "\x81\x82\x90"},
		{"will topic empty", Connect{ID: Name(), Will: &Will{}}.Bytes(), "\x81\x82\x90"},
		{"will topic not UTF-8", Connect{ID: Name(), Will: &Will{Topic: "\xff"}}.Bytes(), malformed},
		{"client id not UTF-8", Connect{ID: "\xff"}.Bytes(), malformed},
		{"client id with U+0000", Connect{ID: "a\x00"}.Bytes(), malformed},
		{"user name not UTF-8", Connect{ID: Name(), User: "\xff"}.Bytes(), malformed},
		{"bytes left over", Connect{ID: Name(), AfterFields: []byte{1}}.Bytes(), malformed},
		{"flags of the packet", append([]byte{0x11}, Connect{ID: Name()}.Bytes()[1:]...), malformed},
		{"session expiry twice", with(twice(Prop(PSessionExpiry, U32(1)))), protocol},
		{"receive maximum 0", with(Prop(PReceiveMaximum, U16(0))), protocol},
		{"receive maximum twice", with(twice(Prop(PReceiveMaximum, U16(1)))), protocol},
		{"maximum packet size 0", with(Prop(PMaximumPacketSize, U32(0))), protocol},
		{"maximum packet size twice", with(twice(Prop(PMaximumPacketSize, U32(100)))), protocol},
		{"alias maximum twice", with(twice(Prop(PTopicAliasMaximum, U16(1)))), protocol},
		{"response information 2", with(PropByte(PRequestResponseInfo, 2)), protocol},
		{"response information twice", with(twice(PropByte(PRequestResponseInfo, 1))), protocol},
		{"problem information 2", with(PropByte(PRequestProblemInfo, 2)), protocol},
		{"problem information twice", with(twice(PropByte(PRequestProblemInfo, 1))), protocol},
		{"authentication method twice", with(twice(Prop(PAuthMethod, Str("m")))), protocol},
		{"authentication data twice", with(Prop(PAuthMethod, Str("m")), twice(Prop(PAuthData, Str("d")))), protocol},
		{"authentication data without a method", with(Prop(PAuthData, Str("d"))), protocol},
		{"user property not UTF-8", with(UserProp("\xff", "")), malformed},
		{"unknown property", with([]byte{0x7F}), malformed},
		{"property of PUBLISH", with(alias(1)), malformed},
		{"property of CONNACK", with(PropByte(PMaximumQoS, 1)), malformed},
		{"property of a will", with(Prop(PWillDelay, U32(1))), malformed},
		{"properties cut", with([]byte{PSessionExpiry, 0}), malformed},
		{"will delay twice", will(twice(Prop(PWillDelay, U32(1)))), protocol},
		{"will payload format 2", will(PropByte(PPayloadFormat, 2)), either},
		{"will payload format twice", will(twice(PropByte(PPayloadFormat, 1))), protocol},
		{"will expiry twice", will(twice(Prop(PMessageExpiry, U32(1)))), protocol},
		{"will content type twice", will(twice(Prop(PContentType, Str("a")))), protocol},
		{"will response topic with a wildcard", will(Prop(PResponseTopic, Str("a/+"))), either},
		{"will property of CONNECT", will(Prop(PSessionExpiry, U32(1))), malformed},
		{"will alias", will(alias(1)), malformed},
		{"too large", Cat([]byte{0x10}, VarInt(256<<20-1), Str("MQTT"), []byte{5}), "\x81\x82\x95"},
		{"length of five bytes", []byte{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, either},
	}
	full := Connect{ID: "abc", User: "u", Pass: "p", Will: &Will{Topic: "w", Payload: "x", Props: [][]byte{UserProp("k", "v")}}, Props: [][]byte{UserProp("k", "v")}}
	cases = append(cases, prefixes("cut", full.Bytes())...)
	t.Run("v5", func(t *testing.T) {
		t.Parallel()
		runBadConnect(t, b, V5, cases)
	})
	for _, v := range []byte{V311, V31} {
		full.Version = v
		cases := prefixes("cut", full.Bytes())
		if v == V31 { // there, a user name and a password may be missing behind their flags
			n := len(cases)
			cases = append(append(cases[:n-6], cases[n-5:n-3]...), cases[n-2:]...)
		}
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			t.Parallel()
			runBadConnect(t, b, v, cases)
		})
	}
}

// runBadConnect wants no connection from any of the packets. A refusal may be told
// in a CONNACK, which then has the code.
func runBadConnect(t *testing.T, b *Broker, v byte, cases []badPacket) {
	t.Helper()
	h := newHealthy(t, b)
	for _, bad := range cases {
		t.Run(bad.name, func(t *testing.T) {
			c := Dial(t, b.TCP)
			c.Version = v
			c.Send(bad.p)
			ps := c.ExpectClosed()
			if len(ps) > 1 || len(ps) == 1 && (ps[0].Type != CONNACK || strings.IndexByte(bad.codes, ps[0].Code) < 0) || v != V5 && len(ps) > 0 {
				t.Errorf("got %v, want the end, after a CONNACK with one of % x or none", ps, bad.codes)
			}
		})
		h.check(t)
	}
}
