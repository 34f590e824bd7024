package router

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bothStores runs a test with a store that answers within Commit, and with one that
// answers later from another goroutine.
func bothStores(t *testing.T, change func(*setup), f func(g *rig)) {
	t.Run("at once", func(t *testing.T) { f(newRig(t, change)) })
	t.Run("later", func(t *testing.T) {
		g := newRig(t, change)
		g.store.work(t)
		f(g)
	})
}

// rig is a router with what it is made of.
type rig struct {
	t     testing.TB
	r     *Router
	store *lagging
	stats *stats.Node
	due   *due.Queue
	hooks *hooks.Chain
}

type setup struct {
	Settings
	auth  hooks.Authorizer
	hooks []mqtt.Hook
	store *lagging

	cluster Cluster // nil: the node is alone
}

func defaults() setup {
	return setup{
		store: &lagging{Store: memory.New()},
		Settings: Settings{
			Expiry3x: 3600, MaxExpiry: NoExpiry, MaxInflight: 1000, Queue: session.Limits{Messages: 100_000, Bytes: 64 << 20},
			MaximumQoS: 2, RetainAvailable: true, Wildcards: true, SubIDs: true, Shared: true,
			DelayedEnabled: true, DelayedMax: time.Hour, WillGrace: 10 * time.Second, Receipts: true, ReceiptsEach: 3, ReceiptsClient: true, MaxLevels: 128, Durable: true,
		},
	}
}

// newRig makes a router whose clock runs; within synctest it is the bubble's.
func newRig(t testing.TB, change func(*setup)) *rig {
	s := defaults()
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
	g := &rig{t: t, store: s.store, stats: stats.NewNode(), due: due.New(time.Now), hooks: chain}
	g.r = New(Options{
		Log: slog.New(slog.DiscardHandler), Hooks: chain, Store: s.store, Stats: g.stats, Due: g.due, Now: time.Now, Settings: s.Settings,
		Cluster: s.cluster,
	})
	if err := g.r.Restore(context.Background()); err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	go func() { defer close(running); g.due.Run() }()
	t.Cleanup(func() {
		g.due.Stop()
		<-running
		g.r.Close()
		if err := chain.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// dropped is the count of a reason.
func (g *rig) dropped(why stats.DropReason) uint64 { return g.stats.Snapshot().Dropped(why) }

// balanced fails unless nothing is left in the totals.
func (g *rig) balanced() {
	g.t.Helper()
	s := g.stats.Snapshot()
	if s.Queued != 0 || s.Inflight != 0 || s.QueuedBytes != 0 {
		g.t.Errorf("totals: %d queued, %d in flight, %d bytes", s.Queued, s.Inflight, s.QueuedBytes)
	}
}

var errBroken = errors.New("disk broken")
