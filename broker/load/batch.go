package load

import (
	"context"
	"time"
)

// sendAll has a publisher send all of its messages and waits until the broker has
// acknowledged them. False means that it ended before: the context did, or nothing
// moved for Stall.
func (r *run) sendAll(ctx context.Context, p *publisher) bool {
	stop := make(chan struct{})
	r.wg.Go(func() { p.send(stop) })
	sent := r.until(ctx, p.done, func() int64 { return p.gate.sent.Load() + p.gate.acked.n.Load() })
	p.stop(r.o.Stall)
	close(stop)
	p.join()
	if !sent || p.gate.sent.Load() < p.count {
		return false
	}
	return p.qos == 0 || r.await(ctx, p.gate, &p.gate.acked, p.count)
}

// await waits until a counter of the gate is n; false as for sendAll. The publisher
// of the gate must not be sending.
func (r *run) await(ctx context.Context, g *gate, c *counter, n int64) bool {
	beat := time.NewTicker(watchEvery)
	defer beat.Stop()
	defer g.rest()
	idle := newStandstill(r.o.Stall)
	c.want.Store(n)
	for c.n.Load() < n {
		select {
		case <-g.wake:
		case <-ctx.Done():
			return false
		case now := <-beat.C:
			if idle.seen(now, c.n.Load()) {
				return false
			}
		}
	}
	return true
}

// until waits for done to be closed; false when the context ended first, or what
// progress answers has not moved for Stall.
func (r *run) until(ctx context.Context, done <-chan struct{}, progress func() int64) bool {
	beat := time.NewTicker(watchEvery)
	defer beat.Stop()
	idle := newStandstill(r.o.Stall)
	for {
		select {
		case <-done:
			return true
		case <-ctx.Done():
			return false
		case now := <-beat.C:
			if idle.seen(now, progress()) {
				return false
			}
		}
	}
}

// bitmap is a set of numbers, for messages whose order is not promised.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

// mark notes that a message has come. A number that was never sent counts as repeated.
func (b bitmap) mark(seq uint64) verdict {
	word, bit := seq/64, uint64(1)<<(seq%64)
	if word >= uint64(len(b)) || b[word]&bit != 0 {
		return repeated
	}
	b[word] |= bit
	return inOrder
}
