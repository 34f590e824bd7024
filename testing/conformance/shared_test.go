package conformance

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestShared(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	both(t, "MQTT-4.8.2-1 MQTT-4.8.2-2", func(t *testing.T, v byte) {
		for _, bad := range []string{"$share//x", "$share/g/", "$share/g", "$share/", "$share/+/x", "$share/g#/x", "$share/g+/x", "$share/#"} {
			c := b.Client(t, v)
			c.Send(Subscribe(v, 1, nil, To(bad, 0)))
			badFilter(t, c)
		}
	})

	each(t, "MQTT-4.8.2-4", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		one := b.Connect(t, persistent(v, id))
		one.Subscribe("$share/g/"+topic, 2)
		pub := b.Client(t, v)
		pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 2})
		p := one.Expect(PUBLISH)
		other := b.Client(t, v)
		other.Subscribe("$share/g/"+topic, 2)
		one.Drop()
		one = b.Connect(t, persistent(v, id))
		again := one.Expect(PUBLISH)
		if again.ID != p.ID || !again.Dup() {
			t.Errorf("got %v, want %v again", again, p)
		}
		one.Send(Ack(PUBREC, p.ID, 0))
		one.Expect(PUBREL)
		other.ExpectNothing()
	})

	statement(t, "MQTT-4.8.2-5", func(t *testing.T) {
		topic := Name()
		one := b.Client(t, V5)
		one.Subscribe("$share/g/"+topic, 2)
		b.Client(t, V5).Publish(Publish{Topic: topic, Payload: "x", QoS: 2})
		one.Expect(PUBLISH)
		other := b.Client(t, V5)
		other.Subscribe("$share/g/"+topic, 2)
		one.Leave()
		other.ExpectNothing()
	})

	statement(t, "MQTT-4.8.2-6", func(t *testing.T) {
		for q := byte(1); q <= 2; q++ {
			topic := Name()
			one := b.Client(t, V5)
			one.Subscribe("$share/g/"+topic, 2)
			b.Client(t, V5).Publish(Publish{Topic: topic, Payload: "x", QoS: q})
			p := one.Expect(PUBLISH)
			other := b.Client(t, V5)
			other.Subscribe("$share/g/"+topic, 2)
			one.Send(Ack(map[byte]byte{1: PUBACK, 2: PUBREC}[q], p.ID, 0x83))
			one.ExpectNothing()
			other.ExpectNothing()
		}
	})

	t.Run("each message to one member", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			topic := Name()
			var members []*Client
			for range 3 {
				c := b.Client(t, v)
				c.Subscribe("$share/g/"+topic+"/#", 1)
				members = append(members, c)
			}
			plain := b.Client(t, v)
			plain.Subscribe(topic+"/#", 1)
			otherGroup := b.Client(t, v)
			otherGroup.Subscribe("$share/h/"+topic+"/+", 1)
			pub := b.Client(t, v)
			const n = 30
			for i := range n {
				pub.Publish(Publish{Topic: topic + "/x", Payload: fmt.Sprint(i), QoS: 1})
			}
			for i := range n {
				plain.ExpectMessage(topic+"/x", fmt.Sprint(i))
				otherGroup.ExpectMessage(topic+"/x", fmt.Sprint(i))
			}
			seen := map[string]int{}
			for _, m := range members {
				m.Barrier()
				m.Send(Ping())
				got := 0
				for p := m.Next(); p.Type == PUBLISH; p = m.Next() {
					seen[p.Payload]++
					got++
				}
				if got == 0 {
					t.Error("a member got nothing")
				}
			}
			for i := range n {
				if seen[fmt.Sprint(i)] != 1 {
					t.Errorf("message %d reached %d members, want 1", i, seen[fmt.Sprint(i)])
				}
			}
		}
	})

	t.Run("no retained messages", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		c := b.Client(t, V5)
		c.Publish(Publish{Topic: topic, Payload: "x", Retain: true})
		c.Subscribe("$share/g/"+topic, 0)
		c.ExpectNothing()
	})

	t.Run("unsubscribe", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		c := b.Client(t, V5)
		c.Subscribe("$share/g/"+topic, 0)
		c.Subscribe("$share/h/"+topic, 0)
		c.Unsubscribe("$share/g/" + topic)
		c.Publish(Publish{Topic: topic, Payload: "x"})
		c.ExpectMessage(topic, "x")
		c.ExpectNothing()
		if p := c.Unsubscribe("$share/g/" + topic); p.Codes[0] != 0x11 {
			t.Errorf("got %v, want 0x11", p)
		}
	})
}
