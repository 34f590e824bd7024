package router

import (
	"log/slog"
	"math/rand/v2"
	"sync"
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
	Expiry3x         uint32 // seconds; a 3.x session with Clean Session 0 ends this long after its connection; 0xFFFFFFFF never
	MaxExpiry        uint32 // seconds; caps MQTT 5's Session Expiry Interval
	MaxInflight      int
	Queue            session.Limits
	QueueQoS0        bool
	MaxPersistent    int // persistent sessions, 0 is unlimited
	MaxSubscriptions int // a client, 0 is unlimited
	MaxLevels        int // of a topic name or filter
	MaximumQoS       byte
	RetainAvailable  bool
	Wildcards        bool
	SubIDs           bool
	Shared           bool
	Strategy         Strategy
	NoMatchCode      bool // PUBACK 0x10 when nobody subscribes
	CheckFormat      bool // payload format indicator 1 is verified
	DenyClose        bool // a refused 3.x publish closes the connection
	MaxRetained      int
	MaxRetainedBytes int64
	DelayedEnabled   bool
	DelayedMax       time.Duration
	DelayedCount     int
	WillGrace        time.Duration
	OverLimit        func() bool // memory above its high watermark: QoS 0 is shed
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

	subs   *topic.Tree[*Client, Sub]
	shared *topic.Tree[*Group, struct{}]
	reg    registry

	groups    groups
	retained  *retained
	delayed   delayed
	exclusive exclusive

	run uint64        // first half of this process's message ids
	seq atomic.Uint64 // second half
}

// New returns a Router. Call Restore before the first client.
func New(o Options) *Router {
	r := &Router{
		log: o.Log, hooks: o.Hooks, has: o.Hooks.Has(), store: o.Store, stats: o.Stats, due: o.Due, now: o.Now,
		subs: topic.New[*Client, Sub](), shared: topic.New[*Group, struct{}](), run: rand.Uint64(),
	}
	r.set.Store(&o.Settings)
	r.reg.init()
	r.groups.byKey = map[string]*Group{}
	r.retained = newRetained(r)
	r.delayed.items = map[uint64]*due.Item{}
	r.exclusive.holders = map[string]*Client{}
	return r
}

// Configure swaps the settings.
func (r *Router) Configure(s Settings) { r.set.Store(&s) }

// Settings returns those in force; not to be changed.
func (r *Router) Settings() *Settings { return r.set.Load() }

// nextID names a message.
func (r *Router) nextID() message.ID { return message.ID{Run: r.run, Seq: r.seq.Add(1)} }

// Sub is one subscription as the filter tree holds it.
type Sub struct {
	ID      uint32
	QoS     byte
	NoLocal bool
	RAP     bool
}

// Sink is the output of a connection: bytes appended between Begin and End leave
// in that order; nothing blocks.
type Sink interface {
	Begin() []byte
	End(buf []byte)
	// Room is how many bytes may follow before the limit, negative when over it.
	Room() int
	// Full reports whether it is over its limit; then Link.Drained is called later.
	Full() bool
}

// Link is one connection of a client, as the router sees it.
type Link struct {
	Out       Sink
	Version   byte
	MaxPacket int    // bytes, 0 is unlimited [MQTT-3.1.2-24]
	AliasMax  uint16 // outbound topic aliases the client accepts
	Window    int    // unacknowledged QoS 1 and 2 messages
	Hook      *hooks.Client
	// End asks the connection to close, with a DISCONNECT of this reason code for
	// MQTT 5. It does not wait and may be called under locks.
	End func(code byte, why string)
	// Left is closed by Disconnect: the connection has fully left its session.
	Left chan struct{}

	client  *Client
	aliases map[string]uint16 // guarded by Out's lock (Begin to End)
	plain   bool              // frames need neither alias nor a length check
}

// Client is a session and, while it has one, its connection.
type Client struct {
	ID message.ClientID
	r  *Router

	live     atomic.Pointer[Link] // same as link, for QoS 0
	inflight atomic.Int32         // as of the last step, for least_inflight

	mu      sync.Mutex
	link    *Link
	sess    *session.Session
	out     session.Output
	subs    map[string]*subscription // by the filter as the client spelled it
	cursors []*cursor
	member  []*member // of shared groups
	head    store.Session
	expiry  *due.Item
	willDue *due.Item
	ended   bool
	hook    *hooks.Client // the identity of the last connection, for its will
	clean   bool          // the connect that takes over asks for a clean start
	drops   [stats.NumDropReasons]uint32
}

// Persistent reports whether the session outlives its connection.
func (c *Client) Persistent() bool { return c.sess.Persistent() }

// commit hands the records that the last step produced to the store; the frames
// that wait for them leave when they are durable. pend, if any, is told too.
// c.mu is held, so the batches of a session are in order.
func (c *Client) commitLocked(pend *Pending) {
	o := &c.out
	if len(o.Ops) == 0 {
		if len(o.After) > 0 {
			c.appendLocked(o.After)
			o.After = o.After[:0]
		}
		return
	}
	d := &commitDone{link: c.link, frames: o.After, pend: pend, r: c.r}
	if pend != nil {
		pend.left.Add(1)
	}
	b := &store.Batch{Client: c.ID, Epoch: c.head.Epoch, Ops: o.Ops}
	o.Ops, o.After = nil, nil
	c.r.store.Commit(b, d)
}

func (c *Client) appendLocked(frames []byte) {
	if c.link != nil {
		c.link.Out.End(append(c.link.Out.Begin(), frames...))
	}
}

// commitDone releases what waits for a commit.
type commitDone struct {
	r      *Router
	link   *Link
	frames []byte
	pend   *Pending
}

// Committed implements store.Committed. A refused commit closes the connection:
// nothing that it promised leaves.
func (d *commitDone) Committed(err error) {
	if err != nil {
		d.r.log.Error("commit refused", "error", err)
		if d.link != nil {
			d.link.End(0x88, "commit refused")
		}
		if d.pend != nil {
			d.pend.fail()
		}
		return
	}
	if len(d.frames) > 0 && d.link != nil {
		d.link.Out.End(append(d.link.Out.Begin(), d.frames...))
	}
	if d.pend != nil {
		d.pend.done()
	}
}

// AppendPublish implements session.Encoder. Out's lock is held.
func (l *Link) AppendPublish(dst []byte, e *session.Entry, id message.PacketID, dup bool, now int64) ([]byte, bool) {
	f := message.Form{Version: l.Version, QoS: e.QoS, Retain: e.Retain, Dup: dup, SubIDs: e.SubIDs, Now: now}
	if l.AliasMax > 0 && !(e.QoS == 2 && l.client.sess.Persistent()) {
		f.Alias, f.Known = l.alias(e.Msg.Topic)
	}
	if l.MaxPacket > 0 && f.Len(e.Msg) > l.MaxPacket {
		if f.Alias != 0 && !f.Known {
			delete(l.aliases, e.Msg.Topic)
		}
		return dst, false
	}
	return f.Append(dst, e.Msg, id), true
}

// alias returns the alias of a topic and whether the client knows it already.
// The first topics of a connection get one each; there is no replacement.
func (l *Link) alias(name string) (uint16, bool) {
	if a, ok := l.aliases[name]; ok {
		return a, true
	}
	if len(l.aliases) >= int(l.AliasMax) {
		return 0, false
	}
	if l.aliases == nil {
		l.aliases = map[string]uint16{}
	}
	a := uint16(len(l.aliases) + 1)
	l.aliases[name] = a
	return a, false
}
