package conformance

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestRetained(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	// kept reads the retained message of a topic through a new subscription.
	kept := func(t *testing.T, v byte, topic string) (Packet, bool) {
		t.Helper()
		c := b.Client(t, v)
		c.Subscribe(topic, 2)
		c.Barrier()
		c.Send(Ping())
		p := c.Next()
		return p, p.Type == PUBLISH
	}

	each(t, "MQTT-3.3.1-5 3.1.1/MQTT-3.3.1-5 3.1.1/MQTT-3.3.1-6 3.1.1/MQTT-3.3.1-8", func(t *testing.T, v byte) {
		pub, topic := b.Client(t, v), Name()
		for i, q := range []byte{1, 2, 0, 2} {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: q, Retain: true})
			p, ok := kept(t, v, topic)
			if !ok || !p.Retain() || p.Payload != fmt.Sprint(i) || p.QoS() != q {
				t.Errorf("got %v, want %d with QoS %d and RETAIN", p, i, q)
			}
		}
	})

	each(t, "3.1.1/MQTT-3.3.1-7", func(t *testing.T, v byte) {
		pub, topic := b.Client(t, v), Name()
		pub.Publish(Publish{Topic: topic, Payload: "old", QoS: 1, Retain: true})
		pub.Publish(Publish{Topic: topic, Payload: "new", Retain: true})
		if p, ok := kept(t, v, topic); ok && p.Payload != "new" {
			t.Errorf("got %v, the older message should be gone", p)
		}
	})

	each(t, "MQTT-3.3.1-6 MQTT-3.3.1-7 3.1.1/MQTT-3.3.1-10 3.1.1/MQTT-3.3.1-11", func(t *testing.T, v byte) {
		for q := byte(0); q <= 2; q++ {
			pub, topic := b.Client(t, v), Name()
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 1, Retain: true})
			sub := b.Client(t, v)
			sub.Subscribe(topic, 1)
			sub.ExpectMessage(topic, "x")
			pub.Publish(Publish{Topic: topic, QoS: q, Retain: true})
			if p := sub.ExpectMessage(topic, ""); p.Retain() {
				t.Errorf("got %v, want RETAIN 0", p)
			}
			if p, ok := kept(t, v, topic); ok {
				t.Errorf("got %v, want nothing retained", p)
			}
		}
	})

	each(t, "MQTT-3.3.1-8 3.1.1/MQTT-3.3.1-12", func(t *testing.T, v byte) {
		pub, topic := b.Client(t, v), Name()
		pub.Publish(Publish{Topic: topic, Payload: "passing"})
		if p, ok := kept(t, v, topic); ok {
			t.Errorf("got %v, want nothing retained", p)
		}
		pub.Publish(Publish{Topic: topic, Payload: "kept", Retain: true})
		pub.Publish(Publish{Topic: topic, Payload: "passing"})
		pub.Publish(Publish{Topic: topic})
		if p, ok := kept(t, v, topic); !ok || p.Payload != "kept" {
			t.Errorf("got %v, want the retained message", p)
		}
	})

	statement(t, "MQTT-3.3.1-9", func(t *testing.T) {
		base := Name()
		pub := b.Client(t, V5)
		for i := range 20 {
			pub.Publish(Publish{Topic: fmt.Sprintf("%s/%d", base, i), Payload: "x", Retain: true})
		}
		c := b.Client(t, V5)
		for range 2 { // each time, also when the subscription exists
			c.Subscribe(base+"/+", 0)
			seen := map[string]bool{}
			for range 20 {
				seen[c.Receive().Topic] = true
			}
			if len(seen) != 20 {
				t.Errorf("got %d topics, want 20", len(seen))
			}
			c.ExpectNothing()
		}
	})

	statement(t, "MQTT-3.3.1-10", func(t *testing.T) {
		topic := Name()
		c := b.Client(t, V5)
		c.Publish(Publish{Topic: topic, Payload: "x", Retain: true})
		c.Subscribe(topic, RetainIfNew)
		c.ExpectMessage(topic, "x")
		c.Subscribe(topic, RetainIfNew|1)
		c.ExpectNothing()
		c.Unsubscribe(topic)
		c.Subscribe(topic, RetainIfNew)
		c.ExpectMessage(topic, "x")
	})

	statement(t, "MQTT-3.3.1-11", func(t *testing.T) {
		topic := Name()
		c := b.Client(t, V5)
		c.Publish(Publish{Topic: topic, Payload: "x", Retain: true})
		c.Subscribe(topic, RetainNever)
		c.Subscribe(topic, RetainNever)
		c.ExpectNothing()
	})

	each(t, "MQTT-3.3.1-12 3.1.1/MQTT-3.3.1-9", func(t *testing.T, v byte) {
		sub, pub, topic := pair(t, b, v, 2)
		for q := byte(0); q <= 2; q++ {
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: q, Retain: true})
			if p := sub.ExpectMessage(topic, "x"); p.Retain() {
				t.Errorf("got %v, want RETAIN 0", p)
			}
		}
	})

	statement(t, "MQTT-3.3.1-13", func(t *testing.T) {
		sub, pub, topic := pair(t, b, V5, 2|RetainAsPublished)
		for q := byte(0); q <= 2; q++ {
			for _, retain := range []bool{true, false} {
				pub.Publish(Publish{Topic: topic, Payload: "x", QoS: q, Retain: retain})
				if p := sub.ExpectMessage(topic, "x"); p.Retain() != retain {
					t.Errorf("got %v, want RETAIN %v", p, retain)
				}
			}
		}
	})

	each(t, "3.1.1/MQTT-3.1.2-7", func(t *testing.T, v byte) {
		topic := Name()
		c := b.Client(t, v)
		c.Publish(Publish{Topic: topic, Payload: "x", Retain: true})
		c.Leave()
		if p, ok := kept(t, v, topic); !ok || p.Payload != "x" {
			t.Errorf("got %v, want the retained message", p)
		}
	})

	statement(t, "MQTT-3.3.2-6", func(t *testing.T) {
		id, topic, kept := Name(), Name(), Name()
		c := b.Connect(t, persistent(V5, id))
		c.Subscribe(topic, 1)
		c.Drop()
		expiry := [][]byte{Prop(PMessageExpiry, U32(100))}
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 1, Props: expiry})
		pub.Publish(Publish{Topic: kept, Payload: "x", Retain: true, Props: expiry})
		wait(t, b, Name(), 2)
		c = b.Connect(t, persistent(V5, id))
		c.Subscribe(kept, 0)
		for range 2 {
			if p := c.Receive(); p.Props.Num(PMessageExpiry, 0) > 98 || p.Props.Num(PMessageExpiry, 0) < 50 {
				t.Errorf("got %v, want an expiry interval of 98 or somewhat less", p)
			}
		}
	})

	statement(t, "MQTT-3.3.2-5", func(t *testing.T) {
		id, topic, kept := Name(), Name(), Name()
		c := b.Connect(t, persistent(V5, id))
		c.Subscribe(topic, 1)
		c.Drop()
		expiry := [][]byte{Prop(PMessageExpiry, U32(1))}
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: topic, Payload: "dies", QoS: 1, Props: expiry})
		pub.Publish(Publish{Topic: topic, Payload: "lives", QoS: 1})
		pub.Publish(Publish{Topic: kept, Payload: "dies", Retain: true, Props: expiry})
		wait(t, b, Name(), 2)
		c = b.Connect(t, persistent(V5, id))
		c.ExpectMessage(topic, "lives")
		c.Subscribe(kept, 0)
		c.ExpectNothing()
	})
}
