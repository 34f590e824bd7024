package cluster

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// qos2FromMovingPublisher: a publish that was sent to one node and is finished on
// others arrives once, wherever its subscribers are.
func qos2FromMovingPublisher(t *testing.T, c *cluster) {
	for _, v := range versions {
		id, topic := Name(), Name()
		var all []*Client
		for _, n := range c.nodes {
			k := n.Client(t, v)
			k.Subscribe(topic, 2)
			all = append(all, k)
		}
		m := Publish{Topic: topic, QoS: 2, ID: 9, Payload: "once"}
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Send(m.Bytes(v))
		k.Expect(PUBREC)
		k.Drop()
		m.Dup = true
		k = resumed(t, c.nodes[1], v, id)
		k.Send(m.Bytes(v))
		k.Expect(PUBREC)
		k.Send(Ack(PUBREL, m.ID, 0)) // and the answer is not read
		k.Drop()
		k = resumed(t, c.nodes[2], v, id)
		k.Send(Ack(PUBREL, m.ID, 0))
		k.Expect(PUBCOMP)
		m.Dup, m.Payload = false, "again" // the identifier is free
		k.Publish(m)
		for _, k := range all {
			k.ExpectMessage(topic, "once")
			k.ExpectMessage(topic, "again")
			k.ExpectNothing()
		}
	}
}

// qos2ToMovingSubscriber: a delivery goes on where it was on another node.
func qos2ToMovingSubscriber(t *testing.T, c *cluster) {
	for _, v := range versions {
		id, topic := Name(), Name()
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Subscribe(topic, 2)
		p := c.nodes[1].Client(t, v)
		publishes(p, topic, 2, 0, 2)
		a, b := k.Expect(PUBLISH), k.Expect(PUBLISH)
		k.Send(Ack(PUBREC, a.ID, 0))
		k.Expect(PUBREL) // its PUBCOMP is never sent on this node
		k.Drop()

		k = resumed(t, c.nodes[1], v, id)
		if rel := k.Expect(PUBREL); rel.ID != a.ID {
			t.Fatalf("%v, want that of %v", rel, a)
		}
		if again := k.Expect(PUBLISH); again.ID != b.ID || !again.Dup() {
			t.Fatalf("%v, want %v again", again, b)
		}
		k.Send(Ack(PUBREC, b.ID, 0), Ack(PUBCOMP, a.ID, 0))
		k.Expect(PUBREL)
		k.Drop()

		k = resumed(t, c.nodes[2], v, id)
		if rel := k.Expect(PUBREL); rel.ID != b.ID {
			t.Fatalf("%v, want that of %v", rel, b)
		}
		k.Send(Ack(PUBCOMP, b.ID, 0))
		k.Leave()
		resumed(t, c.nodes[0], v, id).ExpectNothing()
	}
}
