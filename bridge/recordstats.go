package bridge

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/stats"
)

// recordStats counts what is written to the records.
type recordStats struct {
	took    stats.Histogram // a group, nanoseconds
	parts   stats.Histogram // sessions and mailboxes of a group
	bytes   stats.Histogram // of a group
	batches atomic.Uint64
	damaged atomic.Uint64

	mu   sync.Mutex
	told time.Time
}

func (s *recordStats) group(g *group, took time.Duration) {
	if g.works == 0 {
		return
	}
	s.took.Record(int64(took))
	s.parts.Record(int64(g.count))
	s.bytes.Record(int64(g.bytes))
	s.batches.Add(uint64(g.works))
}

// refused logs, once a minute, a record that cannot be written.
func (s *recordStats) refused(log *slog.Logger, err error) {
	s.damaged.Add(1)
	s.mu.Lock()
	now := time.Now()
	quiet := now.Sub(s.told) < tellEvery
	if !quiet {
		s.told = now
	}
	s.mu.Unlock()
	if !quiet {
		log.Error("record of a session cannot be written", slog.Any("error", err))
	}
}

// RecordStats is what was written to the records since the start.
type RecordStats struct {
	Took    stats.Distribution // a group commit, nanoseconds
	Parts   stats.Distribution // sessions and mailboxes of one
	Bytes   stats.Distribution
	Batches uint64
	Damaged uint64 // batches of records that cannot be written
	Pending int64  // bytes that wait for Redis
}

// Records are the figures of the records.
func (b *Bridge) Records() RecordStats {
	r := b.records
	s := r.stats
	return RecordStats{
		Took: s.took.Snapshot(), Parts: s.parts.Snapshot(), Bytes: s.bytes.Snapshot(),
		Batches: s.batches.Load(), Damaged: s.damaged.Load(), Pending: r.in.pending.Load(),
	}
}
