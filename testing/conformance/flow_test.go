package conformance

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestFlow(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	statement(t, "MQTT-3.3.4-9 MQTT-4.9.0-1 MQTT-4.9.0-2", func(t *testing.T) {
		for _, window := range []int{1, 5} {
			topic := Name()
			sub := b.Connect(t, Connect{Props: [][]byte{Prop(PReceiveMaximum, U16(window))}})
			sub.Subscribe(topic, 2)
			pub := b.Client(t, V5)
			const n = 20
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
			}
			var open []Packet
			next := 0
			for next < n || len(open) > 0 {
				for next < n && len(open) < window {
					p := sub.Expect(PUBLISH)
					if p.Payload != fmt.Sprint(next) {
						t.Fatalf("got %v, want %d", p, next)
					}
					open = append(open, p)
					next++
				}
				sub.ExpectNothing() // the window is full, or nothing is left
				p := open[0]
				open = open[1:]
				if p.QoS() == 1 {
					sub.Send(Ack(PUBACK, p.ID, 0))
					continue
				}
				sub.Send(Ack(PUBREC, p.ID, 0))
				if rel := sub.Expect(PUBREL); rel.ID != p.ID {
					t.Fatalf("got %v", rel)
				}
				sub.ExpectNothing() // PUBREC gives no room
				sub.Send(Ack(PUBCOMP, p.ID, 0))
			}
		}
	})

	statement(t, "MQTT-3.3.4-10 MQTT-4.9.0-3", func(t *testing.T) {
		topic := Name()
		sub := b.Connect(t, Connect{Props: [][]byte{Prop(PReceiveMaximum, U16(1))}})
		sub.Subscribe(topic, 1)
		pub := b.Client(t, V5)
		for range 3 {
			pub.Publish(Publish{Topic: topic, Payload: "held", QoS: 1})
		}
		sub.Expect(PUBLISH)
		other := Name()
		sub.Subscribe(other, 0)
		sub.Publish(Publish{Topic: other, Payload: "q0", QoS: 2}) // answered, and QoS 0 is not held back
		sub.ExpectMessage(other, "q0")
		sub.Unsubscribe(other)
		sub.ExpectNothing()
	})

	statement(t, "MQTT-3.1.2-24 MQTT-3.1.2-25", func(t *testing.T) {
		topic := Name()
		const most = 100
		id := Name()
		o := persistent(V5, id)
		o.Props = append(o.Props, Prop(PMaximumPacketSize, U32(most)), Prop(PReceiveMaximum, U16(1)))
		sub := b.Connect(t, o)
		sub.Subscribe(topic, 2)
		pub := b.Client(t, V5)
		small := strings.Repeat("x", 20)
		for q := byte(0); q <= 2; q++ {
			pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("y", most), QoS: q})
			pub.Publish(Publish{Topic: topic, Payload: "z", QoS: q, Props: [][]byte{UserProp("k", strings.Repeat("v", most))}})
			pub.Publish(Publish{Topic: topic, Payload: small, QoS: q})
			if p := sub.ExpectMessage(topic, small); p.Size > most {
				t.Errorf("a packet of %d bytes", p.Size)
			}
		}
		// Exactly the maximum passes, one byte more does not.
		head := len(Publish{Topic: topic}.Bytes(V5))
		pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("y", most-head+1)})
		pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("x", most-head)})
		if p := sub.ExpectMessage(topic, strings.Repeat("x", most-head)); p.Size != most {
			t.Errorf("a packet of %d bytes, want %d", p.Size, most)
		}
		// A retained message that is too large, and one that waited.
		pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("y", most), Retain: true})
		sub.Subscribe(topic, 2)
		sub.ExpectNothing()
		sub.Drop()
		pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("y", most), QoS: 1})
		pub.Publish(Publish{Topic: topic, Payload: small, QoS: 1})
		sub = b.Connect(t, o)
		sub.ExpectMessage(topic, small)
		sub.ExpectNothing()
	})

	statement(t, "MQTT-3.2.2-19 MQTT-3.2.2-20 MQTT-3.4.2-2 MQTT-3.4.2-3 MQTT-3.5.2-2 MQTT-3.5.2-3 MQTT-3.7.2-2 MQTT-3.7.2-3 "+
		"MQTT-3.9.2-1 MQTT-3.9.2-2 MQTT-3.11.2-1 MQTT-3.11.2-2 MQTT-3.14.2-3 MQTT-3.14.2-4 MQTT-3.6.2-2 MQTT-3.6.2-3", func(t *testing.T) {
		// As much as the CONNACK needs, and no more.
		c, connack := b.TryConnect(t, Connect{})
		c.Leave()
		most := connack.Size
		limit := [][]byte{Prop(PMaximumPacketSize, U32(most))}
		small := func(p Packet) {
			if p.Size > most {
				t.Errorf("%v has %d bytes, want at most %d", p, p.Size, most)
			}
		}
		c = Dial(t, b.TCP)
		c.Send(Connect{ID: Name(), Props: append(limit, Prop(PAuthMethod, Str(strings.Repeat("unknown", 10))))}.Bytes())
		for _, p := range c.ExpectClosed() {
			small(p)
		}
		c = b.Connect(t, Connect{Props: limit})
		ack := []struct {
			send []byte
			want byte
		}{
			{Publish{Topic: Name(), QoS: 1, ID: 1}.Bytes(V5), PUBACK},
			{Publish{Topic: Name(), QoS: 2, ID: 1}.Bytes(V5), PUBREC},
			{Ack(PUBREL, 1, 0), PUBCOMP},
			{Ack(PUBREL, 9, 0), PUBCOMP},
			{Ack(PUBREC, 9, 0), PUBREL},
			{Subscribe(V5, 1, nil, To("a/b#", 0)), SUBACK},
			{Unsubscribe(V5, 1, Name()), UNSUBACK},
		}
		for _, a := range ack {
			c.Send(a.send)
			small(c.Expect(a.want))
		}
		c.Send(Publish{Topic: "a", QoS: 3}.Bytes(V5))
		for _, p := range c.ExpectClosed() {
			small(p)
		}
	})

	statement(t, "MQTT-3.1.2-29", func(t *testing.T) {
		topic := Name()
		c := b.Connect(t, Connect{Props: [][]byte{PropByte(PRequestProblemInfo, 0)}})
		quiet := func(p Packet) {
			if p.Props.Has(PReasonString) || p.Props.Has(PUserProperty) {
				t.Errorf("got %v, want neither reason string nor user properties", p)
			}
		}
		quiet(c.Publish(Publish{Topic: topic, QoS: 1}))
		quiet(c.Publish(Publish{Topic: topic, QoS: 2}))
		quiet(c.Unsubscribe(topic))
		c.Send(Ack(PUBREL, 99, 0))
		quiet(c.Expect(PUBCOMP))
		c.Send(Ack(PUBREC, 99, 0))
		quiet(c.Expect(PUBREL))
		// A PUBLISH keeps what its publisher gave it.
		c.Subscribe(topic, 0)
		b.Client(t, V5).Publish(Publish{Topic: topic, Payload: "x", Props: [][]byte{UserProp("k", "v")}})
		if p := c.ExpectMessage(topic, "x"); len(p.Props.All(PUserProperty)) != 1 {
			t.Errorf("got %v, want the publisher's user property", p)
		}
	})

	t.Run("a maximum packet size too small for CONNACK", func(t *testing.T) {
		t.Parallel()
		for _, most := range []int{1, 4, 8} {
			c := Dial(t, b.TCP)
			c.Send(Connect{ID: Name(), Props: [][]byte{Prop(PMaximumPacketSize, U32(most))}}.Bytes(), Ping())
			for _, p := range c.ExpectClosed() { // it cannot be served
				if p.Size > most {
					t.Errorf("%v has %d bytes, want at most %d", p, p.Size, most)
				}
			}
		}
	})

	t.Run("receive maximum exceeded", func(t *testing.T) {
		t.Parallel()
		c, ack := b.TryConnect(t, Connect{})
		most := ack.Props.Num(PReceiveMaximum, 65535)
		if most > 20000 {
			t.Skipf("the broker takes %d at a time", most)
		}
		var all []byte
		for i := range most + 1 { // QoS 2 without PUBREL stays open
			all = append(all, Publish{Topic: "x", QoS: 2, ID: i + 1}.Bytes(V5)...)
		}
		c.Send(all)
		refusedWith(t, c, "\x93")
	})
}
