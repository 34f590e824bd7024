package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Failure is what a service that fails means: it cannot be reached, does not answer
// in time, or answers with what is no answer.
type Failure string

// Meanings of a failing service. The empty one is FailDeny.
const (
	FailDeny  Failure = "deny"
	FailAllow Failure = "allow"
	// FailIgnore asks the next source. An [HTTPACL] has none and denies.
	FailIgnore Failure = "ignore"
)

// HTTPConfig is how a service is asked. Zero values are the defaults.
type HTTPConfig struct {
	// Name is that of the source, for logs; empty is "http".
	Name string
	// URL is asked with POST. It is https, or http to this machine; AllowPlain takes
	// http to others: passwords are then readable on the way.
	URL        string
	AllowPlain bool
	TLS        ClientTLS
	// Headers are sent with each request, such as Authorization.
	Headers map[string]Secret

	// Timeout bounds one question with the wait for its turn and all tries; 3 s.
	Timeout time.Duration
	// Tries is how often a question is asked when the service cannot be reached or
	// answers 429 or 5xx; 2. Each try has its part of the time that is left.
	Tries int
	// MaxCalls is how many questions may be under way; 64. MaxWaiting is how many more
	// may wait for their turn, 1,024; past it the answer is busy.
	MaxCalls, MaxWaiting int

	// CacheSize is how many answers of each kind are remembered; 10,000, negative is
	// none. AllowTTL and DenyTTL are how long, 1 min and 10 s, negative is not at all.
	CacheSize         int
	AllowTTL, DenyTTL time.Duration

	// BreakAfter is how many failures in a row make the service count as failing for
	// BreakFor without being asked; 5 and 10 s.
	BreakAfter int
	BreakFor   time.Duration
	// OnFailure is what a failing service means. That it is busy always denies.
	OnFailure Failure

	// Log gets the changes between failing and answering; nil is slog.Default.
	Log *slog.Logger
}

func (cfg *HTTPConfig) defaults() error {
	if cfg.Name == "" {
		cfg.Name = "http"
	}
	if cfg.OnFailure == "" {
		cfg.OnFailure = FailDeny
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	for _, n := range []struct {
		name string
		v    *int
		zero int
		none bool // negative has a meaning
	}{
		{"tries", &cfg.Tries, 2, false}, {"max_calls", &cfg.MaxCalls, 64, false}, {"max_waiting", &cfg.MaxWaiting, 1024, false},
		{"cache_size", &cfg.CacheSize, 10_000, true}, {"break_after", &cfg.BreakAfter, 5, false},
	} {
		if *n.v == 0 {
			*n.v = n.zero
		}
		if *n.v < 0 && !n.none {
			return fmt.Errorf("%s is negative", n.name)
		}
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		zero time.Duration
		none bool
	}{
		{"timeout", &cfg.Timeout, 3 * time.Second, false}, {"allow_ttl", &cfg.AllowTTL, time.Minute, true},
		{"deny_ttl", &cfg.DenyTTL, 10 * time.Second, true}, {"break_for", &cfg.BreakFor, 10 * time.Second, false},
	} {
		if *d.v == 0 {
			*d.v = d.zero
		}
		if *d.v < 0 && !d.none {
			return fmt.Errorf("%s is negative", d.name)
		}
	}
	switch cfg.OnFailure {
	case FailDeny, FailAllow, FailIgnore:
		return serviceURL(cfg.URL, cfg.AllowPlain)
	}
	return fmt.Errorf("on_failure %s is not deny, allow or ignore", quote(string(cfg.OnFailure)))
}

// HTTPStats are counters since the start.
type HTTPStats struct {
	Calls    int64 // questions that were sent
	Failures int64 // questions that the service failed to answer
	Cached   int64 // questions that were answered from the cache
	Busy     int64 // questions that were refused as too many
	Opened   int64 // how often the breaker opened
}

// How a question ends without an answer.
var (
	errBusy     = errors.New("too many questions for the service at once")
	errFailing  = errors.New("the service is failing and is not asked")
	errGaveUp   = errors.New("the client gave up waiting for the service")
	errRefused  = errors.New("the service refused the question with 401 or 403")
	errType     = errors.New("the answer is not application/json")
	errNoAnswer = errors.New("the answer is malformed")
)

// maxAnswer bounds the answer of a service, in bytes.
const maxAnswer = 64 << 10

// service asks over HTTP. Nobody waits for a question but the goroutine that asks. It
// has no goroutine of its own, but package net/http has some for each connection,
// which end with close.
type service struct {
	cfg     *HTTPConfig
	log     *slog.Logger
	client  *http.Client
	breaker breaker

	// calls has a place for each question under way; waiting counts those in front of
	// it, which is the bounded queue.
	calls   chan struct{}
	waiting atomic.Int64

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool           // no question begins any more
	under  sync.WaitGroup // questions; close waits for them

	sent, failures, cached, busy, opened atomic.Int64
}

func newService(cfg *HTTPConfig) (*service, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	client, err := newHTTPClient(&cfg.TLS, cfg.MaxCalls)
	if err != nil {
		return nil, err
	}
	s := &service{
		cfg: cfg, log: cfg.Log.With("source", cfg.Name), client: client,
		breaker: breaker{after: cfg.BreakAfter, pause: cfg.BreakFor},
		calls:   make(chan struct{}, cfg.MaxCalls),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// close gives up the questions that are under way and closes the connections.
func (s *service) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.under.Wait()
	s.client.CloseIdleConnections()
}

func (s *service) stats() HTTPStats {
	return HTTPStats{
		Calls: s.sent.Load(), Failures: s.failures.Load(), Cached: s.cached.Load(),
		Busy: s.busy.Load(), Opened: s.opened.Load(),
	}
}

// ask sends a question and has read understand the answer. It waits for its turn and
// for the answer, together at most Timeout. An answer that read refuses is a failure.
func (s *service) ask(ctx context.Context, body []byte, read func(object) error) error {
	if !s.begin() {
		return errGaveUp
	}
	defer s.under.Done()
	call, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if err := s.take(call); err != nil {
		return s.ended(ctx, err)
	}
	defer func() { <-s.calls }()
	t, ok := s.breaker.enter(time.Now())
	if !ok {
		return errFailing
	}
	r := callUndecided // also when read panics
	var err error
	defer func() { s.note(s.breaker.leave(time.Now(), t, r), err) }()
	s.sent.Add(1)
	err = s.try(call, body, read)
	switch {
	case err == nil || errors.Is(err, errRefused):
		r = callAnswered
	case s.gone(ctx):
		err = errGaveUp
	default:
		r = callFailed
		s.failures.Add(1)
	}
	return err
}

// begin counts a question, unless the service is closed.
func (s *service) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.under.Add(1)
	return true
}

// gone reports whether it was not the service why a call ended.
func (s *service) gone(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.Canceled) || s.ctx.Err() != nil
}

func (s *service) ended(ctx context.Context, err error) error {
	if s.gone(ctx) {
		return errGaveUp
	}
	s.busy.Add(1)
	return err
}

// take waits for a place among the calls.
func (s *service) take(ctx context.Context) error {
	select {
	case s.calls <- struct{}{}:
		return nil
	default:
	}
	if s.waiting.Add(1) > int64(s.cfg.MaxWaiting) {
		s.waiting.Add(-1)
		return errBusy
	}
	defer s.waiting.Add(-1)
	select {
	case s.calls <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

// note counts and logs what a question did to the breaker.
func (s *service) note(c breakerChange, err error) {
	switch c {
	case breakerOpened:
		s.opened.Add(1)
		s.log.Error("service fails and is not asked for a while", "error", err, "for", s.cfg.BreakFor)
	case breakerClosed:
		s.log.Info("service answers again")
	}
}

const firstBackOff = 50 * time.Millisecond

// try asks until there is an answer, good or bad, or no time or try left.
func (s *service) try(ctx context.Context, body []byte, read func(object) error) error {
	for i := 1; ; i++ {
		again, err := s.once(ctx, s.cfg.Tries-i+1, body, read)
		if err == nil || !again || i >= s.cfg.Tries {
			return err
		}
		d := firstBackOff << min(i-1, 10)
		pause := time.NewTimer(d/2 + rand.N(d/2))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// once is one try of those that are left. again says that another may do better.
func (s *service) once(ctx context.Context, left int, body []byte, read func(object) error) (again bool, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return false, withoutURL(err)
	}
	for name, value := range s.cfg.Headers {
		q.Header.Set(name, value.Reveal())
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json")
	r, err := s.client.Do(q)
	if err != nil {
		return true, fmt.Errorf("asking the service: %w", withoutURL(err))
	}
	defer func() { _ = r.Body.Close() }() // an error of reading has been told
	return understand(r, read)
}

// understand reads an answer.
func understand(r *http.Response, read func(object) error) (again bool, err error) {
	data, err := readBody(r, maxAnswer)
	switch {
	case errors.Is(err, errTooLarge):
		return false, err
	case err != nil:
		return true, err
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return false, errRefused
	case r.StatusCode != http.StatusOK:
		again = r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests
		return again, fmt.Errorf("the service answered with status %d", r.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return false, errType
	}
	o, err := parseObject(data)
	if err != nil {
		return false, errNoAnswer
	}
	return false, read(o)
}
