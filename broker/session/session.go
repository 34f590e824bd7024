package session

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Overflow is the rule of a full queue.
type Overflow uint8

// Overflow rules.
const (
	DropOldest Overflow = iota
	DropNewest
	Disconnect
)

// Drop says why an entry left a session without being delivered.
type Drop uint8

// Reasons for a drop.
const (
	DropQueueFull Drop = iota
	DropExpired
	DropTooLarge
	DropRefused // the receiver answered with a reason code of 0x80 or more
)

// Limits bound a session's queue. A limit of 0 is none.
type Limits struct {
	Messages int   // messages that wait behind the window
	Bytes    int64 // of all queued messages, by message.Size
	Overflow Overflow
	// One page of a persistent session's queue is in memory while its client is
	// connected, and nothing of it while it is not; the rest is in the store. Both are
	// above 0, or everything stays in memory.
	PageMessages int
	PageBytes    int64
}

// Source is where an entry came from if not from the session's own
// subscriptions: the queue of a shared group. It is told when its entry ends.
type Source any

// Entry is a message on its way to the session's client.
type Entry struct {
	store.Entry
	Source Source
}

// Output collects what a step produces.
type Output struct {
	Now   []byte     // frames that may leave at once
	After []byte     // frames that may leave when Ops are committed
	Ops   []store.Op // records to commit; always empty for a session that is not persistent
	// Dropped is called once for each entry that ends undelivered. The entry is
	// valid during the call; its Msg is nil if Assign sent it. It must not call back.
	Dropped func(*Entry, Drop)
	// Code is the client's answer during Dropped with DropRefused.
	Code byte
	// Acked is called for each entry with a Source, or with properties in its message,
	// that its client acknowledged or, at QoS 0, that was sent. The entry is valid during
	// the call, which must not call back.
	Acked func(*Entry)
	Watch bool // Acked is called for all others too; their Msg is nil if Assign sent it
	// Recorded are loans whose records, as far as they are not acknowledged, are among
	// Ops; Repaid those that need none, because all of them was acknowledged.
	Recorded, Repaid []Loan
}

func (o *Output) acked(e *Entry) {
	if o.Acked != nil && (o.Watch || e.Source != nil || e.Msg != nil && len(e.Msg.Props) > 0) {
		o.Acked(e)
	}
}

func (o *Output) dropped(e *Entry, why Drop) {
	if o.Dropped != nil {
		o.Dropped(e, why)
	}
}

// Encoder writes an entry for the connection of now. It answers false, and dst
// as it was, if the packet is larger than the client's Maximum Packet Size
// [MQTT-3.1.2-24].
type Encoder interface {
	AppendPublish(dst []byte, e *Entry, id message.PacketID, dup bool, now int64) ([]byte, bool)
}

// maxUsed bounds the identifiers in use: with half of them free the search for
// the next one stays short.
const maxUsed = 1<<15 - 1

// Session is the state of one client. Its methods are not safe for concurrent use.
type Session struct {
	limits     Limits
	win        window
	queue      deque // what waits first and has a record, as far as it is in memory
	rest       *rest
	received   idSet
	redeliver  []message.PacketID // in flight from an earlier connection, not yet sent on this one
	lent       *loans             // nil without
	enc        Encoder            // nil while offline
	seq        uint64
	after      uint64 // with pages: Seq of the last entry that is in the queue or has left it
	asking     int    // entries of QoS 1 and 2 whose publisher wants to know what became of them
	max        int    // window of the connection
	persistent bool
	settled    bool // every record that was given out is known to be committed
	proven     bool // so were all of them when this connection began
}

// New returns an empty session. A persistent one keeps its messages and emits
// records; one that is not ends with its connection.
func New(persistent bool, l Limits) *Session {
	if !persistent || l.PageBytes <= 0 {
		l.PageMessages = 0
	}
	return &Session{persistent: persistent, limits: l, rest: &noRest, settled: true}
}

// Persistent reports whether the session outlives its connection.
func (s *Session) Persistent() bool { return s.persistent }

// Connected starts a connection whose client accepts max unacknowledged QoS 1
// and 2 messages. Everything in flight is to be sent again by Fill.
func (s *Session) Connected(enc Encoder, max int) {
	s.enc, s.max, s.proven = enc, max, s.settled
	s.win.live = 0
	for i := range s.win.ring {
		s.win.ring[i].live = false
	}
	s.redeliver = s.win.inOrder()
}

// Disconnected ends the connection. With pages, what the store has of the queue is
// no longer in memory.
func (s *Session) Disconnected() {
	s.enc, s.redeliver = nil, nil
	s.unload()
	s.Trim()
}

// Settled tells the session that what it recorded of messages in flight and of
// received identifiers is committed; records of messages that are only queued do
// not matter. Until then, what it repeats of a QoS 2 flow goes to Output.After
// behind a record that is written again, because the first writing may not be
// durable yet. Nobody has to call it. Called with Connected, before Fill, it makes
// redelivery go out without waiting, QoS 1 and 2 in one order. A session from
// Restore is settled.
func (s *Session) Settled() { s.settled, s.proven = true, true }

// Trim gives back memory that a quiet session does not need.
func (s *Session) Trim() {
	s.queue.trim()
	s.trimRest()
	s.win.trim()
	s.received.trim()
	if _, ok := s.Lent(); !ok {
		s.lent = nil
	}
}

// Counts are the lengths of the queue and the window, and the queue's bytes. What
// is in the store alone counts like the rest.
func (s *Session) Counts() (queued, inflight int, bytes int64) {
	queued, bytes = s.waiting()
	return queued, s.win.used, bytes
}

func (s *Session) empty() bool {
	n, _ := s.waiting()
	return n == 0
}

// room is how many more messages the window takes; none while what was in
// flight has not all been sent again.
func (s *Session) room() int {
	if s.enc == nil || s.resuming() {
		return 0
	}
	return max(0, min(s.max-s.win.live, maxUsed-s.win.used))
}

// Window reports whether n more messages fit the window.
func (s *Session) Window(n int) bool {
	return s.enc != nil && !s.resuming() && s.room() >= n
}

// resuming reports whether something is still to be sent again. What was
// acknowledged meanwhile is not.
func (s *Session) resuming() bool {
	for len(s.redeliver) > 0 {
		if sl := s.win.at(s.redeliver[0]); sl != nil && !sl.live {
			return true
		}
		s.redeliver = s.redeliver[1:]
	}
	s.redeliver = nil
	return false
}

// Ready reports whether n new messages may be sent at once: connected, nothing
// waiting before them, and room in the window.
func (s *Session) Ready(n int) bool { return s.empty() && s.Window(n) }

// Free is how many new messages may be sent at once, by Assign or Push.
func (s *Session) Free() int {
	if !s.empty() {
		return 0
	}
	return s.room()
}

// record adds an operation to commit.
func (s *Session) record(o *Output, op store.Op) {
	if s.persistent {
		o.Ops = append(o.Ops, op)
		s.settled = false
	}
}

// keep writes an entry's record. One of QoS 0 has none: it may be lost with the
// process, and must not come twice.
func (s *Session) keep(o *Output, e *Entry) {
	if e.QoS > 0 {
		s.recallAll(o)
		s.asks(e, 1)
		s.record(o, store.Op{Kind: store.KindEntry, Seq: e.Seq, Entry: e.Entry})
	}
}

// forget removes an entry's record.
func (s *Session) forget(o *Output, e *Entry) {
	if e.QoS > 0 {
		s.asks(e, -1)
		s.record(o, store.Op{Kind: store.KindEntry, Delete: true, Seq: e.Seq})
	}
}

// state is the record of a slot's identifier and phase.
func (sl *slot) state() store.Op {
	return store.Op{Kind: store.KindState, Seq: sl.entry.Seq, State: store.State{ID: sl.id, Phase: sl.phase}}
}

// await makes the frames that follow wait for records given out earlier, which
// may not be committed yet: a batch is answered after those before it, so any
// record will do, and one that is written again changes nothing.
func (s *Session) await(o *Output, again store.Op) {
	if !s.settled && len(o.Ops) == 0 {
		s.record(o, again)
	}
}
