package cluster

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// keeps is what a new subscriber is given, by topic.
func keeps(t *testing.T, n *node, filter string) map[string]string {
	t.Helper()
	k := n.Client(t, V5)
	defer k.Drop()
	k.Subscribe(filter, 0)
	got := make(map[string]string)
	k.Barrier()
	for k.Waiting() > 0 {
		p := k.Next()
		if !p.Retain() {
			t.Errorf("%s: %v, want it retained", n.name, p)
		}
		if _, twice := got[p.Topic]; twice {
			t.Errorf("%s: %s comes twice", n.name, p.Topic)
		}
		got[p.Topic] = p.Payload
	}
	return got
}

// retainedAtOnce: as soon as a retained message is acknowledged by one node, a new
// subscriber of any other has it; the same is true of its end.
func retainedAtOnce(t *testing.T, c *cluster) {
	topic := Name() + "/a/b"
	prefix := topic[:len(topic)-4]
	for i := range 12 {
		p := c.nodes[i%3].Client(t, versions[i%2])
		payload := fmt.Sprint(i)
		if i%4 == 3 {
			payload = ""
		}
		p.Publish(Publish{Topic: topic, QoS: 1 + byte(i%2), Retain: true, Payload: payload})
		p.Drop()
		for _, n := range c.nodes {
			for _, filter := range []string{topic, prefix + "/+/b", prefix + "/#"} {
				got := keeps(t, n, filter)
				if value, ok := got[topic]; ok != (payload != "") || value != payload || len(got) > 1 {
					t.Errorf("round %d, %s, %s: %v, want %q", i, n.name, filter, got, payload)
				}
			}
		}
	}
}

// manyRetained: all of a thousand are there on every node, with the last of their values.
func manyRetained(t *testing.T, c *cluster) {
	const many, values = 1000, 2
	prefix := Name()
	p := c.nodes[0].Client(t, V5)
	for v := range values {
		var b []byte
		for i := range many {
			b = append(b, Publish{Topic: fmt.Sprintf("%s/%d", prefix, i), QoS: 1, ID: i + 1, Retain: true, Payload: fmt.Sprint(v)}.Bytes(V5)...)
		}
		p.Send(b)
		for range many {
			p.ExpectCode(PUBACK, 0x10) // nobody has subscribed
		}
	}
	for _, n := range c.nodes {
		got := keeps(t, n, prefix+"/#")
		for topic, value := range got {
			if value != fmt.Sprint(values-1) {
				t.Fatalf("%s: %s is %s", n.name, topic, value)
			}
		}
		if len(got) != many {
			t.Errorf("%s has %d of %d", n.name, len(got), many)
		}
	}
}
