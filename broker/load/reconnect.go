package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ReconnectWindow is how many connects are under way at a time in a Reconnect of
// `skein bench` that does not say it.
const ReconnectWindow = 200

// reconnect has Clients sessions with a subscription each, all connected, leave and
// come back at the next address, Window of them at a time. What is measured is the
// return. A connection that fails then is counted and the others go on.
func (r *run) reconnect(ctx context.Context, res *Result) error {
	res.Reconnect = &ReconnectResult{Sessions: int64(r.o.Clients)}
	r.phase.Store("subscribing")
	err := eachOf(ctx, r.o.Clients, r.o.Window, func(ctx context.Context, i int) error {
		_, err := r.openSubscriber(ctx, reconnectID(i), fmt.Sprintf("re/%s/%d", r.o.Prefix, i), keptSession, i)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.leaveAll(ctx); err != nil {
		return err
	}
	r.phase.Store("reconnecting")
	var back, present atomic.Int64
	from := r.moment()
	err = eachOf(ctx, r.o.Clients, r.o.Window, func(ctx context.Context, i int) error {
		begin := time.Now()
		c, err := r.open(ctx, reconnectID(i), keptSession, i+1)
		if err != nil {
			return nil //nolint:nilerr // it is counted
		}
		r.latency.observe(time.Since(begin))
		back.Add(1)
		if c.grant.present {
			present.Add(1)
		}
		return nil
	})
	to := r.moment()
	res.between(from, to)
	res.Reconnect.Connected, res.Reconnect.Present = back.Load(), present.Load()
	res.Reconnect.ConnectsPerSecond = perSecond(back.Load(), to.at.Sub(from.at))
	r.checkAllAlive(ctx)
	return err
}

func reconnectID(i int) string { return fmt.Sprintf("r%d", i) }

// leaveAll has every client that is connected leave, and waits until the broker has
// closed the last.
func (r *run) leaveAll(ctx context.Context) error {
	r.phase.Store("leaving")
	clients := r.connectedClients()
	return each(ctx, len(clients), func(ctx context.Context, i int) error {
		r.forgetClient(clients[i])
		return clients[i].leaveAndWait(ctx)
	})
}
