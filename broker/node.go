package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/conn"
	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/listen"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// Options are what a node is given beside its configuration.
type Options struct {
	Log     *slog.Logger   // nil discards
	Level   *slog.LevelVar // set by Reload; nil leaves the level alone
	Version string         // in $SYS/broker/version
	Hooks   []hooks.Loaded // further hooks of mochi's interface
	// Authenticator and Authorizer say who may come in and what they may do, in the
	// place of what the configuration says; nil leaves it to that.
	Authenticator hooks.Authenticator
	Authorizer    hooks.Authorizer
	// AllowUnusedEvents takes hooks that provide events which are never called.
	AllowUnusedEvents bool
	// WrapStore puts something before the store that New opens; nil leaves it as it is.
	// Tests break a store with it.
	WrapStore func(store.Store) store.Store
	// Reload reads the configuration again and gives it to [Node.Reload]: what the API's
	// reload does. Nil: it has none.
	Reload func(ctx context.Context) error
	// Pages has the dashboard, see api.Options; nil is the one of package ui.
	Pages fs.FS
	// Collectors are further metrics.
	Collectors []prometheus.Collector
}

// Node is one broker. Make it with [New], then Start and Stop, or Run.
type Node struct {
	log     *slog.Logger
	level   *slog.LevelVar
	version string

	auth *hooks.Auth
	// ownAuth says that somebody else than auth says who may come in.
	ownAuth bool
	cluster *cluster // nil for a node alone
	hooks   *hooks.Chain
	store   store.Store
	stats   *stats.Node
	due     *due.Queue
	router  *router.Router
	server  *conn.Server
	memory  *memoryWatch
	ready   *readiness
	drain   *drain
	web     *web // nil without an HTTP listener

	mu        sync.Mutex
	cfg       *config.Config
	restart   []string // paths of the last reload that need a restart
	access    *access  // what auth decides by
	listeners []*listen.Listener
	stops     []func(ctx context.Context) error // last in, first out
	started   bool
	stopped   chan struct{} // closed when Stop is done
	stopErr   error
}

// New makes a node from a checked configuration. Nothing is bound and no client is
// served before Start. The hooks are started and the store is open: Stop must follow,
// also without a Start.
func New(cfg *config.Config, o Options) (*Node, error) {
	n := &Node{log: o.Log, level: o.Level, version: o.Version, cfg: cfg, stats: stats.NewNode(), ready: &readiness{why: whyStarting}}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if n.access, err = newAccess(cfg, nil, n.log); err != nil {
		return nil, err
	}
	if err := n.access.bans.Replace(n.access.banned); err != nil {
		n.access.close()
		return nil, fmt.Errorf("bans: %w", err)
	}
	n.auth = hooks.NewAuth(n.access.access())
	if n.ownAuth = o.Authenticator != nil; !n.ownAuth {
		o.Authenticator = n.auth
	}
	if o.Authorizer == nil {
		o.Authorizer = n.auth
	}
	chain, err := hooks.New(hooks.Options{
		Log: n.log, Authenticator: o.Authenticator, Authorizer: o.Authorizer, Hooks: o.Hooks, Capabilities: capabilities(cfg), AllowUnusedEvents: o.AllowUnusedEvents,
	})
	if err != nil {
		n.access.close()
		return nil, fmt.Errorf("start hooks: %w", err)
	}
	n.hooks = chain
	n.memory = newMemoryWatch(cfg.Limits.Memory.HighWatermark, n.log)
	if err := n.openStore(cfg); err != nil {
		n.access.close()
		return nil, errors.Join(err, chain.Close(context.Background()))
	}
	if err := n.access.kept.load(n.access.bans); err != nil { // what is wrong with the directory, the store has said
		n.access.close()
		return nil, errors.Join(fmt.Errorf("bans: %w", err), n.store.Close(), chain.Close(context.Background()))
	}
	if o.WrapStore != nil {
		n.store = o.WrapStore(n.store)
	}
	n.due = due.New(time.Now)
	n.router = router.New(router.Options{
		Log: n.log, Hooks: n.hooks, Store: n.store, Stats: n.stats, Due: n.due, Now: time.Now,
		Settings: n.routerSettings(cfg), Cluster: n.routerCluster(),
	})
	n.server = conn.NewServer(conn.Options{
		Router: n.router, Hooks: n.hooks, Stats: n.stats, Log: n.log, Now: time.Now,
		Settings: n.connSettings(cfg), Blocked: listen.ErrWouldBlock,
	})
	if n.cluster != nil {
		n.ready.also(n.cluster.bridge)
	}
	n.drain = newDrain(n.server, n.ready, n.drainPlan)
	if n.web, err = n.newWeb(&o); err != nil {
		return nil, errors.Join(err, n.Stop(context.Background()))
	}
	return n, nil
}

// open binds all listeners or none.
func (n *Node) open() error {
	for i := range n.cfg.Listeners {
		c := &n.cfg.Listeners[i]
		l, err := listen.Open(listenOptions(c, n.cfg, n.log))
		if err != nil && c.Optional && addressMissing(err) {
			n.log.Info("listener skipped", "listener", c.Name, "url", c.URL, "error", err)
			continue
		}
		if err != nil {
			return errors.Join(err, n.closeListeners())
		}
		n.listeners = append(n.listeners, l)
	}
	if len(n.listeners) == 0 {
		return errors.New("no listener could be opened")
	}
	return nil
}

// addressMissing tells a host without the address, or the whole family, from an
// address that is taken.
func addressMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

func (n *Node) closeListeners() error {
	var errs []error
	for _, l := range n.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// transport is a listener's connection as package conn sees it.
type transport struct{ *listen.Conn }

// Scheme is the transport's kind.
func (t transport) Scheme() string { return string(t.Kind()) }

var _ conn.Transport = transport{}

// Addrs are the URLs of the bound listeners, with the ports that the system chose.
func (n *Node) Addrs() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]string, 0, len(n.listeners))
	for _, l := range n.listeners {
		list = append(list, l.URL())
	}
	return list
}

// Stats are the node's counters.
func (n *Node) Stats() *stats.Node { return n.stats }
