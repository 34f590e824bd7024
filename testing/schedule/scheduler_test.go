package schedule

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// scheduler lets one step go at a time, the one with the highest priority among those that
// wait. Connections have priorities that are drawn, and drawn again now and then: so an
// instance is ahead for some steps, or far behind, and every order of two steps that are
// not each other's cause can come.
type scheduler struct {
	rng   *rand.Rand // of run
	loses float64    // share of answers that are lost; of run

	mu      sync.Mutex
	waiting []*waiter
	stopped map[*gate]time.Time // no step of an instance until then
	calm    bool                // nothing is lost or late any more
	some    chan struct{}       // one token: something waits
	steps   int
}

// waiter is a step that waits.
type waiter struct {
	s        *step
	priority uint32
	verdict  chan bool // one deep
}

func newScheduler(seed uint64, loses float64) *scheduler {
	return &scheduler{
		rng: rand.New(rand.NewPCG(seed, 1)), loses: loses, stopped: make(map[*gate]time.Time), some: make(chan struct{}, 1),
	}
}

// admit implements chooser.
func (c *scheduler) admit(s *step, gone <-chan struct{}) bool {
	w := &waiter{s: s, verdict: make(chan bool, 1)}
	c.mu.Lock()
	if c.calm {
		c.mu.Unlock()
		return true
	}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	select {
	case c.some <- struct{}{}:
	default: // it is known already
	}
	select {
	case ok := <-w.verdict:
		return ok
	case <-gone:
		return false
	}
}

// stop keeps an instance from doing anything for d, as a stopped process does. What it had
// been told before, it acts on afterwards.
func (c *scheduler) stop(g *gate, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped[g] = time.Now().Add(d)
}

// rest ends all disturbance.
func (c *scheduler) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = true
	for _, w := range c.waiting {
		w.verdict <- true
	}
	c.waiting = nil
}

// gather is how long others may come before one is chosen.
const gather = 100 * time.Microsecond

// run chooses until ctx ends.
func (c *scheduler) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-c.some:
		case <-t.C: // some are stopped
		case <-ctx.Done():
			c.rest()
			return
		}
		for c.next() {
			if c.rng.IntN(3) > 0 {
				continue
			}
			t.Reset(gather)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		}
		t.Reset(time.Millisecond)
	}
}

// next lets one step go; it reports false when none may.
func (c *scheduler) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	best := -1
	again := c.rng.IntN(8) == 0
	for i, w := range c.waiting {
		if w.priority == 0 || again {
			w.priority = 1 + c.rng.Uint32()>>1
		}
		if now.Before(c.stopped[w.s.gate]) {
			continue
		}
		if best < 0 || w.priority > c.waiting[best].priority {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	w := c.waiting[best]
	c.waiting[best] = c.waiting[len(c.waiting)-1]
	c.waiting = c.waiting[:len(c.waiting)-1]
	c.steps++
	w.verdict <- !w.s.answer || c.rng.Float64() >= c.loses
	return true
}

// taken is how many steps were chosen.
func (c *scheduler) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steps
}
