package router

import (
	"math"
	"sync"
	"time"
)

// recaller has what was lent recorded when acknowledgements do not come. Its goroutine
// is started with the router and ends with close; a client is in the list at most
// once, while it owes records.
type recaller struct {
	r    *Router
	wake chan struct{} // full: it will look anyway
	quit chan struct{}
	done chan struct{}
	once sync.Once

	mu   sync.Mutex
	list []recall
}

// recall is when a client is looked at, by Router.since.
type recall struct {
	c  *Client
	at int64
}

// recallPause is how often the list is looked through at most.
const recallPause = time.Millisecond

func newRecaller(r *Router) *recaller {
	w := &recaller{r: r, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *recaller) close() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

// add may be called under a client's lock.
func (w *recaller) add(c *Client, at int64) {
	w.mu.Lock()
	w.list = append(w.list, recall{c, at})
	first := len(w.list) == 1
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// run follows the monotonic clock: a publisher waits for what it does.
func (w *recaller) run() {
	defer close(w.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var ready []*Client
	for {
		var next int64
		now := w.r.since()
		ready, next = w.take(ready[:0], now)
		for _, c := range ready {
			c.recallOld()
		}
		clear(ready)
		var tick <-chan time.Time
		if next < math.MaxInt64 {
			timer.Reset(max(recallPause, time.Duration(next-now)))
			tick = timer.C
		}
		select {
		case <-w.wake:
		case <-tick:
		case <-w.quit:
			return
		}
	}
}

// take takes out the clients that are due and answers when the next one is.
func (w *recaller) take(ready []*Client, now int64) ([]*Client, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := int64(math.MaxInt64)
	kept := w.list[:0]
	for _, x := range w.list {
		if x.at <= now {
			ready = append(ready, x.c)
			continue
		}
		next = min(next, x.at)
		kept = append(kept, x)
	}
	clear(w.list[len(kept):])
	w.list = kept
	return ready, next
}
