package stats

// Snapshot is a node's counters at about one moment. It is a copy: the reader's own.
type Snapshot struct {
	In, Out PacketCount
	Drops   [NumDropReasons]uint64

	Connections    int64  // open now
	MaxConnections int64  // most at once since the start
	Sockets        uint64 // accepted since the start
	ConnectsTotal  uint64 // completed handshakes since the start
	Connected      map[string]uint64
	Disconnected   map[string]uint64
	Refused        map[string]uint64
	Throttled      map[string]uint64

	Sessions, PersistentSessions       int64
	ExpiredSessions, Takeovers         uint64
	EventsLost                         uint64
	Receipts, ReceiptsFailed           uint64
	Subscriptions, SharedSubscriptions int64
	SharedGroups                       int64
	Retained, RetainedBytes            int64
	Stored, StoredBytes                int64
	Delayed, Wills                     int64
	Inflight, Queued, QueuedBytes      int64
}

// Snapshot copies the counters; it walks no clients. The histograms are read
// one by one ([Histogram.Snapshot]).
func (n *Node) Snapshot() *Snapshot {
	s := &Snapshot{
		In:                  n.in.load(),
		Out:                 n.out.load(),
		Connections:         n.Connections(),
		MaxConnections:      n.conns.max.Load(),
		Sockets:             n.conns.sockets.Load(),
		Connected:           n.Connected.Load(),
		Disconnected:        n.Disconnected.Load(),
		Refused:             n.Refused.Load(),
		Throttled:           n.Throttled.Load(),
		Sessions:            n.Sessions.Load(),
		PersistentSessions:  n.PersistentSessions.Load(),
		ExpiredSessions:     n.ExpiredSessions.Load(),
		Takeovers:           n.Takeovers.Load(),
		EventsLost:          n.EventsLost.Load(),
		Receipts:            n.Receipts.Load(),
		ReceiptsFailed:      n.ReceiptsFailed.Load(),
		Subscriptions:       n.Subscriptions.Load(),
		SharedSubscriptions: n.SharedSubscriptions.Load(),
		SharedGroups:        n.SharedGroups.Load(),
		Retained:            n.Retained.Load(),
		RetainedBytes:       n.RetainedBytes.Load(),
		Stored:              n.Stored.Load(),
		StoredBytes:         n.StoredBytes.Load(),
		Delayed:             n.Delayed.Load(),
		Wills:               n.Wills.Load(),
		Inflight:            max(0, n.router.inflight.Load()),
		Queued:              max(0, n.router.queued.Load()),
		QueuedBytes:         max(0, n.router.queuedBytes.Load()),
	}
	for i := range s.Drops {
		s.Drops[i] = n.router.drops[i].Load()
	}
	for _, v := range s.Connected {
		s.ConnectsTotal += v
	}
	return s
}

func (p *packets) load() PacketCount {
	var c PacketCount
	for i := range c.Packets {
		c.Packets[i] = p.packets[i].Load()
		c.Bytes[i] = p.bytes[i].Load()
	}
	for i := range c.Publish {
		c.Publish[i] = p.publish[i].Load()
	}
	c.Payload = p.payload.Load()
	return c
}

// QueuedTotals are the messages in all sessions' queues and their bytes, for limits.
func (n *Node) QueuedTotals() (messages, bytes int64) {
	return max(0, n.router.queued.Load()), max(0, n.router.queuedBytes.Load())
}

// Dropped is the number of messages dropped for a reason.
func (s *Snapshot) Dropped(r DropReason) uint64 { return s.Drops[r] }

// TotalDropped is the number of messages that were lost to somebody, see
// [DropReason.Lost].
func (s *Snapshot) TotalDropped() uint64 {
	var sum uint64
	for i, v := range s.Drops {
		if DropReason(i).Lost() {
			sum += v
		}
	}
	return sum
}

// TotalPackets is the number of packets of all types.
func (c *PacketCount) TotalPackets() uint64 { return total(c.Packets[:]) }

// TotalBytes is the number of bytes of all packets.
func (c *PacketCount) TotalBytes() uint64 { return total(c.Bytes[:]) }

// TotalPublish is the number of PUBLISH packets of all QoS levels.
func (c *PacketCount) TotalPublish() uint64 { return total(c.Publish[:]) }

func total(values []uint64) uint64 {
	var sum uint64
	for _, v := range values {
		sum += v
	}
	return sum
}
