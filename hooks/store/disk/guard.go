package disk

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skeinmq/skein/hooks/store"
)

// guard refuses what adds data before the file system is full. It is the
// committer's.
type guard struct {
	fs      vfs.FS
	dir     string
	log     *slog.Logger
	minFree int64 // 0: by the size of the file system; negative: never refuse
	ballast int64 // size of the ballast file; negative: none

	free    int64 // as of the last look, without what a missing ballast takes
	written int64 // since
	limit   int64
	afloat  bool // the ballast is given up
	err     error
	logAt   time.Time
	lookAt  time.Time // not to be looked again for a batch before
	now     func() time.Time
}

// ballastName is the file that is given up when space runs out.
const ballastName = "ballast"

// lookAgain bounds how often batches make the guard look.
const lookAgain = 10 * time.Millisecond

// growth is by how much a batch takes more space than it has bytes: the log, and
// the tables that it moves to.
const growth = 2

func newGuard(o *Options) guard {
	return guard{fs: o.FS, dir: o.Dir, log: o.Log, minFree: o.MinFree, ballast: o.Ballast, afloat: true, now: o.Now}
}

// look looks at the free space.
func (g *guard) look(now time.Time) {
	if g.minFree < 0 {
		g.free = math.MaxInt64
		return
	}
	u, err := g.fs.GetDiskUsage(g.dir)
	if err != nil { // a file system that does not say
		g.free, g.limit, g.err = math.MaxInt64, 0, nil
		return
	}
	if g.limit = g.minFree; g.limit == 0 {
		g.limit = int64(min(DefaultMinFree, u.TotalBytes/20))
	}
	g.free, g.written = int64(min(u.AvailBytes, math.MaxInt64)), 0
	g.lookAt = now.Add(lookAgain)
	if g.afloat && g.ballast > 0 {
		g.free -= g.ballast
	}
	if g.err != nil && g.free < g.limit+g.limit/16 || g.free < g.limit {
		g.refuse(now)
		return
	}
	if g.err != nil {
		g.log.Info("disk has room again", "dir", g.dir, "free", g.free)
		g.err = nil
	}
	if g.afloat && g.ballast > 0 && g.free >= g.limit+g.ballast {
		g.take()
	}
}

// openNeeds is the free space without which a store is not opened, in bytes: pebble
// writes when it opens, and tries for ever where it cannot.
const openNeeds = 8 << 20

// room reports an error when the file system is too full to open the store, also
// after the ballast was given up.
func (g *guard) room() error {
	if g.minFree < 0 {
		return nil
	}
	for range 2 {
		u, err := g.fs.GetDiskUsage(g.dir)
		if err != nil || u.AvailBytes >= openNeeds { // or a file system that does not say
			return nil
		}
		if g.fs.Remove(g.fs.PathJoin(g.dir, ballastName)) != nil { // there is none
			break
		}
	}
	return fmt.Errorf("disk store %s: %w: it needs %d MiB of free space to open; make room on the file system, nothing was deleted", g.dir, ErrDiskFull, openNeeds>>20)
}

func (g *guard) refuse(now time.Time) {
	g.err = fmt.Errorf("disk store %s: %w: %d MiB are free, %d MiB are to be kept free; make room on the file system", g.dir, ErrDiskFull, max(g.free, 0)>>20, g.limit>>20)
	if !g.afloat && g.ballast > 0 {
		g.afloat = true
		if err := g.fs.Remove(g.fs.PathJoin(g.dir, ballastName)); err != nil {
			g.log.Warn("ballast file cannot be given up", "dir", g.dir, "error", err)
		}
	}
	if now.Sub(g.logAt) >= time.Minute {
		g.logAt = now
		g.log.Error("disk is full: messages are refused, deletions pass", "dir", g.dir, "free", g.free, "min_free", g.limit)
	}
}

// take makes the ballast file, unless it is there.
func (g *guard) take() {
	name := g.fs.PathJoin(g.dir, ballastName)
	if info, err := g.fs.Stat(name); err == nil && info.Size() == g.ballast {
		g.afloat = false
		g.free += g.ballast
		return
	}
	err := writeZeros(g.fs, name, g.ballast)
	if err != nil {
		g.log.Warn("ballast file cannot be made", "dir", g.dir, "error", err)
		_ = g.fs.Remove(name) // there may be none
		return
	}
	g.afloat = false
}

func writeZeros(fs vfs.FS, name string, n int64) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for n > 0 && err == nil {
		_, err = f.Write(zeros[:min(n, int64(len(zeros)))])
		n -= int64(len(zeros))
	}
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	return err
}

func (g *guard) wrote(n int) { g.written += growth * int64(n) }

// admit refuses a batch that adds data when there is no room for it.
func (g *guard) admit(b *store.Batch, exists bool) error {
	if g.minFree < 0 {
		return nil
	}
	if g.err == nil && g.free-g.written > g.limit+DefaultBallast {
		return nil
	}
	n := adds(b, exists)
	if n == 0 {
		return nil
	}
	if g.err == nil && g.free-g.written-growth*n < g.limit {
		if now := g.now(); !now.Before(g.lookAt) {
			g.look(now)
		}
		if g.err == nil && g.free-g.written-growth*n < g.limit {
			return fmt.Errorf("disk store %s: %w: no room for %d bytes more", g.dir, ErrDiskFull, n)
		}
	}
	return g.err
}

// adds is about how many bytes b adds for good, 0 if it only changes or deletes.
// What a session needs to come back and empty its queue adds nothing, and neither does
// what is told of an entry in its place.
func adds(b *store.Batch, exists bool) int64 {
	n := int64(0)
	ends := false
	for i := range b.Ops {
		op := &b.Ops[i]
		ends = ends || op.Delete
		if op.Delete || ends && op.Kind == store.KindDelayed {
			continue
		}
		switch op.Kind {
		case store.KindEntry:
			n += int64(op.Entry.Msg.Size()) + 128
		case store.KindRetained, store.KindDelayed, store.KindGroupEntry:
			n += int64(op.Msg.Size()) + 128
		case store.KindSubscription, store.KindReceived:
			n += int64(len(op.Filter)) + 64
		case store.KindSession:
			if !exists {
				n += 256
			}
		}
	}
	return n
}
