package router

import (
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
)

// lagging is the store in memory, whose answers come when the test says so: a batch
// waits, in order, until release or fail.
type lagging struct {
	*memory.Store

	mu      sync.Mutex
	holds   bool
	waiting []batch // guarded by mu
	refuse  error   // what batches that do not wait are answered
	busy    sync.Mutex
	poke    chan struct{} // of the worker; nil without one
}

type batch struct {
	b    *store.Batch
	done store.Committed
}

func (s *lagging) Commit(b *store.Batch, done store.Committed) {
	s.mu.Lock()
	if s.holds {
		s.waiting = append(s.waiting, batch{b, done})
		s.mu.Unlock()
		select {
		case s.poke <- struct{}{}:
		default:
		}
		return
	}
	err := s.refuse
	s.mu.Unlock()
	if err != nil {
		done.Committed(err)
		return
	}
	s.Store.Commit(b, done)
}

func (s *lagging) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = true
}

// take takes out at most n waiting batches; all for a negative n.
func (s *lagging) take(n int) []batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > len(s.waiting) {
		n = len(s.waiting)
	}
	list := slices.Clone(s.waiting[:n])
	s.waiting = s.waiting[n:]
	return list
}

// release commits n waiting batches on a goroutine of its own, all for a negative n.
func (s *lagging) release(n int) {
	s.busy.Lock() // batches are answered in order
	defer s.busy.Unlock()
	list := s.take(n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range list {
			s.Store.Commit(b.b, b.done)
		}
	}()
	<-done
}

// open ends the holding.
func (s *lagging) open() {
	for {
		s.release(-1)
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.holds = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

func (s *lagging) fail(err error) {
	for _, b := range s.take(-1) {
		b.done.Committed(err)
	}
}

func (s *lagging) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// work commits what comes on another goroutine, until the test ends.
func (s *lagging) work(t *testing.T) {
	s.poke = make(chan struct{}, 1)
	s.hold()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.poke:
				s.release(-1)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done; s.open() })
}

// settle waits until nothing waits.
func (s *lagging) settle() {
	for {
		s.busy.Lock()
		n := s.held()
		s.busy.Unlock()
		if n == 0 || s.poke == nil {
			return
		}
		runtime.Gosched()
	}
}
