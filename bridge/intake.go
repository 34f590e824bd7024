package bridge

import (
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/hooks/store"
)

// work is one batch on its way through the committer.
type work struct {
	b     *store.Batch
	done  store.Committed
	size  int64
	err   error // why it is refused
	join  uint64
	idle  bool // only waits for those of its client
	flush bool // only waits for all
}

// maxPending bounds the bytes that wait for Redis before publishers have to wait.
const maxPending = 32 << 20

// opSize is what an operation counts beside its message.
const opSize = 96

// intake is where batches are left. It never refuses nor blocks; publishers stay below
// maxPending by asking Wait first, everybody else commits a few operations and waits for
// the answer.
type intake struct {
	joins   sync.RWMutex // held for reading between Begin and End
	begun   atomic.Int64
	pending atomic.Int64  // bytes without an answer
	waited  atomic.Bool   // room is there
	wake    chan struct{} // full when there may be something to take
	closing chan struct{} // closed with closed

	mu     sync.Mutex
	works  []work
	room   chan struct{} // made by who waits; closed when half of maxPending is free
	period uint64        // counts times in which nobody was between Begin and End
	closed bool
}

func (in *intake) init() {
	in.wake = make(chan struct{}, 1)
	in.closing = make(chan struct{})
	in.period = 1
}

// Begin implements store.Grouper.
func (r *records) Begin() {
	r.in.joins.RLock()
	r.in.begun.Add(1)
}

// End implements store.Grouper.
func (r *records) End() {
	in := &r.in
	if in.begun.Add(-1) == 0 {
		in.mu.Lock()
		in.period++
		in.mu.Unlock()
	}
	in.joins.RUnlock()
}

// Commit implements store.Committer. b and all it holds must stay as they are until done
// is called, and the messages for good.
func (r *records) Commit(b *store.Batch, done store.Committed) {
	size := int64(len(b.Ops)+1) * opSize
	for i := range b.Ops {
		if m := b.Ops[i].Entry.Msg; m != nil {
			size += int64(m.Size())
		}
		if m := b.Ops[i].Msg; m != nil {
			size += int64(m.Size())
		}
	}
	r.hand(work{b: b, done: done, size: size})
}

func (r *records) hand(w work) {
	in := &r.in
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		w.done.Committed(store.ErrClosed)
		return
	}
	in.pending.Add(w.size)
	if in.begun.Load() > 0 && !w.flush {
		w.join = in.period
	}
	in.works = append(in.works, w)
	first := len(in.works) == 1
	in.mu.Unlock()
	if first {
		in.poke()
	}
}

// Wait implements store.Grouper.
func (r *records) Wait(gone func() <-chan struct{}) {
	in := &r.in
	for in.pending.Load() > maxPending {
		in.mu.Lock()
		if in.room == nil {
			in.room = make(chan struct{})
			in.waited.Store(true)
		}
		room, over := in.room, in.pending.Load() > maxPending
		in.mu.Unlock()
		if !over {
			return // it was answered in between, and nobody else need wake us
		}
		select {
		case <-room:
		case <-gone():
			return
		}
	}
}

// answer tells who waits for w.
func (in *intake) answer(w *work) {
	left := in.pending.Add(-w.size)
	w.done.Committed(w.err)
	if left > maxPending/2 || !in.waited.Load() {
		return
	}
	in.mu.Lock()
	if in.room != nil {
		close(in.room)
		in.room = nil
		in.waited.Store(false)
	}
	in.mu.Unlock()
}

func (in *intake) poke() {
	select {
	case in.wake <- struct{}{}:
	default: // it is awake
	}
}

// take exchanges what came in for an empty slice to fill. No Begin is without its End
// meanwhile.
func (in *intake) take(empty []work) (works []work, closed bool) {
	in.joins.Lock()
	in.mu.Lock()
	works, in.works = in.works, empty
	in.period++
	closed = in.closed
	in.mu.Unlock()
	in.joins.Unlock()
	return works, closed
}

func (in *intake) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	close(in.closing)
	in.poke()
}

func (in *intake) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}
