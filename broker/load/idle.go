package load

import (
	"context"
	"fmt"
	"time"
)

// idle opens Clients connections that subscribe and then do nothing. A connection
// that fails is counted and the others go on.
func (r *run) idle(ctx context.Context, res *Result) error {
	before := r.moment()
	_ = each(ctx, r.o.Clients, func(ctx context.Context, i int) error { // failures are counted
		_, _ = r.openSubscriber(ctx, fmt.Sprintf("i%d", i), fmt.Sprintf("idle/%s/%d", r.o.Prefix, i), r.subscriberKind(), i) // counted as well
		return nil
	})
	opened := time.Since(before.at)
	r.phase.Store("resting")
	wait(ctx, r.o.Settle)
	from := r.moment()
	r.phase.Store("measuring")
	wait(ctx, r.o.Duration)
	to := r.moment()
	connections := r.checkAllAlive(ctx)
	res.between(from, to)
	res.Idle = &IdleResult{
		Connections:       connections,
		ConnectsPerSecond: perSecond(connections, opened),
	}
	if len(r.o.PIDs) > 0 && connections > 0 && canMeasureProcesses {
		res.Idle.BytesPerConnection = float64(to.broker.rss-before.broker.rss) / float64(connections)
	}
	return nil
}

// checkAllAlive has every connection answer once more, also when the run was
// interrupted, and tells how many there were. One that does not is counted.
func (r *run) checkAllAlive(ctx context.Context) int64 {
	r.phase.Store("pinging")
	clients := r.connectedClients()
	_ = each(context.WithoutCancel(ctx), len(clients), func(ctx context.Context, i int) error { // failures are counted
		r.checkAlive(ctx, clients[i])
		return nil
	})
	return int64(len(clients))
}

func (r *run) connectedClients() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	clients := make([]*client, 0, len(r.clients))
	for c := range r.clients {
		clients = append(clients, c)
	}
	return clients
}

// checkAlive has a connection that waited answer once more.
func (r *run) checkAlive(ctx context.Context, c *client) {
	err := c.bounded(ctx, func() error {
		if _, err := c.conn.Write([]byte{headPingreq, 0}); err != nil {
			return err
		}
		for {
			head, body, err := c.in.read()
			switch {
			case err != nil:
				return err
			case head>>4 == typeDisconnect:
				return disconnected(body)
			case head>>4 == typePingresp:
				return nil
			}
		}
	})
	if err != nil {
		r.connectionFailed(c, err)
	}
}
