package conformance

import (
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// pair is a subscriber to a new topic and a publisher.
func pair(t *testing.T, b *Broker, v byte, options byte) (sub, pub *Client, topic string) {
	t.Helper()
	topic = Name()
	sub = b.Client(t, v)
	sub.Subscribe(topic, options)
	return sub, b.Client(t, v), topic
}

func TestPublish(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	both(t, "MQTT-2.2.1-2 MQTT-3.3.1-2 MQTT-4.3.1-1 3.1.1/MQTT-2.3.1-5 3.1.1/MQTT-3.3.1-2 3.1.1/MQTT-4.3.1-1", func(t *testing.T, v byte) {
		// The reader refuses DUP at QoS 0; an identifier would show in the payload.
		sub, pub, topic := pair(t, b, v, 2)
		pub.Publish(Publish{Topic: topic, Payload: "x"})
		if p := sub.ExpectMessage(topic, "x"); p.QoS() != 0 || p.Dup() {
			t.Errorf("got %v", p)
		}
		pub.Send(Publish{Topic: topic, Payload: "x", Dup: true}.Bytes(v))
		pub.ExpectRefused(0x81)
	})

	each(t, "MQTT-3.3.1-3 3.1.1/MQTT-3.3.1-3", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		for q := byte(1); q <= 2; q++ {
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: q, Dup: true})
			if p := sub.ExpectMessage(topic, "x"); p.Dup() {
				t.Errorf("QoS %d: DUP was passed on: %v", q, p)
			}
		}
	})

	each(t, "MQTT-3.3.1-4 3.1.1/MQTT-3.3.1-4", func(t *testing.T, v byte) {
		pub := b.Client(t, v)
		pub.Send(Publish{Topic: Name(), QoS: 3, ID: 1}.Bytes(v))
		pub.ExpectRefused(0x81)
	})

	each(t, "MQTT-3.3.2-1 3.1.1/MQTT-3.3.2-1", func(t *testing.T, v byte) {
		for _, bad := range []string{"a\xff", "a\xc0\x80", "a\x00b", "\xed\xa0\x80"} {
			pub := b.Client(t, v)
			pub.Send(Publish{Topic: bad}.Bytes(v))
			pub.ExpectRefused(0x81)
		}
	})

	each(t, "MQTT-3.3.2-2 MQTT-4.7.0-1 3.1.1/MQTT-3.3.2-2 3.1.1/MQTT-4.7.1-1", func(t *testing.T, v byte) {
		for _, bad := range []string{"a/#", "#", "+", "a/+/b", "a+", "a#b"} {
			pub := b.Client(t, v)
			pub.Send(Publish{Topic: bad}.Bytes(v))
			refusedWith(t, pub, "\x81\x82\x90")
		}
	})

	each(t, "MQTT-3.3.2-3 3.1.1/MQTT-3.3.2-3", func(t *testing.T, v byte) {
		base := Name()
		sub, pub := b.Client(t, v), b.Client(t, v)
		sub.Subscribe(base+"/+/x", 0)
		for _, miss := range []string{"/a/y", "/a/b/x", "/x", "/a/x/", ""} {
			pub.Publish(Publish{Topic: base + miss})
		}
		pub.Publish(Publish{Topic: base + "/a/x", Payload: "1"})
		pub.Publish(Publish{Topic: base + "//x", Payload: "2"})
		sub.ExpectMessage(base+"/a/x", "1")
		sub.ExpectMessage(base+"//x", "2")
		sub.ExpectNothing()
	})

	statement(t, "MQTT-3.3.2-4 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.2-20", func(t *testing.T) {
		sub, pub, topic := pair(t, b, V5, 2)
		for q := byte(0); q <= 2; q++ {
			pub.Publish(Publish{Topic: topic, Payload: "ü", QoS: q, Props: [][]byte{
				PropByte(PPayloadFormat, 1), UserProp("b", "1"), Prop(PContentType, Str("text/plain")), UserProp("a", "2"),
				Prop(PResponseTopic, Str("answer/here")), UserProp("b", ""), Prop(PCorrelationData, Str("\x00\xff\x01")), UserProp("", "ä"),
			}})
			p := sub.ExpectMessage(topic, "ü")
			if p.Props.Num(PPayloadFormat, 0) != 1 || p.Props.Text(PContentType) != "text/plain" ||
				p.Props.Text(PResponseTopic) != "answer/here" || p.Props.Text(PCorrelationData) != "\x00\xff\x01" {
				t.Errorf("QoS %d: got %v", q, p)
			}
			var pairs []string
			for _, u := range p.Props.All(PUserProperty) {
				pairs = append(pairs, u.Str+"="+u.Value)
			}
			if got := strings.Join(pairs, " "); got != "b=1 a=2 b= =ä" {
				t.Errorf("QoS %d: user properties %q", q, got)
			}
		}
	})

	statement(t, "MQTT-3.3.2-13 MQTT-3.3.2-19", func(t *testing.T) {
		for _, p := range [][]byte{Prop(PResponseTopic, Str("a\xff")), Prop(PContentType, Str("a\xff")), Prop(PContentType, Str("a\x00"))} {
			pub := b.Client(t, V5)
			pub.Send(Publish{Topic: Name(), Props: [][]byte{p}}.Bytes(V5))
			pub.ExpectRefused(0x81)
		}
	})

	statement(t, "MQTT-3.3.2-14", func(t *testing.T) {
		for _, bad := range []string{"a/#", "+"} {
			pub := b.Client(t, V5)
			pub.Send(Publish{Topic: Name(), Props: [][]byte{Prop(PResponseTopic, Str(bad))}}.Bytes(V5))
			refusedWith(t, pub, "\x81\x82")
		}
	})

	each(t, "MQTT-3.3.4-1 3.1.1/MQTT-3.3.4-1", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		pub.Send(Publish{Topic: topic, Payload: "0"}.Bytes(v))
		pub.ExpectNothing() // no answer at QoS 0
		pub.Send(Publish{Topic: topic, Payload: "1", QoS: 1, ID: 7}.Bytes(v))
		if p := pub.Expect(PUBACK); p.ID != 7 {
			t.Errorf("got %v", p)
		}
		pub.Send(Publish{Topic: topic, Payload: "2", QoS: 2, ID: 9}.Bytes(v))
		if p := pub.Expect(PUBREC); p.ID != 9 {
			t.Errorf("got %v", p)
		}
		pub.Send(Ack(PUBREL, 9, 0)) // a broker may deliver at either packet
		pub.Expect(PUBCOMP)
		for _, want := range []string{"0", "1", "2"} {
			sub.ExpectMessage(topic, want)
		}
	})

	each(t, "MQTT-3.3.4-2 3.1.1/MQTT-3.3.5-1", func(t *testing.T, v byte) {
		base := Name()
		sub, pub := b.Client(t, v), b.Client(t, v)
		sub.Subscribe(base+"/#", 0)
		sub.Subscribe(base+"/a", 2)
		sub.Subscribe(base+"/+", 1)
		pub.Publish(Publish{Topic: base + "/a", Payload: "x", QoS: 2})
		var top byte
		sub.Barrier()
		sub.Send(Ping())
		for p := sub.Next(); p.Type == PUBLISH; p = sub.Next() {
			top = max(top, p.QoS())
		}
		if top != 2 {
			t.Errorf("highest QoS %d, want 2", top)
		}
	})

	statement(t, "MQTT-3.3.4-3 MQTT-3.3.4-4", func(t *testing.T) {
		base := Name()
		sub, pub := b.Client(t, V5), b.Client(t, V5)
		sub.Subscribe(base+"/#", 0, Prop(PSubscriptionID, VarInt(1)))
		sub.Subscribe(base+"/a", 1, Prop(PSubscriptionID, VarInt(268435455)))
		sub.Subscribe(base+"/+", 0)
		pub.Publish(Publish{Topic: base + "/a", Payload: "x", QoS: 1})
		got := map[int]bool{}
		sub.Barrier()
		sub.Send(Ping())
		for p := sub.Next(); p.Type == PUBLISH; p = sub.Next() {
			for _, id := range p.Props.All(PSubscriptionID) {
				got[id.Num] = true
			}
		}
		if len(got) != 2 || !got[1] || !got[268435455] {
			t.Errorf("identifiers %v, want 1 and 268435455", got)
		}
	})

	statement(t, "MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.7.2-1", func(t *testing.T) {
		// The reader refuses other codes; what a client may meet first is "nobody
		// subscribes" and an identifier that is not known.
		pub := b.Client(t, V5)
		for q := byte(1); q <= 2; q++ {
			if ack := pub.Publish(Publish{Topic: Name(), QoS: q}); ack.Code != 0x00 && ack.Code != 0x10 {
				t.Errorf("QoS %d: got %v, want success or no matching subscribers", q, ack)
			}
		}
		pub.Send(Ack(PUBREL, 99, 0))
		if p := pub.Expect(PUBCOMP); p.ID != 99 || p.Code != 0x92 && p.Code != 0 {
			t.Errorf("got %v, want PUBCOMP of 99", p)
		}
	})

	statement(t, "MQTT-3.6.2-1", func(t *testing.T) {
		sub := b.Client(t, V5)
		sub.Send(Ack(PUBREC, 77, 0)) // nothing was sent with it
		if p := sub.Expect(PUBREL); p.ID != 77 || p.Code != 0x92 && p.Code != 0 {
			t.Errorf("got %v, want PUBREL 77", p)
		}
	})
}

// refusedWith is ExpectRefused with one of several codes, where the
// specification leaves a choice.
func refusedWith(t *testing.T, c *Client, codes string) {
	t.Helper()
	ps := c.ExpectClosed()
	if c.Version != V5 {
		if len(ps) > 0 {
			t.Errorf("got %v before the end, want nothing", ps)
		}
		return
	}
	if len(ps) == 0 || ps[len(ps)-1].Type != DISCONNECT || strings.IndexByte(codes, ps[len(ps)-1].Code) < 0 {
		t.Errorf("got %v, want DISCONNECT with one of % x", ps, codes)
	}
}
