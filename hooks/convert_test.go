package hooks

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

// FuzzProps: properties that a client may send survive the way to hooks and back,
// and are what mochi's own decoder reads in them.
func FuzzProps(f *testing.F) {
	f.Add([]byte{}, []byte("payload"), "a/b")
	f.Add(sampleProps(), []byte{}, "a")
	f.Add([]byte{message.PropContentType, 0, 0, message.PropCorrelationData, 0, 0}, []byte("x"), "t")
	f.Add([]byte{message.PropExpiry, 0, 0, 0, 0}, []byte("x"), "t")
	f.Fuzz(func(t *testing.T, props, payload []byte, topic string) {
		m := parsed(props, payload, topic)
		if m == nil {
			return
		}
		pk := packetOf(m, message.V5)
		again, err := apply(m, &pk)
		if again != m || err != nil {
			t.Fatalf("an unchanged packet made %+v, %v", again, err)
		}
		compareWithMochi(t, &pk.Properties, m.Props)

		pk.Payload = append(pk.Payload, '!')
		pk.Properties.User = append(pk.Properties.User, packets.UserProperty{Key: "added", Val: "later"})
		changed, err := apply(m, &pk)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(changed.Payload, append(bytes.Clone(m.Payload), '!')) || changed.Topic != m.Topic || changed.Expires != m.Expires {
			t.Fatalf("changed %+v", changed)
		}
		back := packetOf(changed, message.V5)
		if !equalProps(&pk.Properties, &back.Properties) {
			t.Fatalf("properties %+v, want %+v", back.Properties, pk.Properties)
		}
		if parsed(changed.Props, nil, "t") == nil {
			t.Fatalf("properties %x cannot be sent", changed.Props)
		}
	})
}

// parsed is the message of a PUBLISH of a client, nil if it may not send it.
func parsed(props, payload []byte, topic string) *message.Message {
	if len(topic) > 65535 || len(props) > 1<<20 {
		return nil
	}
	body := binary.BigEndian.AppendUint16(nil, uint16(len(topic)))
	body = append(body, topic...)
	body = message.AppendUvarint(body, len(props))
	body = append(append(body, props...), payload...)
	var p message.Publish
	if p.Parse(message.V5, message.TypePublish<<4, body) != nil {
		return nil
	}
	m := &message.Message{Topic: topic, Payload: p.Payload, Props: message.AppendForwarded(nil, p.Props), Created: 5 * second}
	if p.HasExpiry {
		m.Expires = m.Created + int64(p.Expiry)*second
	}
	return m
}

func compareWithMochi(t *testing.T, got *packets.Properties, props []byte) {
	t.Helper()
	var want packets.Properties
	b := append(message.AppendUvarint(nil, len(props)), props...)
	want = packets.Properties{}
	if _, err := want.Decode(packets.Publish, bytes.NewBuffer(b)); err != nil {
		return // mochi refuses more, for example characters that are only discouraged
	}
	if len(want.CorrelationData) == 0 && got.CorrelationData != nil {
		want.CorrelationData = []byte{}
	}
	if !equalProps(got, &want) {
		t.Fatalf("properties %+v, mochi reads %+v", got, want)
	}
}

// TestExpiryOfNothing: an interval of 0 looks like none to hooks, and stays.
func TestExpiryOfNothing(t *testing.T) {
	m := hello()
	m.Expires = m.Created
	pk := packetOf(m, 5)
	if got, err := apply(m, &pk); got != m || err != nil {
		t.Errorf("%+v %v", got, err)
	}
	pk.Payload = nil
	if got, _ := apply(m, &pk); got.Expires != m.Expires {
		t.Errorf("expires %d", got.Expires)
	}
}

func TestLongestStrings(t *testing.T) {
	p := packets.Properties{ContentType: strings.Repeat("x", 65535), CorrelationData: make([]byte, 65535)}
	b, err := appendProps(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	var back packets.Properties
	readProps(&back, b)
	if !equalProps(&p, &back) {
		t.Error("they did not come back")
	}
}
