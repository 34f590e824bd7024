package load

import (
	"context"
	"fmt"
	"time"
)

// retainedTopic is one of many below a thousand branches.
func (r *run) retainedTopic(i int64) string {
	return fmt.Sprintf("ret/%s/%d/%d", r.o.Prefix, i%1000, i)
}

// retained publishes Subs retained messages, has one subscriber read them all, which
// is what the rate is of, and removes them.
func (r *run) retained(ctx context.Context, res *Result) error {
	begin := time.Now()
	r.phase.Store("publishing")
	p, err := r.openRetaining(ctx, "rp", r.o.Size)
	if err != nil {
		return err
	}
	defer r.removeRetained(p.gate)
	if !r.sendAll(ctx, p) || !r.appeared(ctx) {
		res.Stalled = ctx.Err() == nil
		res.Sent, res.Expected = p.gate.sent.Load(), p.gate.sent.Load()
		return ctx.Err()
	}
	res.Retained = &RetainedResult{PublishSeconds: time.Since(begin).Seconds()}
	r.phase.Store("reading")
	c, err := r.open(ctx, "rs", cleanSession, 0)
	if err != nil {
		return err
	}
	g := newGate(unbounded, 1, unbounded)
	s := r.newSubscriber(c, 0, g)
	s.seen = newBitmap(r.o.Subs)
	from := r.moment()
	if _, err := c.conn.Write(subscribeFrame(c.version, 1, "ret/"+r.o.Prefix+"/#", r.o.subQoS())); err != nil {
		return err
	}
	r.wg.Go(s.receive)
	r.await(ctx, g, &g.delivered, int64(r.o.Subs))
	res.between(from, r.moment())
	res.Sent, res.Expected = int64(r.o.Subs), int64(r.o.Subs)
	(&fleet{subscribers: []*subscriber{s}}).roundTrip(r.o.Stall)
	r.forgetClient(c) // it would see the messages being removed
	c.leave(time.Second)
	<-s.gone
	return nil
}

// openRetaining connects a publisher of one retained message to each of the topics.
func (r *run) openRetaining(ctx context.Context, id string, size int) (*publisher, error) {
	c, err := r.open(ctx, id, cleanSession, 0)
	if err != nil {
		return nil, err
	}
	p := r.newPublisher(c, 0, newGate(unbounded, 1, r.inflight(c)))
	p.payload = p.payload[:size]
	p.count = int64(r.o.Subs)
	p.prepare = func(n int64) ([]byte, uint64) {
		return publishHead(c.version, r.retainedTopic(n), p.qos<<qosShift|flagRetain, size), uint64(n)
	}
	return p, nil
}

// appeared waits until the last message can be read, and with it those before.
func (r *run) appeared(ctx context.Context) bool {
	c, err := r.open(ctx, "ra", cleanSession, 0)
	if err != nil {
		return false
	}
	defer func() {
		r.forgetClient(c)
		c.leave(time.Second)
	}()
	err = c.bounded(ctx, func() error {
		last := r.retainedTopic(int64(r.o.Subs) - 1)
		if _, err := c.conn.Write(subscribeFrame(c.version, 1, last, 0)); err != nil {
			return err
		}
		for {
			head, _, err := c.in.read()
			if err != nil || head>>4 == typePublish {
				return err
			}
		}
	})
	return err == nil
}

// removeRetained takes back what was published. It has a time of its own: a run that
// was interrupted cleans up too.
func (r *run) removeRetained(published *gate) {
	r.phase.Store("removing")
	ctx := context.Background()
	p, err := r.openRetaining(ctx, "rr", 0)
	if err != nil {
		return // counted; nothing else reaches the broker either
	}
	p.count = published.sent.Load()
	if p.count == 0 || !r.sendAll(ctx, p) {
		return
	}
	p.c.ping(r.o.Stall)
	r.until(ctx, p.c.pong, func() int64 { return 0 })
}
