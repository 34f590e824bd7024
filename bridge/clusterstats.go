package bridge

import (
	"time"

	"github.com/skeinmq/skein/broker/stats"
)

// mailFigures is what mail counts.
type mailFigures struct {
	Append     stats.Histogram // time of an append, microseconds
	Batch      stats.Histogram // size of a batch, bytes
	Appended   stats.Counter   // messages
	Published  stats.Counter   // messages of QoS 0
	Lost       stats.Counter   // messages of QoS 0 that nobody took or that had no room
	Full       stats.Counter   // times that an inbox was full
	GivenUp    stats.Counter   // batches that others did not have to wait for
	Received   stats.Counter   // bundles that were delivered
	Aside      stats.Counter   // entries that could not be read
	Held       stats.Counter   // entries whose effects were refused: they stay
	Deaf       stats.Counter   // subscriptions that had to be made again
	Unfinished stats.Gauge     // entries that are delivered and not done
}

// ClusterStats is what an instance did with the others since the start, and what waits.
type ClusterStats struct {
	Append     stats.Distribution // of a batch to an inbox, microseconds
	Batch      stats.Distribution // bytes
	Appended   uint64             // messages of QoS 1 and 2
	Published  uint64             // messages of QoS 0
	Lost       uint64             // messages of QoS 0 that nobody took or that had no room
	Full       uint64             // times that an inbox was full
	GivenUp    uint64             // batches that an inbox did not take in time
	Received   uint64             // bundles from inboxes
	Aside      uint64             // entries that could not be read
	Held       uint64             // entries whose effects were refused
	Deaf       uint64             // subscriptions that had to be made again
	Unfinished int64              // entries that are delivered and not done
	Waiting    int64              // bytes in outboxes
	Errors     uint64             // commands that Redis could not do
	Down       bool               // Redis cannot be used
	LeaseAge   time.Duration      // since the leases were renewed
	Mailboxes  int                // that this process has
	Keys       int                // that its mailboxes subscribe to
	Changes    int                // of routes that wait to be written
	Applied    uint64             // position of the routes that are applied
	Reloads    uint64             // times that all routes were loaded
}

// snapshot reads them; its values are not all of the same instant.
func (c *cluster) snapshot() ClusterStats {
	f := &c.figures
	s := ClusterStats{
		Append: f.Append.Snapshot(), Batch: f.Batch.Snapshot(),
		Appended: f.Appended.Load(), Published: f.Published.Load(), Lost: f.Lost.Load(), Full: f.Full.Load(),
		GivenUp: f.GivenUp.Load(), Received: f.Received.Load(), Aside: f.Aside.Load(), Held: f.Held.Load(),
		Deaf: f.Deaf.Load(), Unfinished: f.Unfinished.Load(), Waiting: c.bytes.Load(),
		Errors: c.out.errs.Load(), Down: c.out.down.Load(), LeaseAge: c.age(), Mailboxes: c.leases.count(),
		Applied: uint64(c.routes.applied.now()), Reloads: c.table.reloads.Load(),
	}
	c.routes.mu.Lock()
	defer c.routes.mu.Unlock()
	for _, a := range c.routes.boxes {
		keys, waiting := a.count()
		s.Keys += keys
		s.Changes += waiting
	}
	return s
}

// ClusterStats is what this instance did with the others, for the metrics.
func (b *Bridge) ClusterStats() ClusterStats { return b.cluster.snapshot() }
