package session

import (
	"context"

	"github.com/skeinmq/skein/hooks/store"
)

// reading is the page under way.
type reading struct {
	p       Page
	entries []store.Entry
	asked   bool
	read    bool
}

// anyLimits picks limits; half of them with pages.
func (w *world) anyLimits() Limits {
	l := Limits{Messages: []int{0, 1, 2, 4, 50}[w.src.next(5)], Bytes: []int64{0, 40, 100, 400}[w.src.next(4)], Overflow: Overflow(w.src.next(3))}
	if w.src.next(2) == 1 {
		l.PageMessages, l.PageBytes = 1+w.src.next(8), []int64{1, 70, 200, 1 << 20}[w.src.next(4)]
	}
	return l
}

func (w *world) paged() bool { return w.persistent && w.limits.PageMessages > 0 }

// page goes on with the page under way: it is asked for, read, and handed over,
// and anything may happen between.
func (w *world) page() {
	g := &w.reading
	switch {
	case !g.asked:
		g.p, g.asked = w.m.WantsPage()
		if !g.asked {
			w.wants()
			return
		}
		w.log("page of %d, %d bytes after %d", g.p.Messages, g.p.Bytes, g.p.After)
		if g.p.Messages < 1 || g.p.Bytes < 1 || g.p.Messages > w.s.limits.PageMessages || g.p.Bytes > w.s.limits.PageBytes {
			w.fail("page: a page of %d messages and %d bytes is wanted", g.p.Messages, g.p.Bytes)
		}
	case !g.read:
		var err error
		if g.entries, err = w.store.Page(context.Background(), owner, g.p.After, g.p.Messages, g.p.Bytes); err != nil {
			w.fail("page: %v", err)
		}
		g.read = true
		w.log("page has %d entries", len(g.entries))
	default:
		w.at("paged")
		w.log("page after %d comes", g.p.After)
		w.m.Paged(&w.out, g.p, g.entries)
		*g = reading{}
		w.collect()
	}
}

// wants checks that a page is wanted where nothing goes on without.
func (w *world) wants() {
	if w.link.on && w.inStore() {
		w.fail("page: none is wanted, and what comes next is in the store")
	}
}

// inStore reports whether what comes next is in the store alone.
func (w *world) inStore() bool { return len(w.cur.queue) > 0 && w.s.oldest() == nil }

// inMemory checks how much of the queue is in memory, and the figures.
func (w *world) inMemory() {
	w.debt = w.debt && w.over()
	queue := w.storedQueue(w.cur)
	if f := w.m.Figures(); f.Messages != len(queue) || f.Bytes != w.bytesOf(queue) || f.Last != w.s.seq {
		w.fail("%s: figures are %+v, want %d messages of %d bytes", w.step, f, len(queue), w.bytesOf(queue))
	}
	s, l := w.s, &w.s.limits
	n, bytes := s.queue.n+s.rest.fresh.n, s.queue.bytes+s.rest.fresh.bytes
	switch {
	case !w.paged():
	case !w.link.on && n > 0:
		w.fail("%s: %d messages in memory without a connection", w.step, n)
	case n > l.PageMessages || n > 1 && bytes > l.PageBytes+65:
		w.fail("%s: %d messages of %d bytes in memory, a page has %d of %d", w.step, n, bytes, l.PageMessages, l.PageBytes)
	}
}

// boundedByPage: with the oldest in the store the queue may pass its limits by a
// page, or a message.
func (w *world) boundedByPage(n int) {
	l := &w.limits
	if l.Messages > 0 && n > 1 && n-w.room() > l.Messages+l.PageMessages {
		w.fail("enqueue: %d messages queued, the limit is %d and a page of %d", n, l.Messages, l.PageMessages)
	}
	if l.Bytes > 0 && n > 1 && w.queueBytes() > l.Bytes+max(l.PageBytes, 65) {
		w.fail("enqueue: %d bytes queued, the limit is %d and a page of %d", w.queueBytes(), l.Bytes, l.PageBytes)
	}
}

// over reports whether the queue is above a limit.
func (w *world) over() bool {
	l, n := &w.limits, len(w.cur.queue)
	return n > 1 && (l.Messages > 0 && n-w.room() > l.Messages || l.Bytes > 0 && w.queueBytes() > l.Bytes)
}

// mayRefuse reports whether the newest may be dropped though the rule is to drop
// the oldest: that one is in the store, and the queue is a page above its limit or
// the newest of QoS 0.
func (w *world) mayRefuse(u uid) bool {
	if !w.paged() || w.s.oldest() != nil {
		return false
	}
	l, n, bytes := &w.limits, len(w.cur.queue), w.queueBytes()
	return w.msgs[u].qos == 0 || l.Messages > 0 && n-w.room() >= l.Messages+l.PageMessages ||
		l.Bytes > 0 && bytes > l.Bytes && bytes+w.msgs[u].bytes > l.Bytes+l.PageBytes
}

// droppedPaged checks what is dropped when its page has come.
func (w *world) droppedPaged(u uid) {
	if w.limits.Overflow != DropOldest || w.cur.queue[0] != u {
		w.fail("paged: message %d was dropped, not the oldest", u)
	} else if !w.over() {
		w.fail("paged: message %d was dropped from a queue within its limits", u)
	}
	w.unqueue(u)
}

// restore makes the session anew, at once or in two steps.
func (w *world) restore(img *store.Image) {
	if w.src.next(2) == 1 {
		w.reading = reading{} // otherwise a page of the session that was comes to the new one
	}
	w.lazy, w.debt = false, false // the next message to come pays
	switch w.src.next(3) {
	case 0:
		w.s = Restore(img, w.limits)
	case 1:
		w.s = Restore(begun(img), w.limits)
		w.limits = w.s.limits // a queue that is in the store is paged whatever the limits say
	default:
		w.s = RestoreHead(img.Queue, w.limits)
		w.limits = w.s.limits
		w.lazy = true
	}
	w.log("restored with %d queued, loaded %v", img.Queue.Messages, !w.lazy)
	w.m = w.wrap(w.s)
}

// begun is the image that a store with pages gives.
func begun(img *store.Image) *store.Image {
	c := *img
	c.Entries = nil
	for _, e := range img.Entries {
		if e.State.Phase != store.Queued {
			c.Entries = append(c.Entries, e)
		}
	}
	return &c
}

// load completes a restored session, with all that was committed since.
func (w *world) load() {
	if !w.lazy {
		return
	}
	w.at("load")
	w.log("load")
	img := w.image()
	if w.src.next(2) == 1 {
		img = begun(img)
	}
	w.lazy = false
	w.m.Load(img)
	w.counts()
	w.equivalent()
}

// settleDebts lets all pages come before the last connection: nothing is above
// its limit that could be dropped.
func (w *world) settleDebts() {
	for len(w.pending) > 0 {
		w.commit()
	}
	for range 10 * (1 + len(w.msgs)) {
		if _, ok := w.m.WantsPage(); w.err != nil || !ok && !w.reading.asked {
			break
		}
		w.page()
		for len(w.pending) > 0 {
			w.commit()
		}
	}
	if w.debt {
		w.fail("finish: the queue stays above its limits with %d messages of %d bytes", len(w.cur.queue), w.queueBytes())
	}
}
