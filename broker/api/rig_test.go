package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/api"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	writer = "0123456789abcdefghij-w"
	reader = "0123456789abcdefghij-r"
)

// rig is a server without a listener, over a router of its own.
type rig struct {
	t      testing.TB
	api    *api.Server
	router *router.Router
	stats  *stats.Node
	doc    *openapi
	log    *logBuffer
	level  *slog.LevelVar
	ports  *ports
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// ports are what a node has beside its router.
type ports struct {
	mu      sync.Mutex
	why     string
	phase   string
	bans    []v1.Ban
	reloads int
	fail    error
}

func (p *ports) Ready() (bool, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why == "", p.why
}

func (p *ports) Drain()   { p.set(api.DrainWaiting) }
func (p *ports) Undrain() { p.set(api.DrainNone) }

func (p *ports) set(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
}

func (p *ports) DrainPhase() (string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase, 7
}

func (p *ports) List() []v1.Ban {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bans
}

func (p *ports) Add(b v1.Ban) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bans = append(p.bans, b)
	return 3, p.fail
}

func (p *ports) Remove(kind, value string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.bans {
		if b.Kind == kind && b.Value == value {
			p.bans = append(p.bans[:i:i], p.bans[i+1:]...)
			return true, nil
		}
	}
	return false, nil
}

func (p *ports) reload(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reloads++
	return nil, p.fail
}

type setup struct {
	api.Options
	router router.Settings
	auth   hooks.Authorizer
	hooks  []mqtt.Hook
}

func newRig(t testing.TB, change func(*setup)) *rig {
	g := &rig{t: t, stats: stats.NewNode(), doc: readDocument(t), log: &logBuffer{}, level: new(slog.LevelVar), ports: &ports{phase: api.DrainNone}}
	s := setup{
		Options: api.Options{
			Info: api.Info{Node: "n1", Version: "test", Started: time.Now()}, Log: slog.New(slog.NewTextHandler(g.log, nil)), Level: g.level,
			Now: time.Now, Stats: g.stats, Health: g.ports, Drainer: g.ports, Bans: g.ports, Reload: g.ports.reload,
			Pages: fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>x</title>")}, "app.js": {Data: []byte("1")}, "d": {Mode: fs.ModeDir}},
			Settings: api.Settings{
				Tokens: []api.Token{api.NewToken("w", "w-user", api.ScopeWrite, writer), api.NewToken("r", "r-user", api.ScopeRead, reader)},
				Hosts:  []string{"broker.example"}, Origins: []string{"https://ops.example"}, Health: true, Metrics: true, Page: true,
				MaxBody: 1 << 16, Streams: 4,
			},
		},
		router: router.Settings{
			Expiry3x: 3600, MaxExpiry: router.NoExpiry, MaxInflight: 100, Queue: session.Limits{Messages: 1000}, MaximumQoS: 2,
			RetainAvailable: true, Wildcards: true, SubIDs: true, Shared: true, NoMatchCode: true, DelayedEnabled: true, DelayedMax: time.Hour,
		},
	}
	if change != nil {
		change(&s)
	}
	var loaded []hooks.Loaded
	for _, h := range s.hooks {
		loaded = append(loaded, hooks.Loaded{Hook: h})
	}
	chain, err := hooks.New(hooks.Options{Authorizer: s.auth, Hooks: loaded})
	if err != nil {
		t.Fatal(err)
	}
	queue := due.New(time.Now)
	var running sync.WaitGroup
	running.Go(queue.Run)
	g.router = router.New(router.Options{
		Log: slog.New(slog.DiscardHandler), Hooks: chain, Store: memory.New(), Stats: g.stats, Due: queue, Now: time.Now, Settings: s.router,
	})
	s.Router = g.router
	if g.api, err = api.New(s.Options); err != nil {
		t.Fatal(err)
	}
	g.api.Open()
	t.Cleanup(func() {
		err := g.api.Stop(context.Background())
		queue.Stop()
		running.Wait()
		g.router.Close()
		if err := errors.Join(err, chain.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return g
}

// do sends a request to the handler.
func (g *rig) do(method, target, token, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1"
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	g.api.Handler().ServeHTTP(w, r)
	return w
}

// call is do for an operation; the answer must be as the document says, and of a status.
func (g *rig) call(id, target, body string, want int) []byte {
	g.t.Helper()
	o := g.doc.operation(id)
	w := g.do(o.method, target, writer, body)
	if w.Code != want {
		g.t.Errorf("%s %s %s: %d, want %d: %s", id, target, body, w.Code, want, w.Body)
	}
	g.doc.judge(o, w.Code, w.Header().Get("Content-Type"), w.Body.Bytes())
	return w.Body.Bytes()
}

// into is call with the answer as a type.
func into[T any](g *rig, id, target, body string) (v T) {
	g.t.Helper()
	if err := json.Unmarshal(g.call(id, target, body, http.StatusOK), &v); err != nil {
		g.t.Fatal(err)
	}
	return v
}

// session makes a session without a connection, with subscriptions.
func (g *rig) session(id string, filters ...string) {
	g.t.Helper()
	q := router.StreamRequest{ID: router.Identity{User: "u"}, Session: router.ClientID(id), Keep: true, Expiry: 3600}
	for _, f := range filters {
		q.Filters = append(q.Filters, router.Subscription{Filter: f, QoS: 1})
	}
	s, _, err := g.router.OpenStream(g.t.Context(), q)
	if err != nil {
		g.t.Fatal(err)
	}
	s.Close()
}

var _ io.Writer = (*logBuffer)(nil)
