package disk

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skeinmq/skein/hooks/store"
)

// poll waits until ok, with a deadline far beyond what it should take.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// lines is a log handler that keeps the messages.
type lines struct {
	slog.Handler
	mu  sync.Mutex
	all []string
}

func newLines() *lines { return &lines{Handler: slog.DiscardHandler} }

// Enabled implements slog.Handler.
func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Message)
	return nil
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// fault makes writes fail while it is on.
type fault struct {
	on   atomic.Bool
	name string // only files whose name has it
	err  error
	hits atomic.Int64
}

func (f *fault) MaybeError(op errorfs.Op) error {
	if !f.on.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.Contains(op.Path, f.name) {
		return nil
	}
	switch op.Kind {
	case errorfs.OpFileClose, errorfs.OpRemove, errorfs.OpLock:
		return nil
	}
	f.hits.Add(1)
	return f.err
}

func (f *fault) String() string { return "fault" }

// What cannot be written is refused, the process lives, and the store comes back
// by itself with everything that was answered.
func TestWriteErrors(t *testing.T) {
	for name, f := range map[string]*fault{
		"log, I/O":    {name: ".log", err: syscall.EIO},
		"log, full":   {name: ".log", err: syscall.ENOSPC},
		"table, full": {name: ".sst", err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) { writeErrors(t, f) })
	}
}

// leaksEnv has TestLeaks run, in a process of its own: the database hangs for good
// after these errors, and its goroutines stay.
const leaksEnv = "SKEIN_DISK_LEAKS"

func TestLeaks(t *testing.T) {
	if os.Getenv(leaksEnv) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeaks$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), leaksEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	writeErrors(t, &fault{name: "MANIFEST", err: syscall.EIO})
	writeErrors(t, &fault{err: syscall.EIO})
}

func writeErrors(t *testing.T, f *fault) {
	log := newLines()
	s := open(t, Options{Dir: "db", FS: errorfs.Wrap(vfs.NewMem(), f), Log: slog.New(log)})
	must(t, s, begin("c", put(1, text(1, 100))))
	f.on.Store(true)
	var err error
	seq := uint64(2)
	for ; err == nil; seq++ {
		err = do(s, on("c", put(seq, text(1, 40_000))))
	}
	if !errors.Is(err, ErrBroken) {
		t.Errorf("commit answered %v", err)
	}
	if err := do(s, on("c", put(seq, text(1, 10)))); !errors.Is(err, ErrBroken) && err != nil {
		t.Errorf("a later commit answered %v", err)
	}
	f.on.Store(false)
	poll(t, "the store comes back", func() bool { return do(s, &store.Batch{}) == nil })
	page, err := s.Page(context.Background(), "c", 0, 1<<20, 1<<40)
	if err != nil || uint64(len(page)) < seq-2 || len(page) == 0 {
		t.Errorf("%d entries of at least %d are there, %v", len(page), seq-2, err)
	}
	must(t, s, on("c", put(1000, text(1, 10))))
	if f.hits.Load() == 0 || log.count("store is broken") == 0 {
		t.Error("nothing failed")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// While a store is broken it refuses, and it can be closed.
func TestCloseBroken(t *testing.T) {
	f := &fault{err: syscall.EIO}
	s := open(t, Options{Dir: "db", FS: errorfs.Wrap(vfs.NewMem(), f)})
	must(t, s, begin("c"))
	f.on.Store(true)
	a := make(answer, 1)
	s.Commit(&store.Batch{Client: "c", Epoch: 1, Ops: []store.Op{put(1, text(1, 10))}, Linger: true}, a)
	if err := <-a; !errors.Is(err, ErrBroken) {
		t.Errorf("answered %v", err)
	}
	poll(t, "readers are refused", func() bool {
		_, err := s.Load(context.Background(), "c")
		return errors.Is(err, ErrBroken)
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := do(s, on("c", del(1))); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	mem := vfs.NewMem()
	log := newLines()
	room := func(free uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 10 << 30}) }
	room(2 << 30)
	s := open(t, Options{Dir: "db", FS: mem, Log: slog.New(log), MinFree: 1 << 30, Ballast: 1 << 20})
	ballast := func() bool { _, err := mem.Stat("db/" + ballastName); return err == nil }
	if !ballast() {
		t.Error("there is no ballast")
	}
	must(t, s, begin("c", put(1, text(1, 100)), put(2, text(2, 100)), sent(1)))
	room(1<<30 - 1)
	poll(t, "messages are refused", func() bool { return errors.Is(do(s, on("c", put(3, text(3, 100)))), ErrDiskFull) })
	if ballast() {
		t.Error("the ballast is still there")
	}
	for name, b := range map[string]*store.Batch{
		"new session": begin("d"), "retained": {Ops: []store.Op{{Kind: store.KindRetained, Filter: "t", Msg: text(1, 1)}}},
		"received": on("c", store.Op{Kind: store.KindReceived, ID: 1}), "joined with a deletion": on("c", del(1), put(4, text(4, 1))),
		"subscription": on("c", store.Op{Kind: store.KindSubscription, Filter: "f", Sub: &store.Subscription{Filter: "f"}}),
	} {
		if err := do(s, b); !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "db") {
			t.Errorf("%s answered %v", name, err)
		}
	}
	must(t, s, begin("c"), on("c", sent(2)), on("c", del(1)), &store.Batch{Ops: []store.Op{{Kind: store.KindRetained, Filter: "t", Delete: true}}})
	img, err := s.Load(context.Background(), "c")
	if err != nil || len(img.Entries) != 1 || img.Entries[0].Seq != 2 {
		t.Errorf("stored is %+v, %v", img, err)
	}
	if n := log.count("disk is full"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	room(2 << 30)
	poll(t, "messages pass", func() bool { return do(s, on("c", put(3, text(3, 100)))) == nil })
	poll(t, "the ballast is back", ballast)
	if log.count("room again") != 1 {
		t.Error("the log does not say so")
	}
}

// A batch that does not fit any more is refused before the next look.
func TestDiskFullByBatch(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1<<30 + 4<<20, TotalBytes: 10 << 30})
	s := open(t, Options{Dir: "db", FS: mem, MinFree: 1 << 30})
	must(t, s, begin("c"))
	if err := do(s, on("c", put(1, text(1, 3<<20)))); !errors.Is(err, ErrDiskFull) {
		t.Errorf("a batch of 3 MiB answered %v", err)
	}
	must(t, s, on("c", put(2, text(1, 1<<20))))
}

// A store is not opened where pebble could not write, and has no ballast made for it.
func TestOpenOnAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	room := func(free uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 10 << 30}) }
	room(openNeeds - 1)
	if _, err := Open(t.Context(), Options{Dir: "db", FS: mem}); !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "db") {
		t.Errorf("opened: %v", err)
	}
	if _, err := mem.Stat("db/" + ballastName); err == nil {
		t.Error("there is a ballast")
	}
	room(openNeeds)
	must(t, open(t, Options{Dir: "db", FS: mem}), &store.Batch{})
}

func TestOpenErrors(t *testing.T) {
	wrote := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "store")
		s := open(t, Options{Dir: dir})
		must(t, s, begin("c", put(1, text(1, 100))))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// A second opening moves what the log has into a table.
		if err := open(t, Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  error
	}{
		"cut manifest": {func(t *testing.T, dir string) {
			change(t, dir, "MANIFEST-*", func(b []byte) []byte { return b[:len(b)/3] })
		}, ErrDamaged},
		"changed manifest": {func(t *testing.T, dir string) { change(t, dir, "MANIFEST-*", flip) }, ErrDamaged},
		"missing manifest": {func(t *testing.T, dir string) { change(t, dir, "MANIFEST-*", nil) }, ErrDamaged},
		"changed table":    {func(t *testing.T, dir string) { change(t, dir, "*.sst", flip) }, ErrDamaged},
		"missing table":    {func(t *testing.T, dir string) { change(t, dir, "*.sst", nil) }, ErrDamaged},
		"newer engine": {func(t *testing.T, dir string) {
			rename(t, dir, "marker.format-version.*", "marker.format-version.000099.999")
		}, ErrNewer},
		"newer format":      {func(t *testing.T, dir string) { setFormat(t, dir, formatNumber+1) }, ErrNewer},
		"a file in its way": {func(t *testing.T, dir string) { replace(t, dir) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := wrote(t)
			c.spoil(t, dir)
			before := files(t, dir)
			s, err := Open(context.Background(), Options{Dir: dir, Ballast: -1})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error is %v", err)
			}
			t.Log(err)
			if after := files(t, dir); c.want == ErrDamaged && after < before {
				t.Errorf("%d files were there, %d are left", before, after)
			}
		})
	}
}

func flip(b []byte) []byte {
	for i := len(b) / 4; i < len(b)/2; i++ {
		b[i] ^= 0x55
	}
	return b
}

// change rewrites the files of a pattern, or removes them.
func change(t *testing.T, dir, pattern string, f func([]byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	for _, name := range names {
		if f == nil {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t *testing.T, dir, pattern, to string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	if err := os.Rename(names[len(names)-1], filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(all)
}

func setFormat(t *testing.T, dir string, n byte) {
	t.Helper()
	o := Options{Dir: dir}
	o.fill()
	lock, err := lockDir(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // the test goes on with opening it
	e, err := openEngine(&o, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.db.Set(keyFormat, []byte{n}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
}

// Two openings of one directory: the second is refused, in this process or another.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if _, err := Open(context.Background(), Options{Dir: dir}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second opening: %v", err)
	}
	must(t, s, begin("c"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
}

// What the file system refuses is named, and so is the directory.
func TestOpenRefused(t *testing.T) {
	for name, c := range map[string]struct{ err, want error }{
		"no permission": {syscall.EACCES, ErrPermission}, "read only": {syscall.EROFS, ErrPermission}, "full": {syscall.ENOSPC, ErrDiskFull},
	} {
		for _, file := range []string{"", "LOCK", "MANIFEST"} {
			t.Run(name+file, func(t *testing.T) {
				f := errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && strings.Contains(op.Path, "database/"+file) {
						return &os.PathError{Op: "write", Path: op.Path, Err: c.err}
					}
					return nil
				})
				_, err := Open(context.Background(), Options{Dir: "database", FS: errorfs.Wrap(vfs.NewMem(), f), Ballast: -1})
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "database") {
					t.Errorf("error is %v", err)
				}
			})
		}
	}
}
