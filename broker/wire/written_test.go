package wire

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// told collects what Written says.
type told struct {
	mu   sync.Mutex
	list []int
}

// note answers a callback that adds n, or -n when it was not written.
func (l *told) note(n int) func(bool) {
	return func(written bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !written {
			n = -n
		}
		l.list = append(l.list, n)
	}
}

func (l *told) want(t *testing.T, want ...int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.list, want) {
		t.Errorf("told %v, want %v", l.list, want)
	}
}

func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o := NewOutput(s, 1<<20, 0, func(error) {}, func() {})
		var l told
		o.Written(l.note(1)) // nothing waits
		l.want(t, 1)
		o.Append([]byte("aaa"))
		o.Written(l.note(2))
		synctest.Wait()
		o.Append([]byte("bb")) // behind the write that is under way
		o.Written(l.note(3))
		o.Append([]byte("c"))
		s.gate <- 2
		synctest.Wait()
		l.want(t, 1)
		s.gate <- 1
		synctest.Wait()
		l.want(t, 1, 2)
		s.gate <- 3 // one call writes what had gathered
		synctest.Wait()
		l.want(t, 1, 2, 3)
		if o.marks != nil {
			t.Error("marks are kept")
		}
		o.Append([]byte("dddd"))
		o.Written(l.note(4))
		synctest.Wait()
		s.gate <- 3
		synctest.Wait()
		o.Close()
		l.want(t, 1, 2, 3, -4)
		o.Written(l.note(5))
		l.want(t, 1, 2, 3, -4, -5)
		close(s.gone)
	})
}

func TestWrittenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		failed := make(chan error, 1)
		o := NewOutput(s, 1<<20, 0, func(err error) { failed <- err }, func() {})
		var l told
		o.Append([]byte("aaa"))
		o.Written(l.note(1))
		close(s.gone)
		if err := <-failed; err == nil {
			t.Error("a write to who is gone did not fail")
		}
		l.want(t, -1)
		last := NewOutput(gone{}, 1<<20, 0, func(error) {}, func() {})
		last.Last([]byte("x"))
		last.Append([]byte("dropped"))
		last.Written(l.note(2))
		l.want(t, -1, -2)
		last.Close()
	})
}

// gone takes nothing.
type gone struct{ *socket }

func (gone) Write([]byte) (int, error) { return 0, errGone }
