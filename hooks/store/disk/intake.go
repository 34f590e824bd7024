package disk

import (
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/hooks/store"
)

// work is one Commit on its way through the committer.
type work struct {
	b    *store.Batch
	done store.Committed
	s    *session // nil: of the node, or refused before its session was looked up
	err  error    // why it is refused
	join uint64   // the period in which it came between Begin and End, or 0
	open int      // operations that have to be written, as long as it lingers
	void bool     // none was left; it only waits for those before it
}

// maxPending is how many operations may wait for the disk before publishers have to
// wait: some hundredths of a second of its work, and about 40 MB.
const maxPending = 200_000

// intake is where Commit leaves its work. It never refuses nor blocks; publishers
// stay below maxPending by asking Wait first, everybody else commits a few operations
// and waits for the answer.
type intake struct {
	joins   sync.RWMutex // held for reading between Begin and End
	begun   atomic.Int64
	pending atomic.Int64  // operations that are not answered
	waited  atomic.Bool   // room is there
	wake    chan struct{} // full when there may be something to take

	mu     sync.Mutex
	works  []work
	room   chan struct{} // made by who waits; closed when half of maxPending is free
	period uint64        // counts takes
	closed bool
}

// Begin implements store.Grouper.
func (s *Store) Begin() {
	s.in.joins.RLock()
	s.in.begun.Add(1)
}

// End implements store.Grouper.
func (s *Store) End() {
	s.in.begun.Add(-1)
	s.in.joins.RUnlock()
}

// Commit hands b to the committer; b and all it holds must stay as they are until
// done is called, and the messages for good.
func (s *Store) Commit(b *store.Batch, done store.Committed) {
	in := &s.in
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		done.Committed(store.ErrClosed)
		return
	}
	in.pending.Add(int64(len(b.Ops)))
	w := work{b: b, done: done}
	if in.begun.Load() > 0 {
		w.join = in.period + 1
	}
	in.works = append(in.works, w)
	first := len(in.works) == 1
	in.mu.Unlock()
	if first {
		in.poke()
	}
}

// Wait implements store.Grouper.
func (s *Store) Wait(gone func() <-chan struct{}) {
	in := &s.in
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
	left := in.pending.Add(-int64(len(w.b.Ops)))
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

// take exchanges what came in for an empty slice to fill. No Begin is without its
// End meanwhile.
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
	in.poke()
}
