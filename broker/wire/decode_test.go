package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Frames that stop or mislead mochi's decoders.
func TestTraps(t *testing.T) {
	testRefusals(t, []refusal{
		{"SUBSCRIBE without options", 5, "82 0001 00 0001'a'", 0x81},
		{"SUBSCRIBE with an empty filter and a cut one", 4, "82 0001 0000 01 61", 0x81},
		{"AUTH without a body", 5, "f0", 0x82},
		{"AUTH without a property length", 5, "f0 18", 0x81},
		{"CONNECT without a body", 0, "10", 0x81},
	})
	for version := byte(3); version <= 5; version++ {
		h, body, n, err := Next(unhex(t, "82 06 00 01 00 00 01 61"), 0)
		if n != 8 || err != nil {
			t.Fatalf("Next: %d, %v", n, err)
		}
		_, err = Decode(version, h, body)
		refused(t, err, 0x81)
	}
	pk, err := decodeBody(t, 5, "e0 04")
	if err != nil || pk.ReasonCode != CodeDisconnectWithWill {
		t.Errorf("[MQTT-3.14.2-1] DISCONNECT 0x04 in its short form: %+v, %v", pk, err)
	}
}

func TestRefuseAcks(t *testing.T) {
	tests := []refusal{
		{"[MQTT-2.2.1-3] identifier 0", 4, "40 0000", 0x82},
		{"identifier cut off", 5, "40 00", 0x81},
		{"no identifier", 4, "70", 0x81},
		{"3.1.1 with a reason code", 4, "40 0001 00", 0x81},
		{"[MQTT-3.4.2-1] reason code that PUBACK has not", 5, "40 0001 92", 0x82},
		{"[MQTT-3.5.2-1] reason code that PUBREC has not", 5, "50 0001 01", 0x82},
		{"[MQTT-3.6.2-1] reason code that PUBREL has not", 5, "62 0001 80", 0x82},
		{"[MQTT-3.7.2-1] reason code that PUBCOMP has not", 5, "70 0001 10", 0x82},
		{"property length beyond the packet", 5, "40 0001 00 01", 0x81},
		{"property of another packet", 5, "40 0001 00 05 02 00000001", 0x81},
		{"bytes left over", 5, "40 0001 00 00 00", 0x81},
		{"3.4.2.2.2 reason string twice", 5, "40 0001 80 08 1f 0001'a' 1f 0001'b'", 0x82},
		{"[MQTT-1.5.4-1] reason string not UTF-8", 5, "40 0001 80 04 1f 0001 ff", 0x81},
		{"[MQTT-2.1.3-1] PUBREL without its flag", 5, "60 0001", 0x81},
		{"3.1.1 PUBREL with DUP", 4, "6a 0001", 0x81},
	}
	testRefusals(t, tests)
	for _, tt := range tests {
		b := unhex(t, tt.frame)
		_, _, err := DecodeAck(tt.version, b[0], b[1:])
		refused(t, err, tt.code)
	}
	_, _, err := DecodeAck(4, 0x82, unhex(t, "0001"))
	refused(t, err, 0x82)
}

func TestDecodeAck(t *testing.T) {
	for _, tt := range []struct {
		version byte
		frame   string
		reason  byte
	}{
		{4, "40 1234", 0}, {3, "6a 1234", 0}, {5, "40 1234", 0}, {5, "50 1234 00", 0}, {5, "40 1234 10 00", 0x10},
		{5, "62 1234 92", 0x92}, {5, "70 1234 92 04 1f 0001'r'", 0x92},
		{5, "40 1234 80 0b 26 0001'k' 0001'v' 1f 0001'r'", 0x80},
	} {
		b := unhex(t, tt.frame)
		id, reason, err := DecodeAck(tt.version, b[0], b[1:])
		if id != 0x1234 || reason != tt.reason || err != nil {
			t.Errorf("%s: %04x, 0x%02X, %v", tt.frame, id, reason, err)
		}
		pk, err := Decode(tt.version, b[0], b[1:])
		if err != nil || pk.PacketID != id || pk.ReasonCode != reason {
			t.Errorf("%s: Decode says %+v, %v", tt.frame, pk, err)
		}
	}
	b := unhex(t, "40 0001 00 00")
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := DecodeAck(5, b[0], b[1:]); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRefuseSubscribe(t *testing.T) {
	testRefusals(t, []refusal{
		{"[MQTT-2.2.1-3] identifier 0", 4, "82 0000 0001'a' 00", 0x82},
		{"[MQTT-3.8.3-2] no filter, 3.1.1", 4, "82 0001", 0x82},
		{"[MQTT-3.8.3-2] no filter, 5", 5, "82 0001 00", 0x82},
		{"[MQTT-4.7.3-1] empty filter", 5, "82 0001 00 0000 00", 0x81},
		{"[MQTT-3.8.3-1] filter not UTF-8", 4, "82 0001 0001 ff 00", 0x81},
		{"[MQTT-4.7.3-2] filter with U+0000", 4, "82 0001 0001 00 00", 0x81},
		{"filter cut off", 4, "82 0001 0002'a'", 0x81},
		{"second filter without options", 4, "82 0001 0001'a' 00 0001'b'", 0x81},
		{"3.1.1 QoS 3", 4, "82 0001 0001'a' 03", 0x81},
		{"3.1.1 reserved bits", 4, "82 0001 0001'a' 04", 0x81},
		{"3.1 QoS 3", 3, "82 0001 0001'a' 03", 0x81},
		{"3.8.3.1 QoS 3", 5, "82 0001 00 0001'a' 03", 0x82},
		{"3.8.3.1 Retain Handling 3", 5, "82 0001 00 0001'a' 30", 0x82},
		{"[MQTT-3.8.3-5] reserved bit 6", 5, "82 0001 00 0001'a' 40", 0x81},
		{"[MQTT-3.8.3-5] reserved bit 7", 5, "82 0001 00 0001'a' 80", 0x81},
		{"[MQTT-3.8.3-4] No Local on a shared subscription", 5, "82 0001 00 000a'$share/g/t' 04", 0x82},
		{"3.8.2.1.2 subscription identifier 0", 5, "82 0001 02 0b00 0001'a' 00", 0x82},
		{"3.8.2.1.2 subscription identifier twice", 5, "82 0001 04 0b01 0b01 0001'a' 00", 0x82},
		{"[MQTT-1.5.5-1] subscription identifier not minimal", 5, "82 0001 03 0b8100 0001'a' 00", 0x81},
		{"subscription identifier of five bytes", 5, "82 0001 06 0b8080808001 0001'a' 00", 0x81},
		{"subscription identifier cut off by the property length", 5, "82 0001 02 0b81 0001'a' 00", 0x81},
		{"property of another packet", 5, "82 0001 04 1f0001'a' 0001'a' 00", 0x81},
		{"no property length", 5, "82 0001", 0x81},
		{"[MQTT-2.1.3-1] flags", 5, "80 0001 00 0001'a' 00", 0x81},
		{"3.1.1 with DUP", 4, "8a 0001 0001'a' 00", 0x81},

		{"[MQTT-3.10.3-2] UNSUBSCRIBE without filter, 3.1.1", 4, "a2 0001", 0x82},
		{"[MQTT-3.10.3-2] UNSUBSCRIBE without filter, 5", 5, "a2 0001 00", 0x82},
		{"[MQTT-2.2.1-3] UNSUBSCRIBE with identifier 0", 5, "a2 0000 00 0001'a'", 0x82},
		{"[MQTT-3.10.3-1] UNSUBSCRIBE, filter not UTF-8", 5, "a2 0001 00 0001 ff", 0x81},
		{"[MQTT-4.7.3-1] UNSUBSCRIBE, empty filter", 4, "a2 0001 0000", 0x81},
		{"UNSUBSCRIBE, filter cut off", 4, "a2 0001 0003'ab'", 0x81},
		{"UNSUBSCRIBE with a subscription identifier", 5, "a2 0001 02 0b01 0001'a'", 0x81},
		{"[MQTT-3.10.1-1] UNSUBSCRIBE, flags", 4, "a0 0001 0001'a'", 0x81},
	})
}

func TestSubscribe(t *testing.T) {
	pk, err := decodeBody(t, 5, "82 0102 0b 0bff7f 26 0001'k' 0002'vw' 0001'a' 2e 000a'$share/g/t' 01")
	if err != nil {
		t.Fatal(err)
	}
	want := packets.Subscriptions{
		{Filter: "a", Identifier: 16383, Qos: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
		{Filter: "$share/g/t", Identifier: 16383, Qos: 1},
	}
	if !reflect.DeepEqual(pk.Filters, want) || pk.PacketID != 0x0102 {
		t.Errorf("identifier %04x, %+v; want %+v", pk.PacketID, pk.Filters, want)
	}
	if u := pk.Properties.User; len(u) != 1 || u[0].Key != "k" || u[0].Val != "vw" {
		t.Errorf("user properties %v", u)
	}
	pk, err = decodeBody(t, 3, "8a 0001 0001'a' fe") // DUP and the unused bits of 3.1
	if want := (packets.Subscription{Filter: "a", Qos: 2}); err != nil || !reflect.DeepEqual(pk.Filters[0], want) {
		t.Errorf("3.1: %+v, %v", pk, err)
	}
}

func TestRefuseDisconnectAndAuth(t *testing.T) {
	testRefusals(t, []refusal{
		{"3.1.1 DISCONNECT with a body", 4, "e0 00", 0x81},
		{"[MQTT-3.14.1-1] DISCONNECT with flags", 5, "e1", 0x81},
		{"[MQTT-3.14.2-1] reason code that no packet has", 5, "e0 05", 0x82},
		{"[MQTT-3.14.2-1] reason code of a server", 5, "e0 8b", 0x82},
		{"3.14.2.2.2 session expiry twice", 5, "e0 00 0a 11 00000001 11 00000001", 0x82},
		{"[MQTT-3.14.2-2] server reference", 5, "e0 00 04 1c 0001's'", 0x82},
		{"DISCONNECT, bytes left over", 5, "e0 00 00 00", 0x81},
		{"DISCONNECT, properties cut off", 5, "e0 00 05 11 000000", 0x81},

		{"3.1.1 AUTH", 4, "f0", 0x81},
		{"[MQTT-3.15.1-1] AUTH with flags", 5, "f2 18 00", 0x81},
		{"[MQTT-3.15.2-1] AUTH with success", 5, "f0 00 04 15 0001'm'", 0x82},
		{"3.15.2.2.2 AUTH without a method", 5, "f0 18 00", 0x82},
		{"AUTH with data and no method", 5, "f0 18 04 16 0001'd'", 0x82},
		{"[MQTT-4.12.0-5] AUTH with an empty method", 5, "f0 18 03 15 0000", 0x82},
		{"AUTH, bytes left over", 5, "f0 18 04 15 0001'm' 00", 0x81},

		{"PINGREQ with a body", 4, "c0 00", 0x81},
		{"[MQTT-2.1.3-1] PINGREQ with flags", 5, "c1", 0x81},
	})
}

func TestDisconnectAndAuth(t *testing.T) {
	pk, err := decodeBody(t, 5, "e0")
	if err != nil || pk.ReasonCode != CodeNormalDisconnection {
		t.Errorf("empty DISCONNECT: %+v, %v", pk, err)
	}
	pk, err = decodeBody(t, 5, "e0 98 0a 11 00000000 1f 0002'ok'")
	if p := pk.Properties; err != nil || pk.ReasonCode != 0x98 || !p.SessionExpiryIntervalFlag || p.ReasonString != "ok" {
		t.Errorf("full DISCONNECT: %+v, %v", pk, err)
	}
	pk, err = decodeBody(t, 5, "f0 19 07 15 0001'm' 16 0000")
	if p := pk.Properties; err != nil || pk.ReasonCode != CodeReauthenticate || p.AuthenticationMethod != "m" ||
		p.AuthenticationData == nil || len(p.AuthenticationData) != 0 {
		t.Errorf("AUTH: %+v, %v", pk, err)
	}
	if _, err = decodeBody(t, 4, "c0"); err != nil {
		t.Errorf("PINGREQ: %v", err)
	}
	if err := CheckPing(4, 0xc0, nil); err != nil {
		t.Errorf("PINGREQ: %v", err)
	}
	refused(t, CheckPing(4, 0xc0, []byte{0}), 0x81)
	refused(t, CheckPing(5, 0xc1, nil), 0x81)
	refused(t, CheckPing(5, 0xe0, nil), 0x82)
}

// PUBLISH is read here for hooks; the hot path is message.Publish. Their verdicts are
// compared by FuzzDecode5.
func TestPublish(t *testing.T) {
	testRefusals(t, []refusal{
		{"[MQTT-3.3.2-2] topic with #", 4, "30 0001'#'", 0x82},
		{"[MQTT-3.3.2-2] topic with +", 5, "30 0003'a/+' 00", 0x82},
		{"[MQTT-4.7.3-1] empty topic", 4, "30 0000", 0x82},
		{"3.3.2.1 empty topic without alias", 5, "30 0000 00", 0x82},
		{"[MQTT-3.3.2-1] topic not UTF-8", 4, "30 0001 ff", 0x81},
		{"[MQTT-4.7.3-2] topic with U+0000", 3, "30 0001 00", 0x81},
		{"[MQTT-3.3.2-8] topic alias 0", 5, "30 0001'a' 03 230000", 0x94},
		{"[MQTT-3.3.4-6] subscription identifier", 5, "30 0001'a' 02 0b01", 0x82},
		{"[MQTT-3.3.2-14] wildcard in the response topic", 5, "30 0001'a' 04 08 0001'#'", 0x82},
	})
	_, err := DecodePublish(4, 0xc0, nil)
	refused(t, err, 0x82)
	body := unhex(t, "0000 0001 03 230007 'pay'")
	pk, err := DecodePublish(5, 0x3b, body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body) // the answer holds nothing of it
	if h := pk.FixedHeader; pk.TopicName != "" || string(pk.Payload) != "pay" || pk.Properties.TopicAlias != 7 ||
		h.Qos != 1 || !h.Dup || !h.Retain || pk.PacketID != 1 || !pk.Properties.TopicAliasFlag {
		t.Errorf("%+v", pk)
	}
}

func TestNothingOfTheInputIsKept(t *testing.T) {
	for _, s := range []string{
		"10 0004'MQTT' 05 f6 000a 05 15 0002'am' 0002'id' 08 09 0001'c' 03 0001'x' 0002'wt' 0002'wp' 0002'us' 0002'pw'",
		"82 0001 07 26 0001'k' 0001'v' 0002'fi' 00",
		"a2 0001 00 0002'fi'",
		"f0 18 09 15 0002'am' 16 0001'd'",
		"32 0002'to' 0001 05 09 0002'cd' 'payload'",
	} {
		body := unhex(t, s)
		h, body := body[0], body[1:]
		decode := func(b []byte) *packets.Packet {
			pk, err := Decode(5, h, b)
			if h == 0x10 {
				pk, err = DecodeConnect(b)
			}
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			return pk
		}
		want := decode(bytes.Clone(body))
		got := decode(body)
		clear(body)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: changed with the input:\n%+v, want\n%+v", s, got, want)
		}
	}
}
