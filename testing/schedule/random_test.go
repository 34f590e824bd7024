package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/testing/server"
	"github.com/skeinmq/skein/testing/witness"
)

// timeEnv and seedEnv say how long TestRandom tries schedules of new seeds, or which seed.
const (
	timeEnv = "SCHEDULE"
	seedEnv = "SEED"
)

// Bounds of a schedule.
const (
	instances = 3
	trouble   = 3 * time.Second  // in which faults are made
	apart     = time.Second      // the longest time between two
	quiet     = 10 * time.Second // without an arrival: what is missing then is missing
	patience  = 30 * time.Second // without an answer: it never comes
	loses     = 0.002            // share of the answers that are lost
)

// found are seeds whose choices have found a flaw, for the tests that a commit must pass.
var found = []uint64{1546, 202}

// TestRandom keeps every promise in random schedules, one seed after the other.
func TestRandom(t *testing.T) {
	if s := os.Getenv(seedEnv); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s=%q: %v", seedEnv, s, err)
		}
		once(t, server.StartRedis(t, "--appendfsync", "no", "--appendonly", "no"), seed)
		return
	}
	r := server.StartRedis(t, "--appendfsync", "no", "--appendonly", "no")
	s := os.Getenv(timeEnv)
	if s == "" {
		for _, seed := range found {
			once(t, r, seed)
		}
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q is not a duration", timeEnv, s)
	}
	n := 0
	for begun := time.Now(); n == 0 || time.Since(begun) < d && !t.Failed(); n++ {
		once(t, r, rand.Uint64())
	}
	t.Logf("%d schedules", n)
}

// once tries one seed.
func once(t *testing.T, r *server.Redis, seed uint64) {
	t.Run(fmt.Sprintf("%s=%d", seedEnv, seed), func(t *testing.T) {
		begun := time.Now()
		w := newWorld(t, r, seed)
		h := w.run()
		t.Logf("%v: %d steps, faults %v, %d messages, %d arrivals", time.Since(begun).Round(time.Millisecond), w.choose.taken(), w.counts, len(h.Messages), len(h.Arrivals))
		if faults := witness.Check(h); len(faults) > 0 {
			t.Errorf("%s=%d repeats the choices:\n%s", seedEnv, seed, witness.Summary(faults))
		}
	})
}

// world is a cluster and its clients.
type world struct {
	t      *testing.T
	redis  *server.Redis
	prefix string
	seed   uint64
	choose *scheduler
	rec    *witness.Recorder
	counts map[string]int

	mu    sync.Mutex
	rng   *rand.Rand // of address
	lives [instances]*instance
}

func newWorld(t *testing.T, r *server.Redis, seed uint64) *world {
	w := &world{
		t: t, redis: r, prefix: fmt.Sprintf("s%d:", seed), seed: seed, choose: newScheduler(seed, loses),
		rec: witness.NewRecorder(), counts: make(map[string]int), rng: rand.New(rand.NewPCG(seed, 2)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	choosing := make(chan struct{})
	go func() { defer close(choosing); w.choose.run(ctx) }()
	t.Cleanup(func() { cancel(); <-choosing }) // the last: instances end by it, too
	for i := range w.lives {
		w.begin(i)
	}
	return w
}

// begin starts a life of an instance. One that others have taken over from starts anew, as
// the program does.
func (w *world) begin(i int) {
	life := start(w.t, w.redis, w.prefix, w.choose)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives[i] = life
}

// address is where a client connects next. Nobody is told which instances are well.
func (w *world) address() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lives[w.rng.IntN(instances)].url, nil
}

func (w *world) life(i int) *instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lives[i]
}

// run makes faults under load, lets everybody get what is waiting, and returns what
// happened.
func (w *world) run() *witness.History {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	busy, rest := context.WithCancel(ctx)
	defer rest()
	w.rec.Settles(2 * lease)
	load := &witness.Load{T: w.t, Rec: w.rec, Busy: busy, Address: w.address, Twins: true, Pace: witness.Pace{
		Online: 800 * time.Millisecond, Offline: 100 * time.Millisecond, Think: 100 * time.Millisecond, Patience: patience,
	}}
	load.Run(ctx, w.seed)
	defer func() { // also when the test ends here
		cancel()
		load.Wait()
	}()
	w.harm(ctx)
	w.choose.rest()
	rest()
	load.Drain(w.tend(ctx), quiet)
	for i := range instances {
		load.Look(ctx, w.life(i).url)
	}
	cancel()
	load.Wait()
	return w.rec.History()
}

// harm makes faults for a while.
func (w *world) harm(ctx context.Context) {
	rng := rand.New(rand.NewPCG(w.seed, 3))
	for end := time.Now().Add(trouble); time.Now().Before(end); {
		w.pause(ctx, time.Duration(rng.Int64N(int64(apart))))
		i := rng.IntN(instances)
		old := w.life(i)
		w.rec.Changes("", false) // it happens to a node
		switch rng.IntN(4) {
		case 0:
			w.counts["crashes"]++
			old.crash()
			w.begin(i)
		case 1:
			w.counts["pauses"]++
			w.choose.stop(old.gate, lease/2+time.Duration(rng.Int64N(int64(2*lease))))
		case 2:
			w.counts["short pauses"]++
			w.choose.stop(old.gate, time.Duration(rng.Int64N(int64(lease/4))))
		case 3:
			w.counts["ends in order"]++
			old.stop()
			w.begin(i)
		}
	}
}

// pause waits, and starts what has failed anew.
func (w *world) pause(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(end) {
		witness.Pause(ctx, min(left, 50*time.Millisecond))
		w.mend()
	}
}

func (w *world) mend() {
	for i := range w.lives {
		life := w.life(i)
		select {
		case err := <-life.node.Failed():
			if !broker.Rejoin(err) {
				w.t.Errorf("an instance failed: %v", err)
			}
			w.counts["taken over"]++
			w.rec.Changes("", false)
			life.stop()
			w.begin(i)
		default:
		}
	}
}

// tend goes on to start what has failed until ctx ends.
func (w *world) tend(ctx context.Context) context.Context {
	tending := make(chan struct{})
	go func() {
		defer close(tending)
		for ctx.Err() == nil {
			w.pause(ctx, 50*time.Millisecond)
		}
	}()
	w.t.Cleanup(func() { <-tending })
	return ctx
}
