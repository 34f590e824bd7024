package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// retry is the pause of a client that cannot connect.
const retry = 5 * time.Millisecond

// errAnswer is an answer that no broker may give; that the link ends may always be.
var errAnswer = errors.New("wrong answer")

// Load is all clients of a run.
type Load struct {
	T    testing.TB
	Rec  *Recorder
	Busy context.Context // ends when nothing new is to be made
	// Address is where the next connection goes; an error says that nobody serves now.
	Address func() (string, error)
	Pace    Pace
	Twins   bool // two clients with one identifier at once, too
	Lenient bool // wrong answers and silence fail nothing: what serves is broken

	wg sync.WaitGroup
}

// Pace says how fast the clients of a Load are.
type Pace struct {
	Online   time.Duration // the longest connection of a subscriber
	Offline  time.Duration // its longest absence
	Think    time.Duration // the longest wait of a publisher before it sends more
	Patience time.Duration // how long a client may be left without an answer
}

// OneNode is the pace for a node that is killed several times a second.
func OneNode() Pace {
	return Pace{Online: 600 * time.Millisecond, Offline: 150 * time.Millisecond, Think: 16 * time.Millisecond, Patience: harness.Deadline}
}

func (l *Load) spawn(f func()) { l.wg.Go(f) }

// Wait waits for the end of all clients.
func (l *Load) Wait() { l.wg.Wait() }

// note fails the test for what an end of the connection does not explain. A node with
// a broken store may say anything.
func (l *Load) note(ctx context.Context, client string, err error) {
	if ctx.Err() == nil && !l.Lenient && (errors.Is(err, errAnswer) || harness.TimedOut(err)) {
		l.T.Errorf("client %s: %v", client, err)
	}
}

// Run starts all clients. They end with ctx, and some with Busy; Wait waits for that.
func (l *Load) Run(ctx context.Context, seed uint64) {
	stream := uint64(0)
	rng := func() *rand.Rand {
		stream++
		return rand.New(rand.NewPCG(seed, stream))
	}
	for i := range 4 {
		p := &publisher{Load: l, id: fmt.Sprintf("pub%d", i), version: harness.V311 + byte(i%2), rng: rng()}
		l.spawn(func() { p.run(ctx) })
	}
	for i := range 4 {
		s := &subscriber{
			Load: l, id: fmt.Sprintf("sub%d", i), version: harness.V311 + byte(i/2), qos: 1 + byte(i%2),
			filters: []string{"data/#", "delayed/#", "will/#"}, window: 10, rng: rng(),
		}
		l.spawn(func() { s.run(ctx) })
	}
	for i := range 6 {
		q := 1 + byte(i%2)
		s := &subscriber{
			Load: l, id: fmt.Sprintf("member%d", i), version: version(rng()), qos: q, group: fmt.Sprintf("group%d", q),
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
	if l.Twins {
		r := rng()
		l.spawn(func() { l.twins(ctx, r) })
	}
}

func version(rng *rand.Rand) byte { return harness.V311 + byte(rng.IntN(2)) }

// persistent is a CONNECT whose session outlives its connection.
func persistent(v byte, id string) harness.Connect {
	c := harness.Connect{Version: v, ID: id, Keep: true}
	if v == harness.V5 {
		c.Props = [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(3600))}
	}
	return c
}

// narrow is a CONNECT whose session, with MQTT 5, may have so many messages under way;
// what waits fills its queue.
func narrow(c harness.Connect, window int) harness.Connect {
	if c.Version == harness.V5 && window > 0 {
		c.Props = append(c.Props, harness.Prop(harness.PReceiveMaximum, harness.U16(window)))
	}
	return c
}

// Pause waits for d or the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// wills makes clients with a will one after the other, each of which leaves, is cut
// off, or stays until the node ends. One that returns keeps its identifier.
func (l *Load) wills(ctx context.Context, name string, returns bool, rng *rand.Rand) {
	before := -1
	for n := 0; l.Busy.Err() == nil && ctx.Err() == nil; n++ {
		if _, err := l.Address(); err != nil {
			Pause(ctx, retry)
			continue
		}
		id := name
		if !returns {
			id = fmt.Sprintf("%s-%d", name, n)
		}
		if before >= 0 {
			l.Rec.loosen(before)
		}
		now := l.will(ctx, id, rng)
		if returns {
			before = now
		}
		Pause(ctx, retry)
	}
}

// will is the life of one such client. It returns the will's number.
func (l *Load) will(ctx context.Context, id string, rng *rand.Rand) int {
	c := persistent(version(rng), id)
	if rng.IntN(2) == 0 {
		c = harness.Connect{Version: c.Version, ID: id}
	}
	m := Message{Kind: KindWill, QoS: 2, Publisher: id, Topic: "will/" + id}
	n := l.Rec.sent(m)
	c.Will = &harness.Will{Topic: m.Topic, Payload: payload(n, 0), QoS: m.QoS}
	if c.Version == harness.V5 && rng.IntN(2) == 0 {
		c.Will.Props = [][]byte{harness.Prop(harness.PWillDelay, harness.U32(1))}
	}
	k, _, err := l.dial(l.Busy, c) // it does not outlast the load
	if err != nil {
		l.Rec.loosen(n)
		return n
	}
	defer k.close()
	l.Rec.acked(n)
	switch rng.IntN(4) {
	case 0:
		Pause(ctx, time.Duration(rng.Int64N(int64(l.Pace.Online))))
		l.Rec.loosen(n)
		_ = k.write(harness.Disconnect(0)) // or the end came before
	case 1:
		Pause(ctx, time.Duration(rng.Int64N(int64(l.Pace.Online))))
	default:
		_, _ = k.read(time.Time{}) // nothing comes but the end
	}
	return n
}

// looks subscribes anew, again and again, and records what is retained.
func (l *Load) looks(ctx context.Context, rng *rand.Rand) {
	for n := 0; l.Busy.Err() == nil && ctx.Err() == nil; n++ {
		k, _, err := l.dial(ctx, harness.Connect{Version: version(rng), ID: fmt.Sprintf("look%d", n)})
		if err != nil {
			Pause(ctx, retry)
			continue
		}
		l.note(ctx, "look", l.look(k))
		k.close()
		Pause(ctx, time.Duration(rng.Int64N(int64(l.Pace.Offline))))
	}
}

// Look records what is retained according to the broker at a URL.
func (l *Load) Look(ctx context.Context, url string) {
	k, _, err := l.dialTo(ctx, url, harness.Connect{Version: harness.V5, ID: harness.Name()})
	if err != nil {
		l.T.Errorf("look at %s: %v", url, err)
		return
	}
	defer k.close()
	if err := l.look(k); err != nil {
		l.T.Errorf("look at %s: %v", url, err)
	}
}

// look records the first value of each topic that must have one.
func (l *Load) look(k *link) error {
	topics := l.Rec.retainedTopics()
	asked := l.Rec.moment()
	if err := k.write(harness.Subscribe(k.version, 1, nil, harness.To("retained/#", 0))); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for len(topics) > 0 {
		p, err := k.read(time.Now().Add(l.Pace.Patience))
		if harness.TimedOut(err) {
			for topic := range topics {
				l.Rec.retained(topic, -1, asked)
			}
		}
		if err != nil {
			return err
		}
		if p.kind == harness.PUBLISH && !p.retained() && number(p.payload) < topics[p.topic] {
			continue // it was published before, and came late
		}
		if p.kind == harness.PUBLISH && !seen[p.topic] {
			l.Rec.retained(p.topic, number(p.payload), asked)
			seen[p.topic] = true
			delete(topics, p.topic)
		}
	}
	return nil
}

// unrest is how long what is waiting may take to arrive.
const unrest = time.Minute

// Drain waits until nothing is missing, or nothing has come for long. It counts steps:
// the time that Check takes is not one in which nothing came. A load that does not come
// to rest, as things are sent again and again, fails the test.
func (l *Load) Drain(ctx context.Context, quiet time.Duration) {
	const step = 250 * time.Millisecond
	last, most := -1, quiet+unrest
	for still, all := time.Duration(0), time.Duration(0); still < quiet; still, all = still+step, all+step {
		if all >= most {
			l.T.Errorf("messages still arrive %v after the last was made", most)
			return
		}
		Pause(ctx, step)
		if now := l.Rec.Arrivals(); now != last {
			last, still = now, 0
		} else if complete(Check(l.Rec.History())) {
			return
		}
	}
}
