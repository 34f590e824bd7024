package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// run is one scenario under way.
type run struct {
	o      Options
	dialer *dialer
	begin  time.Time
	wg     sync.WaitGroup // readers of connections; each ends when its connection is closed

	// Counted by those who read, a batch at a time.
	delivered  atomic.Int64 // without repeated ones
	duplicates atomic.Int64
	disorder   atomic.Int64
	unexpected atomic.Int64 // not of this run
	refused    atomic.Int64 // publishes that the broker acknowledged with a failure
	connected  atomic.Int64
	failed     atomic.Int64 // connections that were not made, or ended by the broker
	latency    histogram
	measuring  atomic.Bool
	phase      atomic.Value // string

	// What the run made; mu guards it.
	mu       sync.Mutex
	clients  map[*client]struct{} // connected
	sessions map[string]struct{}  // ids of those that outlive their connection
	firstErr error                // of the failed connections
	closing  bool                 // connections end because the run ends them
}

// Run does one scenario once. An error says why there is no result: options that are
// wrong, a broker that cannot be reached or refuses what the scenario needs. What a
// broker did wrong while it was measured is in the result, see [Result.Err].
//
// A cancelled context ends the run early; the result is then of what was done and
// says that it was interrupted. Everything the run made in the broker is removed and
// every goroutine has ended when Run returns.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	r, err := newRun(o)
	if err != nil {
		return Result{}, err
	}
	defer r.watchOver()()
	res := r.newResult()
	err = r.scenario()(ctx, &res)
	r.close()
	r.finish(&res, ctx.Err() != nil)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // the result says that it was interrupted
	}
	return res, err
}

func newRun(o Options) (*run, error) {
	if o.Prefix == "" {
		o.Prefix = randomPrefix()
	}
	r := &run{o: o, begin: time.Now(), clients: make(map[*client]struct{}), sessions: make(map[string]struct{})}
	r.phase.Store("connecting")
	var err error
	if r.dialer, err = newDialer(&o); err != nil {
		return nil, err
	}
	if _, err := usageOf(o.PIDs); err != nil {
		return nil, fmt.Errorf("--pid: %w", err)
	}
	return r, nil
}

// randomPrefix keeps runs apart that load one broker from several machines. It is
// short: it is part of every topic.
func randomPrefix() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	b.WriteString("ld")
	for range 6 {
		b.WriteByte(letters[rand.IntN(len(letters))])
	}
	b.WriteByte('-')
	return b.String()
}

func (r *run) scenario() func(context.Context, *Result) error {
	switch r.o.Scenario {
	case Idle:
		return r.idle
	case Retained:
		return r.retained
	case Offline, Sessions:
		return r.offline
	case Reconnect:
		return r.reconnect
	case Subscribe:
		return r.newFilters
	}
	return r.throughput
}

// watchOver starts what accompanies the run, and answers how it is ended.
func (r *run) watchOver() (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	if r.o.Progress != nil {
		wg.Go(func() { r.reportProgress(stop) })
	}
	wg.Go(func() { r.keepAlive(stop) })
	return func() {
		close(stop)
		wg.Wait()
	}
}

// open connects a client that the run closes in the end.
func (r *run) open(ctx context.Context, id string, kind sessionKind, turn int) (*client, error) {
	c, err := r.connect(ctx, id, kind, turn)
	if err != nil {
		if ctx.Err() == nil {
			r.countFailure(err)
		}
		return nil, err
	}
	r.mu.Lock()
	r.clients[c] = struct{}{}
	if kind == keptSession {
		r.sessions[id] = struct{}{}
	}
	r.mu.Unlock()
	r.connected.Add(1)
	return c, nil
}

// openSubscriber connects a client and subscribes it.
func (r *run) openSubscriber(ctx context.Context, id, filter string, kind sessionKind, turn int) (*client, error) {
	c, err := r.open(ctx, id, kind, turn)
	if err != nil {
		return nil, err
	}
	if kind == keptSession && c.grant.present {
		return nil, fmt.Errorf("there is a session %s already: another --prefix", c.id)
	}
	if err := c.subscribe(ctx, filter, r.o.subQoS()); err != nil {
		if ctx.Err() == nil {
			r.connectionFailed(c, err)
		}
		return nil, err
	}
	return c, nil
}

// forgetClient takes a client that was closed out of the run.
func (r *run) forgetClient(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, c)
}

func (r *run) countFailure(err error) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstErr == nil {
		r.firstErr = err
	}
}

// connectionFailed notes that a connection ended. The first of its goroutines to see
// it counts; connections that the run itself closes are no failure.
func (r *run) connectionFailed(c *client, err error) {
	r.mu.Lock()
	_, live := r.clients[c]
	delete(r.clients, c)
	closing := r.closing
	r.mu.Unlock()
	_ = c.conn.Close() // its other goroutine ends as well
	if live && !closing {
		r.countFailure(fmt.Errorf("%s: %w", c.id, err))
	}
}

// close ends every connection, waits for their goroutines, and removes the sessions
// that would outlive the run.
func (r *run) close() {
	r.phase.Store("closing")
	r.mu.Lock()
	r.closing = true
	clients, sessions := r.clients, slices.Collect(maps.Keys(r.sessions))
	r.clients = make(map[*client]struct{})
	r.mu.Unlock()
	for c := range clients {
		c.leave(time.Second)
	}
	r.wg.Wait()
	r.removeSessions(sessions)
}

// removeSessions ends sessions by a clean connect. It has a time of its own: a run
// that was interrupted cleans up too.
func (r *run) removeSessions(ids []string) {
	patience := handshakeTimeout + r.o.Stall + time.Duration(len(ids))*removalTime
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		c, err := r.connect(ctx, ids[i], cleanSession, i)
		if err == nil {
			c.leave(time.Second)
		}
		return err
	})
	if err != nil {
		r.countFailure(fmt.Errorf("removing sessions: %w", err))
	}
}

// removalTime is what a session adds to the time in which they must be removed: few
// brokers take as long.
const removalTime = 5 * time.Millisecond

// dialers is how many connections are opened at a time.
const dialers = 64

// each is eachOf with as many goroutines as connections are opened at a time.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	return eachOf(ctx, n, dialers, f)
}

// eachOf calls f for 0 to n-1 from several goroutines and waits for all of them. The
// first error ends it and is answered.
func eachOf(ctx context.Context, n, workers int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, workers) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// wait lets time pass; it answers false when the context ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
