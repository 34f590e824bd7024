package memory

import (
	"sync"
	"sync/atomic"
)

// gate counts the commits under way, so that Close can wait for them.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	once   sync.Once
	empty  chan struct{} // closed when it is closed and nobody is inside
}

// enter reports whether the gate is open; leave must follow if it is. The count
// is raised before closed is read: whoever found it open is waited for.
func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		g.once.Do(func() { close(g.empty) })
	}
}

func (g *gate) close() {
	g.inside.Add(1)
	g.closed.Store(true)
	g.leave()
	<-g.empty
}
