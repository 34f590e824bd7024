package message

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What is accepted means the same after it was encoded again, and to mochi.
func FuzzParse(f *testing.F) {
	f.Add(V311, header|0x02, []byte("\x00\x01a\x00\x01pay"))
	f.Add(V5, header, []byte("\x00\x01a"+props5(PropExpiry, 0, 0, 0, 9, PropTopicAlias, 0, 1, PropUser, 0, 1, 'k', 0, 1, 'v')+"pay"))
	f.Add(V5, header|0x04, []byte("\x00\x00\x00\x01"+props5(PropResponseTopic, 0, 1, 'r', PropCorrelationData, 0, 0, PropPayloadFormat, 1)))
	f.Fuzz(func(t *testing.T, version, h byte, body []byte) {
		version = V31 + version%3
		h = header | h&0x0f
		was := bytes.Clone(body)
		var p Publish
		if p.Parse(version, h, body) != nil {
			return
		}
		m := &Message{Topic: string(p.Topic), Payload: p.Payload, Props: AppendForwarded(nil, p.Props)}
		if p.HasExpiry {
			m.Expires = int64(p.Expiry)*1e9 + 1
		}
		form := Form{Version: version, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup, Alias: p.Alias, Now: 1}
		frame := form.Append(nil, m, p.ID)
		if len(frame) != form.Len(m) {
			t.Fatalf("Len = %d of % x", form.Len(m), frame)
		}
		h2, body2 := split(t, frame)
		var q Publish
		if err := q.Parse(version, h2, body2); err != nil {
			t.Fatalf("%v in the frame % x", err, frame)
		}
		forwarded := AppendForwarded(nil, q.Props)
		if !bytes.Equal(forwarded, m.Props) {
			t.Fatalf("properties % x, want % x", forwarded, m.Props)
		}
		q.Props = p.Props
		if h2 != h || !equalPublish(&p, &q) {
			t.Fatalf("read again as\n%+v, want\n%+v", q, p)
		}
		if !bytes.Equal(was, body) {
			t.Fatal("the input was changed")
		}
		if ValidUTF8(p.Topic) {
			sameToMochi(t, version, h, body, &p, m)
		}
	})
}

func sameToMochi(t *testing.T, version, h byte, body []byte, p *Publish, m *Message) {
	t.Helper()
	pk := &packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(h); err != nil {
		t.Fatalf("header: %v", err)
	}
	if err := pk.PublishDecode(body); err != nil {
		t.Fatalf("mochi: %v in % x", err, body)
	}
	if pk.Properties.MessageExpiryInterval != p.Expiry {
		t.Fatalf("expiry %d, to mochi %d", p.Expiry, pk.Properties.MessageExpiryInterval)
	}
	pk.Properties.MessageExpiryInterval = 0
	noExpiry := *m
	noExpiry.Expires = 0
	form := Form{Version: version, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup, Alias: p.Alias}
	if diff := compare(&form, &noExpiry, p.ID, pk); diff != "" {
		t.Fatalf("%s differs\nhere  %+v\nmochi %+v", diff, p, pk)
	}
}

// Whatever a form says, Len is what Append writes, and the frame reads back.
func FuzzForm(f *testing.F) {
	f.Add(V5, byte(1), true, false, uint16(1), true, uint32(1), "a/b", []byte("pay"), uint16(1), int64(5))
	f.Add(V311, byte(0), false, true, uint16(0), false, uint32(0), "", []byte{}, uint16(0), int64(0))
	f.Fuzz(func(t *testing.T, version, qos byte, retain, dup bool, alias uint16, known bool, sub uint32,
		name string, payload []byte, id uint16, expires int64) {
		form := Form{Version: V31 + version%3, QoS: qos % 3, Retain: retain, Dup: dup, Alias: alias, Known: known && alias != 0}
		if form.Version < V5 {
			form.Alias, form.Known = 0, false
		}
		m := &Message{Topic: name[:min(len(name), 0xffff)], Payload: payload, Expires: max(expires, 0)}
		frame := form.Append(nil, m, PacketID(max(id, 1)))
		if len(frame) != form.Len(m) {
			t.Fatalf("Len = %d of % x", form.Len(m), frame)
		}
		h, body := split(t, frame)
		var p Publish
		if err := p.Parse(form.Version, h, body); err != nil {
			t.Fatalf("%v in % x", err, frame)
		}
		if !form.Known && string(p.Topic) != m.Topic || !bytes.Equal(p.Payload, m.Payload) || p.QoS != form.QoS ||
			p.Retain != retain || p.Alias != form.Alias || p.QoS > 0 && p.ID != PacketID(max(id, 1)) {
			t.Fatalf("read back as %+v from %+v", p, form)
		}
		if sub%(1<<28) == 0 || form.Version < V5 {
			return
		}
		form.SubIDs = []uint32{sub % (1 << 28)}
		pk := decodeMochi(t, V5, form.Append(nil, &Message{Topic: "t", Payload: payload}, 1))
		if len(pk.Properties.SubscriptionIdentifier) != 1 || pk.Properties.SubscriptionIdentifier[0] != int(form.SubIDs[0]) {
			t.Fatalf("subscription identifier %v, want %d", pk.Properties.SubscriptionIdentifier, form.SubIDs)
		}
	})
}
