package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// JWKSConfig is where keys for tokens are fetched.
type JWKSConfig struct {
	// URL is the key set's, https only.
	URL string
	TLS ClientTLS
	// Refresh is how long keys are used before they are fetched anew; 0 is an hour. It
	// varies by a tenth, so that many brokers do not ask at once.
	Refresh time.Duration
	// MinRefresh is the least time between two fetches that unknown key ids cause; 0 is
	// 10 s.
	MinRefresh time.Duration
	// Timeout bounds one fetch; 0 is 10 s.
	Timeout time.Duration
	// Log gets failures and changes; nil is slog.Default.
	Log *slog.Logger
}

const (
	minBackOff = time.Second
	maxBackOff = 5 * time.Minute
)

// jwksURL keeps the keys of a URL fresh. Its one goroutine, started by start, does all
// fetching; close ends it and waits. Keys that were good are kept while the URL fails.
type jwksURL struct {
	cfg    JWKSConfig
	log    *slog.Logger
	client *http.Client
	keys   atomic.Pointer[keySet] // nil until the first success

	// want asks for a fetch. It holds one: a second would be answered by the same.
	want   chan struct{}
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	round   chan struct{} // closed when the fetch that is next or under way ends
	pending bool          // a fetch is wanted or under way
	after   time.Time     // before it no fetch is wanted
}

func newJWKSURL(cfg JWKSConfig, name string) (*jwksURL, error) {
	for _, d := range []struct {
		v    *time.Duration
		zero time.Duration
	}{{&cfg.Refresh, time.Hour}, {&cfg.MinRefresh, 10 * time.Second}, {&cfg.Timeout, 10 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.zero
		}
		if *d.v < time.Millisecond {
			return nil, errors.New("a time of the key set's URL is below a millisecond")
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if !strings.HasPrefix(cfg.URL, "https://") {
		return nil, errors.New("the URL of the key set is not https")
	}
	if err := serviceURL(cfg.URL, false); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	client, err := newHTTPClient(&cfg.TLS, 1)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return &jwksURL{
		cfg: cfg, log: cfg.Log.With("source", name), client: client,
		want: make(chan struct{}, 1), round: make(chan struct{}), done: make(chan struct{}), pending: true,
	}, nil
}

// start fetches the keys and begins to refresh them.
func (u *jwksURL) start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	go u.run(ctx)
}

func (u *jwksURL) close() {
	u.cancel()
	<-u.done
	u.client.CloseIdleConnections()
}

// fitting returns the keys that may have signed a token; known is false before the
// first success.
func (u *jwksURL) fitting(t *token) (keys []jwtVerifier, known bool) {
	s := u.keys.Load()
	if s == nil {
		return nil, false
	}
	return s.fitting(t), true
}

// refresh waits for the fetch that is under way, or for a new one unless there has
// been one just now. It ends with ctx.
func (u *jwksURL) refresh(ctx context.Context) {
	u.mu.Lock()
	round := u.round
	if !u.pending {
		if time.Now().Before(u.after) {
			u.mu.Unlock()
			return
		}
		u.pending = true
		u.want <- struct{}{} // there is room: only who sets pending sends
	}
	u.mu.Unlock()
	select {
	case <-round:
	case <-ctx.Done():
	case <-u.done:
	}
}

func (u *jwksURL) run(ctx context.Context) {
	defer close(u.done)
	for failures := 0; ; {
		if err := u.fetch(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			failures++
			u.log.Error("key set not fetched", "error", err, "failures", failures, "kept", u.keys.Load() != nil)
		} else {
			failures = 0
		}
		u.endRound()
		next := time.NewTimer(u.pause(failures))
		select {
		case <-next.C:
			u.beginRound()
		case <-u.want:
			next.Stop()
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// beginRound makes the fetch that the timer asks for the one to wait for.
func (u *jwksURL) beginRound() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = true
	select {
	case <-u.want: // this fetch is the answer
	default:
	}
}

func (u *jwksURL) endRound() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = false
	u.after = time.Now().Add(u.cfg.MinRefresh)
	close(u.round)
	u.round = make(chan struct{})
}

// pause is how long to wait for the next fetch: Refresh give or take a tenth, after
// failures less, twice as long each time.
func (u *jwksURL) pause(failures int) time.Duration {
	if failures == 0 {
		return u.cfg.Refresh - u.cfg.Refresh/10 + rand.N(u.cfg.Refresh/5+1)
	}
	d := min(minBackOff<<min(failures-1, 20), maxBackOff, u.cfg.Refresh)
	return d/2 + rand.N(d/2+1)
}

func (u *jwksURL) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, u.cfg.URL, nil)
	if err != nil {
		return withoutURL(err)
	}
	q.Header.Set("Accept", "application/jwk-set+json, application/json")
	r, err := u.client.Do(q)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = r.Body.Close() }() // an error of reading has been told
	data, err := readBody(r, maxKeysBytes)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answered with status %d", r.StatusCode)
	}
	s, err := parseJWKS(data, false)
	if err != nil {
		return fmt.Errorf("the answer is no key set: %w", err)
	}
	if u.keys.Swap(s) == nil || len(s.keys) == 0 {
		u.log.Info("key set fetched", "keys", len(s.keys))
	}
	return nil
}
