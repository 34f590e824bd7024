package disk

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sync says when a commit counts as durable.
type Sync uint8

// The ways to sync.
const (
	// SyncAlways: a batch is answered when the disk has it. It survives the end of
	// the process, of the system and of the power.
	SyncAlways Sync = iota
	// SyncInterval: a batch is answered when the operating system has it, which
	// survives the end of the process; the disk gets it within SyncInterval.
	SyncInterval
)

// Defaults of Options.
const (
	DefaultSyncInterval = 100 * time.Millisecond
	DefaultLinger       = 2 * time.Millisecond
	DefaultMinFree      = 512 << 20
	DefaultBallast      = 64 << 20
	DefaultCache        = 64 << 20
	DefaultMemTable     = 32 << 20
)

// Options say where a store is and how it writes. Zero values are defaults,
// negative ones turn off what can be turned off.
type Options struct {
	Dir          string
	Sync         Sync
	SyncInterval time.Duration
	// Linger is how long a batch with store.Batch.Linger may wait for the
	// acknowledgement that makes writing it unnecessary.
	Linger time.Duration
	// MinFree is the free space of the file system, in bytes, below which batches
	// that add data are refused. Default: 512 MiB, or 5 % of a file system on which
	// that is less.
	MinFree int64
	// Ballast is the size in bytes of a file that is given up when space runs out,
	// so that deletions still have room.
	Ballast int64
	// Cache and MemTable are the sizes in bytes of the block cache and of one
	// memtable, of which there are up to three.
	Cache    int64
	MemTable int64
	// Observe, if set, is told of every commit, on the committer's goroutine.
	Observe func(Commit)
	Log     *slog.Logger
	Now     func() time.Time
	// FS is the file system; tests give others.
	FS vfs.FS
}

// Commit is one group that was written.
type Commit struct {
	Batches int           // that were in it
	Bytes   int           // that were written
	Elided  int           // entries that were deleted before they were written
	Took    time.Duration // encoding, writing and syncing
	Synced  time.Duration // of it, until the disk had it; 0 if nothing was written or it was not waited for
}

func (o *Options) fill() {
	set(&o.SyncInterval, DefaultSyncInterval)
	set(&o.Linger, DefaultLinger)
	set(&o.Ballast, DefaultBallast)
	set(&o.Cache, DefaultCache)
	set(&o.MemTable, DefaultMemTable)
	if o.Observe == nil {
		o.Observe = func(Commit) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
}

func set[T ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// format is the layout of the engine's files. It is raised on purpose only: a
// store that was opened with a higher one cannot be opened by an older version.
const format = pebble.FormatValueSeparation

// engine are the options of pebble. Commits are few and large, so memtables are
// large; writes are never stopped by many small files in the first level, because
// a committer that stands still is worse than a slow read.
func (o *Options) engine(e *engine, readOnly bool) *pebble.Options {
	p := &pebble.Options{
		FS: e.fs, Logger: engineLog{e}, ReadOnly: readOnly, ErrorIfNotExists: readOnly,
		EventListener:               &pebble.EventListener{BackgroundError: e.background, DataCorruption: e.damage},
		FormatMajorVersion:          format,
		CacheSize:                   max(o.Cache, 1<<20),
		MemTableSize:                uint64(max(o.MemTable, 1<<20)),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               256 << 20,
		BytesPerSync:                1 << 20,
		MaxOpenFiles:                500,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	p.Experimental.CompactionScheduler = e.scheduler
	p.TargetFileSizes[0] = 8 << 20
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return p
}
