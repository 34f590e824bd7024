package cluster

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// withWill is a CONNECT with a will to a topic, delay seconds after the end.
func withWill(o Connect, topic string, delay int) Connect {
	o.Will = &Will{Topic: topic, Payload: "gone", QoS: 2}
	if delay > 0 {
		o.Will.Props = [][]byte{Prop(PWillDelay, U32(delay))}
	}
	return o
}

// willsEverywhere: the will of a client that is cut off reaches subscribers of all nodes
// once; that of a client that leaves does not.
func willsEverywhere(t *testing.T, c *cluster) {
	topic := Name()
	var watch []*Client
	for _, n := range c.nodes {
		k := n.Client(t, V5)
		k.Subscribe(topic+"/#", 2)
		watch = append(watch, k)
	}
	for i, v := range versions {
		c.nodes[i].Connect(t, withWill(Connect{Version: v}, topic+"/left", 0)).Leave()
		c.nodes[i].Connect(t, withWill(Connect{Version: v}, topic+"/cut", 0)).Drop()
		for _, k := range watch {
			k.ExpectMessage(topic+"/cut", "gone")
		}
	}
	for _, k := range watch {
		k.ExpectNothing()
	}
}

// willDelay: a client that comes back, to any node, is in time to cancel it; one whose
// session is ended elsewhere has its will sent at once.
func willDelay(t *testing.T, c *cluster) {
	topic := Name()
	watch := c.nodes[2].Client(t, V5)
	watch.Subscribe(topic+"/#", 2)
	id := Name()
	c.nodes[0].Connect(t, withWill(keep(V5, id), topic+"/back", 2)).Drop()
	resumed(t, c.nodes[1], V5, id).Leave()

	ended := Name()
	c.nodes[0].Connect(t, withWill(keep(V5, ended), topic+"/ended", 3600)).Drop()
	c.nodes[1].Connect(t, Connect{ID: ended}).Leave()
	watch.ExpectMessage(topic+"/ended", "gone")

	taken := Name()
	old := c.nodes[1].Connect(t, withWill(keep(V5, taken), topic+"/taken", 0))
	k := resumed(t, c.nodes[0], V5, taken)
	old.ExpectRefused(0x8E)
	watch.ExpectMessage(topic+"/taken", "gone") // as [MQTT-3.1.2-8] wants it
	k.Leave()

	late := Name()
	c.nodes[0].Connect(t, withWill(keep(V5, late), topic+"/late", 2)).Drop() // due after that of the first
	watch.ExpectMessage(topic+"/late", "gone")
	watch.ExpectNothing()
}
