package wire

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Writer is the socket under an Output. A Write that its deadline cut short after
// some bytes is followed by one of the rest; a writer that cannot go on then fails
// again, as crypto/tls does.
type Writer interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

// chunk is how many bytes one Write gets at most. Progress is seen between them, and
// a writer that cannot go on after a deadline needs this much in a write timeout.
const chunk = 64 << 10

// Output is the output buffer of one connection. Anybody appends under its short
// lock; the first append starts a goroutine, the flusher, that writes what has
// gathered in one call, again and again, and ends when nothing is left. No lock is
// held while it writes, and a connection with nothing to write holds no buffer.
//
// It has no limit of its own: who may wait asks Room or Full first, what must be
// sent is appended anyway.
type Output struct {
	w       Writer
	timeout time.Duration
	fail    func(error)
	drained func()
	limit   int
	run     func() // flush, bound once: starting it allocates nothing

	size atomic.Int64 // bytes pending or being written; changed under mu

	mu       sync.Mutex
	cur      *block        // what is appended to; empty between Begin and End only
	sealed   []*block      // full ones before it
	bulk     bool          // the last block written was not a small one
	flushing bool          // the flusher runs
	closed   bool          // by Close or a failed write
	last     bool          // Last was called
	waiting  bool          // somebody wants to hear when there is room again
	tapped   bool          // w is shown what is appended, see Tap
	idle     chan struct{} // closed when nothing is left to write; nil while nobody waits
	marks    *marks        // of Written; nil while nobody waits

	deadline int64 // as set on w, Unix nanoseconds; owned by the flusher
}

// NewOutput returns the output of w. When w makes no progress for timeout or fails
// otherwise, the output is closed and fail called, once; not after Close. A write that
// takes no byte is given up after timeout to five quarters of it; one that took some
// and then no more after two and a half times timeout at the latest, because only the
// next write shows that the bytes were the last. 0 waits for ever.
//
// drained is called after Full or Notify answered true and not more than half of
// limit, in bytes, waits. Both run on the flusher without any lock, and may append.
func NewOutput(w Writer, limit int, timeout time.Duration, fail func(error), drained func()) *Output {
	o := &Output{w: w, limit: limit, timeout: timeout, fail: fail, drained: drained}
	o.run = o.flush
	return o
}

// Begin locks the output and returns the buffer to append to. End must follow.
func (o *Output) Begin() []byte {
	o.mu.Lock()
	switch k := o.cur; {
	case k == nil:
		o.cur = getBlock(o.bulk)
	case k.hasRoom():
	case k.small():
		o.cur = getBlock(true)
		o.cur.b = append(o.cur.b, k.b...)
		k.release()
	default:
		o.sealed = append(o.sealed, k)
		o.cur = getBlock(true)
	}
	return o.cur.b
}

// End takes the appended buffer back, unlocks, and has it written. After Close, Last
// or a failed write, it is dropped.
func (o *Output) End(buf []byte) { o.end(buf, false) }

// Last appends p, and nothing after it: it is the last packet of the connection
// [MQTT-3.14.4-1].
func (o *Output) Last(p []byte) { o.end(append(o.Begin(), p...), true) }

func (o *Output) end(buf []byte, last bool) {
	if o.last {
		buf = o.cur.b
	}
	o.last = o.last || last
	if o.tapped && !o.closed && len(buf) > len(o.cur.b) {
		o.w.(Tapper).Appended(buf[len(o.cur.b):])
	}
	o.size.Add(int64(len(buf) - len(o.cur.b)))
	o.cur.b = buf
	if len(buf) == 0 {
		o.cur.release()
		o.cur = nil
	}
	if o.closed {
		o.discardLocked()
	}
	start := o.cur != nil && !o.flushing
	if start {
		o.flushing = true
	}
	o.mu.Unlock()
	if start {
		go o.run()
	}
}

// Tapper is a Writer that can be shown what is appended.
type Tapper interface {
	// Appended is called with whole packets, as they are appended and in that order, with
	// the output locked: it must not use it, nor keep p.
	Appended(p []byte)
}

// Tap begins or ends to show the writer, which must be a Tapper, what is appended.
func (o *Output) Tap(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tapped = on
}

// Append appends p whole.
func (o *Output) Append(p []byte) { o.End(append(o.Begin(), p...)) }

// Pending is the number of bytes not yet written.
func (o *Output) Pending() int { return int(o.size.Load()) }

// Room is how many bytes may be appended before the limit; negative beyond it.
func (o *Output) Room() int { return o.limit - o.Pending() }

// Full reports whether the output has reached its limit. If so, drained will be
// called when half of it has been written.
func (o *Output) Full() bool {
	if o.Pending() < o.limit {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.Pending() < o.limit || !o.flushing || o.closed {
		return false
	}
	o.waiting = true
	return true
}

// Notify asks for drained to be called as soon as a write leaves room. It reports
// false if nothing is being written, so nothing would call.
func (o *Output) Notify() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.flushing || o.closed {
		return false
	}
	o.waiting = true
	return true
}

// Close drops what is pending and lets the flusher end. It does not wait: a write
// that has begun ends with the socket. Neither fail nor drained is called any more,
// but for a call that has begun.
func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closeLocked()
}

// Flushed returns a channel that is closed when nothing is left to write: all is
// written, a write has failed, or the output was closed.
func (o *Output) Flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	if !o.flushing || o.closed {
		o.idleLocked()
	}
	return idle
}

// flush is the flusher. It is the only one to set flushing to false, and has looked
// for more to write and for somebody who waits in the same critical section.
func (o *Output) flush() {
	for {
		k, drain := o.next()
		switch {
		case drain:
			o.drained()
		case k == nil:
			return
		default:
			if err := o.wrote(k, o.write(k.b)); err != nil {
				o.fail(err)
				return
			}
			o.passed()
		}
	}
}

// next takes the oldest block. Without one, and without a call of drained to make,
// the flusher has ended.
func (o *Output) next() (k *block, drain bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting && o.Pending() <= o.limit/2 && !o.closed {
		o.waiting = false
		return nil, true
	}
	switch {
	case len(o.sealed) > 0:
		k = o.sealed[0]
		n := copy(o.sealed, o.sealed[1:])
		o.sealed[n] = nil
		o.sealed = o.sealed[:n]
	case o.cur != nil:
		k, o.cur = o.cur, nil
	default:
		o.flushing = false
		o.sealed = nil
		o.idleLocked()
	}
	return k, false
}

// wrote accounts for a written block. It answers an error that is to be reported;
// then the flusher has ended.
func (o *Output) wrote(k *block, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size.Add(-int64(len(k.b)))
	if o.marks != nil && err == nil {
		o.marks.written += int64(len(k.b))
	}
	o.bulk = len(k.b) > smallBlock
	k.release()
	if err == nil || o.closed { // next finds nothing after Close
		return nil
	}
	o.closeLocked()
	o.flushing = false
	return err
}

func (o *Output) closeLocked() {
	o.closed = true
	o.unwrittenLocked()
	o.discardLocked()
	o.idleLocked()
}

func (o *Output) discardLocked() {
	for _, k := range append(o.sealed, o.cur) {
		if k != nil {
			o.size.Add(-int64(len(k.b)))
			k.release()
		}
	}
	o.sealed, o.cur = nil, nil
}

func (o *Output) idleLocked() {
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

func (o *Output) write(b []byte) error {
	for len(b) > 0 {
		o.arm()
		n, err := o.w.Write(b[:min(chunk, len(b))])
		b = b[n:]
		switch {
		case err == nil && n == 0:
			return io.ErrShortWrite
		case err == nil:
		case n == 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
	}
	return nil
}

// arm sets the write deadline so that a write has at least the timeout, but only
// when the last one does not do: a timer call for every write would cost more than
// the write's bookkeeping.
func (o *Output) arm() {
	if o.timeout <= 0 {
		return
	}
	now := time.Now()
	left := time.Duration(o.deadline - now.UnixNano())
	if left >= o.timeout && left <= 2*o.timeout { // more of it says that the clock was set back
		return
	}
	next := now.Add(o.timeout + o.timeout/4)
	o.deadline = next.UnixNano()
	_ = o.w.SetWriteDeadline(next) // a socket that cannot take it fails the write itself
}
