package soak

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// worker is one kind of client. What a round makes in the node is gone after it.
type worker struct {
	name  string
	round func(t testing.TB, b *Broker)
}

// workers are all kinds, each with the versions and QoS that make a difference to it.
func workers() []worker {
	var ws []worker
	add := func(name string, round func(t testing.TB, b *Broker)) { ws = append(ws, worker{name, round}) }
	for _, v := range []byte{V311, V5} {
		for q := range byte(3) {
			add(fmt.Sprintf("steady stream, version %d, QoS %d", v, q), stream(v, q))
		}
		for q := byte(1); q < 3; q++ {
			add(fmt.Sprintf("session that goes and comes, version %d, QoS %d", v, q), sessions(v, q))
		}
		add(fmt.Sprintf("will, version %d", v), will(v))
		add(fmt.Sprintf("shared group, version %d", v), sharedGroup(v))
		add(fmt.Sprintf("slow subscriber, version %d", v), slow(v))
		add(fmt.Sprintf("subscriptions, version %d", v), subscriptions(v))
		add(fmt.Sprintf("retained, version %d", v), retained(v))
	}
	add("steady stream, version 3, QoS 1", stream(V31, 1))
	add("retained that expire", expiring)
	add("delayed", delayed)
	add("take-over and nonsense", rough)
	return ws
}

// run repeats the round until ctx ends or a worker has failed.
func (w *worker) run(ctx context.Context, t testing.TB, b *Broker, rounds *atomic.Int64) {
	for ctx.Err() == nil && !t.Failed() {
		w.once(t, b)
		rounds.Add(1)
	}
}

func (w *worker) once(t testing.TB, b *Broker) {
	s := &scope{TB: t}
	defer s.end()
	w.round(s, b)
}

// scope is a test whose clean-ups run at the end of a round: those of an hour's
// connections would be kept until the end of the test.
type scope struct {
	testing.TB
	cleanups []func()
}

// Cleanup implements testing.TB.
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}

// inFlight is how many publishes are sent before the first answer is read.
const inFlight = 50

// publish sends payloads from, from+1 … together and runs the flow of their QoS to
// its end. The client must have no subscription.
func publish(t testing.TB, c *Client, topic string, q byte, from, count int) {
	var frames []byte
	for i := range count {
		frames = append(frames, Publish{Topic: topic, Payload: strconv.Itoa(from + i), QoS: q, ID: i + 1}.Bytes(c.Version)...)
	}
	c.Send(frames)
	switch q {
	case 0:
		c.Barrier()
	case 1:
		acks(t, c, PUBACK, count)
	case 2:
		acks(t, c, PUBREC, count)
		frames = frames[:0]
		for i := range count {
			frames = append(frames, Ack(PUBREL, i+1, 0)...)
		}
		c.Send(frames)
		acks(t, c, PUBCOMP, count)
	}
}

// acks wants the acknowledgements in the order of the packets.
func acks(t testing.TB, c *Client, kind byte, count int) {
	for i := range count {
		if p := c.Expect(kind); p.ID != i+1 {
			t.Fatalf("got %v, want id %d", p, i+1)
		}
	}
}

// stream is a publisher and a subscriber that stay for many batches: everything
// arrives once and in order.
func stream(v, q byte) func(testing.TB, *Broker) {
	const batches = 200
	return func(t testing.TB, b *Broker) {
		topic := Name()
		sub, pub := b.Client(t, v), b.Client(t, v)
		sub.Subscribe(topic, q)
		r := reader{t: t, q: q, open: make(map[int]bool)}
		for i := range batches {
			publish(t, pub, topic, q, i*inFlight, inFlight)
			r.until(sub, (i+1)*inFlight)
		}
		sub.ExpectNothing()
		sub.Leave()
		pub.Leave()
	}
}
