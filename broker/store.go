package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/disk"
	"github.com/skeinmq/skein/hooks/store/memory"
)

// Limits of a session's queue where the configuration leaves them to the store.
const (
	diskMessages   = 1_000_000
	diskBytes      = 1 << 30
	memoryMessages = 100_000
	memoryBytes    = 64 << 20
	pageMessages   = 1000 // of a queue on disk that are in memory
	pageBytes      = 1 << 20
)

// openStore opens the store that the configuration names.
func openStore(ctx context.Context, c *config.Config, st *stats.Node, log *slog.Logger) (store.Store, error) {
	if c.Persistence == config.PersistenceNone {
		return memory.New(), nil
	}
	o := disk.Options{
		Dir: c.Data, SyncInterval: c.Store.SyncInterval.Std(), Linger: off(c.Store.CommitLinger.Std()),
		MinFree: int64(c.Store.MinFree), Cache: int64(c.Store.Cache), Log: log, Now: time.Now,
		Observe: func(k disk.Commit) {
			st.CommitDelay.Record(int64(k.Took))
			st.CommitSize.Record(int64(k.Batches))
			if k.Synced > 0 {
				st.SyncDelay.Record(int64(k.Synced))
			}
		},
	}
	if c.Store.Sync == config.SyncInterval {
		o.Sync = disk.SyncInterval
	}
	s, err := disk.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// off turns a duration of 0 into one that options read as "not at all".
func off(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// queueLimits are the limits of a session's queue.
func queueLimits(c *config.Config) session.Limits {
	q := &c.Session.Queue
	l := session.Limits{Messages: q.Messages, Bytes: int64(q.Bytes), Overflow: overflows[q.Overflow]}
	messages, bytes := memoryMessages, int64(memoryBytes)
	switch {
	case c.Bridge.Redis.URL.Reveal() != "": // in the memory of Redis, but not in ours
		l.PageMessages, l.PageBytes = pageMessages, pageBytes
	case c.Persistence == config.PersistenceDisk:
		messages, bytes = diskMessages, diskBytes
		l.PageMessages, l.PageBytes = pageMessages, pageBytes
	}
	if l.Messages == 0 {
		l.Messages = messages
	}
	if l.Bytes == 0 {
		l.Bytes = bytes
	}
	return l
}
