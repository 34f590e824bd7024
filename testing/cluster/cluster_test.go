package cluster

import (
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// startDeadline is how long an instance may take to be up. With the race detector and
// others on the same cores that is long.
const startDeadline = 60 * time.Second

// options are what a cluster of a test is made of.
type options struct {
	nodes       int           // 0 is 3
	lease       time.Duration // 0 is 1 s
	sentinels   bool
	minReplicas int
	redis       []string // further settings of Redis
	settings    string   // further lines of the instances' configuration
}

// cluster is instances on one Redis.
type cluster struct {
	redis *redises
	nodes []*node
}

// start starts a cluster and waits until it serves.
func start(t testing.TB, o options) *cluster {
	t.Helper()
	harness.OwnNode(t)
	server.Program(t, "redis-server")
	signals(t)
	if o.nodes == 0 {
		o.nodes = 3
	}
	if o.lease == 0 {
		o.lease = time.Second
	}
	c := &cluster{}
	if o.sentinels {
		c.redis = startSentinels(t, o.redis...)
	} else {
		c.redis = startRedis(t, o.redis...)
	}
	for i := range o.nodes {
		c.nodes = append(c.nodes, newNode(t, i, c.redis, &o))
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.sound(t)
			if t.Failed() {
				t.Logf("%s:\n%s", n.name, tail(n.output()))
			}
		}
	})
	for _, n := range c.nodes {
		n.begin(t)
	}
	for _, n := range c.nodes {
		n.up(t)
	}
	return c
}
