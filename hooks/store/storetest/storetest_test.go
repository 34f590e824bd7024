package storetest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
	"github.com/skeinmq/skein/hooks/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokenEnv names the broken store that TestBroken runs, in a process of its own.
const brokenEnv = "SKEIN_STORETEST_BROKEN"

// A broken store has one rule broken; finds is a test of the suite that must say so.
var broken = map[string]struct {
	finds string
	open  func() store.Store
}{
	"no fence":                 {"Epochs", func() store.Store { return noFence{memory.New()} }},
	"stale owner":              {"StaleOwner", func() store.Store { return noFence{memory.New()} }},
	"answers twice":            {"AnswersInOrder", func() store.Store { return twice{memory.New()} }},
	"answers out of order":     {"AnswersInOrder", func() store.Store { return &swapped{Store: memory.New()} }},
	"half a batch is seen":     {"NobodySeesHalf", func() store.Store { return half{memory.New()} }},
	"half a batch stays":       {"BadBatchLeavesNothing", func() store.Store { return half{memory.New()} }},
	"session stays":            {"DeleteSession", func() store.Store { return without{memory.New(), store.KindSession, true} }},
	"entries stay":             {"DeleteRecords", func() store.Store { return without{memory.New(), store.KindEntry, true} }},
	"no states":                {"Roundtrip", func() store.Store { return without{memory.New(), store.KindState, false} }},
	"no received ids":          {"RandomOperations", func() store.Store { return without{memory.New(), store.KindReceived, false} }},
	"retained stay":            {"Retained", func() store.Store { return without{memory.New(), store.KindRetained, true} }},
	"delayed stay":             {"Delayed", func() store.Store { return without{memory.New(), store.KindDelayed, true} }},
	"wills are lost":           {"Roundtrip", func() store.Store { return noWill{memory.New()} }},
	"entries backwards":        {"EntryOrder", func() store.Store { return backwards{memory.New()} }},
	"visits go on":             {"Heads", func() store.Store { return endless{memory.New()} }},
	"pages without bound":      {"Pages", func() store.Store { return paged{memory.New(), func(p *pageOf) { p.n, p.bytes = 1000, 1<<30 }} }},
	"pages from the start":     {"Pages", func() store.Store { return paged{memory.New(), func(p *pageOf) { p.after = 0 }} }},
	"pages skip one":           {"PageSkipsBegun", func() store.Store { return paged{memory.New(), func(p *pageOf) { p.after += 2 }} }},
	"pages have the begun":     {"PageSkipsBegun", func() store.Store { return without{memory.New(), store.KindState, false} }},
	"cursors stay":             {"Cursors", func() store.Store { return without{memory.New(), store.KindCursor, true} }},
	"group entries stay":       {"Groups", func() store.Store { return without{memory.New(), store.KindGroupEntry, true} }},
	"no figures":               {"Heads", func() store.Store { return noFigures{memory.New()} }},
	"open after Close":         {"Close", func() store.Store { return open{memory.New()} }},
	"sessions out of thin air": {"UnknownSession", func() store.Store { return careless{memory.New()} }},
}

type noFence struct{ *memory.Store }

func (s noFence) Commit(b *store.Batch, done store.Committed) {
	c := *b
	c.Epoch = 1 << 63
	s.Store.Commit(&c, done)
}

type twice struct{ *memory.Store }

func (s twice) Commit(b *store.Batch, done store.Committed) {
	s.Store.Commit(b, done)
	done.Committed(nil)
}

type swapped struct {
	*memory.Store
	held store.Committed
}

func (s *swapped) Commit(b *store.Batch, done store.Committed) {
	if s.held == nil {
		s.held = done
		s.Store.Commit(b, nobody{})
		return
	}
	s.Store.Commit(b, done)
	s.held.Committed(nil)
	s.held = nil
}

type nobody struct{}

func (nobody) Committed(error) {}

type failure struct{ err error }

func (f *failure) Committed(err error) { f.err = err }

type half struct{ *memory.Store }

func (s half) Commit(b *store.Batch, done store.Committed) {
	var f failure
	for i := range b.Ops {
		one := *b
		one.Ops = b.Ops[i : i+1]
		if s.Store.Commit(&one, &f); f.err != nil {
			break
		}
		runtime.Gosched()
	}
	done.Committed(f.err)
}

// without leaves out what writes, or deletes, one kind.
type without struct {
	*memory.Store
	kind     store.Kind
	deletion bool
}

func (s without) Commit(b *store.Batch, done store.Committed) {
	c := *b
	c.Ops = slices.DeleteFunc(slices.Clone(b.Ops), func(op store.Op) bool { return op.Kind == s.kind && op.Delete == s.deletion })
	s.Store.Commit(&c, done)
}

// pageOf is what a page is asked for with.
type pageOf struct {
	after uint64
	n     int
	bytes int64
}

type paged struct {
	*memory.Store
	wrong func(*pageOf)
}

func (s paged) Page(ctx context.Context, id message.ClientID, after uint64, n int, bytes int64) ([]store.Entry, error) {
	p := pageOf{after, n, bytes}
	s.wrong(&p)
	return s.Store.Page(ctx, id, p.after, p.n, p.bytes)
}

type noFigures struct{ *memory.Store }

func (s noFigures) Commit(b *store.Batch, done store.Committed) {
	c := *b
	c.Queue = store.Queue{}
	s.Store.Commit(&c, done)
}

type noWill struct{ *memory.Store }

func (s noWill) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	img, err := s.Store.Load(ctx, id)
	if err == nil {
		img.Session.Will = nil
	}
	return img, err
}

type backwards struct{ *memory.Store }

func (s backwards) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	img, err := s.Store.Load(ctx, id)
	if err == nil {
		slices.Reverse(img.Entries)
	}
	return img, err
}

type endless struct{ *memory.Store }

func (s endless) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	return s.Store.Heads(ctx, func(h *store.Head) bool { visit(h); return true })
}

type open struct{ *memory.Store }

func (open) Close() error { return nil }

type careless struct{ *memory.Store }

func (s careless) Commit(b *store.Batch, done store.Committed) {
	if _, err := s.Load(context.Background(), b.Client); err != nil && b.Client != "" {
		s.Store.Commit(&store.Batch{Client: b.Client, Epoch: b.Epoch, Ops: []store.Op{{Kind: store.KindSession, Session: &store.Session{ID: b.Client}}}}, nobody{})
	}
	s.Store.Commit(b, done)
}

// TestBroken is what the processes of TestFindsBrokenStores run.
func TestBroken(t *testing.T) {
	b, ok := broken[os.Getenv(brokenEnv)]
	if !ok {
		return
	}
	storetest.Run(t, func(*testing.T) store.Store { return b.open() })
}

// TestFindsBrokenStores shows that the suite can fail.
func TestFindsBrokenStores(t *testing.T) {
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			run := "^TestBroken$/^" + b.finds + "$"
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+run, "-test.v", "-test.timeout=30s")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "FAIL") && !strings.Contains(string(out), "panic: storetest") {
				t.Errorf("%s did not find it: %v\n%s", b.finds, err, out)
			}
		})
	}
}

// disks are stores in memory that come back when they are opened again.
type disks struct {
	mu    sync.Mutex
	byDir map[string]*memory.Store
}

func (d *disks) open(_ *testing.T, dir string) store.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byDir[dir] == nil {
		d.byDir[dir] = memory.New()
	}
	return &disk{Store: d.byDir[dir]}
}

type disk struct {
	*memory.Store
	mu     sync.RWMutex
	closed bool
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

func (d *disk) Commit(b *store.Batch, done store.Committed) {
	if err := d.check(); err != nil {
		done.Committed(err)
		return
	}
	d.Store.Commit(b, done)
}

func (d *disk) check() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return fmt.Errorf("disk: %w", store.ErrClosed)
	}
	return nil
}

func (d *disk) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return d.Store.Load(ctx, id)
}

func (d *disk) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Store.Heads(ctx, visit)
}

func (d *disk) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Store.Retained(ctx, visit)
}

func (d *disk) Delayed(ctx context.Context, visit func(uint64, int64, *message.Message) bool) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Store.Delayed(ctx, visit)
}

func (d *disk) Page(ctx context.Context, id message.ClientID, after uint64, n int, bytes int64) ([]store.Entry, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return d.Store.Page(ctx, id, after, n, bytes)
}

func (d *disk) GroupEntries(ctx context.Context, visit func(string, uint64, *message.Message) bool) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Store.GroupEntries(ctx, visit)
}

func TestDurable(t *testing.T) {
	d := &disks{byDir: map[string]*memory.Store{}}
	storetest.RunDurable(t, d.open)
}
