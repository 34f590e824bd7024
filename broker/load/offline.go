package load

import (
	"context"
	"fmt"
	"sync/atomic"
)

// offlineInflight bounds what is under way to sessions that are away: there is no
// delivery that would close the loop.
const offlineInflight = 1000

// offline lets Clients sessions subscribe and leave, publishes to them, and has all
// come back at once. The rate is that of the return.
func (r *run) offline(ctx context.Context, res *Result) error {
	if r.o.Return {
		res.Expected = int64(r.o.Clients) * int64(r.o.Subs)
		res.Offline = &OfflineResult{Sessions: int64(r.o.Clients)}
		return r.comeBack(ctx, res)
	}
	if err := r.leaveSessions(ctx); err != nil {
		return err
	}
	r.phase.Store("publishing")
	p, err := r.openOfflinePublisher(ctx)
	if err != nil {
		return err
	}
	from := r.moment()
	complete := r.sendAll(ctx, p)
	to := r.moment()
	sent := p.gate.sent.Load()
	res.Sent, res.Expected = sent, sent*p.gate.fan
	res.Offline = &OfflineResult{Sessions: int64(r.o.Clients), EnqueueRate: perSecond(res.Expected, to.at.Sub(from.at))}
	if r.hasUsage() && res.Expected > 0 {
		res.Offline.EnqueueCPU = micros(to.broker.cpu-from.broker.cpu) / float64(res.Expected)
	}
	if !complete {
		res.Stalled = ctx.Err() == nil
		return ctx.Err()
	}
	if r.o.Leave {
		r.keepSessions(res)
		return nil
	}
	return r.comeBack(ctx, res)
}

// keepSessions leaves the sessions with what is queued for another run.
func (r *run) keepSessions(res *Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.sessions)
	res.Expected, res.Offline.Present = 0, res.Offline.Sessions
}

// offlineTopic is the topic of session i.
func (r *run) offlineTopic(i int) string {
	if r.o.Scenario == Sessions {
		i = 0
	}
	return fmt.Sprintf("off/%s/%d", r.o.Prefix, i)
}

func offlineID(i int) string { return fmt.Sprintf("o%d", i) }

func (r *run) leaveSessions(ctx context.Context) error {
	r.phase.Store("subscribing")
	return each(ctx, r.o.Clients, func(ctx context.Context, i int) error {
		c, err := r.openSubscriber(ctx, offlineID(i), r.offlineTopic(i), keptSession, i)
		if err != nil {
			return err
		}
		r.forgetClient(c)
		return c.leaveAndWait(ctx)
	})
}

// openOfflinePublisher connects the one publisher. For Sessions its messages reach
// all of them; for Offline they go to each in turn.
func (r *run) openOfflinePublisher(ctx context.Context) (*publisher, error) {
	c, err := r.open(ctx, "op", cleanSession, 0)
	if err != nil {
		return nil, err
	}
	fan, topics := 1, r.o.Clients
	if r.o.Scenario == Sessions {
		fan, topics = r.o.Clients, 1
	}
	p := r.newPublisher(c, 0, newGate(unbounded, int64(fan), min(offlineInflight, r.inflight(c))))
	p.count = int64(r.o.Subs) * int64(topics)
	heads := make([][]byte, topics)
	for i := range heads {
		heads[i] = publishHead(c.version, r.offlineTopic(i), p.qos<<qosShift, r.o.Size)
	}
	p.prepare = func(n int64) ([]byte, uint64) {
		return heads[n%int64(topics)], uint64(n / int64(topics))
	}
	return p, nil
}

// comeBack reconnects all sessions and waits until everything has arrived.
func (r *run) comeBack(ctx context.Context, res *Result) error {
	r.phase.Store("draining")
	var present atomic.Int64
	g := newGate(unbounded, 1, unbounded)
	f := &fleet{subscribers: make([]*subscriber, r.o.Clients)}
	from := r.moment()
	err := each(ctx, r.o.Clients, func(ctx context.Context, i int) error {
		c, err := r.open(ctx, offlineID(i), keptSession, i+1)
		if err != nil {
			return err
		}
		if c.grant.present {
			present.Add(1)
		}
		f.subscribers[i] = r.newSubscriber(c, 0, g)
		r.wg.Go(f.subscribers[i].receive)
		return nil
	})
	if err != nil {
		return err
	}
	r.await(ctx, g, &g.delivered, res.Expected)
	res.between(from, r.moment())
	res.Offline.Present = present.Load()
	patience := r.o.Stall
	if ctx.Err() != nil {
		patience = min(patience, interruptPatience)
	}
	f.roundTrip(patience)
	return nil
}
