package router

import (
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

// maxEvents is how many events wait for a slow hook. What comes then is not told:
// the drop itself is counted in any case.
const maxEvents = 4096

// events keeps slow hooks away from those who may not wait for them. It tells hooks
// of dropped messages. Drops happen under a client's lock, and
// a hook may take its time, so a goroutine of its own calls them. Without a hook
// for the event there is neither goroutine nor queue.
type events struct {
	queue chan event // full: the event is not told
	done  chan struct{}
	once  sync.Once

	lost *stats.Counter // events that were not told

	slow bool           // what falls due asks hooks
	due  sync.WaitGroup // of aside
}

type event struct {
	h *hooks.Client
	m *message.Message
}

func newEvents(r *Router) *events {
	h := &r.has
	e := &events{done: make(chan struct{}), lost: &r.stats.EventsLost, slow: h.ACL || h.Will || h.WillSent || h.ClientExpired}
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
		e.lost.Inc()
	}
}

// aside runs what has fallen due: on a goroutine of its own where it may have to
// wait for a hook, so that everything else that is due need not.
func (e *events) aside(f func()) {
	if !e.slow {
		f()
		return
	}
	e.due.Go(f)
}

// apart runs f on a goroutine of its own.
func (e *events) apart(f func()) { e.due.Go(f) }

// close tells what still waits and ends the goroutine. Nobody may drop after it.
func (e *events) close() {
	e.due.Wait()
	e.once.Do(func() {
		if e.queue != nil {
			close(e.queue)
		}
	})
	<-e.done
}
