package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// SubscribeRate is how many subscriptions a second a Subscribe of `skein bench` makes
// that does not say it.
const SubscribeRate = 100

// newFilters has Clients clients subscribe, each to one new filter after the other,
// Rate of them a second over all; with a Rate of 0 each as soon as the last was
// granted. What is measured is the time until SUBACK.
func (r *run) newFilters(ctx context.Context, res *Result) error {
	clients := make([]*client, r.o.Clients)
	err := each(ctx, r.o.Clients, func(ctx context.Context, i int) (err error) {
		clients[i], err = r.open(ctx, fmt.Sprintf("u%d", i), cleanSession, i)
		return err
	})
	if err != nil {
		return err
	}
	var granted atomic.Int64 // while it is measured
	var wg sync.WaitGroup
	stop := make(chan struct{})
	begin := time.Now()
	for i, c := range clients {
		s := &asker{r: r, c: c, granted: &granted, pace: r.askerPace(begin, i), filter: fmt.Sprintf("sub/%s%d/", r.o.Prefix, i)}
		wg.Go(func() { s.run(ctx, stop) })
	}
	r.phase.Store("warming up")
	wait(ctx, r.o.Warmup)
	r.phase.Store("measuring")
	from := r.moment()
	r.measuring.Store(true)
	wait(ctx, r.o.Duration)
	r.measuring.Store(false)
	to := r.moment()
	close(stop)
	wg.Wait()
	res.between(from, to)
	n := granted.Load()
	res.Subscribe = &SubscribeResult{Granted: n, GrantsPerSecond: perSecond(n, to.at.Sub(from.at))}
	return ctx.Err()
}

// asker is a client that subscribes to one new filter after the other.
type asker struct {
	r       *run
	c       *client
	granted *atomic.Int64
	pace    *pacer
	filter  string // up to its number
}

// askerPace has the clients take turns: client i asks i steps of the rate later than
// the first.
func (r *run) askerPace(begin time.Time, i int) *pacer {
	if r.o.Rate == 0 {
		return newPacer(0)
	}
	step := time.Second / time.Duration(r.o.Rate)
	p := newPacer(step * time.Duration(r.o.Clients))
	p.begin = begin.Add(step*time.Duration(i) - p.gap)
	return p
}

// run ends when stop is closed, with the context, or when the connection fails.
func (a *asker) run(ctx context.Context, stop <-chan struct{}) {
	defer a.pace.stop()
	for n := int64(0); ; n++ {
		late := a.pace.late(n)
		if !a.pace.wait(n, stop) || isClosed(stop) {
			return
		}
		begin := time.Now().Add(-late)
		if err := a.ask(ctx, n); err != nil {
			if ctx.Err() == nil {
				a.r.connectionFailed(a.c, err)
			}
			return
		}
		if a.r.measuring.Load() {
			a.r.latency.observe(time.Since(begin))
			a.granted.Add(1)
		}
	}
}

// ask subscribes once, within Stall.
func (a *asker) ask(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, a.r.o.Stall)
	defer cancel()
	return a.c.subscribe(ctx, fmt.Sprintf("%s%d", a.filter, n), a.r.o.subQoS())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
