package router

import (
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks"
)

// maxEvents is how many events wait for a slow hook. What comes then is not told:
// the drop itself is counted in any case.
const maxEvents = 4096

// events tells hooks of dropped messages. Drops happen under a client's lock, and
// a hook may take its time, so a goroutine of its own calls them. Without a hook
// for the event there is neither goroutine nor queue.
type events struct {
	queue chan event // full: the event is not told
	done  chan struct{}
	once  sync.Once
}

type event struct {
	h *hooks.Client
	m *message.Message
}

func newEvents(r *Router) *events {
	e := &events{done: make(chan struct{})}
	if !r.has.PublishDropped {
		close(e.done)
		return e
	}
	e.queue = make(chan event, maxEvents)
	go func() {
		defer close(e.done)
		for ev := range e.queue {
			r.hooks.PublishDropped(ev.h, ev.m)
		}
	}()
	return e
}

func (e *events) dropped(h *hooks.Client, m *message.Message) {
	if e.queue == nil || h == nil {
		return
	}
	select {
	case e.queue <- event{h, m}:
	default:
	}
}

// close tells what still waits and ends the goroutine. Nobody may drop after it.
func (e *events) close() {
	e.once.Do(func() {
		if e.queue != nil {
			close(e.queue)
		}
	})
	<-e.done
}
