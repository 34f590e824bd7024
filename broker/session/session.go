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

// Limits bound a session.
type Limits struct {
	Messages int   // queued messages
	Bytes    int64 // queued bytes
	Overflow Overflow
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
	// Dropped is called for each entry that ends undelivered. It must not call back.
	Dropped func(*Entry, Drop)
	// Acked is called for each entry with a Source that its client acknowledged.
	Acked func(*Entry)
}

func (o *Output) dropped(e *Entry, why Drop) {
	if o.Dropped != nil {
		o.Dropped(e, why)
	}
}

// Encoder writes an entry for the connection of now. It answers false if the
// packet is larger than the client's Maximum Packet Size [MQTT-3.1.2-24].
type Encoder interface {
	AppendPublish(dst []byte, e *Entry, id message.PacketID, dup bool, now int64) ([]byte, bool)
}

// Session is the state of one client. Its methods are not safe for concurrent use.
type Session struct {
	limits     Limits
	win        window
	queue      deque
	received   *idSet
	redeliver  []message.PacketID // in flight from an earlier connection, not yet sent on this one
	enc        Encoder            // nil while offline
	seq        uint64
	max        int // window of the connection
	persistent bool
}

// New returns an empty session. A persistent one keeps its messages and emits
// records; one that is not ends with its connection.
func New(persistent bool, l Limits) *Session { return &Session{persistent: persistent, limits: l} }

// Persistent reports whether the session outlives its connection.
func (s *Session) Persistent() bool { return s.persistent }

// Connected starts a connection whose client accepts max unacknowledged QoS 1
// and 2 messages. Everything in flight is to be sent again by Fill.
func (s *Session) Connected(enc Encoder, max int) {
	s.enc, s.max = enc, max
	s.win.live = 0
	for i := range s.win.ring {
		s.win.ring[i].live = false
	}
	s.redeliver = s.win.inOrder()
}

// Disconnected ends the connection.
func (s *Session) Disconnected() {
	s.enc, s.redeliver = nil, nil
	if s.win.used == 0 {
		s.win.ring = nil
	}
}

// Counts are the lengths of the queue and the window, and the queue's bytes.
func (s *Session) Counts() (queued, inflight int, bytes int64) {
	return s.queue.n, s.win.used, s.queue.bytes
}

// Ready reports whether n new messages may be sent at once: connected, nothing
// waiting before them, and room in the window.
func (s *Session) Ready(n int) bool {
	return s.enc != nil && s.queue.n == 0 && len(s.redeliver) == 0 && s.win.live+n <= s.max && s.win.used+n < 1<<15
}

// Free is how many new messages may be sent at once, by Assign or Push.
func (s *Session) Free() int {
	if s.enc == nil || s.queue.n > 0 || len(s.redeliver) > 0 {
		return 0
	}
	return max(0, min(s.max-s.win.live, 1<<15-s.win.used-1))
}

// Assign gives a message that is sent at once its identifier, without keeping
// the message. Only for sessions that are not persistent, after Ready.
func (s *Session) Assign(qos byte) message.PacketID {
	sl := s.win.take()
	sl.entry.QoS = qos
	sl.phase, sl.live = store.Sent, true
	s.win.live++
	return sl.id
}

// Enqueue adds a message behind what waits; Fill sends it. It reports false if
// the overflow rule is Disconnect and the queue is full.
func (s *Session) Enqueue(o *Output, e Entry) bool {
	size := int64(e.Msg.Size())
	for s.queue.n > 0 && (s.queue.n >= s.limits.Messages || s.queue.bytes+size > s.limits.Bytes) {
		switch s.limits.Overflow {
		case DropNewest:
			o.dropped(&e, DropQueueFull)
			return true
		case Disconnect:
			o.dropped(&e, DropQueueFull)
			return false
		}
		old := s.queue.pop()
		s.forget(o, &old)
		o.dropped(&old, DropQueueFull)
	}
	s.seq++
	e.Seq = s.seq
	s.queue.push(e)
	if s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindEntry, Seq: e.Seq, Entry: e.Entry})
	}
	return true
}

// Fill sends what may be sent: first what was in flight, then the queue, while
// the window has room and fewer than room bytes were produced. It reports
// whether the queue is drained, so that retained messages and shared queues may follow.
func (s *Session) Fill(o *Output, now int64, room int) bool {
	if s.enc == nil {
		return false
	}
	start := len(o.Now) + len(o.After)
	full := func() bool { return len(o.Now)+len(o.After)-start >= room }
	for len(s.redeliver) > 0 {
		if full() || !s.resend(o, s.redeliver[0], now) {
			return false
		}
		s.redeliver = s.redeliver[1:]
	}
	for s.queue.n > 0 {
		e := s.queue.peek()
		if e.Msg.Expired(now) {
			s.end(o, s.queue.pop(), DropExpired)
			continue
		}
		if full() || e.QoS > 0 && !s.Window(1) {
			return false
		}
		s.send(o, s.queue.pop(), now)
	}
	return true
}

// Window reports whether n more messages fit the window.
func (s *Session) Window(n int) bool {
	return s.enc != nil && len(s.redeliver) == 0 && s.win.live+n <= s.max && s.win.used+n < 1<<15
}

// Push sends an entry from a Source or a retained message at once; the caller
// made sure of Window(1) for QoS 1 and 2.
func (s *Session) Push(o *Output, e Entry, now int64) {
	s.seq++
	e.Seq = s.seq
	if e.QoS > 0 && s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindEntry, Seq: e.Seq, Entry: e.Entry})
	}
	s.send(o, e, now)
}

func (s *Session) send(o *Output, e Entry, now int64) {
	if e.QoS == 0 {
		var ok bool
		if o.Now, ok = s.enc.AppendPublish(o.Now, &e, 0, false, now); !ok {
			s.end(o, e, DropTooLarge)
		} else {
			s.forget(o, &e)
		}
		return
	}
	sl := s.win.take()
	dst := &o.Now
	if s.persistent && e.QoS == 2 {
		dst = &o.After
	}
	b, ok := s.enc.AppendPublish(*dst, &e, sl.id, false, now)
	*dst = b
	if !ok {
		s.win.free(sl)
		s.end(o, e, DropTooLarge)
		return
	}
	sl.entry, sl.phase, sl.live = e, store.Sent, true
	s.win.live++
	if s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindState, Seq: e.Seq, State: store.State{ID: sl.id, Phase: store.Sent}})
	}
}

// resend sends one in-flight message again. It reports false if the window is full.
func (s *Session) resend(o *Output, id message.PacketID, now int64) bool {
	sl := s.win.at(id)
	if sl == nil || sl.live {
		return true // acknowledged meanwhile
	}
	if sl.phase == store.Released {
		sl.live = true
		s.win.live++
		o.Now = append(o.Now, 0x62, 2, byte(id>>8), byte(id))
		return true
	}
	if s.win.live >= s.max {
		return false
	}
	b, ok := s.enc.AppendPublish(o.Now, &sl.entry, id, true, now)
	o.Now = b
	if ok { // otherwise the identifier stays reserved until the session ends
		sl.live = true
		s.win.live++
	}
	return true
}

// forget removes an entry's record.
func (s *Session) forget(o *Output, e *Entry) {
	if s.persistent {
		o.Ops = append(o.Ops, store.Op{Kind: store.KindEntry, Delete: true, Seq: e.Seq})
	}
}

func (s *Session) end(o *Output, e Entry, why Drop) {
	s.forget(o, &e)
	o.dropped(&e, why)
}
