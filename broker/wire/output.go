package wire

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrOutputClosed is returned by Wait when the connection ended before its
// output was written.
var ErrOutputClosed = errors.New("wire: output closed")

// Writer is the socket under an Output.
type Writer interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

const (
	chunk      = 256 << 10 // one write call, so that progress is seen between
	keepBuffer = 64 << 10  // larger buffers are not kept for reuse
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// Output is the output buffer of one connection. Anybody appends under its short
// lock; the first append starts a goroutine, the flusher, that writes what has
// gathered in one call, again and again, and ends when nothing is left. No lock
// is held while it writes. An Output whose peer makes no progress for the write
// timeout is failed: Fail is called once, from the flusher.
type Output struct {
	w       Writer
	timeout time.Duration
	fail    func(error)
	drained func()

	size atomic.Int64 // bytes pending or being written

	mu       sync.Mutex
	buf      []byte
	spare    []byte
	pooled   *[]byte
	flushing bool
	closed   bool
	waiting  bool // somebody wants to hear when there is room again
	limit    int
	idle     chan struct{} // closed when the flusher ends; nil while nobody waits

	deadline time.Time // owned by the flusher
}

// NewOutput returns the output of w. fail is called at most once, when a write
// fails; drained when, after Full answered true, less than half of limit bytes
// wait. Both run on the flusher without any lock.
func NewOutput(w Writer, limit int, timeout time.Duration, fail func(error), drained func()) *Output {
	return &Output{w: w, limit: limit, timeout: timeout, fail: fail, drained: drained}
}

// Begin locks the output and returns the buffer to append to. End must follow.
func (o *Output) Begin() []byte {
	o.mu.Lock()
	if o.buf == nil {
		if o.spare != nil {
			o.buf, o.spare = o.spare, nil
		} else {
			p := buffers.Get().(*[]byte)
			o.buf = (*p)[:0]
		}
	}
	return o.buf
}

// End takes the appended buffer back, unlocks, and has it written.
func (o *Output) End(buf []byte) {
	if o.closed {
		o.buf = buf[:0]
		o.mu.Unlock()
		return
	}
	o.size.Add(int64(len(buf) - len(o.buf)))
	o.buf = buf
	start := !o.flushing && len(buf) > 0
	if start {
		o.flushing = true
	}
	o.mu.Unlock()
	if start {
		go o.flush()
	}
}

// Append appends p whole.
func (o *Output) Append(p []byte) { o.End(append(o.Begin(), p...)) }

// Pending is the number of bytes not yet written.
func (o *Output) Pending() int { return int(o.size.Load()) }

// Room is how many bytes may be appended before the limit.
func (o *Output) Room() int { return o.limit - int(o.size.Load()) }

// Full reports whether the output is over its limit. If so, drained will be
// called when half of it has been written.
func (o *Output) Full() bool {
	if int(o.size.Load()) < o.limit {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if int(o.size.Load()) < o.limit || o.closed {
		return false
	}
	o.waiting = true
	return true
}

// Notify asks for drained to be called after the next write that leaves room.
// It reports false if nothing is being written, so nothing would call.
func (o *Output) Notify() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = o.flushing && !o.closed
	return o.waiting
}

// Close discards what is pending and lets the flusher end. It does not wait.
func (o *Output) Close() {
	o.mu.Lock()
	o.closed = true
	o.buf = nil
	o.mu.Unlock()
}

// Flushed returns a channel that is closed when everything appended so far is
// written or the output has failed.
func (o *Output) Flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	c := o.idle
	if !o.flushing {
		close(c)
		o.idle = nil
	}
	return c
}

func (o *Output) flush() {
	var failed error
	for {
		o.mu.Lock()
		b := o.buf
		if len(b) == 0 || failed != nil {
			o.stopLocked(failed)
			o.mu.Unlock()
			if failed != nil {
				o.fail(failed)
			}
			return
		}
		o.buf = nil
		o.mu.Unlock()
		failed = o.write(b)
		o.wrote(b)
	}
}

// stopLocked ends the flusher's life: an idle connection keeps no buffer.
func (o *Output) stopLocked(failed error) {
	o.flushing = false
	if failed != nil {
		o.closed = true
	}
	for _, b := range [][]byte{o.buf, o.spare} {
		if b != nil && cap(b) <= keepBuffer {
			b = b[:0]
			buffers.Put(&b)
		}
	}
	o.buf, o.spare = nil, nil
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// wrote accounts for a written buffer and keeps it for the next round.
func (o *Output) wrote(b []byte) {
	left := o.size.Add(-int64(len(b)))
	o.mu.Lock()
	if o.spare == nil && cap(b) <= 4*keepBuffer {
		o.spare = b[:0]
	}
	call := o.waiting && int(left) <= o.limit/2 && !o.closed
	if call {
		o.waiting = false
	}
	o.mu.Unlock()
	if call {
		o.drained()
	}
}

func (o *Output) write(b []byte) error {
	for len(b) > 0 {
		o.arm()
		n, err := o.w.Write(b[:min(chunk, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// arm moves the write deadline, but only when a quarter of it has passed: a
// timer call for every write would cost more than the write's bookkeeping.
func (o *Output) arm() {
	if o.timeout <= 0 {
		return
	}
	now := time.Now()
	if o.deadline.Sub(now) > o.timeout*3/4 {
		return
	}
	o.deadline = now.Add(o.timeout)
	_ = o.w.SetWriteDeadline(o.deadline) // a socket that cannot take it fails the write itself
}
