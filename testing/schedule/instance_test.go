package schedule

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// lease is the shortest that there is.
const lease = time.Second

// deadline is how long a test waits for what must happen.
const deadline = server.Deadline

// instance is one life of a node of the cluster.
type instance struct {
	gate *gate
	node *broker.Node
	url  string

	once sync.Once
	done chan struct{} // closed when the node has ended
}

// start starts an instance on a Redis and waits until it serves. The test's end ends it.
func start(t testing.TB, r *server.Redis, prefix string, choose chooser) *instance {
	t.Helper()
	g := newGate(t, server.RedisDir(t), r.Sock, choose)
	cfg := config.Default()
	l := cfg.Listeners[0]
	l.URL, l.Optional = "tcp://127.0.0.1:0", false
	cfg.Listeners = []config.Listener{l}
	cfg.Session.WillGrace = config.Duration(time.Second)
	b := &cfg.Bridge.Redis
	b.URL, b.Prefix = config.Secret("redis+unix://"+g.path), prefix
	b.Lease, b.ReadTimeout, b.PoolSize = config.Duration(lease), config.Duration(lease-lease/10), 32
	n, err := broker.New(cfg, broker.Options{Log: logger(g.path)})
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{gate: g, node: n, done: make(chan struct{})}
	t.Cleanup(i.stop)
	t.Cleanup(g.open) // the first of both
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.url = n.Addrs()[0]
	return i
}

func logger(name string) *slog.Logger {
	if os.Getenv(harness.LogEnv) == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("instance", name)
}

// stop ends the instance in order, as far as its gate lets it.
func (i *instance) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), lease)
	defer cancel()
	i.end(ctx)
}

// crash ends the instance at once: nothing of it reaches Redis any more, and its clients
// lose their connections. What is left in memory is cleaned up on the side; what of that
// waits for Redis ends after the test, when its gate opens once more.
func (i *instance) crash() {
	i.gate.crash()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	go i.end(ctx) // the test's end waits for it
}

func (i *instance) end(ctx context.Context) {
	i.once.Do(func() {
		_ = i.node.Stop(ctx) // its Redis may be away
		close(i.done)
	})
	<-i.done
}
