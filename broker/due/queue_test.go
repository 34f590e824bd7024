package due

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f with a running queue on synctest's clock and stops it after.
func bubble(t *testing.T, f func(t *testing.T, q *Queue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := New(time.Now)
		go q.Run()
		defer q.Stop()
		f(t, q)
	})
}

// advance lets d pass in the bubble.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRunsAtItsTime(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		start := time.Now()
		var got []time.Duration
		note := func() { got = append(got, time.Since(start)) }
		want := []time.Duration{0, time.Second, time.Minute, 48 * time.Hour}
		for _, d := range []int{3, 1, 2, 0} {
			q.Add(start.Add(want[d]), note)
		}
		advance(49 * time.Hour)
		if !slices.Equal(got, want) {
			t.Errorf("ran at %v, want %v", got, want)
		}
		if q.Len() != 0 {
			t.Errorf("Len = %d after all ran", q.Len())
		}
	})
}

func TestPastRunsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		ran := 0
		q.Add(time.Time{}, func() { ran++ })
		q.Add(time.Now().Add(-time.Hour), func() { ran++ })
		synctest.Wait()
		if ran != 2 {
			t.Errorf("%d ran, want 2", ran)
		}
	})
}

func TestTimesBeyondNanosecondsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		ran := false
		it := q.Add(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), func() { ran = true })
		advance(365 * 24 * time.Hour)
		if ran || !q.Remove(it) {
			t.Error("an item of the year 9999 ran")
		}
	})
}

func TestEqualTimesKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		at := time.Now().Add(time.Second)
		var got []int
		var first *Item
		for i := range 100 {
			it := q.Add(at, func() { got = append(got, i) })
			if i == 0 {
				first = it
			}
		}
		q.Reset(first, at) // now the last
		advance(time.Second)
		want := make([]int, 0, 100)
		for i := range 99 {
			want = append(want, i+1)
		}
		if want = append(want, 0); !slices.Equal(got, want) {
			t.Errorf("order %v", got)
		}
	})
}

func TestRemove(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		ran := 0
		it := q.Add(time.Now().Add(time.Second), func() { ran++ })
		if !q.Remove(it) {
			t.Error("a pending item was not removed")
		}
		if q.Remove(it) || q.Reset(it, time.Now()) {
			t.Error("a removed item was pending")
		}
		advance(2 * time.Second)
		if ran != 0 {
			t.Error("a removed item ran")
		}
		it = q.Add(time.Now(), func() { ran++ })
		synctest.Wait()
		if q.Remove(it) || q.Reset(it, time.Now()) || ran != 1 {
			t.Error("an item that ran was pending")
		}
		if q.Remove(nil) || q.Reset(nil, time.Now()) {
			t.Error("nil was pending")
		}
	})
}

func TestReset(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		start := time.Now()
		var at []time.Duration
		note := func() { at = append(at, time.Since(start)) }
		later := q.Add(start.Add(time.Second), note)
		sooner := q.Add(start.Add(time.Hour), note)
		if !q.Reset(later, start.Add(3*time.Second)) || !q.Reset(sooner, start.Add(2*time.Second)) {
			t.Fatal("not pending")
		}
		advance(2 * time.Hour)
		if want := []time.Duration{2 * time.Second, 3 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("ran at %v, want %v", at, want)
		}
	})
}

// Of two items due at the same moment the first may still remove the second, and
// a callback finds its own item no longer pending.
func TestRemoveWhileFiring(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		at := time.Now().Add(time.Second)
		items := make(chan *Item, 2)
		var removedSelf, removedOther, otherRan bool
		items <- q.Add(at, func() {
			removedSelf = q.Remove(<-items)
			removedOther = q.Remove(<-items)
		})
		items <- q.Add(at, func() { otherRan = true })
		advance(time.Second)
		if removedSelf || !removedOther || otherRan {
			t.Errorf("removed itself %v, removed the other %v, the other ran %v", removedSelf, removedOther, otherRan)
		}
	})
}

func TestRemoveDoesNotWaitForTheCallback(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		began, end := make(chan struct{}), make(chan struct{})
		it := q.Add(time.Now(), func() { close(began); <-end })
		<-began
		if q.Remove(it) {
			t.Error("a running item was removed")
		}
		close(end)
	})
}

func TestCallbackMayAdd(t *testing.T) {
	bubble(t, func(t *testing.T, q *Queue) {
		start, ticks := time.Now(), 0
		var tick func()
		tick = func() {
			if ticks++; ticks < 5 {
				q.Add(start.Add(time.Duration(ticks)*time.Second), tick)
			}
		}
		q.Add(start, tick)
		advance(4 * time.Second)
		if ticks != 5 {
			t.Errorf("%d ticks, want 5", ticks)
		}
	})
}

// A clock that is set forward is noticed without any call.
func TestClockSetForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var offset time.Duration
		q := New(func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		})
		go q.Run()
		defer q.Stop()
		ran := false
		q.Add(time.Now().Add(24*time.Hour), func() { ran = true })
		synctest.Wait()
		mu.Lock()
		offset = 25 * time.Hour
		mu.Unlock()
		advance(MaxSleep)
		if !ran {
			t.Error("did not notice that the clock was set forward")
		}
	})
}

func TestStopWaitsForTheCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(time.Now)
		go q.Run()
		began, end := make(chan struct{}), make(chan struct{})
		q.Add(time.Now(), func() { close(began); <-end })
		q.Add(time.Now(), func() { t.Error("ran after Stop") })
		<-began
		stopped := make(chan struct{})
		go func() { q.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Stop did not wait for the callback")
		default:
		}
		close(end)
		<-stopped
		q.Stop()
		q.Run()
		if it := q.Add(time.Now(), func() { t.Error("ran after Stop") }); q.Remove(it) {
			t.Error("an item added after Stop was pending")
		}
	})
}

func TestStopWithoutRun(t *testing.T) {
	q := New(time.Now)
	q.Stop()
	q.Stop()
	q.Run() // returns
}

func TestSecondRunReturns(t *testing.T) {
	bubble(t, func(_ *testing.T, q *Queue) {
		synctest.Wait()
		q.Run()
	})
}

// TestModel compares the queue with a list that is sorted for each question.
func TestModel(t *testing.T) {
	type planned struct {
		at    time.Time
		order int // of Add or Reset
		id    int
	}
	for seed := range uint64(30) {
		bubble(t, func(t *testing.T, q *Queue) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			items := map[int]*Item{}
			var model []planned
			var mu sync.Mutex
			var got, want []int
			order := 0
			for step := range 3000 {
				switch op := rnd.IntN(10); {
				case op < 5 || len(model) == 0 && op < 9:
					at := time.Now().Add(time.Duration(1+rnd.IntN(60)) * time.Second)
					order++
					model = append(model, planned{at, order, step})
					items[step] = q.Add(at, func() {
						mu.Lock()
						got = append(got, step)
						mu.Unlock()
					})
				case op < 7:
					i := rnd.IntN(len(model))
					if !q.Remove(items[model[i].id]) {
						t.Fatalf("seed %d: a pending item was not removed", seed)
					}
					model = slices.Delete(model, i, i+1)
				case op < 9:
					i := rnd.IntN(len(model))
					order++
					model[i].at, model[i].order = time.Now().Add(time.Duration(1+rnd.IntN(60))*time.Second), order
					if !q.Reset(items[model[i].id], model[i].at) {
						t.Fatalf("seed %d: a pending item was not reset", seed)
					}
				default:
					advance(time.Duration(rnd.IntN(20)) * time.Second)
					slices.SortFunc(model, func(a, b planned) int {
						if c := a.at.Compare(b.at); c != 0 {
							return c
						}
						return a.order - b.order
					})
					n := 0
					for n < len(model) && !model[n].at.After(time.Now()) {
						want = append(want, model[n].id)
						n++
					}
					model = slices.Delete(model, 0, n)
					mu.Lock()
					same := slices.Equal(got, want)
					mu.Unlock()
					if !same || q.Len() != len(model) {
						t.Fatalf("seed %d step %d: other items ran, or in another order; %d pending, want %d",
							seed, step, q.Len(), len(model))
					}
				}
			}
			if len(want) == 0 {
				t.Errorf("seed %d: nothing fell due", seed)
			}
		})
	}
}

// TestHeapModel checks the order itself, and that each item knows its place.
func TestHeapModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var h heap
		var all []entry
		for step := range 4000 {
			switch op := rnd.IntN(10); {
			case op < 6 || len(all) == 0:
				e := entry{at: int64(rnd.IntN(500)), item: &Item{seq: uint64(step)}}
				h.push(e)
				all = append(all, e)
			case op < 8:
				i := rnd.IntN(len(all))
				h.remove(all[i].item.index)
				if all[i].item.index != notPending {
					t.Fatal("a removed item is pending")
				}
				all = slices.Delete(all, i, i+1)
			default:
				i := rnd.IntN(len(all))
				all[i].at = int64(rnd.IntN(500))
				all[i].item.seq = uint64(step)
				h.move(all[i].item.index, all[i].at)
			}
		}
		slices.SortFunc(all, func(a, b entry) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		for i, e := range all {
			if h[0].item != e.item {
				t.Fatalf("seed %d: item %d of %d comes in the wrong order", seed, i, len(all))
			}
			h.remove(0)
		}
		if len(h) != 0 || cap(h) >= minShrink {
			t.Errorf("seed %d: %d left, capacity %d", seed, len(h), cap(h))
		}
	}
}

// Many goroutines add and remove while items fire: each runs or is removed,
// never both, never neither.
func TestRunsOrIsRemoved(t *testing.T) {
	q := New(time.Now)
	go q.Run()
	defer q.Stop()
	const each = 2000
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 3))
			for range each {
				ran := make(chan struct{})
				it := q.Add(time.Now().Add(time.Duration(rnd.IntN(40))*time.Microsecond), func() { close(ran) })
				if rnd.IntN(2) == 0 {
					q.Reset(it, time.Now())
				}
				if q.Remove(it) {
					select {
					case <-ran:
						t.Error("removed and ran")
					default:
					}
					continue
				}
				<-ran
			}
		})
	}
	wg.Wait()
	if q.Len() != 0 {
		t.Errorf("%d left", q.Len())
	}
}

func TestMemoryPerItem(t *testing.T) {
	const n = 1 << 20
	var before, after runtime.MemStats
	q := New(time.Now)
	fn := func() {}
	at := time.Now().Add(time.Hour)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		q.Add(at.Add(time.Duration(i%1000)*time.Second), fn)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes an item", per)
	if per > 60 {
		t.Errorf("%.1f bytes an item, at most 60 without the closure", per)
	}
	runtime.KeepAlive(q)
}

func BenchmarkAddRemove(b *testing.B) {
	q := New(time.Now)
	base := time.Now().Add(time.Hour)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 1_000_000 {
		q.Add(base.Add(time.Duration(rnd.Int64N(int64(time.Hour)))), func() {})
	}
	b.ReportAllocs()
	for b.Loop() {
		q.Remove(q.Add(base.Add(time.Duration(rnd.Int64N(int64(time.Hour)))), func() {}))
	}
}
