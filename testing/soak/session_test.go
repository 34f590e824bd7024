package soak

import (
	"strconv"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// persistent is a CONNECT whose session outlives its connection.
func persistent(v byte, id string) Connect {
	c := Connect{Version: v, ID: id, Keep: true}
	if v == V5 {
		c.Props = [][]byte{Prop(PSessionExpiry, U32(300))}
	}
	return c
}

// sessions is a subscriber that is cut off again and again in the middle of its
// messages. What it acknowledged or not, each message arrives, in order: with QoS 2
// once, with QoS 1 another time only where its acknowledgement may have been lost.
func sessions(v, q byte) func(testing.TB, *Broker) {
	const (
		lives = 4
		count = 20
	)
	return func(t testing.TB, b *Broker) {
		id, topic := Name(), Name()
		sub, pub := b.Connect(t, persistent(v, id)), b.Client(t, v)
		sub.Subscribe(topic, q)
		r := reader{t: t, q: q, open: make(map[int]bool)}
		for life := range lives {
			publish(t, pub, topic, q, 2*life*count, count)
			r.some(sub, count/3)
			sub.Drop()
			r.cut = true
			publish(t, pub, topic, q, (2*life+1)*count, count)
			var ack Packet
			sub, ack = b.TryConnect(t, persistent(v, id))
			if ack.Code != 0 || !ack.Present {
				t.Fatalf("got %v, want the session", ack)
			}
			r.until(sub, 2*(life+1)*count)
		}
		sub.ExpectNothing()
		sub.Leave()
		b.Connect(t, Connect{Version: v, ID: id}).Leave() // ends the session
		pub.Leave()
	}
}

// reader is the receiving side of a subscription, over all connections of its session.
type reader struct {
	t    testing.TB
	q    byte
	next int          // the payload that was not had yet
	open map[int]bool // QoS 2: identifiers had, whose PUBREL did not come yet
	cut  bool         // a connection was lost, so that QoS 1 may come again
}

// some takes n messages and leaves the last one where a cut hurts most: of QoS 2
// between PUBREL and PUBCOMP, of QoS 1 unacknowledged.
func (r *reader) some(c *Client, n int) {
	first := r.next
	for r.next < first+n {
		r.one(c, c.Next())
	}
	for r.q == 1 || len(r.open) > 0 {
		p := c.Next()
		if r.q == 1 || p.Type == PUBREL {
			return // unanswered, so it comes again
		}
		r.one(c, p)
	}
}

// until takes messages until all below end were had and their flows are over.
func (r *reader) until(c *Client, end int) {
	for r.next < end || len(r.open) > 0 {
		r.one(c, c.Next())
	}
	c.Send(Ping())
	for p := c.Next(); p.Type != PINGRESP; p = c.Next() {
		r.one(c, p)
	}
}

// one takes a packet and answers it.
func (r *reader) one(c *Client, p Packet) {
	switch {
	case p.Type == PUBREL:
		delete(r.open, p.ID)
		c.Send(Ack(PUBCOMP, p.ID, 0))
	case p.Type != PUBLISH || p.QoS() != r.q:
		r.t.Fatalf("got %v", p)
	case r.q == 1:
		r.take(p)
		c.Send(Ack(PUBACK, p.ID, 0))
	case r.q == 0:
		r.take(p)
	default:
		if !r.cut || !r.open[p.ID] || !p.Dup() {
			r.take(p)
		}
		r.open[p.ID] = true
		c.Send(Ack(PUBREC, p.ID, 0))
	}
}

// take wants the next payload, or with QoS 1 one whose acknowledgement may have
// been lost with a connection.
func (r *reader) take(p Packet) {
	n, err := strconv.Atoi(p.Payload)
	switch {
	case err != nil:
		r.t.Fatalf("got %v", p)
	case n == r.next:
		r.next++
	case r.q == 1 && n < r.next && p.Dup() && r.cut:
	default:
		r.t.Fatalf("got %v, want payload %d", p, r.next)
	}
}
