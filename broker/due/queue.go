package due

import (
	"math"
	"sync"
	"time"
)

// MaxSleep is the longest the queue waits before it looks at its clock again.
// A timer follows the monotonic clock, items follow the wall clock: this bounds
// how late an item is after the wall clock was set forward.
const MaxSleep = 30 * time.Second

// Item is a callback that waits for its time: the handle for Remove and Reset.
// It belongs to the queue that made it.
type Item struct {
	// Guarded by Queue.mu.
	fn    func() // nil when not pending, so that what it holds can be freed
	index int    // in the heap; notPending otherwise
	seq   uint64 // breaks ties between equal times
}

const notPending = -1

// Queue is a set of items ordered by time. The zero value is not usable, see [New].
type Queue struct {
	now func() time.Time

	wake chan struct{} // 1 deep; full means Run will look at the heap anyway
	stop chan struct{} // closed by the first Stop
	done chan struct{} // closed when Run has returned, or by Stop if it never ran

	mu      sync.Mutex
	heap    heap
	seq     uint64
	running bool
	stopped bool
}

// New makes a queue that reads the time from now, usually time.Now or the
// cluster's clock. It must be safe for concurrent use.
func New(now func() time.Time) *Queue {
	return &Queue{
		now:  now,
		wake: make(chan struct{}, 1),
		stop: make(chan struct{}),
		done: make(chan struct{}),
	}
}

// Add has fn called at the given time, at once when that is past. fn must be
// quick and must not block. After Stop the item is kept out of the queue and
// never runs.
func (q *Queue) Add(at time.Time, fn func()) *Item {
	it := &Item{fn: fn, index: notPending}
	q.mu.Lock()
	if q.stopped {
		it.fn = nil
		q.mu.Unlock()
		return it
	}
	q.seq++
	it.seq = q.seq
	q.heap.push(entry{at: nanos(at), item: it})
	first := it.index == 0
	q.mu.Unlock()
	if first {
		q.signal()
	}
	return it
}

// Remove takes an item out. True means that its callback has not started and
// never will; false that it has started (it may still be running), or that the
// item was removed before. A nil item is not pending.
func (q *Queue) Remove(it *Item) bool {
	if it == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.index == notPending {
		return false
	}
	q.heap.remove(it.index)
	it.fn = nil
	return true
}

// Reset moves a pending item to another time and answers true. When the item is
// not pending (see [Queue.Remove]) it changes nothing and answers false: the
// caller adds a new one if it wants the callback again.
func (q *Queue) Reset(it *Item, at time.Time) bool {
	if it == nil {
		return false
	}
	q.mu.Lock()
	if it.index == notPending {
		q.mu.Unlock()
		return false
	}
	q.seq++
	it.seq = q.seq
	q.heap.move(it.index, nanos(at))
	first := it.index == 0
	q.mu.Unlock()
	if first {
		q.signal()
	}
	return true
}

// Len is the number of pending items.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// Run calls what falls due until Stop. It runs once: while it runs, and after
// Stop, a further call returns at once.
func (q *Queue) Run() {
	q.mu.Lock()
	if q.running || q.stopped {
		q.mu.Unlock()
		return
	}
	q.running = true
	q.mu.Unlock()
	defer close(q.done)

	timer := time.NewTimer(MaxSleep)
	defer timer.Stop()
	for {
		fn, wait, ok := q.next()
		if !ok {
			return
		}
		if fn != nil {
			fn()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-q.stop:
			return
		}
	}
}

// next takes the first item out when it is due and returns its callback;
// otherwise the time to wait. ok is false after Stop. One item at a time, so
// that Remove of an item works until the moment its callback starts.
func (q *Queue) next() (fn func(), wait time.Duration, ok bool) {
	now := nanos(q.now())
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil, 0, false
	}
	if len(q.heap) == 0 {
		return nil, MaxSleep, true
	}
	first := q.heap[0]
	if first.at > now {
		return nil, sleep(first.at, now), true
	}
	q.heap.remove(0)
	fn, first.item.fn = first.item.fn, nil
	return fn, 0, true
}

// sleep is the time from now until at, at most MaxSleep; at lies after now. The
// difference of two far times may overflow, which shows as a negative number.
func sleep(at, now int64) time.Duration {
	if d := at - now; d > 0 && d < int64(MaxSleep) {
		return time.Duration(d)
	}
	return MaxSleep
}

// Stop ends Run and waits for it, so for the callback that is running too; the
// items left never run. It may be called more than once, before Run and without
// Run, but not by a callback, which would wait for itself.
func (q *Queue) Stop() {
	q.mu.Lock()
	if !q.stopped {
		q.stopped = true
		close(q.stop)
		if !q.running {
			close(q.done)
		}
	}
	q.mu.Unlock()
	<-q.done
}

// signal makes Run look at the heap again.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // a signal is waiting already and Run has not looked since
	}
}

var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// nanos is the time in nanoseconds since 1970. Times that do not fit (before
// 1678, after 2262) become the nearest that does.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(firstTime):
		return math.MinInt64
	case t.After(lastTime):
		return math.MaxInt64
	}
	return t.UnixNano()
}
