package message

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// header is the first byte of a PUBLISH with the given flags.
const header = TypePublish << 4

// props5 puts the length before properties.
func props5(p ...byte) string {
	return string(AppendUvarint(nil, len(p))) + string(p)
}

func TestParseRefuses(t *testing.T) {
	const topic = "\x00\x01a"
	tests := []struct {
		name    string
		version byte
		h       byte
		body    string
		code    byte
	}{
		{"[MQTT-3.3.1-4] QoS 3", V311, header | 0x06, topic + "\x00\x01", 0x81},
		{"[MQTT-3.3.1-4] QoS 3 with DUP", V5, header | 0x0e, topic + "\x00\x01\x00", 0x81},
		{"[MQTT-3.3.1-2] DUP with QoS 0", V311, header | 0x08, topic, 0x81},
		{"[MQTT-3.3.1-2] DUP with QoS 0 and retain", V5, header | 0x09, topic + "\x00", 0x81},
		{"empty body", V311, header, "", 0x81},
		{"[MQTT-3.3.2-1] half a topic length", V311, header, "\x00", 0x81},
		{"[MQTT-3.3.2-1] topic cut off", V311, header, "\x00\x02a", 0x81},
		{"[MQTT-2.2.1-3] no packet identifier", V311, header | 0x02, topic, 0x81},
		{"[MQTT-2.2.1-3] half a packet identifier", V311, header | 0x02, topic + "\x00", 0x81},
		{"[MQTT-2.2.1-3] packet identifier 0, QoS 1", V311, header | 0x02, topic + "\x00\x00", 0x82},
		{"[MQTT-2.2.1-3] packet identifier 0, QoS 2", V5, header | 0x04, topic + "\x00\x00\x00", 0x82},
		{"[MQTT-2.2.2-1] no property length", V5, header, topic, 0x81},
		{"property length beyond the packet", V5, header, topic + "\x01", 0x81},
		{"property length cut off", V5, header, topic + "\x80", 0x81},
		{"[MQTT-1.5.5-1] property length not minimal", V5, header, topic + "\x80\x00", 0x81},
		{"1.5.5 property length of five bytes", V5, header, topic + "\x80\x80\x80\x80\x01", 0x81},
		{"unknown property", V5, header, topic + props5(0x04, 0), 0x81},
		{"property identifier of two bytes", V5, header, topic + props5(0x81, 0x00, 1), 0x81},
		{"property of CONNECT", V5, header, topic + props5(0x11, 0, 0, 0, 1), 0x81},
		{"property without a value", V5, header, topic + props5(PropPayloadFormat), 0x81},
		{"expiry interval cut off", V5, header, topic + props5(PropExpiry, 0, 0, 0), 0x81},
		{"expiry interval cut off by the property length", V5, header,
			topic + props5(PropExpiry, 0, 0, 0) + "\x01payload", 0x81},
		{"topic alias cut off", V5, header, topic + props5(PropTopicAlias, 1), 0x81},
		{"content type cut off", V5, header, topic + props5(PropContentType, 0, 2, 'a'), 0x81},
		{"correlation data cut off", V5, header, topic + props5(PropCorrelationData, 0, 2, 'a'), 0x81},
		{"user property without a value", V5, header, topic + props5(PropUser, 0, 1, 'k'), 0x81},
		{"user property with its value cut off", V5, header, topic + props5(PropUser, 0, 1, 'k', 0, 2, 'v'), 0x81},
		{"user property with its name cut off", V5, header, topic + props5(PropUser, 0, 9, 'k', 0, 0), 0x81},
		{"3.3.2.3.2 payload format 2", V5, header, topic + props5(PropPayloadFormat, 2), 0x82},
		{"3.3.2.3.2 payload format twice", V5, header,
			topic + props5(PropPayloadFormat, 1, PropPayloadFormat, 1), 0x82},
		{"3.3.2.3.3 expiry interval twice", V5, header,
			topic + props5(PropExpiry, 0, 0, 0, 1, PropExpiry, 0, 0, 0, 1), 0x82},
		{"3.3.2.3.4 topic alias twice", V5, header,
			topic + props5(PropTopicAlias, 0, 1, PropTopicAlias, 0, 1), 0x82},
		{"3.3.2.3.5 response topic twice", V5, header,
			topic + props5(PropResponseTopic, 0, 1, 'r', PropResponseTopic, 0, 1, 'r'), 0x82},
		{"3.3.2.3.6 correlation data twice", V5, header,
			topic + props5(PropCorrelationData, 0, 0, PropCorrelationData, 0, 0), 0x82},
		{"3.3.2.3.9 content type twice", V5, header,
			topic + props5(PropContentType, 0, 0, PropContentType, 0, 0), 0x82},
		{"[MQTT-3.3.2-8] topic alias 0", V5, header, topic + props5(PropTopicAlias, 0, 0), 0x94},
		{"[MQTT-3.3.4-6] subscription identifier", V5, header, topic + props5(PropSubscriptionID, 1), 0x82},
		{"[MQTT-3.3.4-6] subscription identifier cut off", V5, header, topic + props5(PropSubscriptionID), 0x82},
		{"[MQTT-3.3.2-14] response topic with #", V5, header, topic + props5(PropResponseTopic, 0, 1, '#'), 0x82},
		{"[MQTT-3.3.2-14] response topic with +", V5, header, topic + props5(PropResponseTopic, 0, 3, 'a', '/', '+'), 0x82},
		{"[MQTT-4.7.3-1] empty response topic", V5, header, topic + props5(PropResponseTopic, 0, 0), 0x82},
		{"[MQTT-3.3.2-13] response topic not UTF-8", V5, header, topic + props5(PropResponseTopic, 0, 1, 0xff), 0x81},
		{"[MQTT-1.5.4-2] response topic with U+0000", V5, header, topic + props5(PropResponseTopic, 0, 1, 0), 0x81},
		{"[MQTT-3.3.2-19] content type not UTF-8", V5, header, topic + props5(PropContentType, 0, 1, 0x80), 0x81},
		{"[MQTT-1.5.4-1] content type with a surrogate", V5, header,
			topic + props5(PropContentType, 0, 3, 0xed, 0xa0, 0x80), 0x81},
		{"[MQTT-1.5.7-1] user property name not UTF-8", V5, header,
			topic + props5(PropUser, 0, 1, 0xff, 0, 1, 'v'), 0x81},
		{"[MQTT-1.5.7-1] user property value not UTF-8", V5, header,
			topic + props5(PropUser, 0, 1, 'k', 0, 1, 0xff), 0x81},
		{"[MQTT-1.5.4-2] user property value with U+0000", V5, header,
			topic + props5(PropUser, 0, 1, 'k', 0, 1, 0), 0x81},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Publish
			err := p.Parse(tt.version, tt.h, []byte(tt.body))
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("Parse: %v, want a refusal", err)
			}
			if bad.Code != tt.code || bad.Reason() != tt.code || bad.Rule == "" {
				t.Errorf("refused with 0x%02X (%s), want 0x%02X", bad.Code, bad.Rule, tt.code)
			}
			if !strings.Contains(bad.Error(), bad.Rule) {
				t.Errorf("%q does not name the rule %q", bad.Error(), bad.Rule)
			}
		})
	}
}

func TestParse(t *testing.T) {
	all := string([]byte{
		PropPayloadFormat, 1,
		PropExpiry, 0, 1, 0, 2,
		PropTopicAlias, 0, 7,
		PropResponseTopic, 0, 1, 'r',
		PropCorrelationData, 0, 2, 0xff, 0,
		PropContentType, 0, 0,
		PropUser, 0, 1, 'k', 0, 1, 'v',
		PropUser, 0, 1, 'k', 0, 0,
	})
	tests := []struct {
		name    string
		version byte
		h       byte
		body    string
		want    Publish
	}{
		{"3.1.1, QoS 0", V311, header | FlagRetain, "\x00\x01apay",
			Publish{Topic: []byte("a"), Payload: []byte("pay"), Retain: true}},
		{"3.1, QoS 2 and DUP", V31, header | 0x0c, "\x00\x03a/b\x01\x02",
			Publish{Topic: []byte("a/b"), Payload: []byte{}, ID: 0x0102, QoS: 2, Dup: true}},
		{"5, no properties", V5, header | 0x02, "\x00\x01a\xff\xff\x00\x00",
			Publish{Topic: []byte("a"), Payload: []byte{0}, ID: 0xffff, QoS: 1}},
		{"5, empty topic is left to the connection", V5, header, "\x00\x00\x03\x23\x00\x01",
			Publish{Topic: []byte{}, Payload: []byte{}, Props: []byte("\x23\x00\x01"), Alias: 1, OneHop: true}},
		{"5, all properties", V5, header, "\x00\x01a" + props5([]byte(all)...) + "pay",
			Publish{Topic: []byte("a"), Payload: []byte("pay"), Props: []byte(all), Expiry: 0x010002,
				Alias: 7, Format: 1, HasExpiry: true, HasResponse: true, OneHop: true}},
		{"5, payload format 0 is given", V5, header, "\x00\x01a" + props5(PropPayloadFormat, 0),
			Publish{Topic: []byte("a"), Payload: []byte{}, Props: []byte{PropPayloadFormat, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Publish{Alias: 99, HasExpiry: true} // what was there does not count
			if err := p.Parse(tt.version, tt.h, []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			if !equalPublish(&p, &tt.want) {
				t.Errorf("parsed\n%+v, want\n%+v", p, tt.want)
			}
		})
	}
}

func equalPublish(a, b *Publish) bool {
	same := *a
	same.Topic, same.Payload, same.Props = b.Topic, b.Payload, b.Props
	return bytes.Equal(a.Topic, b.Topic) && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.Props, b.Props) &&
		same.ID == b.ID && same.Expiry == b.Expiry && same.Alias == b.Alias && same.QoS == b.QoS &&
		same.Format == b.Format && same.Retain == b.Retain && same.Dup == b.Dup && same.HasExpiry == b.HasExpiry &&
		same.HasResponse == b.HasResponse && same.OneHop == b.OneHop
}

func TestParseDoesNotAllocate(t *testing.T) {
	good := []byte("\x00\x01a\x00\x01" + props5(PropUser, 0, 1, 'k', 0, 1, 'v', PropResponseTopic, 0, 1, 'r') + "pay")
	bad := []byte("\x00\x01a\x00\x00")
	var p Publish
	if n := testing.AllocsPerRun(100, func() {
		if p.Parse(V5, header|0x02, good) != nil || p.Parse(V5, header|0x02, bad) == nil {
			t.Error("wrong verdict")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Topic alias and expiry belong to one hop; the rest is forwarded as it came
// [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20].
func TestAppendForwarded(t *testing.T) {
	kept := [][]byte{
		{PropUser, 0, 1, 'z', 0, 1, '1'},
		{PropPayloadFormat, 1},
		{PropUser, 0, 1, 'a', 0, 1, '2'},
		{PropCorrelationData, 0, 1, 0xff},
		{PropResponseTopic, 0, 1, 'r'},
		{PropContentType, 0, 1, 'c'},
		{PropUser, 0, 1, 'z', 0, 1, '1'},
	}
	oneHop := [][]byte{{PropTopicAlias, 0, 1}, {PropExpiry, 0, 0, 0, 9}, {PropSubscriptionID, 0x80, 0x01}}
	want := append([]byte("before"), bytes.Join(kept, nil)...)
	for at := range len(kept) + 1 {
		raw := bytes.Join(slices.Insert(slices.Clone(kept), at, oneHop...), nil)
		if got := AppendForwarded([]byte("before"), raw); !bytes.Equal(got, want) {
			t.Errorf("alias and expiry at %d: % x, want % x", at, got, want)
		}
	}
	if got := AppendForwarded(nil, bytes.Join(oneHop, nil)); len(got) != 0 {
		t.Errorf("% x is forwarded of what belongs to one hop", got)
	}
}

func TestProperty(t *testing.T) {
	raw := []byte{
		PropPayloadFormat, 1,
		PropExpiry, 0, 0, 0, 9,
		PropTopicAlias, 0, 3,
		PropContentType, 0, 0,
		PropUser, 0, 1, 'k', 0, 1, 'v',
		PropResponseTopic, 0, 2, 'r', '1',
	}
	for id, want := range map[byte][]byte{
		PropPayloadFormat: {1}, PropExpiry: {0, 0, 0, 9}, PropTopicAlias: {0, 3}, PropContentType: {},
		PropResponseTopic: []byte("r1"), PropCorrelationData: nil,
	} {
		got := Property(raw, id)
		if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("property 0x%02X: %v, want %v", id, got, want)
		}
	}
	for i := range raw { // cut anywhere: no panic, and nothing beyond the end
		Property(raw[:i], PropCorrelationData)
		UserProperties(raw[:i], func(string, string) {})
		UserProperty(raw[:i], "x")
	}
}

func TestUserProperties(t *testing.T) {
	raw := []byte{
		PropUser, 0, 1, 'k', 0, 1, '1',
		PropPayloadFormat, 1,
		PropUser, 0, 0, 0, 1, '2',
		PropUser, 0, 1, 'k', 0, 0,
	}
	var got []string
	UserProperties(raw, func(k, v string) { got = append(got, k+"="+v) })
	if want := []string{"k=1", "=2", "k="}; !slices.Equal(got, want) {
		t.Errorf("visited %q, want %q", got, want)
	}
	if v, ok := UserProperty(raw, "k"); v != "1" || !ok {
		t.Errorf("k is %q, %v; want the first", v, ok)
	}
	if v, ok := UserProperty(raw, ""); v != "2" || !ok {
		t.Errorf("the empty name is %q, %v", v, ok)
	}
	if v, ok := UserProperty(raw, "x"); v != "" || ok {
		t.Errorf("x is %q, %v", v, ok)
	}
}

func TestUvarint(t *testing.T) {
	for _, tt := range []struct {
		v int
		b string
	}{
		{0, "\x00"}, {127, "\x7f"}, {128, "\x80\x01"}, {16383, "\xff\x7f"}, {16384, "\x80\x80\x01"},
		{2097151, "\xff\xff\x7f"}, {2097152, "\x80\x80\x80\x01"}, {268435455, "\xff\xff\xff\x7f"},
	} {
		if got := AppendUvarint(nil, tt.v); string(got) != tt.b || UvarintLen(tt.v) != len(tt.b) {
			t.Errorf("[MQTT-1.5.5-1] %d is % x of length %d, want % x", tt.v, got, UvarintLen(tt.v), tt.b)
		}
		if v, n := Uvarint([]byte(tt.b + "\xff")); v != tt.v || n != len(tt.b) {
			t.Errorf("% x is %d of %d bytes, want %d", tt.b, v, n, tt.v)
		}
		if _, n := Uvarint([]byte(tt.b)[:len(tt.b)-1]); n != 0 {
			t.Errorf("% x cut short has length %d", tt.b, n)
		}
	}
	if _, n := Uvarint([]byte("\xff\xff\xff\xff")); n != -1 {
		t.Errorf("five bytes: length %d, want -1", n)
	}
}

func TestValidUTF8(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "a/ä/€/😀": true, "\ufeff": true, // [MQTT-1.5.4-3]
		"a\x00b": false, "\xff": false, "\xed\xa0\x80": false, "\xc0\x80": false, "\xe2\x82": false,
	} {
		if got := ValidUTF8([]byte(s)); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
