package broker

import (
	"context"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/api"
	"github.com/skeinmq/skein/broker/conn"
)

// drain sends the node's clients away: it is not ready, waits until load balancers have
// seen that, and disconnects gradually. There is at most one at a time, on a goroutine
// of its own, which ends with undo or stop.
type drain struct {
	server *conn.Server
	ready  *readiness
	plan   func() (delay time.Duration, rate int)

	mu     sync.Mutex
	phase  string
	cancel context.CancelFunc // nil while there is none
	done   chan struct{}      // closed when the goroutine has ended
	ended  bool               // no further one
}

func newDrain(server *conn.Server, ready *readiness, plan func() (time.Duration, int)) *drain {
	return &drain{server: server, ready: ready, plan: plan, phase: api.DrainNone}
}

// Drain implements api.Drainer.
func (d *drain) Drain() { d.begin() }

// begin starts it, unless it was, and answers a channel that is closed at its end.
func (d *drain) begin() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		return d.done
	}
	done := make(chan struct{})
	if d.ended {
		close(done)
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel, d.done, d.phase = cancel, done, api.DrainWaiting
	d.ready.swap("", whyDraining)
	delay, rate := d.plan()
	go func() {
		defer close(done)
		d.run(ctx, delay, rate)
	}()
	return done
}

func (d *drain) run(ctx context.Context, delay time.Duration, rate int) {
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	if d.enter(ctx, api.DrainDisconnecting) && d.server.Drain(ctx, rate) == nil {
		d.enter(ctx, api.DrainDone)
	}
}

// enter begins a phase, unless the drain was undone.
func (d *drain) enter(ctx context.Context, phase string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	d.phase = phase
	return true
}

// Undrain implements api.Drainer.
func (d *drain) Undrain() {
	if d.end(false) {
		d.server.Undrain()
		d.ready.swap(whyDraining, "")
	}
}

// stop ends it for good.
func (d *drain) stop(context.Context) error {
	d.end(true)
	return nil
}

// end ends it and reports whether there was one.
func (d *drain) end(forGood bool) bool {
	d.mu.Lock()
	d.ended = d.ended || forGood
	cancel, done := d.cancel, d.done
	if cancel != nil {
		cancel()
	}
	d.mu.Unlock()
	if cancel == nil {
		return false
	}
	<-done
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == done { // nobody else was quicker
		d.cancel, d.phase = nil, api.DrainNone
	}
	return true
}

// DrainPhase implements api.Drainer.
func (d *drain) DrainPhase() (phase string, clients int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase, d.server.Len()
}

// Drain makes the node not ready, waits for `drain_delay`, and sends all clients away at
// `drain_rate`; ctx ends the wait. Without either setting it does nothing: Stop sends
// them away at once. A node that is drained must be stopped.
func (n *Node) Drain(ctx context.Context) error {
	n.ready.swap("", whyStopping)
	if delay, rate := n.drainPlan(); delay == 0 && rate == 0 {
		return nil
	}
	select {
	case <-n.drain.begin():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *Node) drainPlan() (time.Duration, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cfg.DrainDelay.Std(), n.cfg.DrainRate
}
