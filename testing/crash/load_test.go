package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

// retry is the pause of a client that cannot connect.
const retry = 5 * time.Millisecond

// errAnswer is an answer that no broker may give; that the link ends may always be.
var errAnswer = errors.New("wrong answer")

// load is all clients of a run.
type load struct {
	t    testing.TB
	n    *node
	rec  *recorder
	busy context.Context // ends when nothing new is to be made
	wg   sync.WaitGroup
}

func (l *load) spawn(f func()) { l.wg.Go(f) }

// note fails the test for what an end of the connection does not explain. A node with
// a broken store may say anything.
func (l *load) note(ctx context.Context, client string, err error) {
	if ctx.Err() == nil && !l.n.broken && (errors.Is(err, errAnswer) || TimedOut(err)) {
		l.t.Errorf("client %s: %v", client, err)
	}
}

// run starts all clients.
func (l *load) run(ctx context.Context, seed uint64) {
	stream := uint64(0)
	rng := func() *rand.Rand {
		stream++
		return rand.New(rand.NewPCG(seed, stream))
	}
	for i := range 4 {
		p := &publisher{load: l, id: fmt.Sprintf("pub%d", i), version: V311 + byte(i%2), rng: rng()}
		l.spawn(func() { p.run(ctx) })
	}
	for i := range 4 {
		s := &subscriber{
			load: l, id: fmt.Sprintf("sub%d", i), version: V311 + byte(i/2), qos: 1 + byte(i%2),
			filters: []string{"data/#", "delayed/#", "will/#"}, window: 10, rng: rng(),
		}
		l.spawn(func() { s.run(ctx) })
	}
	for i := range 6 {
		q := 1 + byte(i%2)
		s := &subscriber{
			load: l, id: fmt.Sprintf("member%d", i), version: version(rng()), qos: q, group: fmt.Sprintf("group%d", q),
			filters: []string{"data/#"}, rng: rng(),
		}
		l.spawn(func() { s.run(ctx) })
	}
	for i := range 2 {
		r := rng()
		l.spawn(func() { l.passing(ctx, fmt.Sprintf("pass%d", i), r) })
	}
	for i := range 6 {
		r := rng()
		l.spawn(func() { l.wills(ctx, fmt.Sprintf("will%d", i), i == 0, r) })
	}
	r := rng()
	l.spawn(func() { l.looks(ctx, r) })
}

func version(rng *rand.Rand) byte { return V311 + byte(rng.IntN(2)) }

// persistent is a CONNECT whose session outlives its connection.
func persistent(v byte, id string) Connect {
	c := Connect{Version: v, ID: id, Keep: true}
	if v == V5 {
		c.Props = [][]byte{Prop(PSessionExpiry, U32(3600))}
	}
	return c
}

// narrow is a CONNECT whose session, with MQTT 5, may have so many messages under way;
// what waits fills its queue.
func narrow(c Connect, window int) Connect {
	if c.Version == V5 && window > 0 {
		c.Props = append(c.Props, Prop(PReceiveMaximum, U16(window)))
	}
	return c
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// wills makes clients with a will one after the other, each of which leaves, is cut
// off, or stays until the node ends. One that returns keeps its identifier.
func (l *load) wills(ctx context.Context, name string, returns bool, rng *rand.Rand) {
	before := -1
	for n := 0; l.busy.Err() == nil && ctx.Err() == nil; n++ {
		if _, err := l.n.address(); err != nil {
			pause(ctx, retry)
			continue
		}
		id := name
		if !returns {
			id = fmt.Sprintf("%s-%d", name, n)
		}
		if before >= 0 {
			l.rec.loosen(before)
		}
		now := l.will(ctx, id, rng)
		if returns {
			before = now
		}
		pause(ctx, retry)
	}
}

// will is the life of one such client. It returns the will's number.
func (l *load) will(ctx context.Context, id string, rng *rand.Rand) int {
	c := persistent(version(rng), id)
	if rng.IntN(2) == 0 {
		c = Connect{Version: c.Version, ID: id}
	}
	m := Message{Kind: KindWill, QoS: 2, Publisher: id, Topic: "will/" + id}
	n := l.rec.sent(m)
	c.Will = &Will{Topic: m.Topic, Payload: payload(n, 0), QoS: m.QoS}
	if c.Version == V5 && rng.IntN(2) == 0 {
		c.Will.Props = [][]byte{Prop(PWillDelay, U32(1))}
	}
	k, _, err := dial(l.busy, l.n, c) // it does not outlast the load
	if err != nil {
		l.rec.loosen(n)
		return n
	}
	defer k.close()
	l.rec.acked(n)
	switch rng.IntN(4) {
	case 0:
		pause(ctx, time.Duration(rng.Int64N(int64(maxOnline))))
		l.rec.loosen(n)
		_ = k.write(Disconnect(0)) // or the end came before
	case 1:
		pause(ctx, time.Duration(rng.Int64N(int64(maxOnline))))
	default:
		_, _ = k.read(time.Time{}) // nothing comes but the end
	}
	return n
}

// looks subscribes anew, again and again, and records what is retained.
func (l *load) looks(ctx context.Context, rng *rand.Rand) {
	for n := 0; l.busy.Err() == nil && ctx.Err() == nil; n++ {
		k, _, err := dial(ctx, l.n, Connect{Version: version(rng), ID: fmt.Sprintf("look%d", n)})
		if err != nil {
			pause(ctx, retry)
			continue
		}
		l.note(ctx, "look", l.look(k))
		k.close()
		pause(ctx, time.Duration(rng.Int64N(int64(maxOffline))))
	}
}

// look records the first value of each topic that must have one.
func (l *load) look(k *link) error {
	topics := l.rec.retainedTopics()
	asked := l.rec.moment()
	if err := k.write(Subscribe(k.version, 1, nil, To("retained/#", 0))); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for len(topics) > 0 {
		p, err := k.read(time.Now().Add(patience))
		if TimedOut(err) {
			for topic := range topics {
				l.rec.retained(topic, -1, asked)
			}
		}
		if err != nil {
			return err
		}
		if p.kind == PUBLISH && !seen[p.topic] {
			l.rec.retained(p.topic, number(p.payload), asked)
			seen[p.topic] = true
			delete(topics, p.topic)
		}
	}
	return nil
}
