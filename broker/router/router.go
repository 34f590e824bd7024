package router

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// Settings are the limits and choices of the router. They are read through an
// atomic pointer, so a reload swaps them whole.
type Settings struct {
	Expiry3x         uint32 // seconds; a 3.x session with Clean Session 0 ends this long after its connection; NoExpiry never
	MaxExpiry        uint32 // seconds; caps MQTT 5's Session Expiry Interval
	MaxInflight      int
	Queue            session.Limits
	QueueQoS0        bool
	MaxPersistent    int // persistent sessions, 0 is unlimited
	MaxPerUser       int // persistent sessions of one user, 0 is unlimited
	MaxSubscriptions int // a client, 0 is unlimited
	// MaxUserConnections and MaxUserSubscriptions are of one user on this node; 0 is
	// unlimited.
	MaxUserConnections   int
	MaxUserSubscriptions int
	AnyUser              bool // sessions may be resumed by other users than those that made them
	MaxQueued            int  // messages in all queues, 0 is unlimited
	MaxQueuedBytes       int64
	MaxLevels            int // of a topic name or filter, 0 is unlimited
	MaxTopicLength       int // bytes of a topic name or filter, 0 is unlimited
	MaximumQoS           byte
	RetainAvailable      bool
	Wildcards            bool
	SubIDs               bool
	Shared               bool
	Strategy             Strategy
	NoMatchCode          bool // PUBACK 0x10 when nobody subscribes
	CheckFormat          bool // payload format indicator 1 is verified
	DenyClose            bool // a refused 3.x publish closes the connection
	MaxRetained          int  // 0 is unlimited
	MaxRetainedBytes     int64
	DelayedEnabled       bool
	DelayedMax           time.Duration
	DelayedCount         int
	WillGrace            time.Duration
	Receipts             bool // publishers are told what became of messages whose property asks for it
	ReceiptsEach         int  // targets of a message up to which each is told of alone
	ReceiptsOpen         int  // messages with more whose summary waits, 0 is unlimited
	ReceiptsClient       bool // receipts name the client
	Durable              bool // the store outlives the process
	// Linger is how long the record of a message to a subscriber that keeps up may wait
	// for its acknowledgement, at least; 0 is not at all.
	Linger    time.Duration
	OverLimit func() bool // memory above its high watermark: QoS 0 is shed; nil is never
}

// Options are what a Router is made of.
type Options struct {
	Log      *slog.Logger
	Hooks    *hooks.Chain
	Store    store.Store
	Stats    *stats.Node
	Due      *due.Queue
	Settings Settings
	Now      func() time.Time
	Cluster  Cluster // nil is a node alone
}

// Router takes publishes to the sessions that subscribed to them.
type Router struct {
	log   *slog.Logger
	hooks *hooks.Chain
	has   hooks.Has
	store store.Store
	stats *stats.Node
	due   *due.Queue
	now   func() time.Time
	set   atomic.Pointer[Settings]

	own     *box
	adopted boxes
	reg     registry

	cluster Cluster
	peers   *peers // nil for a node alone
	repeats repeats

	retained  *retained
	delayed   delayed
	exclusive exclusive
	users     users
	refusals  refusals
	owed      owed
	follows   follows
	sys       sys
	events    *events
	pager     *pager
	outcomes  outcomes
	recaller  *recaller
	traces    traces
	start     time.Time // of since

	commitTook atomic.Int64  // nanoseconds, about: how long a commit takes of late
	identities atomic.Uint64 // changes when a session's or connection's identity does

	run uint64        // first half of this process's message ids
	seq atomic.Uint64 // second half
}

// New returns a Router. Call Restore before the first client.
func New(o Options) *Router {
	r := &Router{
		log: o.Log, hooks: o.Hooks, has: o.Hooks.Has(), store: o.Store, stats: o.Stats, due: o.Due, now: o.Now,
		own: newBox(""), run: rand.Uint64(),
	}
	r.set.Store(&o.Settings)
	r.reg.init()
	r.retained = newRetained(r)
	r.delayed.waits = map[delayedKey]delayedMessage{}
	r.exclusive.holders = map[topic.Filter]*Client{}
	r.outcomes = outcomes{r: r, held: true, tallies: map[message.ID]*tally{}, closing: make(chan struct{})}
	r.events = newEvents(r)
	r.pager = newPager(r)
	r.start = o.Now()
	r.recaller = newRecaller(r)
	if r.cluster = o.Cluster; r.cluster == nil {
		r.cluster = alone{}
		return r
	}
	r.peers = newPeers()
	r.adopted.put(r.newFeed(r.own))
	return r
}

// Close ends what New started. No client may be connected any more.
func (r *Router) Close() {
	r.recaller.close()
	r.pager.close()
	r.events.due.Wait()
	r.outcomes.close()
	r.events.close()
}

// Configure swaps the settings.
func (r *Router) Configure(s Settings) { r.set.Store(&s) }

// Settings returns those in force; not to be changed.
func (r *Router) Settings() *Settings { return r.set.Load() }

// rules changes whenever a decision that was made before may not hold any more.
func (r *Router) rules() uint64 { return r.hooks.Generation() + r.identities.Load() }

// IdentityChanged makes the router forget what it knows of who may do what: a
// connection acts as somebody else, or by other rules.
func (r *Router) IdentityChanged() { r.identities.Add(1) }

// since is the time, in nanoseconds since the router was made: by the monotonic clock,
// so that nothing waits for long because the clock was set.
func (r *Router) since() int64 { return int64(r.now().Sub(r.start)) }

// nextID names a message.
func (r *Router) nextID() message.ID { return message.ID{Run: r.run, Seq: r.seq.Add(1)} }

// overLimit reports whether memory is short, so that QoS 0 is shed.
func (r *Router) overLimit() bool {
	f := r.Settings().OverLimit
	return f != nil && f()
}

// Sub is one subscription as the filter tree holds it.
type Sub struct {
	ID      uint32
	QoS     byte
	NoLocal bool
	RAP     bool
}

// commitWait lets a goroutine wait for a commit.
type commitWait chan error

// Committed implements store.Committed.
func (w commitWait) Committed(err error) { w <- err }

// commitNode commits a record of the node itself; pend, if any, is told.
func (r *Router) commitNode(op store.Op, pend *Pending) {
	if pend != nil {
		pend.left.Add(1)
	}
	r.commit(&store.Batch{Ops: []store.Op{op}}, &commitDone{r: r, pend: pend})
}

// commitBox is commitNode for a record of a mailbox.
func (r *Router) commitBox(b *box, op store.Op, pend *Pending) {
	if pend != nil {
		pend.left.Add(1)
	}
	r.commit(&store.Batch{Box: b.id, Ops: []store.Op{op}}, &commitDone{r: r, pend: pend})
}

// wait waits for a commit that w was given to, or for ctx.
func (w commitWait) wait(ctx context.Context) error {
	select {
	case err := <-w: // it is often there already
		return err
	default:
	}
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
