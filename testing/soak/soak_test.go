package soak

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// durationEnv says how long the load runs.
const durationEnv = "SOAK"

// samplesOfARun is how often memory is looked at.
const samplesOfARun = 80

// TestSoak drives a node with every kind of client at once.
func TestSoak(t *testing.T) {
	asked := os.Getenv(durationEnv)
	if asked == "" {
		t.Skipf("%s is not set; make soak SOAK=1h runs it", durationEnv)
	}
	harness.OwnNode(t)
	d, err := time.ParseDuration(asked)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q is not a duration", durationEnv, asked)
	}
	n := startNode(t)
	base := n.sample()
	t.Logf("before: %v", base)
	checkFlat(t, n.underLoad(d))
	n.settled(base)
	n.end()
}

// checkFlat looks at the samples after the warm-up, their first quarter.
func checkFlat(t *testing.T, samples []sample) {
	t.Helper()
	check := func(what string, slack int64, get func(sample) int64) {
		var values []int64
		for _, s := range samples[len(samples)/4:] {
			values = append(values, get(s))
		}
		if err := flat(what, values, slack); err != nil {
			t.Error(err)
		}
	}
	check("live heap", heapSlack, func(s sample) int64 { return s.Heap })
	if !raceDetector {
		check("resident memory", rssSlack, func(s sample) int64 { return s.RSS })
	}
}

// underLoad runs all workers for d and returns the samples of that time. A worker
// that fails ends the run.
func (n *node) underLoad(d time.Duration) []sample {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	workers := workers()
	rounds := make([]atomic.Int64, len(workers))
	var running sync.WaitGroup
	for i, w := range workers {
		running.Go(func() {
			defer func() { // a worker that fails ends its goroutine
				if n.t.Failed() {
					cancel()
				}
			}()
			w.run(ctx, n.t, n.Broker, &rounds[i])
		})
	}
	samples := n.watch(ctx, max(d/samplesOfARun, 100*time.Millisecond))
	cancel()
	running.Wait()
	if n.t.Failed() {
		n.t.FailNow()
	}
	for i, w := range workers {
		n.t.Logf("%-40s %8d rounds", w.name, rounds[i].Load())
		if rounds[i].Load() == 0 {
			n.t.Errorf("%s did not end a round", w.name)
		}
	}
	return samples
}

// watch takes a sample at every tick until ctx ends, and logs one in ten.
func (n *node) watch(ctx context.Context, every time.Duration) []sample {
	n.t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var samples []sample
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		if !n.proc.Running() {
			n.t.Errorf("the node ended:\n%s", n.proc.Output())
			return samples
		}
		s := n.sample()
		if len(samples)%10 == 0 {
			n.t.Logf("under load: %v", s)
		}
		samples = append(samples, s)
	}
}

// settled waits until nothing of the load is left in the node.
func (n *node) settled(base sample) {
	n.t.Helper()
	most := base
	most.Heap += endSlack
	var now sample
	defer func() { n.t.Logf("after: %v; before, with some slack: %v", now, most) }()
	harness.Poll(n.t, 0, func() bool {
		now = n.sample()
		return now.Goroutines <= most.Goroutines && now.Files <= most.Files && now.Heap <= most.Heap
	})
}
