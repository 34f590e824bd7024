package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/topic"
)

const (
	defTrace = time.Minute
	maxTrace = 10 * time.Minute
	maxRate  = 1000 // events a second
)

// TraceQuery says what is traced. All conditions that are there must hold.
type TraceQuery struct {
	Client  string       // client id; empty is any
	Topic   topic.Filter // of publishes and subscriptions; empty is any
	Net     netip.Prefix // of the client's address; invalid is any
	Payload bool         // with payloads
	Rate    int          // events a second; what is over it is lost
}

// Tracer sees packets and decisions as they happen.
type Tracer interface {
	// Trace calls emit for what happens until ctx ends or emit fails, on the caller's
	// goroutine. Whoever is traced never waits for emit: what it cannot take is lost, and
	// counted.
	Trace(ctx context.Context, q TraceQuery, emit func(*v1.TraceEvent) error) (lost uint64, err error)
}

// trace streams what happens to a client or a topic, for a while.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) error {
	q, life, err := traceQuery(r)
	if err != nil {
		return err
	}
	if s.Tracer == nil {
		return failf(http.StatusNotImplemented, "this node cannot trace")
	}
	leave, err := s.enterStream(r)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), life)
	defer cancel()
	e := newEvents(w)
	if err := e.beat(); err != nil { // so that the client knows that it began
		return nil //nolint:nilerr // the client is gone: nobody to tell
	}
	var mu sync.Mutex // of e
	emit := func(ev *v1.TraceEvent) error {
		mu.Lock()
		defer mu.Unlock()
		return e.send("trace", "", ev)
	}
	silence := keepBeating(ctx, &mu, e)
	defer silence()
	there, stop := context.WithTimeout(r.Context(), life+askTimeout) // they end by themselves, and tell what they lost
	defer stop()
	others := s.tracePeers(there, r, emit)
	lost, err := s.Tracer.Trace(ctx, q, emit)
	if err != nil {
		stop()
	}
	away, missing := others.wait()
	silence()
	_ = e.send("end", "", v1.TraceEnd{Reason: traceEnd(ctx, s.ending, err), Lost: lost + away, Missing: missing}) // it ends anyway
	return nil
}

// keepBeating writes something now and then until ctx ends or stop is called, which waits for
// its goroutine. A client that is gone is found by the next event as well.
func keepBeating(ctx context.Context, mu *sync.Mutex, e *events) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(heartbeat)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			mu.Lock()
			err := e.beat()
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func traceEnd(ctx, node context.Context, err error) string {
	switch {
	case node.Err() != nil:
		return "the node stops"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "time"
	case err != nil:
		return err.Error()
	}
	return "done"
}

func traceQuery(r *http.Request) (q TraceQuery, life time.Duration, err error) {
	p := query(r, "client", "topic", "ip", "payload", "duration", "rate")
	q.Client, q.Rate = p.text("client"), p.number("rate", 100, 1, maxRate)
	if v := p.flag("payload"); v != nil {
		q.Payload = *v
	}
	life = p.duration("duration", defTrace, time.Second, maxTrace)
	if f := p.text("topic"); f != "" {
		parsed, err := topic.Parse(f)
		if err != nil {
			p.fail("topic must be a topic filter")
		}
		q.Topic = parsed.Filter
	}
	if v := p.text("ip"); v != "" {
		if q.Net, err = parseNet(v); err != nil {
			p.fail("ip must be an address or a network such as 10.0.0.0/8")
		}
	}
	if q.Client == "" && q.Topic == "" && !q.Net.IsValid() {
		p.fail("client, topic or ip must say what is traced")
	}
	return q, life, p.done()
}

func parseNet(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}
