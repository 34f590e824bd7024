package harness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks"
)

// LogEnv is the environment variable that makes nodes log to standard error.
const LogEnv = "SKEIN_TEST_LOG"

// Setup is what a node of a test may have beyond the defaults.
type Setup struct {
	Config func(c *config.Config) // changes the defaults; the listeners are set before
	Hooks  []hooks.Loaded
	Auth   hooks.Authenticator // nil lets everybody in
	Rules  hooks.Authorizer    // nil allows everything
	All    bool                // every kind of listener; otherwise TCP alone
}

// Node starts a node for one test with a change of the defaults.
func Node(t testing.TB, change func(c *config.Config)) *Broker {
	t.Helper()
	return NodeWith(t, Setup{Config: change})
}

// NodeWith starts a node for one test and stops it when the test ends.
func NodeWith(t testing.TB, s Setup) *Broker {
	t.Helper()
	OwnNode(t)
	b, err := startNode(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Errorf("stop the node: %v", err)
		}
	})
	return b
}

func startNode(s Setup) (b *Broker, err error) {
	dir, err := os.MkdirTemp("", "skein")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start a node: %w", err), os.RemoveAll(dir))
		}
	}()
	cfg := config.Default()
	if cfg.Listeners, err = listeners(s.All, dir); err != nil {
		return nil, err
	}
	cfg.Data = filepath.Join(dir, "data")
	if s.Config != nil {
		s.Config(cfg)
	}
	n, err := broker.New(cfg, broker.Options{Log: logger(), Hooks: s.Hooks, Authenticator: s.Auth, Authorizer: s.Rules})
	if err != nil {
		return nil, err
	}
	if err := n.Start(context.Background()); err != nil {
		return nil, err
	}
	b = address(n.Addrs(), s.All)
	b.stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), Deadline)
		defer cancel()
		return errors.Join(n.Stop(ctx), os.RemoveAll(dir))
	}
	return b, nil
}

func logger() *slog.Logger {
	if os.Getenv(LogEnv) == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// listeners are those of a node in the order of address.
func listeners(all bool, dir string) ([]config.Listener, error) {
	urls := []string{"tcp://127.0.0.1:0"}
	if all {
		urls = append(urls, "ssl://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix://"+filepath.Join(dir, "s"))
	}
	certs, err := writeCerts(dir)
	if err != nil {
		return nil, err
	}
	base := config.Default().Listeners[0]
	base.Optional = false
	list := make([]config.Listener, len(urls))
	for i, u := range urls {
		l := base
		l.Name, l.URL = u, u
		if i == 1 || i == 3 {
			l.TLS.Cert, l.TLS.Key = certs.Server, certs.ServerKey
		}
		list[i] = l
	}
	return list, nil
}

func address(urls []string, all bool) *Broker {
	b := &Broker{TCP: urls[0]}
	if all {
		b.TLS, b.WS, b.WSS, b.Unix = urls[1], urls[2], urls[3], urls[4]
	}
	return b
}
