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

// intake is where Commit leaves its work. It has no limit of its own: whoever
// commits waits for answers, so what is in here is bounded by the windows of the
// clients and the queue limits of the router.
type intake struct {
	joins sync.RWMutex // held for reading between Begin and End
	begun atomic.Int64
	wake  chan struct{} // full when there may be something to take

	mu     sync.Mutex
	works  []work
	period uint64 // counts takes
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
