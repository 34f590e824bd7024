package conformance

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestSession(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	// resume connects and compares Session Present, which MQTT 3.1 does not have.
	resume := func(t *testing.T, o Connect, present bool) *Client {
		t.Helper()
		c, ack := b.TryConnect(t, o)
		if ack.Code != 0 || ack.Present != present && o.Version != V31 {
			t.Fatalf("got %v, session present %v; want %v", ack, ack.Present, present)
		}
		return c
	}

	each(t, "MQTT-3.1.2-4 MQTT-3.1.4-4 MQTT-3.2.2-2 3.1.1/MQTT-3.1.2-6 3.1.1/MQTT-3.1.4-3 3.1.1/MQTT-3.2.2-1", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(v, id))
		c.Subscribe(topic, 1)
		c.Drop()
		pub := b.Client(t, v)
		pub.Publish(Publish{Topic: topic, Payload: "old", QoS: 1})
		o := persistent(v, id)
		o.Keep = false
		c = resume(t, o, false)
		pub.Publish(Publish{Topic: topic, Payload: "new", QoS: 1})
		c.ExpectNothing() // neither the messages nor the subscription
	})

	each(t, "MQTT-3.1.2-5 MQTT-3.1.2-23 MQTT-3.2.2-3 MQTT-3.1.3-2 3.1.1/MQTT-3.1.2-4 3.1.1/MQTT-3.2.2-2 3.1.1/MQTT-3.1.3-2 3.1.1/MQTT-4.1.0-1", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(v, id))
		c.Subscribe(topic, 1)
		for i := range 3 {
			c.Leave()
			c = resume(t, persistent(v, id), true)
			c.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i)})
			c.ExpectMessage(topic, fmt.Sprint(i))
		}
		resume(t, persistent(v, Name()), false) // another identifier, another session
	})

	each(t, "MQTT-3.1.2-6 3.1.1/MQTT-3.2.2-3", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		c := resume(t, persistent(v, id), false)
		c.Subscribe(topic, 1)
		c.Drop()
		resume(t, persistent(v, id), true)
	})

	each(t, "3.1.1/MQTT-3.1.2-5", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(v, id))
		c.Subscribe(topic, 2)
		c.Leave()
		pub := b.Client(t, v)
		for i := range 10 {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
		}
		c = resume(t, persistent(v, id), true)
		next := map[byte]int{1: 0, 2: 1} // by QoS, each of which is in order
		for range 10 {
			p := c.Receive()
			if p.Dup() || p.Payload != fmt.Sprint(next[p.QoS()]) {
				t.Errorf("got %v, want %d, never sent before", p, next[p.QoS()])
			}
			next[p.QoS()] += 2
		}
	})

	each(t, "MQTT-4.1.0-1 3.1.1/MQTT-4.1.0-2", func(t *testing.T, v byte) {
		// A session of no length beyond its connection, which outlives the second in
		// which others end.
		topic := Name()
		c := b.Client(t, v)
		c.Subscribe(topic, 1)
		wait(t, b, Name(), 1)
		c.Publish(Publish{Topic: topic, Payload: "x", QoS: 1})
		c.ExpectMessage(topic, "x")
	})

	statement(t, "MQTT-4.1.0-2", func(t *testing.T) {
		id, topic := Name(), Name()
		watch := b.Client(t, V5)
		watch.Subscribe(topic, 0)
		o := Connect{
			ID: id, Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(1))},
			Will: &Will{Topic: topic, Payload: "ended", Props: [][]byte{Prop(PWillDelay, U32(1000))}},
		}
		c := b.Connect(t, o)
		c.Subscribe(Name(), 0)
		c.Drop()
		watch.ExpectMessage(topic, "ended")
		resume(t, persistent(V5, id), false)
		// Without an interval, or with 0, it ends with the connection.
		for _, props := range [][][]byte{nil, {Prop(PSessionExpiry, U32(0))}} {
			id := Name()
			b.Connect(t, Connect{ID: id, Keep: true, Props: props}).Leave()
			resume(t, Connect{ID: id, Keep: true, Props: props}, false)
		}
	})

	t.Run("DISCONNECT changes the expiry", func(t *testing.T) {
		t.Parallel()
		id := Name()
		c := b.Connect(t, persistent(V5, id))
		c.Leave(Disconnect(0, Prop(PSessionExpiry, U32(0))))
		c = resume(t, persistent(V5, id), false)
		c.Leave(Disconnect(0, Prop(PSessionExpiry, U32(100))))
		resume(t, persistent(V5, id), true)
	})

	t.Run("DISCONNECT cannot make a session last", func(t *testing.T) {
		t.Parallel()
		c := b.Client(t, V5)
		c.Send(Disconnect(0, Prop(PSessionExpiry, U32(100))))
		c.ExpectRefused(0x82)
	})

	t.Run("a session moves between versions", func(t *testing.T) {
		t.Parallel()
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(V311, id))
		c.Subscribe(topic, 2)
		c.Drop()
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: topic, Payload: "1", QoS: 2, Props: [][]byte{UserProp("a", "b")}})
		c = resume(t, persistent(V5, id), true)
		p := c.Expect(PUBLISH)
		if p.Payload != "1" || len(p.Props.All(PUserProperty)) != 1 {
			t.Errorf("got %v", p)
		}
		c.Drop()
		c = resume(t, persistent(V311, id), true)
		if again := c.Expect(PUBLISH); again.ID != p.ID || !again.Dup() {
			t.Errorf("got %v, want %v again", again, p)
		}
	})

	t.Run("an identifier in use by the client is free for the broker", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			sub, pub, topic := pair(t, b, v, 2)
			pub.Publish(Publish{Topic: topic, Payload: "out", QoS: 2})
			p := sub.Expect(PUBLISH)
			sub.Publish(Publish{Topic: Name(), Payload: "in", QoS: 2, ID: p.ID}) // the same number the other way
			sub.Publish(Publish{Topic: Name(), Payload: "in", QoS: 1, ID: p.ID})
			sub.Send(Ack(PUBREC, p.ID, 0))
			if rel := sub.ExpectCode(PUBREL, 0); rel.ID != p.ID {
				t.Errorf("got %v", rel)
			}
			sub.Send(Ack(PUBCOMP, p.ID, 0))
			sub.ExpectNothing()
		}
	})
}
