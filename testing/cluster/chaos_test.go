package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/server"
	"github.com/skeinmq/skein/testing/witness"
)

// chaosEnv and seedEnv say how long TestChaos makes faults, and with what random numbers;
// faultsEnv that only some are made: their names with commas between them.
const (
	chaosEnv  = "CHAOS"
	seedEnv   = "SEED"
	faultsEnv = "FAULTS"
)

// Bounds of a run. What is missing when nothing has arrived for quiet is missing.
const (
	shortChaos = 60 * time.Second
	quiet      = 15 * time.Second
	patience   = 90 * time.Second
	settle     = 2 * time.Second
)

// TestChaos has a mixed load on three instances behind HAProxy, while instances are
// killed, paused, cut off from Redis, restarted and drained, and Redis is restarted,
// paused and failed over. Every promise is kept.
func TestChaos(t *testing.T) {
	enabled(t)
	t.Parallel()
	server.Program(t, "haproxy")
	asked := os.Getenv(chaosEnv)
	if asked == "" {
		t.Skipf("%s is not set; make cluster-chaos runs it", chaosEnv)
	}
	d, err := time.ParseDuration(asked)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q is not a duration", chaosEnv, asked)
	}
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s=%q: %v", seedEnv, s, err)
		}
	}
	t.Logf("seed %d: %s=%d repeats its choices", seed, seedEnv, seed)
	c := start(t, options{sentinels: true, minReplicas: 1, lease: 2 * time.Second, settings: "session: {will_grace: 1s}"})
	b := startBalancer(t, c.nodes)
	x := newChaos(t, c, b, d, seed)
	h := x.run(seed)
	witness.Enough(t, h)
	x.enough()
	if faults := witness.Check(h); len(faults) > 0 {
		keepHistory(t, h)
		t.Errorf("seed %d:\n%s", seed, witness.Summary(faults))
	}
}

// chaos is the faults of a run.
type chaos struct {
	t        *testing.T
	c        *cluster
	load     *witness.Load
	end      time.Time
	longest  time.Duration // of a fault
	calmness time.Duration // the longest time between two faults of an instance
	few      chan struct{} // has room for as many instances as may have a fault at once
	begun    time.Time

	mu     sync.Mutex
	counts map[string]int
}

func newChaos(t *testing.T, c *cluster, b *balancer, d time.Duration, seed uint64) *chaos {
	x := &chaos{
		t: t, c: c, begun: time.Now(), end: time.Now().Add(d), longest: 6 * time.Second, calmness: 4 * time.Second,
		few: make(chan struct{}, 2), counts: make(map[string]int),
	}
	pace := witness.Pace{Online: 6 * time.Second, Offline: 300 * time.Millisecond, Think: 200 * time.Millisecond, Patience: patience}
	if d > shortChaos {
		x.longest, x.calmness, pace.Think = 30*time.Second, 15*time.Second, 400*time.Millisecond
	}
	rec := witness.NewRecorder()
	rec.Settles(settle)
	x.load = &witness.Load{T: t, Rec: rec, Pace: pace, Address: func() (string, error) { return b.url, nil }}
	return x
}

// run makes faults under load, lets everybody get what is waiting, and returns what
// happened.
func (x *chaos) run(seed uint64) *witness.History {
	t, l := x.t, x.load
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	busy, rest := context.WithCancel(ctx)
	defer rest()
	l.Busy = busy
	l.Run(ctx, seed)
	defer func() { // also when the test ends here
		cancel()
		l.Wait()
	}()
	var faults sync.WaitGroup
	for i, n := range x.c.nodes {
		rng := rand.New(rand.NewPCG(seed, uint64(1000+i)))
		faults.Go(func() { harm(ctx, x, rng, instanceFaults, func(f instanceFault) { x.harmInstance(ctx, rng, n, f) }) })
	}
	rng := rand.New(rand.NewPCG(seed, 2000))
	faults.Go(func() { harm(ctx, x, rng, redisFaults, func(f redisFault) { x.harmRedis(ctx, rng, f) }) })
	faults.Wait()
	witness.Pause(ctx, time.Until(x.end)) // if none are asked for
	if t.Failed() {
		t.FailNow()
	}
	rest()
	t.Logf("%v: faults end: %v", time.Since(x.begun).Round(time.Second), x.counts)
	l.Drain(ctx, quiet)
	for _, n := range x.c.nodes { // whatever the balancer thinks of it
		l.Look(ctx, n.TCP)
	}
	cancel()
	l.Wait()
	for _, n := range x.c.nodes {
		n.stop(t)
	}
	h := l.Rec.History()
	t.Logf("%v: %d messages, %d arrivals, %d looks at retained messages", time.Since(x.begun).Round(time.Second), len(h.Messages), len(h.Arrivals), len(h.Retained))
	return h
}

// The faults. Each is begun, lasts, and is mended before the next one of the same
// instance, or of Redis.
type (
	instanceFault string
	redisFault    string
)

const (
	killed       instanceFault = "killed"
	paused       instanceFault = "paused"
	cutOff       instanceFault = "cut off from Redis"
	stalledOff   instanceFault = "stalled before Redis"
	unanswered   instanceFault = "without answers of Redis"
	drained      instanceFault = "drained"
	restarted    redisFault    = "Redis restarted"
	redisPaused  redisFault    = "Redis paused"
	failedOver   redisFault    = "Redis failed over"
	replicaGone  redisFault    = "replica restarted"
	pausedToLong redisFault    = "Redis paused and failed over"
)

var (
	instanceFaults = asked([]instanceFault{killed, paused, cutOff, stalledOff, unanswered, drained})
	redisFaults    = asked([]redisFault{restarted, redisPaused, failedOver, replicaGone, pausedToLong})
)

// asked are those that faultsEnv names, or all.
func asked[F ~string](all []F) []F {
	list := os.Getenv(faultsEnv)
	if list == "" {
		return all
	}
	names := strings.Split(list, ",")
	return slices.DeleteFunc(all, func(f F) bool { return !slices.Contains(names, string(f)) })
}

// harm makes faults in a random order, each of them once before any comes again.
func harm[F ~string](ctx context.Context, x *chaos, rng *rand.Rand, kinds []F, do func(F)) {
	for len(kinds) > 0 {
		for _, k := range rng.Perm(len(kinds)) {
			witness.Pause(ctx, time.Duration(rng.Int64N(int64(x.calmness))))
			if ctx.Err() != nil || time.Now().After(x.end) || x.t.Failed() {
				return
			}
			do(kinds[k])
		}
	}
}

// note writes down that a fault begins or is mended.
func (x *chaos) note(who, what string) {
	x.load.Rec.Changes("", false)
	x.t.Logf("%7.3f %s %s", time.Since(x.begun).Seconds(), who, what)
}

func (x *chaos) count(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.counts[what]++
}

// harmInstance makes one fault, if not too many have one.
func (x *chaos) harmInstance(ctx context.Context, rng *rand.Rand, n *node, f instanceFault) {
	x.few <- struct{}{}
	defer func() { <-x.few }()
	x.count(string(f))
	x.note(n.name, string(f))
	last := time.Duration(rng.Int64N(int64(x.longest)))
	if rng.IntN(2) == 0 { // shorter than the lease
		last = min(last, time.Second)
	}
	switch f {
	case killed:
		n.kill(x.t)
		witness.Pause(ctx, last)
		n.start(x.t)
	case drained:
		n.stop(x.t)
		witness.Pause(ctx, last)
		n.start(x.t)
	case paused:
		n.pause(x.t)
		witness.Pause(ctx, last)
		n.resume()
	case cutOff:
		x.tear(ctx, n, cut, last)
	case stalledOff:
		x.tear(ctx, n, stalled, last)
	case unanswered:
		x.tear(ctx, n, mute, last)
	}
	x.note(n.name, "mended")
}

func (x *chaos) tear(ctx context.Context, n *node, f fault, last time.Duration) {
	n.cables.set(f)
	witness.Pause(ctx, last)
	n.cables.set(whole)
}

// harmRedis makes one fault of the primary or its replica, and waits until there is one
// of each again.
func (x *chaos) harmRedis(ctx context.Context, rng *rand.Rand, f redisFault) {
	r := x.c.redis
	first := r.primary()
	if first < 0 {
		x.t.Error("no primary answers")
		return
	}
	second := 1 - first
	x.count(string(f))
	x.note(fmt.Sprintf("primary %d", first), string(f))
	switch f {
	case restarted:
		r.data[first].Kill()
		r.data[first].Restart()
	case redisPaused:
		pause(x.t, r.data[first].Proc)
		witness.Pause(ctx, time.Duration(rng.Int64N(int64(800*time.Millisecond))))
		resume(r.data[first].Proc)
	case failedOver:
		r.data[first].Kill()
		r.promoted(x.t, second)
		r.data[first].Restart()
	case replicaGone:
		r.data[second].Kill()
		witness.Pause(ctx, time.Duration(rng.Int64N(int64(2*time.Second))))
		r.data[second].Restart()
	case pausedToLong:
		pause(x.t, r.data[first].Proc)
		r.promoted(x.t, second)
		resume(r.data[first].Proc)
	}
	r.paired(x.t)
	x.note(fmt.Sprintf("primary %d", r.primary()), "mended")
}

// enough fails a run in which a fault was never made.
func (x *chaos) enough() {
	for _, f := range instanceFaults {
		if x.counts[string(f)] == 0 {
			x.t.Errorf("no instance was %s", f)
		}
	}
	for _, f := range redisFaults {
		if x.counts[string(f)] == 0 {
			x.t.Errorf("not once: %s", f)
		}
	}
}

// keepHistory writes what happened beside the output of the processes, if that is kept.
func keepHistory(t *testing.T, h *witness.History) {
	t.Helper()
	dir := os.Getenv(server.OutputEnv)
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, "history.txt"))
	if err != nil {
		t.Error(err)
		return
	}
	if err := errors.Join(h.Write(f), f.Close()); err != nil {
		t.Error(err)
	}
}
