package disk

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler lets compactions run, as many as the database allows by itself, and none
// before the store is open: opening waits for what was begun meanwhile, and a store that
// was killed has seconds of it to do.
//
// The database calls TrySchedule with its lock held, so mu is never held while the
// database is called.
type scheduler struct {
	db pebble.DBForCompaction // set by Register, before anything else

	mu      sync.Mutex
	idle    sync.Cond // nobody grants
	open    bool
	closed  bool
	granter bool // a goroutine grants
	again   bool // and is to look once more
	running int
}

func newScheduler() *scheduler {
	s := new(scheduler)
	s.idle.L = &s.mu
	return s
}

// Register implements pebble.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) { s.db = db }

// Unregister implements pebble.CompactionScheduler.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.granter {
		s.idle.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !s.take(s.db.GetAllowedWithoutPermission()) {
		return false, nil
	}
	return true, s
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler: the database
// asks again after each flush, which is when more may run.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {}

// take counts one more that runs, unless allowed do.
func (s *scheduler) take(allowed int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open || s.closed || s.running >= allowed {
		return false
	}
	s.running++
	return true
}

func (s *scheduler) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// start lets what waits begin.
func (s *scheduler) start() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	s.grant()
}

// grant has the database begin what it wants to and may. One goroutine does so at a
// time; who comes meanwhile lets it look again.
func (s *scheduler) grant() {
	s.mu.Lock()
	if s.granter {
		s.again = true
		s.mu.Unlock()
		return
	}
	s.granter = true
	for more := true; more; {
		s.again = false
		s.mu.Unlock()
		granted := s.grantOne()
		s.mu.Lock()
		more = (granted || s.again) && !s.closed
	}
	s.granter = false
	s.idle.Broadcast()
	s.mu.Unlock()
}

func (s *scheduler) grantOne() bool {
	if !s.take(s.db.GetAllowedWithoutPermission()) {
		return false
	}
	if waits, _ := s.db.GetWaitingCompaction(); !waits || !s.db.Schedule(s) {
		s.give()
		return false
	}
	return true
}

// Started implements pebble.CompactionGrantHandle.
func (*scheduler) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (*scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (*scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle. No lock is held.
func (s *scheduler) Done() {
	s.give()
	s.grant()
}

var (
	_ pebble.CompactionScheduler   = (*scheduler)(nil)
	_ pebble.CompactionGrantHandle = (*scheduler)(nil)
)
