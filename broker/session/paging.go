package session

import (
	"github.com/skeinmq/skein/hooks/store"
)

// Page says which part of a session's queue is to be read from the store.
type Page struct {
	After    uint64 // entries with a Seq above it
	Messages int    // at most so many
	Bytes    int64  // and, beyond the first, at most so many by message.Size
	of       *Session
	last     uint64 // Seq that the session had given
}

// Pages for a queue that is in a store whose session has limits without a page.
const (
	anyPageMessages = 1000
	anyPageBytes    = 1 << 20
)

// pages reports whether part of the queue may be in the store alone.
func (s *Session) pages() bool { return s.limits.PageMessages > 0 }

// front is how much of the queue may be in memory behind the window, newest how
// much of what came after the tail; together they are one page.
func (l *Limits) front() (int, int64) {
	return l.PageMessages - l.PageMessages/4, l.PageBytes - l.PageBytes/4
}

func (l *Limits) newest() (int, int64) { return l.PageMessages / 4, l.PageBytes / 4 }

// fits reports whether the queue takes one more of size bytes; the first always.
func (q *deque) fits(messages int, bytes, size int64) bool {
	return q.n == 0 || q.n < messages && q.bytes+size <= bytes
}

// put puts an entry at the end of what waits.
func (s *Session) put(e *Entry, size int64) {
	n, b := s.limits.front()
	switch {
	case e.QoS == 0:
		s.own().loose.push(*e)
	case !s.pages():
		s.queue.push(*e)
	case s.rest.messages == 0 && s.enc != nil && s.queue.fits(n, b, size):
		s.queue.push(*e)
		s.after = e.Seq
	default:
		s.putTail(e, size)
	}
}

// putTail leaves an entry to the store. While the client is connected the newest
// stay in memory too.
func (s *Session) putTail(e *Entry, size int64) {
	r, l := s.own(), &s.limits
	n, b := l.newest()
	n, b = min(n, l.PageMessages-s.queue.n), min(b, l.PageBytes-s.queue.bytes)
	if r.messages > 0 && s.enc != nil && n > 0 && size <= b {
		for !r.fresh.fits(n, b, size) {
			r.messages++
			r.bytes += int64(r.fresh.peek().Msg.Size())
			r.fresh.pop()
		}
		r.fresh.push(*e)
		return
	}
	if r.messages == 0 && s.queue.n == 0 {
		s.after = e.Seq - 1
	}
	r.messages += 1 + r.fresh.n
	r.bytes += size + r.fresh.bytes
	r.fresh = deque{}
}

// unload leaves all that has a record to the store.
func (s *Session) unload() {
	if s.enc != nil || !s.pages() || s.queue.n+s.rest.fresh.n == 0 {
		return
	}
	r := s.own()
	if s.queue.n > 0 {
		s.after = s.queue.peek().Seq - 1
	}
	r.messages += s.queue.n + r.fresh.n
	r.bytes += s.queue.bytes + r.fresh.bytes
	s.queue, r.fresh = deque{}, deque{}
}

// Figures are what the store has of the queue once every record that was given
// out is committed. They go with every batch.
func (s *Session) Figures() store.Queue {
	r := s.rest
	return store.Queue{
		Messages: s.queue.n + r.messages + r.fresh.n, Bytes: s.queue.bytes + r.bytes + r.fresh.bytes, Last: s.seq, Asking: s.asking,
	}
}

// WantsPage reports whether a page is to be read from the store: the client is
// connected and what is in memory is below half a page, or the queue is above its
// limit and the oldest, which must go, is in the store. The answer changes with
// every step, and with every commit there may be more to read. One page is read at
// a time, without the client's lock.
func (s *Session) WantsPage() (Page, bool) {
	r, l := s.rest, &s.limits
	p := Page{After: s.after, of: s, last: s.seq}
	switch {
	case r.messages == 0:
		return Page{}, false
	case s.enc == nil:
		if !r.owes || !s.over() {
			return Page{}, false
		}
		p.Messages, p.Bytes = s.excess()
	case 2*s.queue.n >= l.PageMessages || 2*s.queue.bytes >= l.PageBytes:
		return Page{}, false
	default:
		n, b := l.front()
		p.Messages, p.Bytes = n-s.queue.n, b-s.queue.bytes
	}
	return p, true
}

// excess is how much must be read to drop what is above the limits.
func (s *Session) excess() (int, int64) {
	l := &s.limits
	n, b := s.waiting()
	messages, bytes := l.PageMessages, l.PageBytes
	if l.Bytes == 0 || b <= l.Bytes {
		messages = min(messages, n-l.Messages)
	} else if l.Messages == 0 || n <= l.Messages {
		bytes = min(bytes, b-l.Bytes)
	}
	return messages, bytes
}

// Paged takes over what the store answered for a page. A page that no longer fits,
// because the session has gone on meanwhile, is ignored: WantsPage asks again. So
// it does if entries are missing that are not committed yet.
func (s *Session) Paged(o *Output, p Page, entries []store.Entry) {
	r := s.rest
	if p.of != s || p.After != s.after || r.messages == 0 {
		return
	}
	if s.enc != nil {
		s.queue.reserve(min(len(entries), r.messages))
	}
	for i := range entries {
		if r.messages == 0 || !s.paged(o, Entry{Entry: entries[i]}) {
			break
		}
	}
	s.join()
	for q := s.oldest(); q != nil && r.owes && s.over(); q = s.oldest() {
		s.end(o, q.peek(), DropQueueFull)
		q.pop()
	}
	r.owes = r.owes && s.over()
	if s.enc == nil {
		s.trimRest()
	}
}

// Nothing is called instead of Paged for a page that came back empty although every
// batch of the session had been answered when it was asked for. Then what the
// figures say is not there: a batch was refused, or they were wrong from the start.
// The session goes on without it. It is ignored if something was queued meanwhile.
func (s *Session) Nothing(p Page) {
	r := s.rest
	if p.of != s || p.After != s.after || p.last != s.seq || r.messages == 0 {
		return
	}
	r.messages, r.owes = 0, false
	s.join()
	s.unload()
}

// paged takes over one entry of a page. It reports whether the next may follow.
func (s *Session) paged(o *Output, e Entry) bool {
	r := s.rest
	for r.owes && r.loose.n > 0 && r.loose.peek().Seq < e.Seq && s.over() {
		s.end(o, r.loose.peek(), DropQueueFull)
		r.loose.pop()
	}
	drop := r.owes && s.queue.n == 0 && s.over()
	switch {
	case r.fresh.n > 0 && e.Seq >= r.fresh.peek().Seq: // the figures said more than there was
		r.messages, r.bytes = 0, 0
		return false
	case !drop && s.enc == nil:
		return false
	case drop:
		s.drop(o, e)
	default:
		s.queue.push(e)
	}
	r.messages--
	r.bytes -= int64(e.Msg.Size())
	s.after = e.Seq
	return true
}

// drop drops an entry that was never in memory.
func (s *Session) drop(o *Output, e Entry) { s.end(o, &e, DropQueueFull) }

// join puts the newest behind the queue once nothing is missing between them.
func (s *Session) join() {
	r := s.rest
	if r.messages > 0 {
		return
	}
	for r.fresh.n > 0 {
		e := r.fresh.peek()
		s.after = e.Seq
		s.queue.push(*e)
		r.fresh.pop()
	}
	r.bytes = 0 // it is, unless the figures were wrong
	r.fresh.trim()
}
