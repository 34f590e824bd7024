package conformance

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestQoSIn(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	each(t, "MQTT-2.2.1-5 3.1.1/MQTT-2.3.1-6", func(t *testing.T, v byte) {
		_, pub, topic := pair(t, b, v, 2)
		for _, id := range []int{1, 255, 256, 65535} {
			pub.Publish(Publish{Topic: topic, QoS: 1, ID: id})
			pub.Publish(Publish{Topic: topic, QoS: 2, ID: id})
		}
	})

	each(t, "MQTT-4.3.2-4 3.1.1/MQTT-4.3.2-2", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		sub := b.Connect(t, persistent(v, id))
		sub.Subscribe(topic, 1)
		sub.Drop()
		b.Client(t, v).Publish(Publish{Topic: topic, Payload: "x", QoS: 1})
		b.Connect(t, persistent(v, id)).ExpectMessage(topic, "x") // the broker owned it
	})

	each(t, "MQTT-4.3.2-5", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 1)
		for i := range 3 {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1, ID: 5, Dup: i > 0})
			sub.ExpectMessage(topic, fmt.Sprint(i))
		}
	})

	each(t, "MQTT-4.3.3-8 MQTT-4.3.3-10 MQTT-4.3.3-11 3.1.1/MQTT-4.3.3-2", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		for i := range 3 {
			pub.Send(Publish{Topic: topic, Payload: "x", QoS: 2, ID: 5, Dup: i > 0}.Bytes(v))
			if p := pub.ExpectCode(PUBREC, 0); p.ID != 5 {
				t.Fatalf("got %v", p)
			}
		}
		sub.ExpectMessage(topic, "x")
		pub.Send(Ack(PUBREL, 5, 0))
		if p := pub.ExpectCode(PUBCOMP, 0); p.ID != 5 {
			t.Fatalf("got %v", p)
		}
		sub.ExpectNothing()
	})

	each(t, "MQTT-4.3.3-12", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		for i := range 3 {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 2, ID: 5})
			sub.ExpectMessage(topic, fmt.Sprint(i))
		}
	})

	statement(t, "MQTT-4.3.3-13", func(t *testing.T) {
		// A message that expires while nobody wants it: the flow ends all the same.
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: Name(), Payload: "x", QoS: 2, Props: [][]byte{Prop(PMessageExpiry, U32(0))}})
		pub.Publish(Publish{Topic: Name(), Payload: "x", QoS: 2, Props: [][]byte{Prop(PMessageExpiry, U32(1))}})
	})

	each(t, "MQTT-4.5.0-1 3.1.1/MQTT-4.5.0-1", func(t *testing.T, v byte) {
		topic := Name()
		var ids []string
		for range 3 {
			id := Name()
			c := b.Connect(t, persistent(v, id))
			c.Subscribe(topic, 2)
			c.Drop()
			ids = append(ids, id)
		}
		pub := b.Client(t, v)
		pub.Publish(Publish{Topic: topic, Payload: "1", QoS: 1})
		pub.Publish(Publish{Topic: topic, Payload: "2", QoS: 2})
		for _, id := range ids {
			c := b.Connect(t, persistent(v, id))
			c.ExpectMessage(topic, "1")
			c.ExpectMessage(topic, "2")
		}
	})

	each(t, "MQTT-4.6.0-5 MQTT-4.6.0-6 3.1.1/MQTT-4.6.0-5 3.1.1/MQTT-4.6.0-6", func(t *testing.T, v byte) {
		const n = 200
		for q := byte(0); q <= 2; q++ {
			sub, pub, topic := pair(t, b, v, q)
			var all []byte
			for i := range n {
				all = append(all, Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: q, ID: i + 1}.Bytes(v)...)
				if q == 2 {
					all = append(all, Ack(PUBREL, i+1, 0)...)
				}
			}
			pub.Send(all)
			for i := range n {
				sub.ExpectMessage(topic, fmt.Sprint(i))
			}
			for i := 0; i < n && q > 0; i++ { // acknowledgements keep the order too
				p := pub.Next()
				for p.Type == PUBCOMP {
					p = pub.Next()
				}
				if p.Type != map[byte]byte{1: PUBACK, 2: PUBREC}[q] || p.ID != i+1 {
					t.Fatalf("got %v, want the acknowledgement of %d", p, i+1)
				}
			}
		}
	})
}

func TestQoSOut(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	each(t, "MQTT-2.2.1-4 MQTT-4.3.2-1 MQTT-4.3.2-2 MQTT-4.3.3-1 MQTT-4.3.3-2 3.1.1/MQTT-2.3.1-1 3.1.1/MQTT-2.3.1-4", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		used := map[int]bool{}
		for i := range 60 { // none is acknowledged
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
			p := sub.Expect(PUBLISH)
			if p.Dup() || p.ID == 0 || used[p.ID] || p.QoS() != byte(1+i%2) {
				t.Fatalf("got %v; in use %v", p, used)
			}
			used[p.ID] = true
		}
	})

	each(t, "MQTT-3.3.1-1 MQTT-4.3.2-3 MQTT-4.3.3-3 MQTT-4.4.0-1 3.1.1/MQTT-3.3.1-1 3.1.1/MQTT-4.3.2-1 3.1.1/MQTT-4.4.0-1", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		sub := b.Connect(t, persistent(v, id))
		sub.Subscribe(topic, 2)
		pub := b.Client(t, v)
		const n = 6
		sent := map[byte][]Packet{} // by QoS: the order of each is kept, not that between them
		for i := range n {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
			p := sub.Expect(PUBLISH)
			sent[p.QoS()] = append(sent[p.QoS()], p)
		}
		sub.ExpectNothing() // nothing is sent again while the connection lasts
		for range 2 {
			sub.Drop()
			sub = b.Connect(t, persistent(v, id))
			next := map[byte]int{}
			for range n {
				p := sub.Expect(PUBLISH)
				s := sent[p.QoS()][next[p.QoS()]]
				next[p.QoS()]++
				if !p.Dup() || p.ID != s.ID || p.Payload != s.Payload {
					t.Fatalf("got %v, want %v again with DUP", p, s)
				}
			}
			sub.ExpectNothing()
		}
	})

	each(t, "MQTT-4.3.3-4 MQTT-4.3.3-5 MQTT-4.3.3-6 3.1.1/MQTT-4.3.3-1", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		sub := b.Connect(t, persistent(v, id))
		sub.Subscribe(topic, 2)
		b.Client(t, v).Publish(Publish{Topic: topic, Payload: "x", QoS: 2})
		p := sub.Expect(PUBLISH)
		sub.Send(Ack(PUBREC, p.ID, 0))
		if rel := sub.ExpectCode(PUBREL, 0); rel.ID != p.ID {
			t.Fatalf("got %v", rel)
		}
		for range 2 {
			sub.Drop()
			sub = b.Connect(t, persistent(v, id))
			if rel := sub.ExpectCode(PUBREL, 0); rel.ID != p.ID {
				t.Fatalf("got %v", rel)
			}
			sub.ExpectNothing()
		}
		sub.Send(Ack(PUBCOMP, p.ID, 0))
		sub.ExpectNothing()
		sub.Drop()
		sub = b.Connect(t, persistent(v, id))
		sub.ExpectNothing()
	})

	statement(t, "MQTT-4.4.0-2", func(t *testing.T) {
		id, topic := Name(), Name()
		sub := b.Connect(t, persistent(V5, id))
		sub.Subscribe(topic, 2)
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: topic, Payload: "1", QoS: 1})
		pub.Publish(Publish{Topic: topic, Payload: "2", QoS: 2})
		sub.Send(Ack(PUBACK, sub.Expect(PUBLISH).ID, 0x80))
		sub.Send(Ack(PUBREC, sub.Expect(PUBLISH).ID, 0x97))
		sub.ExpectNothing() // no PUBREL
		sub.Drop()
		sub = b.Connect(t, persistent(V5, id))
		sub.ExpectNothing()
	})

	statement(t, "MQTT-4.3.3-7", func(t *testing.T) {
		// Sent, not acknowledged, expired: it is sent again all the same. The will of
		// another client, delayed by more than the expiry, tells that the time is over.
		id, topic, clock := Name(), Name(), Name()
		sub := b.Connect(t, persistent(V5, id))
		sub.Subscribe(topic, 2)
		b.Client(t, V5).Publish(Publish{Topic: topic, Payload: "x", QoS: 2, Props: [][]byte{Prop(PMessageExpiry, U32(1))}})
		p := sub.Expect(PUBLISH)
		sub.Drop()
		wait(t, b, clock, 2)
		sub = b.Connect(t, persistent(V5, id))
		if again := sub.Expect(PUBLISH); again.ID != p.ID || !again.Dup() {
			t.Errorf("got %v, want %v again", again, p)
		}
	})
}

// wait lets seconds pass on the broker's own clock: the delay of a will.
func wait(t *testing.T, b *Broker, topic string, seconds int) {
	t.Helper()
	watch := b.Client(t, V5)
	watch.Subscribe(topic, 0)
	c := b.Connect(t, Connect{
		Props: [][]byte{Prop(PSessionExpiry, U32(300))},
		Will:  &Will{Topic: topic, Payload: "later", Props: [][]byte{Prop(PWillDelay, U32(seconds))}},
	})
	c.Drop()
	watch.ExpectMessage(topic, "later")
}
