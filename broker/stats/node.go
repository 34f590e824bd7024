package stats

import "sync/atomic"

// pad keeps two groups of counters apart: two cache lines, because processors
// fetch them in pairs (and arm64 ones may have lines of 128 bytes).
type pad [128]byte

// packets is the shared form of [PacketCount].
type packets struct {
	packets [PacketTypes]atomic.Uint64
	bytes   [PacketTypes]atomic.Uint64
	publish [QoSLevels]atomic.Uint64
	payload atomic.Uint64
}

// Node is all counters of a node. Make it with [NewNode].
type Node struct {
	_  pad
	in packets // written by read loops

	_   pad
	out packets // written by flushers

	_      pad
	router struct { // written by whoever routes
		drops       [NumDropReasons]atomic.Uint64
		inflight    atomic.Int64
		queued      atomic.Int64
		queuedBytes atomic.Int64
	}

	_     pad
	conns struct { // written at the beginning and the end of a connection
		open    atomic.Int64
		max     atomic.Int64
		sockets atomic.Uint64
	}
	// Connected counts completed handshakes by listener kind or protocol version,
	// Disconnected ended connections by reason, Refused connections and packets
	// by the rule that refused them.
	Connected, Disconnected, Refused Labels
	Throttled                        Labels   // rests of reading, by the rule that made them
	Refusals                         Refusals // the most recent ones

	_ pad
	// Gauges that the registry, the retained messages and the store keep.
	Sessions            Gauge // all, connected or not
	PersistentSessions  Gauge // those that outlive their connection
	Subscriptions       Gauge // all, shared ones too
	SharedSubscriptions Gauge
	SharedGroups        Gauge
	Retained            Gauge
	RetainedBytes       Gauge
	Stored              Gauge // messages in the store
	StoredBytes         Gauge
	Delayed             Gauge // $delayed messages waiting
	Wills               Gauge // wills waiting for their delay
	ExpiredSessions     Counter
	EventsLost          Counter // drops that a slow hook was not told of
	Takeovers           Counter
	Receipts            Counter // published
	ReceiptsFailed      Counter // outcomes that could not be told

	_ pad
	// Durations in nanoseconds.
	AckDelay    Histogram // PUBLISH read to PUBACK or PUBREC written to the output buffer
	CommitDelay Histogram // records handed to the store until they are durable
	FlushDelay  Histogram // one write to a socket
	SyncDelay   Histogram // one write to the disk until it has it
	CommitSize  Histogram // batches a commit
	_           pad
}

// NewNode makes a node's counters, all zero.
func NewNode() *Node { return &Node{} }

// Counter only grows.
type Counter struct{ v atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.v.Add(1) }

// Load reads it.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Gauge goes up and down.
type Gauge struct{ v atomic.Int64 }

// Add changes it by d, which may be negative.
func (g *Gauge) Add(d int64) { g.v.Add(d) }

// Inc adds one.
func (g *Gauge) Inc() { g.v.Add(1) }

// Dec takes one.
func (g *Gauge) Dec() { g.v.Add(-1) }

// Set replaces it: for what its owner counts itself.
func (g *Gauge) Set(v int64) { g.v.Store(v) }

// Load reads it. Changes by several goroutines may be seen in any order, so a
// gauge that is about zero may be read as less; that is answered as zero.
func (g *Gauge) Load() int64 { return max(0, g.v.Load()) }

// Accepted counts a socket that a listener accepted, MQTT or not.
func (n *Node) Accepted() { n.conns.sockets.Add(1) }

// Connect counts a connection whose handshake is done, under a label such as
// its protocol version, and keeps the highest number of open ones.
func (n *Node) Connect(label string) {
	n.Connected.Inc(label)
	open := n.conns.open.Add(1)
	for {
		m := n.conns.max.Load()
		if open <= m || n.conns.max.CompareAndSwap(m, open) {
			return
		}
	}
}

// Disconnect counts the end of a connection that [Node.Connect] counted, by reason.
func (n *Node) Disconnect(reason string) {
	n.conns.open.Add(-1)
	n.Disconnected.Inc(reason)
}

// Refuse counts a connection or packet that a rule refused.
func (n *Node) Refuse(rule string) { n.Refused.Inc(rule) }

// Drop counts dropped messages where there is no batch at hand.
func (n *Node) Drop(r DropReason, count uint64) { n.router.drops[r].Add(count) }

// Connections is the number of open connections, for limits.
func (n *Node) Connections() int64 { return max(0, n.conns.open.Load()) }

// Sent counts n PUBLISH packets of one QoS that were appended to a client's
// output: their bytes with the fixed headers, and their payloads'.
func (n *Node) Sent(qos byte, count, bytes, payload int) {
	n.out.packets[publishType].Add(uint64(count))
	n.out.bytes[publishType].Add(uint64(bytes))
	if qos < QoSLevels {
		n.out.publish[qos].Add(uint64(count))
		n.out.payload.Add(uint64(payload))
	}
}

// Queues changes the totals of all sessions by differences, each of which may be
// negative: messages in flight, messages queued, their bytes.
func (n *Node) Queues(inflight, queued, bytes int64) {
	if inflight != 0 {
		n.router.inflight.Add(inflight)
	}
	if queued != 0 {
		n.router.queued.Add(queued)
	}
	if bytes != 0 {
		n.router.queuedBytes.Add(bytes)
	}
}

// SentPackets counts n packets of a type other than PUBLISH that were appended to a
// client's output, and their bytes.
func (n *Node) SentPackets(packetType byte, count, bytes int) {
	n.out.packets[packetType&(PacketTypes-1)].Add(uint64(count))
	n.out.bytes[packetType&(PacketTypes-1)].Add(uint64(bytes))
}
