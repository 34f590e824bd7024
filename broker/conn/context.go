package conn

import (
	"context"
	"sync"
	"time"
)

// goneContext is done when the connection is to end.
type goneContext struct{ c *Conn }

// Deadline implements context.Context.
func (g goneContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (g goneContext) Done() <-chan struct{} { return g.c.isGone() }

// Value implements context.Context.
func (g goneContext) Value(any) any { return nil }

// Err implements context.Context.
func (g goneContext) Err() error {
	if g.c.ended.Load() != nil {
		return context.Canceled
	}
	return nil
}

// handshakeContext ends with the connection or at its deadline. Most handshakes wait
// for nobody: the timer and the goroutine that take are made when somebody asks.
type handshakeContext struct {
	c        *Conn
	deadline time.Time

	mu     sync.Mutex
	real   context.Context
	cancel context.CancelFunc
}

func (h *handshakeContext) get() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.real == nil {
		h.real, h.cancel = context.WithDeadline(goneContext{h.c}, h.deadline)
	}
	return h.real
}

// end frees what was made. The context must not be used any more.
func (h *handshakeContext) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		h.cancel()
	}
}

// Deadline implements context.Context.
func (h *handshakeContext) Deadline() (time.Time, bool) { return h.deadline, true }

// Done implements context.Context.
func (h *handshakeContext) Done() <-chan struct{} { return h.get().Done() }

// Err implements context.Context.
func (h *handshakeContext) Err() error { return h.get().Err() }

// Value implements context.Context.
func (h *handshakeContext) Value(any) any { return nil }
