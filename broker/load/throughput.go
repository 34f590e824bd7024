package load

import (
	"context"
	"fmt"
	"os"
	"time"
)

// fleet is the clients of a scenario that streams.
type fleet struct {
	publishers  []*publisher
	subscribers []*subscriber
}

// moment is the state of the counters at a time.
type moment struct {
	at        time.Time
	delivered int64
	broker    usage
	driver    usage
}

// Beats of the goroutine that watches over a stream.
const (
	watchEvery = 100 * time.Millisecond
	drainEvery = 5 * time.Millisecond
	// interruptPatience is how long what is under way may take when a run is
	// interrupted: somebody waits for it to end.
	interruptPatience = time.Second
)

// throughput runs the scenarios in which messages stream for a while.
func (r *run) throughput(ctx context.Context, res *Result) error {
	f, err := r.openFleet(ctx)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	begin := r.moment()
	f.start(r, stop)
	from, to := r.measure(ctx, f, begin, res)
	patience := r.o.Stall
	if ctx.Err() != nil {
		patience = min(patience, interruptPatience)
	}
	f.stop(stop, patience)
	r.drain(f, patience)
	f.roundTrip(patience)
	res.between(from, to)
	res.Sent, res.Expected = f.sent()
	return nil
}

// openFleet connects everybody. What was connected when it fails is closed with the run.
func (r *run) openFleet(ctx context.Context) (*fleet, error) {
	switch r.o.Scenario {
	case Fanout:
		return r.openFanout(ctx)
	case Fanin, Shared:
		return r.openMany(ctx)
	}
	return r.openPairs(ctx)
}

func (r *run) topic(i int) string { return fmt.Sprintf("load/%s/%d", r.o.Prefix, i) }

// subscriberKind is whether subscribers keep their sessions.
func (r *run) subscriberKind() sessionKind {
	return sessionKind(!r.o.Persistent)
}

// publisherTurn is the address that publisher i connects to; its subscriber takes i.
func (r *run) publisherTurn(i int) int {
	if r.o.Cross {
		return i + 1
	}
	return i
}

// openPublisher connects publisher i of one topic, whose messages each make fan deliveries.
func (r *run) openPublisher(ctx context.Context, i int, topic string, fan int) (*publisher, error) {
	c, err := r.open(ctx, fmt.Sprintf("p%d", i), cleanSession, r.publisherTurn(i))
	if err != nil {
		return nil, err
	}
	p := r.newPublisher(c, i, newGate(int64(r.o.Window), int64(fan), r.inflight(c)))
	p.toOneTopic(topic)
	return p, nil
}

// openPairs connects Clients publishers with a subscriber each; for Wild among
// subscriptions that never match.
func (r *run) openPairs(ctx context.Context) (*fleet, error) {
	f := &fleet{publishers: make([]*publisher, r.o.Clients), subscribers: make([]*subscriber, r.o.Clients)}
	if r.o.Scenario == Wild {
		if err := r.openBystander(ctx); err != nil {
			return nil, err
		}
	}
	return f, each(ctx, r.o.Clients, func(ctx context.Context, i int) error {
		topic, filter := r.topic(i), r.topic(i)
		if r.o.Scenario == Wild {
			topic, filter = r.wildTopic(i)
		}
		p, err := r.openPublisher(ctx, i, topic, 1)
		if err != nil {
			return err
		}
		c, err := r.openSubscriber(ctx, fmt.Sprintf("s%d", i), filter, r.subscriberKind(), i)
		if err != nil {
			return err
		}
		f.publishers[i], f.subscribers[i] = p, r.newSubscriber(c, i, p.gate)
		return nil
	})
}

func (r *run) openFanout(ctx context.Context) (*fleet, error) {
	f := &fleet{subscribers: make([]*subscriber, r.o.Clients)}
	p, err := r.openPublisher(ctx, 0, r.topic(0), r.o.Clients)
	if err != nil {
		return nil, err
	}
	f.publishers = []*publisher{p}
	return f, each(ctx, r.o.Clients, func(ctx context.Context, i int) error {
		c, err := r.openSubscriber(ctx, fmt.Sprintf("s%d", i), r.topic(0), r.subscriberKind(), i)
		if err != nil {
			return err
		}
		f.subscribers[i] = r.newSubscriber(c, 0, p.gate)
		return nil
	})
}

// openMany connects Clients publishers whose messages come to one subscriber, or to
// the members of a shared group.
func (r *run) openMany(ctx context.Context) (*fleet, error) {
	f := &fleet{publishers: make([]*publisher, r.o.Clients)}
	gates := make([]*gate, r.o.Clients)
	err := each(ctx, r.o.Clients, func(ctx context.Context, i int) error {
		p, err := r.openPublisher(ctx, i, r.topic(i), 1)
		if err != nil {
			return err
		}
		f.publishers[i], gates[i] = p, p.gate
		return nil
	})
	if err != nil {
		return nil, err
	}
	filter, members := "load/"+r.o.Prefix+"/#", 1
	if r.o.Scenario == Shared {
		filter, members = "$share/load/"+filter, r.o.Members
	}
	all := newGroup(r.o.Clients)
	f.subscribers = make([]*subscriber, members)
	return f, each(ctx, members, func(ctx context.Context, i int) error {
		c, err := r.openSubscriber(ctx, fmt.Sprintf("s%d", i), filter, r.subscriberKind(), i)
		if err != nil {
			return err
		}
		f.subscribers[i] = r.newSubscriber(c, 0, gates...)
		if r.o.Scenario == Shared {
			f.subscribers[i].member = all.member()
		}
		return nil
	})
}

// start lets the subscribers receive, then the publishers send.
func (f *fleet) start(r *run, stop <-chan struct{}) {
	for _, s := range f.subscribers {
		r.wg.Go(s.receive)
	}
	for _, p := range f.publishers {
		if r.o.Rate > 0 {
			p.gap = time.Second * time.Duration(len(f.publishers)) / time.Duration(r.o.Rate)
			p.sample = 1
		}
		r.wg.Go(func() { p.send(stop) })
	}
}

// stop ends the publishers and waits for them.
func (f *fleet) stop(stop chan struct{}, patience time.Duration) {
	for _, p := range f.publishers {
		p.stop(patience)
	}
	close(stop)
	for _, p := range f.publishers {
		p.join()
	}
}

// sent is how many messages went out, and how many deliveries they make.
func (f *fleet) sent() (messages, deliveries int64) {
	for _, p := range f.publishers {
		n := p.gate.sent.Load()
		messages += n
		deliveries += n * p.gate.fan
	}
	return messages, deliveries
}

// missing is how many deliveries are still to come.
func (f *fleet) missing() int64 {
	var n int64
	for _, p := range f.publishers {
		n += max(0, p.gate.missing())
	}
	return n
}

func (r *run) moment() moment {
	m := moment{at: time.Now(), delivered: r.delivered.Load()}
	m.broker, _ = usageOf(r.o.PIDs)           // a broker that has gone is seen by its connections
	m.driver, _ = usageOf([]int{os.Getpid()}) // this process is there
	return m
}

// measure lets the stream run: the moments between which it counts. A run that is
// interrupted before it is warm counts from its begin.
func (r *run) measure(ctx context.Context, f *fleet, begin moment, res *Result) (from, to moment) {
	r.phase.Store("warming up")
	from = begin
	if r.watch(ctx, f, r.o.Warmup, res) {
		r.phase.Store("measuring")
		r.measuring.Store(true)
		from = r.moment()
		r.watch(ctx, f, r.o.Duration, res)
		r.measuring.Store(false)
	}
	return from, r.moment()
}

// watch waits for d to pass; false when the context ended or the stream stalled.
func (r *run) watch(ctx context.Context, f *fleet, d time.Duration, res *Result) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	beat := time.NewTicker(watchEvery)
	defer beat.Stop()
	idle := newStandstill(r.o.Stall)
	for {
		select {
		case <-end.C:
			return true
		case <-ctx.Done():
			return false
		case now := <-beat.C:
			if idle.seen(now, r.delivered.Load()) && f.missing() > 0 {
				res.Stalled = true
				return false
			}
		}
	}
}

// drain waits for what is under way, until nothing has moved for that long.
func (r *run) drain(f *fleet, patience time.Duration) {
	r.phase.Store("draining")
	beat := time.NewTicker(drainEvery)
	defer beat.Stop()
	idle := newStandstill(patience)
	for f.missing() > 0 {
		if now := <-beat.C; idle.seen(now, r.delivered.Load()) {
			return
		}
	}
}

// roundTrip pings on every subscriber's connection: once the answers are there,
// everything that the broker sent before has been read too, also what it sent twice.
func (f *fleet) roundTrip(patience time.Duration) {
	for _, s := range f.subscribers {
		s.c.ping(patience)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, s := range f.subscribers {
		select {
		case <-s.c.pong:
		case <-s.gone:
		case <-late.C:
			return
		}
	}
}

// standstill tells when a counter has not moved for a time.
type standstill struct {
	limit time.Duration
	last  int64
	since time.Time
}

func newStandstill(limit time.Duration) *standstill {
	return &standstill{limit: limit, last: -1}
}

// seen takes the counter as it is now, and says whether it has stood still too long.
func (s *standstill) seen(now time.Time, count int64) bool {
	if count != s.last {
		s.last, s.since = count, now
		return false
	}
	return now.Sub(s.since) >= s.limit
}
