package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
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
	enough(t, h)
	if faults := Check(h); len(faults) > 0 {
		t.Errorf("seed %d:\n%s", seed, summary(faults))
	}
}

// TestBrokenStoreIsCaught shows that a node which acknowledges before it has stored
// does not pass.
func TestBrokenStoreIsCaught(t *testing.T) {
	harness.OwnNode(t)
	h := crash(t, run{cycles: 5, most: shortTime, quiet: shortQuiet, seed: 1, broken: true})
	found := make(map[Rule]int)
	for _, f := range Check(h) {
		found[f.Rule]++
	}
	t.Logf("found: %v", found)
	if found[Lost] == 0 {
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
func crash(t *testing.T, r run) *History {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	busy, rest := context.WithCancel(ctx)
	defer rest()
	n := &node{dir: t.TempDir(), broken: r.broken}
	l := &load{t: t, n: n, rec: newRecorder(), busy: busy}
	l.run(ctx, r.seed)
	defer func() { // also when the test ends here
		cancel()
		l.wg.Wait()
	}()
	rng := rand.New(rand.NewPCG(r.seed, 0))
	killed := 0
	for begun := time.Now(); killed < r.cycles && time.Since(begun) < r.most; killed++ {
		n.life(ctx, t, l.rec, rng)
		if (killed+1)%20 == 0 {
			t.Logf("killed %d times, %d arrivals", killed+1, l.rec.arrivals())
		}
	}
	n.begin(t)
	n.up(t)
	rest()
	l.drain(ctx, r.quiet)
	cancel()
	l.wg.Wait()
	n.stop(t)
	t.Logf("killed %d times, %d messages, %d arrivals, %d looks at retained messages", killed, len(l.rec.h.Messages), len(l.rec.h.Arrivals), len(l.rec.h.Retained))
	return l.rec.history()
}

// life starts the node and kills it at a random moment, now and then before it is up.
func (n *node) life(ctx context.Context, t *testing.T, rec *recorder, rng *rand.Rand) {
	t.Helper()
	n.begin(t)
	if rng.IntN(8) > 0 {
		n.up(t)
	}
	pause(ctx, time.Duration(rng.Int64N(int64(maxLife))))
	n.kill(t, rec)
}

// drain waits until nothing is missing, or nothing has come for long. It counts steps:
// the time that Check takes is not one in which nothing came.
func (l *load) drain(ctx context.Context, quiet time.Duration) {
	const step = 250 * time.Millisecond
	last := -1
	for still := time.Duration(0); still < quiet; still += step {
		pause(ctx, step)
		if now := l.rec.arrivals(); now != last {
			last, still = now, 0
		} else if complete(Check(l.rec.history())) {
			return
		}
	}
}

// enough fails a run in which something was never tried.
func enough(t *testing.T, h *History) {
	t.Helper()
	count := make(map[string]int)
	for i := range h.Messages {
		m := &h.Messages[i]
		switch {
		case m.Acked == 0 || m.Loose:
			continue
		case m.Kind == KindWill:
			count["wills"]++
		case m.Kind == KindDelayed:
			count["delayed messages"]++
		case m.Retain:
			count["retained messages"]++
		}
		count["messages with QoS "+strconv.Itoa(int(m.QoS))]++
	}
	for _, s := range h.Subscriptions {
		if s.Ended > 0 {
			count["sessions that ended"]++
		}
		if s.Group != "" {
			count["members of groups"]++
		}
	}
	count["looks at retained messages"] = len(h.Retained)
	for _, c := range h.Connected {
		if c.Known {
			count["sessions that came back"]++
		}
	}
	t.Logf("%v", count)
	for _, what := range []string{
		"wills", "delayed messages", "retained messages", "messages with QoS 1", "messages with QoS 2",
		"sessions that ended", "members of groups", "looks at retained messages", "sessions that came back",
	} {
		if count[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
}
