package cluster

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// TestTogether has everything that harms no instance: all of it at once, on one cluster.
func TestTogether(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{settings: "session: {will_grace: 200ms}"})
	for name, f := range map[string]func(*testing.T, *cluster){
		"session resumes everywhere":      resumes,
		"in flight moves":                 inFlightMoves,
		"take-over":                       takesOver,
		"subscriptions move":              subscriptionsMove,
		"retained is seen at once":        retainedAtOnce,
		"many retained":                   manyRetained,
		"QoS 0":                           qos0,
		"a new subscription gets all":     newSubscriptionGetsAll,
		"order of a moving publisher":     movingPublisher,
		"QoS 2 from a moving publisher":   qos2FromMovingPublisher,
		"QoS 2 to a moving subscriber":    qos2ToMovingSubscriber,
		"clean start":                     cleanStart,
		"session expiry":                  sessionExpiry,
		"exclusive":                       exclusive,
		"delayed":                         delayed,
		"will is sent everywhere":         willsEverywhere,
		"will delay":                      willDelay,
		"shared: round robin":             sharedRoundRobin,
		"shared: a member leaves":         sharedMemberLeaves,
		"shared: nobody online":           sharedNobodyOnline,
		"same client id at the same time": sameTime,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, c)
		})
	}
}

// versions are those that every kind of test is for.
var versions = []byte{V311, V5}

// keep is a CONNECT of a session that outlives its connection.
func keep(version byte, id string) Connect {
	c := Connect{Version: version, ID: id, Keep: true}
	if version == V5 {
		c.Props = [][]byte{Prop(PSessionExpiry, U32(3600))}
	}
	return c
}

// resumed connects again to a session that has to be there.
func resumed(t *testing.T, n *node, version byte, id string) *Client {
	t.Helper()
	k, ack := n.TryConnect(t, keep(version, id))
	if ack.Code != 0 || !ack.Present {
		t.Fatalf("%s: %v, want a session that is there", n.name, ack)
	}
	return k
}

// publishes sends numbered messages from one client.
func publishes(k *Client, topic string, qos byte, from, to int) {
	for i := from; i < to; i++ {
		k.Publish(Publish{Topic: topic, QoS: qos, Payload: fmt.Sprint(i)})
	}
}

// receives wants numbered messages, in order.
func receives(t *testing.T, k *Client, topic string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		k.ExpectMessage(topic, fmt.Sprint(i))
	}
}

// resumes: what waits for a session is there on whichever node its client connects to.
func resumes(t *testing.T, c *cluster) {
	for _, v := range versions {
		id, topic := Name(), Name()
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Subscribe(topic, 2)
		k.Leave()
		sent := 0
		for round := range 7 {
			p := c.nodes[(round+1)%3].Client(t, v)
			publishes(p, topic, 1, sent, sent+3)
			publishes(p, topic, 2, sent+3, sent+6)
			p.Leave()
			k = resumed(t, c.nodes[round%3], v, id)
			receives(t, k, topic, sent, sent+6)
			sent += 6
			k.ExpectNothing()
			if round%2 == 0 {
				k.Leave()
			} else {
				k.Drop()
			}
		}
	}
}

// inFlightMoves: what was sent and not answered is sent again by the next node, with DUP,
// its identifier and in order; what was released is released again.
func inFlightMoves(t *testing.T, c *cluster) {
	for _, v := range versions {
		id, topic := Name(), Name()
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Subscribe(topic, 2)
		p := c.nodes[1].Client(t, v)
		publishes(p, topic, 2, 0, 3)
		publishes(p, topic, 1, 3, 5)
		var got []Packet
		for range 5 {
			got = append(got, k.Expect(PUBLISH))
		}
		slices.SortFunc(got, func(a, b Packet) int { return a.ID - b.ID }) // QoS 1 and 2 may overtake each other
		k.Send(Ack(PUBREC, got[0].ID, 0))                                  // released
		k.Expect(PUBREL)
		for round := range 4 {
			k.Drop()
			k = resumed(t, c.nodes[(round+2)%3], v, id)
			if rel := k.Expect(PUBREL); rel.ID != got[0].ID {
				t.Fatalf("%v, want that of %v", rel, got[0])
			}
			for _, g := range got[1:] {
				again := k.Expect(PUBLISH)
				if again.ID != g.ID || again.Payload != g.Payload || again.QoS() != g.QoS() || !again.Dup() {
					t.Fatalf("round %d: %v, want %v with DUP", round, again, g)
				}
			}
			k.ExpectNothing()
		}
		k.Send(Ack(PUBCOMP, got[0].ID, 0))
		for _, g := range got[1:] {
			if g.QoS() == 1 {
				k.Send(Ack(PUBACK, g.ID, 0))
				continue
			}
			k.Send(Ack(PUBREC, g.ID, 0))
			k.Expect(PUBREL)
			k.Send(Ack(PUBCOMP, g.ID, 0))
		}
		k.Leave()
		resumed(t, c.nodes[0], v, id).ExpectNothing()
	}
}

// takesOver: a client id has one connection, wherever it connects; a session goes on if
// the new connection wants it.
func takesOver(t *testing.T, c *cluster) {
	for _, v := range versions {
		for _, first := range []bool{true, false} { // keeps its session
			for _, second := range []bool{true, false} {
				for _, other := range []int{0, 1} {
					name := fmt.Sprintf("MQTT %d, keeps %v then %v, node %d", v, first, second, other)
					id, topic := Name(), Name()
					connect := func(keeps bool) Connect {
						if keeps {
							return keep(v, id)
						}
						return Connect{Version: v, ID: id}
					}
					old := c.nodes[0].Connect(t, connect(first))
					old.Subscribe(topic, 1)
					k, ack := c.nodes[other].TryConnect(t, connect(second))
					if ack.Code != 0 || ack.Present != (first && second) {
						t.Errorf("%s: %v", name, ack)
					}
					old.ExpectRefused(0x8E)
					p := c.nodes[2].Client(t, v)
					p.Publish(Publish{Topic: topic, QoS: 1, Payload: "x"})
					p.Drop()
					if first && second {
						k.ExpectMessage(topic, "x")
					}
					k.ExpectNothing()
					k.Drop()
				}
			}
		}
	}
}

// subscriptionsMove: they are on the next node as they were, with options and identifiers,
// and one that was ended stays so.
func subscriptionsMove(t *testing.T, c *cluster) {
	id, topic := Name(), Name()
	k := c.nodes[0].Connect(t, keep(V5, id))
	k.Subscribe(topic+"/+/a", 1|NoLocal|RetainAsPublished, Prop(PSubscriptionID, VarInt(7)))
	k.Subscribe(topic+"/x/#", 2, Prop(PSubscriptionID, VarInt(300)))
	k.Subscribe(topic+"/gone", 1)
	k.Unsubscribe(topic + "/gone")
	k.Leave()
	k = resumed(t, c.nodes[1], V5, id)
	p := c.nodes[2].Client(t, V5)
	p.Publish(Publish{Topic: topic + "/x/a", QoS: 2, Retain: true, Payload: "both"})
	got := k.Receive()
	if ids := got.Props.All(PSubscriptionID); got.QoS() != 2 || len(ids) != 2 || ids[0].Num+ids[1].Num != 307 || !got.Retain() {
		t.Errorf("%v %v", got, got.Props)
	}
	p.Publish(Publish{Topic: topic + "/y/a", QoS: 2, Payload: "one"})
	if got := k.Receive(); got.QoS() != 1 || got.Props.Num(PSubscriptionID, 0) != 7 {
		t.Errorf("%v %v", got, got.Props)
	}
	p.Publish(Publish{Topic: topic + "/gone", QoS: 1})
	k.Publish(Publish{Topic: topic + "/z/a", QoS: 1}) // No Local
	k.ExpectNothing()
	p.Publish(Publish{Topic: topic + "/x/a", Retain: true})
}

// qos0 passes between nodes, too.
func qos0(t *testing.T, c *cluster) {
	topic := Name()
	var all []*Client
	for _, n := range c.nodes {
		k := n.Client(t, V5)
		k.Subscribe(topic, 0)
		all = append(all, k)
	}
	for i, n := range c.nodes {
		p := n.Client(t, V311)
		p.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i)})
		for _, k := range all {
			k.ExpectMessage(topic, fmt.Sprint(i))
		}
	}
}

// newSubscriptionGetsAll: from SUBACK on, what any node accepts arrives.
func newSubscriptionGetsAll(t *testing.T, c *cluster) {
	p := c.nodes[0].Client(t, V5)
	q := c.nodes[1].Client(t, V311)
	for range 20 {
		topic := Name()
		k := c.nodes[2].Client(t, V5)
		k.Subscribe(topic+"/#", 1)
		p.Publish(Publish{Topic: topic + "/p", QoS: 1, Payload: "p"})
		k.ExpectMessage(topic+"/p", "p")
		q.Publish(Publish{Topic: topic + "/q", QoS: 2, Payload: "q"})
		k.ExpectMessage(topic+"/q", "q")
		k.Leave()
	}
}

// movingPublisher: what a publisher sends through one node after the other arrives in
// order, for subscribers on each of them.
func movingPublisher(t *testing.T, c *cluster) {
	for _, v := range versions {
		topic, id := Name(), Name()
		var all []*Client
		for _, n := range c.nodes {
			k := n.Client(t, v)
			k.Subscribe(topic, 1)
			all = append(all, k)
		}
		const each = 20
		for round := range 6 {
			p := c.nodes[round%3].Connect(t, keep(v, id))
			publishes(p, topic, 1, round*each, (round+1)*each)
			p.Drop()
		}
		for _, k := range all {
			receives(t, k, topic, 0, 6*each)
			k.ExpectNothing()
		}
	}
}

// cleanStart: it ends the session wherever that is.
func cleanStart(t *testing.T, c *cluster) {
	for _, v := range versions {
		id, topic := Name(), Name()
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Subscribe(topic, 1)
		k.Leave()
		p := c.nodes[1].Client(t, v)
		publishes(p, topic, 1, 0, 3)
		k, ack := c.nodes[2].TryConnect(t, Connect{Version: v, ID: id})
		if ack.Code != 0 || ack.Present {
			t.Fatalf("%v", ack)
		}
		publishes(p, topic, 1, 3, 5)
		k.ExpectNothing()
		k.Leave()
		k, ack = c.nodes[1].TryConnect(t, keep(v, id))
		if ack.Code != 0 || ack.Present {
			t.Fatalf("%v", ack)
		}
		k.ExpectNothing()
	}
}

// sessionExpiry: a session ends in time although its node has forgotten the client, and
// a new expiry holds wherever it was set.
func sessionExpiry(t *testing.T, c *cluster) {
	id := Name()
	brief := keep(V5, id)
	brief.Props = [][]byte{Prop(PSessionExpiry, U32(1))}
	c.nodes[0].Connect(t, keep(V5, id)).Leave()
	k, ack := c.nodes[1].TryConnect(t, brief)
	if !ack.Present {
		t.Fatal(ack)
	}
	k.Leave()
	long := keep(V5, id)
	Poll(t, 0, func() bool {
		return len(c.redis.keys(t, "*{s"+base64.RawURLEncoding.EncodeToString([]byte(id))+"}*")) == 0
	})
	if k, ack = c.nodes[2].TryConnect(t, long); ack.Present {
		t.Error("the session is still there")
	}
	k.Drop()
}

// exclusive: a filter has one holder in the whole cluster.
func exclusive(t *testing.T, c *cluster) {
	topic := Name()
	filter := "$exclusive/" + topic
	refused := func(n *node) bool {
		k := n.Client(t, V5)
		defer k.Drop()
		k.Send(Subscribe(V5, 1, nil, To(filter, 1)))
		return k.Expect(SUBACK).Codes[0] == 0x97
	}
	id := Name()
	k := c.nodes[0].Connect(t, keep(V5, id))
	k.Subscribe(filter, 1)
	for _, n := range c.nodes {
		if !refused(n) {
			t.Errorf("%s: a second holder", n.name)
		}
	}
	k.Leave()
	k = resumed(t, c.nodes[1], V5, id) // and it holds still
	c.nodes[2].Client(t, V5).Publish(Publish{Topic: topic, QoS: 1, Payload: "x"})
	k.ExpectMessage(topic, "x")
	if !refused(c.nodes[0]) {
		t.Error("a second holder after the first moved")
	}
	k.Unsubscribe(filter)
	Poll(t, 0, func() bool { return !refused(c.nodes[2]) })
}

// delayed: a message is sent when it is due, wherever its subscriber is.
func delayed(t *testing.T, c *cluster) {
	topic := Name()
	k := c.nodes[1].Client(t, V5)
	k.Subscribe(topic, 1)
	c.nodes[0].Client(t, V5).Publish(Publish{Topic: "$delayed/1/" + topic, QoS: 1, Payload: "late"})
	k.ExpectNothing()
	k.ExpectMessage(topic, "late")
}

// sameTime: of connections that come at once with one client id, one remains, and the
// session is whole.
func sameTime(t *testing.T, c *cluster) {
	for round := range 5 {
		v := versions[round%2]
		id, topic := Name(), Name()
		k := c.nodes[0].Connect(t, keep(v, id))
		k.Subscribe(topic, 1)
		k.Leave()
		c.nodes[1].Client(t, v).Publish(Publish{Topic: topic, QoS: 1, Payload: "x"})
		var all []*Client
		for i := range 6 {
			k := Dial(t, c.nodes[i%3].TCP)
			k.Version, k.ID = v, id
			all = append(all, k)
			k.Send(keep(v, id).Bytes())
		}
		Poll(t, 0, func() bool {
			all = slices.DeleteFunc(all, func(k *Client) bool { return !lasts(k) })
			return len(all) <= 1
		})
		k = resumed(t, c.nodes[2], v, id)
		k.ExpectMessage(topic, "x") // nobody has acknowledged it
		k.ExpectNothing()
		k.Leave()
	}
}

// lasts reads until the connection has ended, or a PINGREQ is answered: then it lasts.
// What arrives is not acknowledged.
func lasts(k *Client) bool {
	k.Send(Ping())
	for {
		p, err := k.Try()
		if err != nil || p.Type == PINGRESP {
			return err == nil
		}
	}
}
