package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/witness"
)

// cyclesEnv and seedEnv say how often a node is killed, and with what random numbers.
const (
	cyclesEnv = "CRASH"
	seedEnv   = "SEED"
)

// Bounds of a run: how often the node is killed by default, the time after which it is
// not killed any more, how long a life is, and how long nothing may have arrived before
// what is missing is missing.
const (
	shortCycles = 10
	shortTime   = 20 * time.Second
	longTime    = 10 * time.Minute
	maxLife     = 500 * time.Millisecond
	quiet       = 8 * time.Second
	shortQuiet  = 2 * time.Second // where something will be missing
)

// TestCrash kills a node under load and finds every promise kept.
func TestCrash(t *testing.T) {
	harness.OwnNode(t)
	cycles, most := shortCycles, shortTime
	if n := setting(t, cyclesEnv, 0); n > 0 {
		cycles, most = int(n), longTime
	}
	seed := setting(t, seedEnv, rand.Uint64())
	t.Logf("seed %d: %s=%d repeats its choices", seed, seedEnv, seed)
	h := crash(t, run{cycles: cycles, most: most, quiet: quiet, seed: seed})
	witness.Enough(t, h)
	if faults := witness.Check(h); len(faults) > 0 {
		t.Errorf("seed %d:\n%s", seed, witness.Summary(faults))
	}
}

// TestBrokenStoreIsCaught shows that a node which acknowledges before it has stored
// does not pass.
func TestBrokenStoreIsCaught(t *testing.T) {
	harness.OwnNode(t)
	h := crash(t, run{cycles: 5, most: shortTime, quiet: shortQuiet, seed: 1, broken: true})
	found := make(map[witness.Rule]int)
	for _, f := range witness.Check(h) {
		found[f.Rule]++
	}
	t.Logf("found: %v", found)
	if found[witness.Lost] == 0 {
		t.Error("nothing was found to be lost")
	}
}

func setting(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: %v", name, s, err)
	}
	return n
}

// run is what a run is made of.
type run struct {
	cycles int
	most   time.Duration
	quiet  time.Duration
	seed   uint64
	broken bool
}

// crash runs the load while the node is killed again and again, lets everybody get
// what is waiting, and returns what happened.
func crash(t *testing.T, r run) *witness.History {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	busy, rest := context.WithCancel(ctx)
	defer rest()
	n := &node{dir: t.TempDir(), broken: r.broken}
	l := &witness.Load{T: t, Rec: witness.NewRecorder(), Busy: busy, Address: n.address, Pace: witness.OneNode(), Lenient: r.broken}
	l.Run(ctx, r.seed)
	defer func() { // also when the test ends here
		cancel()
		l.Wait()
	}()
	rng := rand.New(rand.NewPCG(r.seed, 0))
	killed := 0
	for begun := time.Now(); killed < r.cycles && time.Since(begun) < r.most; killed++ {
		n.life(ctx, t, l.Rec, rng)
		if (killed+1)%20 == 0 {
			t.Logf("killed %d times, %d arrivals", killed+1, l.Rec.Arrivals())
		}
	}
	n.begin(t)
	n.up(t)
	rest()
	l.Drain(ctx, r.quiet)
	cancel()
	l.Wait()
	n.stop(t)
	h := l.Rec.History()
	t.Logf("killed %d times, %d messages, %d arrivals, %d looks at retained messages", killed, len(h.Messages), len(h.Arrivals), len(h.Retained))
	return h
}

// life starts the node and kills it at a random moment, now and then before it is up.
func (n *node) life(ctx context.Context, t *testing.T, rec *witness.Recorder, rng *rand.Rand) {
	t.Helper()
	n.begin(t)
	if rng.IntN(8) > 0 {
		n.up(t)
	}
	witness.Pause(ctx, time.Duration(rng.Int64N(int64(maxLife))))
	n.kill(t, rec)
}
