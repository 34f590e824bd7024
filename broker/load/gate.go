package load

import (
	"math"
	"sync/atomic"
)

// unbounded is the window of a publisher that no subscriber holds back.
const unbounded = math.MaxInt64

// gate closes the loop of one publisher: it lets a message out while fewer than
// window are undelivered and fewer than inflight are unacknowledged. The publisher
// waits; those who read deliveries and acknowledgements wake it.
type gate struct {
	window   int64
	fan      int64 // deliveries that one message makes
	inflight int64 // unbounded with QoS 0

	sent      atomic.Int64 // written by the publisher alone
	delivered counter
	acked     counter
	wake      chan struct{} // 1 deep; full means that the publisher is about to look
}

func newGate(window, fan, inflight int64) *gate {
	g := &gate{window: window, fan: fan, inflight: inflight, wake: make(chan struct{}, 1)}
	g.rest()
	return g
}

// counter only grows. want is where the publisher asked to be woken. It is stored
// before the publisher looks again, and read after n was raised, so one of the two
// sees the other.
type counter struct {
	n    atomic.Int64
	want atomic.Int64
}

func (c *counter) add(k int64, wake chan<- struct{}) {
	if c.n.Add(k) < c.want.Load() {
		return
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (g *gate) deliver(k int64)     { g.delivered.add(k, g.wake) }
func (g *gate) acknowledge(k int64) { g.acked.add(k, g.wake) }

// room is how many messages may go out now, after sent of them.
func (g *gate) room(sent int64) int64 {
	return min(g.window-(sent-g.delivered.n.Load()/g.fan), g.inflight-(sent-g.acked.n.Load()))
}

// wait blocks until there is room, and answers false when stop was closed first.
func (g *gate) wait(sent int64, stop <-chan struct{}) bool {
	defer g.rest()
	for {
		g.ask(sent)
		if g.room(sent) > 0 {
			return true
		}
		select {
		case <-g.wake:
		case <-stop:
			return false
		}
	}
}

// ask has the publisher woken by the counters that hold it back, by no other.
func (g *gate) ask(sent int64) {
	g.rest()
	if n := (sent - g.window + 1) * g.fan; g.window != unbounded && g.delivered.n.Load() < n {
		g.delivered.want.Store(n)
	}
	if n := sent - g.inflight + 1; g.inflight != unbounded && g.acked.n.Load() < n {
		g.acked.want.Store(n)
	}
}

func (g *gate) rest() {
	g.delivered.want.Store(math.MaxInt64)
	g.acked.want.Store(math.MaxInt64)
}

// missing is how many deliveries are still to come for what was sent.
func (g *gate) missing() int64 { return g.sent.Load()*g.fan - g.delivered.n.Load() }
