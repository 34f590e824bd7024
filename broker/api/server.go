package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skeinmq/skein/broker/stats"
)

// Times of a request.
const (
	headerTimeout = 10 * time.Second // for its head
	readTimeout   = 60 * time.Second // for all of it
	writeTimeout  = 90 * time.Second // from its head to the end of the answer; longer than any wait
	idleTimeout   = 2 * time.Minute  // between two
	maxHeader     = 32 << 10         // bytes
)

// Settings are what a reload may change.
type Settings struct {
	Tokens  []Token
	Hosts   []string // names of this listener besides addresses and localhost
	Origins []string // pages of elsewhere that may use it, scheme://host
	// Health, Metrics and Page need no token.
	Health, Metrics, Page bool
	MaxBody               int64 // bytes
	Streams               int   // at a time
}

// Options are what a Server is made of. What is nil is not offered, unless said.
type Options struct {
	Address  string // HOST:PORT
	TLS      *tls.Config
	Settings Settings
	Info     Info
	Log      *slog.Logger
	Level    *slog.LevelVar
	Now      func() time.Time
	Stats    *stats.Node
	Router   Router
	Health   Health
	Drainer  Drainer
	Bans     Bans
	Cluster  Cluster // nil is Alone
	Reload   Reload
	// WebSocket upgrades requests for /mqtt.
	WebSocket http.Handler
	// Pages has the dashboard: index.html, and what it loads below /ui/.
	Pages fs.FS
	// Tracer has the live trace.
	Tracer Tracer
	// Collectors are further metrics.
	Collectors []prometheus.Collector
}

// Server is the HTTP listener. Make it with [New]; then Start and Stop.
type Server struct {
	Options
	log      *slog.Logger
	now      func() time.Time
	set      atomic.Pointer[Settings]
	http     *http.Server
	ln       net.Listener
	streams  chan struct{} // one for each stream; full: the next is refused
	refusals refusalLog
	requests *prometheus.CounterVec

	ending  context.Context // ends with Stop
	end     context.CancelFunc
	serving chan struct{} // closed when nothing is accepted any more

	mu       sync.Mutex
	opened   bool           // the node serves: the API may be used
	stopped  bool           // no handler begins any more
	handlers sync.WaitGroup // Add under mu and only while not stopped
}

// New makes a Server. Nothing is bound before Start.
func New(o Options) (*Server, error) {
	s := &Server{Options: o, log: o.Log, now: o.Now, serving: make(chan struct{}), streams: make(chan struct{}, max(1, o.Settings.Streams))}
	if s.Cluster == nil {
		s.Cluster = Alone{}
	}
	s.set.Store(&o.Settings)
	s.ending, s.end = context.WithCancel(context.Background())
	metrics, err := s.metrics()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler: s.guard(s.routes(metrics)), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return s.ending },
	}
	return s, nil
}

// Handler is what answers requests, without a listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Start binds the address and serves health at once; the API is answered from Open on.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", s.Address)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	if s.TLS != nil {
		ln = tls.NewListener(ln, s.TLS)
	}
	s.ln = ln
	go func() {
		defer close(s.serving)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("http listener ended", "error", err)
		}
	}()
	s.log.Info("listening", "url", s.URL())
	return nil
}

// URL is the address that was bound, with the port that the system chose.
func (s *Server) URL() string {
	scheme := "http://"
	if s.TLS != nil {
		scheme = "https://"
	}
	return scheme + s.ln.Addr().String()
}

// Open lets the API be used: what the node keeps has been loaded.
func (s *Server) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
}

// Configure swaps the settings.
func (s *Server) Configure(set Settings) { s.set.Store(&set) }

func (s *Server) settings() *Settings { return s.set.Load() }

// Stop ends the streams, takes no more requests and waits for those under way; once ctx
// ends, their connections are cut. When it returns no handler runs.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.end()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if s.ln != nil {
		<-s.serving
	}
	s.handlers.Wait()
	return err
}

// enter counts a handler in. It reports false when the server stops.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.handlers.Add(1)
	}
	return !s.stopped
}

func (s *Server) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}
