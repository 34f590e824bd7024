package bridge

import (
	"context"
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
)

// mark is a position that grows, and who waits for it.
type mark struct {
	mu      sync.Mutex
	at      message.Position
	waiting []waiting // by position
}

type waiting struct {
	at message.Position
	ch chan struct{}
}

// now is the position.
func (m *mark) now() message.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// reach moves the mark forward; it never goes back.
func (m *mark) reach(at message.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at <= m.at {
		return
	}
	m.at = at
	n := 0
	for n < len(m.waiting) && m.waiting[n].at <= at {
		close(m.waiting[n].ch)
		n++
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
}

// reached is closed once the mark is at a position.
func (m *mark) reached(at message.Position) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at <= m.at {
		return past
	}
	i, found := slices.BinarySearchFunc(m.waiting, at, func(w waiting, at message.Position) int {
		switch {
		case w.at < at:
			return -1
		case w.at > at:
			return 1
		}
		return 0
	})
	if !found {
		m.waiting = slices.Insert(m.waiting, i, waiting{at, make(chan struct{})})
	}
	return m.waiting[i].ch
}

// wait returns once the mark is at a position, or with the context's error.
func (m *mark) wait(ctx context.Context, at message.Position) error {
	select {
	case <-m.reached(at):
		return nil
	default:
	}
	select {
	case <-m.reached(at):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// past is closed.
var past = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()
