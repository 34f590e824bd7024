package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skeinmq/skein/bridge"
	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
)

// cluster is what joins a node to others. A node alone has none.
type cluster struct {
	client *redis.Client
	bridge *bridge.Bridge
	peers  *peers
	log    *slog.Logger
}

// newCluster prepares the bridge that the configuration names; nil without one. Nothing
// is connected yet.
func newCluster(c *config.Config, st *stats.Node, log *slog.Logger) (*cluster, error) {
	r := &c.Bridge.Redis
	if r.URL.Reveal() == "" {
		return nil, nil
	}
	client, err := redis.New(redis.Options{
		URL: r.URL.Reveal(), User: r.User, Password: r.Password.Reveal(), SentinelUser: r.SentinelUser, SentinelPassword: r.SentinelPassword.Reveal(),
		TLS:         redis.TLS{CA: r.TLS.CA, Cert: r.TLS.Cert, Key: r.TLS.Key, ServerName: r.TLS.ServerName},
		DialTimeout: r.DialTimeout.Std(), ReadTimeout: r.ReadTimeout.Std(), WriteTimeout: r.WriteTimeout.Std(), PoolSize: r.PoolSize,
		Name: "skein", Scripts: bridge.Scripts(), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	b := bridge.New(bridge.Options{
		Client: client, Clustered: client.Target().Mode == redis.Cluster, Prefix: r.Prefix, Lease: r.Lease.Std(),
		DedupeWindow: c.Session.DedupeWindow.Std(), MinReplicas: r.MinReplicas, Log: log, Stats: st, Now: time.Now,
	})
	return &cluster{client: client, bridge: b, peers: newPeers(b, log), log: log}, nil
}

// inspectAgain is how long a start waits before it looks again for a Redis that is away.
const inspectAgain = time.Second

// start joins the others. It waits for a Redis that is away, until ctx ends; one that is
// not fit is an error that names what it must be.
func (c *cluster) start(ctx context.Context, r *router.Router) error {
	for told := false; ; told = true {
		facts, err := c.client.Inspect(ctx)
		if err == nil {
			for _, w := range facts.Warnings {
				c.log.Warn("redis may lose what was acknowledged", "warning", w)
			}
			break
		}
		if !redis.IsUnavailable(err) || ctx.Err() != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		if !told {
			c.log.Error("redis cannot be used; waiting for it", "redis", c.client.Target().String(), "error", err)
		}
		if err := pause(ctx, inspectAgain); err != nil {
			return fmt.Errorf("bridge: wait for redis: %w", err)
		}
	}
	if err := c.bridge.Start(ctx, r); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Failed answers a channel that is told when the node cannot go on: others have taken
// over from it, or the data in Redis is not what it was. It must be stopped. A node
// alone is never told.
func (n *Node) Failed() <-chan error {
	if n.cluster == nil {
		return nil
	}
	return n.cluster.bridge.Failed()
}

// Rejoin reports whether a node that failed is to be started anew, as another one with
// the same configuration: it was silent for too long, and nothing is wrong with it.
func Rejoin(err error) bool { return errors.Is(err, bridge.ErrRejoin) }

// openStore opens the store that the configuration names: that of the cluster, or one of
// the node's own.
func (n *Node) openStore(cfg *config.Config) (err error) {
	if n.cluster, err = newCluster(cfg, n.stats, n.log); err != nil {
		return err
	}
	if n.cluster != nil {
		n.store, n.cfg = n.cluster.bridge, named(cfg, n.cluster)
		n.ready.also(n.cluster.bridge)
		return nil
	}
	n.store, err = openStore(context.Background(), cfg, n.stats, n.log)
	return err
}

func (n *Node) closeStore(context.Context) error {
	err := n.store.Close()
	if n.cluster != nil {
		n.cluster.peers.close()
		err = errors.Join(err, n.cluster.client.Close())
	}
	return err
}

// routerCluster is what the router asks of the others; nil for a node alone.
func (n *Node) routerCluster() router.Cluster {
	if n.cluster == nil {
		return nil
	}
	return n.cluster.bridge
}
