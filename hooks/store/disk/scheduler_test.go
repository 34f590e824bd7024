package disk

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// wanting is a database with compactions to do.
type wanting struct {
	s       *scheduler
	allowed int
	waits   int
	begun   int
	refuses bool
}

func (w *wanting) GetAllowedWithoutPermission() int { return w.allowed }

func (w *wanting) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return w.waits > 0, pebble.WaitingCompaction{}
}

func (w *wanting) Schedule(pebble.CompactionGrantHandle) bool {
	if w.refuses {
		return false
	}
	w.waits--
	w.begun++
	return true
}

func TestCompactionsWaitUntilTheStoreIsOpen(t *testing.T) {
	s := newScheduler()
	w := &wanting{s: s, allowed: 2, waits: 4}
	s.Register(2, w)
	if ok, _ := s.TrySchedule(); ok || w.begun > 0 {
		t.Error("a compaction runs before the store is open")
	}
	s.start()
	if w.begun != 2 {
		t.Errorf("%d run, 2 may", w.begun)
	}
	if ok, _ := s.TrySchedule(); ok {
		t.Error("a third runs")
	}
	s.Done()
	if w.begun != 3 {
		t.Errorf("%d began, one of two ended", w.begun)
	}
	w.refuses = true
	s.Done()
	if ok, _ := s.TrySchedule(); !ok {
		t.Error("what was not begun counts as running")
	}
	s.Unregister()
	s.Done()
	if ok, _ := s.TrySchedule(); ok || w.begun != 3 {
		t.Error("a compaction begins in a database that is being closed")
	}
}
