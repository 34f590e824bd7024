package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
)

// history is what was handed to a store and what it answered.
type history struct {
	mu      sync.Mutex
	batches map[message.ClientID][]*store.Batch
	acked   map[message.ClientID]int
	joins   [][2]mark // batches that must be there both or not at all
}

// mark is the place of a batch in its client's history.
type mark struct {
	id message.ClientID
	n  int
}

// ack is the callback of one batch.
type ack struct {
	h    *history
	m    mark
	wg   *sync.WaitGroup
	fail *atomic.Pointer[error]
}

// Committed implements store.Committed.
func (a *ack) Committed(err error) {
	a.h.mu.Lock()
	if err != nil {
		a.fail.Store(&err)
	} else if a.h.acked[a.m.id] != a.m.n {
		err = fmt.Errorf("batch %d of %q was answered as number %d", a.m.n, a.m.id, a.h.acked[a.m.id])
		a.fail.Store(&err)
	}
	a.h.acked[a.m.id]++
	a.h.mu.Unlock()
	a.wg.Done()
}

// cut is a state of the file system after a crash, and what was known then.
type cut struct {
	fs    *vfs.MemFS
	acked map[message.ClientID]int
	sent  map[message.ClientID]int
}

// cutter crashes the file system again and again, each time at another write.
type cutter struct {
	mem  *vfs.MemFS
	h    *history
	r    *rand.Rand
	mu   sync.Mutex
	ops  int
	next int
	cuts []cut
}

func (c *cutter) maybe(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ops++; c.ops < c.next {
		return nil
	}
	c.next = c.ops + 1 + c.r.IntN(3)
	k := cut{acked: map[message.ClientID]int{}, sent: map[message.ClientID]int{}}
	c.h.mu.Lock()
	for id, n := range c.h.acked {
		k.acked[id] = n
	}
	c.h.mu.Unlock()
	k.fs = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * c.r.IntN(3), RNG: c.r})
	c.h.mu.Lock()
	for id, all := range c.h.batches {
		k.sent[id] = len(all)
	}
	c.h.mu.Unlock()
	c.cuts = append(c.cuts, k)
	return nil
}

// Whatever prefix of the writes a crash leaves: what was answered is there, the
// rest is there whole and in order or not at all.
func TestCrash(t *testing.T) {
	r := seed(t)
	for range 3 {
		mem := vfs.NewCrashableMem()
		h := &history{batches: map[message.ClientID][]*store.Batch{}, acked: map[message.ClientID]int{}}
		c := &cutter{mem: mem, h: h, r: rand.New(rand.NewPCG(r.Uint64(), 0)), next: 1 << 30}
		if err := mem.MkdirAll("db", 0o755); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: "db", FS: errorfs.Wrap(mem, errorfs.InjectorFunc(c.maybe)), Linger: -1, MemTable: 256 << 10})
		c.mu.Lock()
		c.next = 0
		c.mu.Unlock()
		writeHistory(t, r, s, h)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(c.cuts) < 10 {
			t.Errorf("%d cuts", len(c.cuts))
		}
		for i := range c.cuts {
			checkCut(t, &c.cuts[i], h)
		}
	}
}

// writeHistory has three goroutines commit for two clients each.
func writeHistory(t *testing.T, r *rand.Rand, s *Store, h *history) {
	var fail atomic.Pointer[error]
	var writers sync.WaitGroup
	for w := range 3 {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		writers.Go(func() {
			var wg sync.WaitGroup
			defer wg.Wait()
			authors := []*author{{r: r, id: client(2 * w), wild: true}, {r: r, id: client(2*w + 1), wild: w == 0}}
			commit := func(a *author, b *store.Batch) mark {
				h.mu.Lock()
				m := mark{a.id, len(h.batches[a.id])}
				h.batches[a.id] = append(h.batches[a.id], b)
				h.mu.Unlock()
				wg.Add(1)
				s.Commit(b, &ack{h, m, &wg, &fail})
				return m
			}
			shared := messages(r, 4)
			for i := range 150 {
				if i%5 == 4 {
					wg.Wait()
				}
				if r.IntN(5) > 0 {
					a := authors[r.IntN(2)]
					commit(a, a.batch(shared))
					continue
				}
				a, b := authors[0].batch(shared), authors[1].batch(shared)
				s.Begin()
				x, y := commit(authors[0], a), commit(authors[1], b)
				s.End()
				h.mu.Lock()
				h.joins = append(h.joins, [2]mark{x, y})
				h.mu.Unlock()
			}
		})
	}
	writers.Wait()
	if err := fail.Load(); err != nil {
		t.Fatal(*err)
	}
}

// checkCut opens a store as a crash left it.
func checkCut(t *testing.T, k *cut, h *history) {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: "db", FS: k.fs, Ballast: -1, MemTable: 256 << 10})
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	possible := map[message.ClientID][]int{}
	for id, all := range h.batches {
		got := render(t, whole{s}, id) + figuresOf(t, s, id)
		m := memory.New()
		for n := 0; n <= k.sent[id]; n++ {
			if n >= k.acked[id] && got == renderAt(t, m, id, all[:n]) {
				possible[id] = append(possible[id], n)
			}
			if n < len(all) {
				must(t, m, all[n])
			}
		}
		if len(possible[id]) == 0 {
			t.Fatalf("session %q, %d batches answered of %d, is\n%s\nwhich it never was", id, k.acked[id], k.sent[id], got)
		}
	}
	for _, j := range h.joins {
		if all, none := sides(possible[j[0].id], j[0].n); !all || !none {
			if all2, none2 := sides(possible[j[1].id], j[1].n); all && !all2 || none && !none2 {
				t.Fatalf("batch %v is there: %v, and %v, of the same group: %v", j[0], all, j[1], all2)
			}
		}
	}
	checkBodies(t, s)
	must(t, s, begin("new", put(1, text(1, 10))))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// sides says whether batch n may be there, and whether it may not, when the first
// of possible batches are.
func sides(possible []int, n int) (there, absent bool) {
	for _, p := range possible {
		there, absent = there || p > n, absent || p <= n
	}
	return there, absent
}

func figuresOf(t *testing.T, s *Store, id message.ClientID) string {
	img, err := s.Load(context.Background(), id)
	if err != nil {
		return ""
	}
	return figuresText(img.Queue)
}

func renderAt(t *testing.T, m *memory.Store, id message.ClientID, batches []*store.Batch) string {
	text := render(t, m, id)
	if text == "" {
		return ""
	}
	return text + figuresText(batches[len(batches)-1].Queue)
}

// figuresText leaves out the last Seq: one whose entry came and went within a group
// need not be known after a crash.
func figuresText(q store.Queue) string { return fmt.Sprint("queued ", q.Messages, " of ", q.Bytes) }
