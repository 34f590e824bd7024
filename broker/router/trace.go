package router

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
)

const (
	maxTraces = 8       // at a time
	traceRing = 1024    // events that wait for who looks at them; full: the next are lost
	tracePart = 4 << 10 // bytes of a payload in an event
)

// ErrTraces says that there are too many traces at a time.
var ErrTraces = errors.New("8 traces are running, which is the most")

// TraceQuery says what a trace shows: all conditions that are there must hold, those of
// a client for who sent or for whom it goes to.
type TraceQuery struct {
	Client  ClientID     // empty is any
	Topic   topic.Filter // of publishes and subscriptions that can share a topic with it; empty is any packet
	Net     netip.Prefix // of the client's address; invalid is any
	Payload bool         // with payloads, each up to 4096 bytes
	Rate    int          // events a second, at least 1; what is over it is lost
}

// TraceEvent is a packet, or with a Decision what was decided about one.
type TraceEvent struct {
	At       int64    // Unix nanoseconds
	Client   ClientID // whose packet it is, or that published
	Remote   string   // its address, where it is known
	Packet   string   // PUBLISH, PUBACK, …
	Topic    string   // or filters
	Decision string   // one of the Decided words; empty for a packet
	Rule     string   // that decided, or why it was dropped
	Target   string   // the client, shared group or mailbox that it went to
	Payload  []byte   // only when asked for
	Took     time.Duration
	Size     int // bytes of the packet
	Count    int // messages that a decision is about, when there are several
	ID       PacketID
	QoS      byte
	Code     byte
	In       bool // from the client
	Retain   bool
	Dup      bool

	targetRemote string
}

// The decisions.
const (
	DecidedAllowed   = "allowed"   // by Rule
	DecidedRefused   = "refused"   // by Rule, with Code
	DecidedSent      = "sent"      // to Target: it is in its connection's output
	DecidedQueued    = "queued"    // in Target's queue; a packet follows when it is its turn
	DecidedDropped   = "dropped"   // for Target, or for all; Rule is the reason
	DecidedRetained  = "retained"  // as the topic's message
	DecidedForwarded = "forwarded" // to another node's mailbox, Target
	DecidedDelayed   = "delayed"   // for $delayed
	DecidedCommitted = "committed" // what acknowledging promises is durable, Took after it was routed
	DecidedEnded     = "ended"     // the connection, because of Rule
)

// traces are those that run. Nobody who is traced waits for one.
type traces struct {
	live atomic.Pointer[Tracing] // nil while there is none

	mu    sync.Mutex
	watch func(on bool) // see WatchTraces; nil is nobody
}

// Tracing are the traces that run at a moment. It does not change.
type Tracing struct {
	list []*trace
	now  func() time.Time
}

// trace is one of them.
type trace struct {
	q    TraceQuery
	ring chan TraceEvent

	mu    sync.Mutex
	lost  uint64
	room  float64 // events that may come now
	since int64   // when room was worked out, Unix nanoseconds
}

// Tracing answers the traces that run, nil when nobody traces: the price of that is this
// load, for each read of a connection and each run of publishes.
func (r *Router) Tracing() *Tracing { return r.traces.live.Load() }

// WatchTraces has f called when the first trace begins and when the last has ended. A
// connection server shows the packets that leave between the two.
func (r *Router) WatchTraces(f func(on bool)) {
	r.traces.mu.Lock()
	defer r.traces.mu.Unlock()
	r.traces.watch = f
}

// Trace calls emit for what happens until ctx ends or emit fails. It answers how many
// events were lost: over the rate, or faster than emit took them.
func (r *Router) Trace(ctx context.Context, q TraceQuery, emit func(*TraceEvent) error) (lost uint64, err error) {
	t := &trace{q: q, ring: make(chan TraceEvent, traceRing), room: float64(q.Rate), since: r.now().UnixNano()}
	if !r.traces.begin(t, r.now) {
		return 0, ErrTraces
	}
	r.IdentityChanged() // what was judged before is judged again, so that its rule is seen
	defer func() { lost = t.losses() }()
	defer r.traces.end(t)
	for {
		select {
		case e := <-t.ring:
			if err := emit(&e); err != nil {
				return 0, err
			}
		case <-ctx.Done():
			return 0, t.rest(emit)
		}
	}
}

// rest shows what has happened before the end.
func (t *trace) rest(emit func(*TraceEvent) error) error {
	for range cap(t.ring) {
		select {
		case e := <-t.ring:
			if err := emit(&e); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (s *traces) begin(t *trace, now func() time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*trace
	if old := s.live.Load(); old != nil {
		list = old.list
	}
	if len(list) >= maxTraces {
		return false
	}
	s.live.Store(&Tracing{list: append(slices.Clone(list), t), now: now})
	if len(list) == 0 && s.watch != nil {
		s.watch(true)
	}
	return true
}

func (s *traces) end(t *trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.live.Load()
	list := slices.DeleteFunc(slices.Clone(old.list), func(o *trace) bool { return o == t })
	if len(list) > 0 {
		s.live.Store(&Tracing{list: list, now: old.now})
		return
	}
	s.live.Store(nil)
	if s.watch != nil {
		s.watch(false)
	}
}

func (t *trace) losses() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// Packet shows a packet. Filters are those that it names, beside e.Topic. The event's
// texts must stay as they are; its payload may be part of a buffer.
func (g *Tracing) Packet(e *TraceEvent, filters ...string) {
	if len(filters) == 0 && e.Topic != "" {
		filters = append(filters, e.Topic)
	}
	e.At = g.now().UnixNano()
	for _, t := range g.list {
		if t.wants(e, filters) {
			t.take(e)
		}
	}
}

// decide shows a decision.
func (g *Tracing) decide(e *TraceEvent) {
	if e.Count == 1 {
		e.Count = 0
	}
	g.Packet(e)
}

// about makes a client the one that an event is about.
func (e *TraceEvent) about(h *hooks.Client) *TraceEvent {
	if h != nil {
		e.Client, e.Remote = ClientID(h.ID()), h.Remote()
	}
	return e
}

// to makes a client the one that it goes to.
func (e *TraceEvent) to(c *Client, h *hooks.Client) *TraceEvent {
	e.Target = string(c.ID)
	if h != nil {
		e.targetRemote = h.Remote()
	}
	return e
}

func (t *trace) wants(e *TraceEvent, filters []string) bool {
	if t.q.Topic != "" && !slices.ContainsFunc(filters, func(f string) bool { return shareTopic(string(t.q.Topic), f) }) {
		return false
	}
	return t.is(string(e.Client), e.Remote) || e.Target != "" && t.is(e.Target, e.targetRemote)
}

// is reports whether one party of an event is traced.
func (t *trace) is(client, remote string) bool {
	if t.q.Client != "" && client != string(t.q.Client) {
		return false
	}
	if !t.q.Net.IsValid() {
		return true
	}
	a, err := netip.ParseAddrPort(remote)
	return err == nil && t.q.Net.Contains(a.Addr().Unmap())
}

// take gives an event to who looks, or counts it as lost.
func (t *trace) take(e *TraceEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rate := float64(t.q.Rate)
	t.room = min(rate, t.room+rate*float64(max(0, e.At-t.since))/float64(time.Second))
	t.since = max(t.since, e.At)
	if t.room < 1 || len(t.ring) == cap(t.ring) { // nobody else sends
		t.lost++
		return
	}
	t.room--
	own := *e
	own.Payload = nil
	if n := min(len(e.Payload), tracePart); t.q.Payload && n > 0 {
		own.Payload = slices.Clone(e.Payload[:n])
	}
	t.ring <- own
}
