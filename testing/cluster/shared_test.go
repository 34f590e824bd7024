package cluster

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// member joins a group on a node.
func (c *cluster) member(t *testing.T, n int, o Connect, filter string) *Client {
	t.Helper()
	k := c.nodes[n].Connect(t, o)
	k.Subscribe(filter, 1)
	return k
}

// until publishes numbered messages, from a node, until done: routes to members are
// told to other nodes, not agreed with them.
func (c *cluster) until(t *testing.T, n int, topic string, done func() bool) (sent int) {
	t.Helper()
	p := c.nodes[n].Client(t, V5)
	defer p.Drop()
	Poll(t, 0, func() bool {
		p.Publish(Publish{Topic: topic, QoS: 1, Payload: fmt.Sprint(sent)})
		sent++
		return done()
	})
	return sent
}

// took counts what a client has received since, and acknowledges it.
func took(k *Client) (n int) {
	k.Barrier()
	for k.Waiting() > 0 {
		k.Receive()
		n++
	}
	return n
}

// sharedRoundRobin: each message goes to one member, and members on all nodes get some.
func sharedRoundRobin(t *testing.T, c *cluster) {
	topic := Name()
	var members []*Client
	got := make([]int, 3)
	for i := range 3 {
		members = append(members, c.member(t, i, Connect{Version: versions[i%2]}, "$share/g/"+topic))
	}
	for from := range 3 {
		before := append([]int(nil), got...)
		sent := c.until(t, from, topic, func() bool {
			all := true
			for i, k := range members {
				got[i] += took(k)
				all = all && got[i] > before[i]
			}
			return all
		})
		Poll(t, 0, func() bool { // what is still on its way
			sum := 0
			for i, k := range members {
				got[i] += took(k)
				sum += got[i] - before[i]
			}
			if sum > sent {
				t.Fatalf("%d messages arrived %d times", sent, sum)
			}
			return sum == sent
		})
	}
	t.Logf("of three publishers: %v", got)
}

// sharedMemberLeaves: what members do not get any more is for those who stay, on
// whichever node, and what was not acknowledged by one that left is too.
func sharedMemberLeaves(t *testing.T, c *cluster) {
	topic := Name()
	filter := "$share/g/" + topic
	leaves := c.member(t, 0, Connect{}, filter)
	stays := c.member(t, 1, Connect{}, filter)
	sent := c.until(t, 2, topic, func() bool { leaves.Barrier(); return leaves.Waiting() > 2 })
	leaves.Drop()
	p := c.nodes[2].Client(t, V5)
	publishes(p, topic, 1, sent, sent+10)
	seen := make(map[string]bool)
	Poll(t, 0, func() bool {
		stays.Barrier()
		for stays.Waiting() > 0 {
			seen[stays.Receive().Payload] = true
		}
		return len(seen) == sent+10
	})
}

// sharedNobodyOnline: messages wait while no member is connected anywhere, and are for
// the one that comes back, also to another node.
func sharedNobodyOnline(t *testing.T, c *cluster) {
	topic, a, b := Name(), Name(), Name()
	filter := "$share/g/" + topic
	c.member(t, 0, keep(V5, a), filter).Leave()
	c.member(t, 1, keep(V311, b), filter).Leave()
	p := c.nodes[2].Client(t, V5)
	const sent = 20
	publishes(p, topic, 1, 0, sent)
	k := resumed(t, c.nodes[2], V5, a)
	seen := make(map[string]int)
	Poll(t, 0, func() bool {
		k.Barrier()
		for k.Waiting() > 0 {
			seen[k.Receive().Payload]++
		}
		return len(seen) == sent
	})
	publishes(p, topic, 1, sent, 2*sent)
	Poll(t, 0, func() bool {
		k.Barrier()
		for k.Waiting() > 0 {
			seen[k.Receive().Payload]++
		}
		return len(seen) == 2*sent
	})
	resumed(t, c.nodes[0], V311, b).ExpectNothing()
}
