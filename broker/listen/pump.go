package listen

import (
	"errors"
	"net"
	"os"
)

// smallRead is the buffer of a reader that must block in a read.
const smallRead = 4 << 10

// errYield ends a step that got nothing for itself out of much that was read.
var errYield = errors.New("listen: read again")

// pump is one call of Pump.
type pump struct {
	c     *Conn
	step  func(read func(p []byte) (int, error)) (done bool)
	read  func(p []byte) (int, error)
	done  bool
	first bool  // the poller has told nothing yet
	err   error // the first a read answered
}

// Pump waits until there is something to read and calls step, again and again. step
// calls read until that answers [ErrWouldBlock] or it has had enough; then it is
// called again at once. It may be called with nothing to read, and may run on
// another goroutine while Pump waits for it. When step reports done, Pump returns nil. An error that read has answered ends Pump with
// the same error, io.EOF at the end of the stream.
//
// At the read deadline Pump returns os.ErrDeadlineExceeded, after Close
// net.ErrClosed. Nothing is lost by that: Pump may be called again.
func (c *Conn) Pump(step func(read func(p []byte) (int, error)) (done bool)) error {
	if !c.enterPump() {
		return net.ErrClosed
	}
	defer c.leavePump()
	p := &pump{c: c, step: step}
	p.read = p.readNext
	if c.raw == nil {
		return p.runBlocking()
	}
	return p.run()
}

func (c *Conn) enterPump() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.pumping = true
	stacks.enter()
	c.in.armed = false
	c.lookAt = 0
	return true
}

// leavePump closes the socket if Close has left that to Pump.
func (c *Conn) leavePump() {
	c.mu.Lock()
	c.pumping = false
	stacks.leave()
	closed := c.closed.Load()
	c.mu.Unlock()
	if closed {
		_ = c.closeSocket() // Close has answered long since
	}
}

// run stays in the runtime's poller; ready is called when the socket may have
// something.
func (p *pump) run() error {
	ready := p.ready
	for {
		p.first = true
		err := p.c.raw.Read(ready)
		switch {
		case p.done:
			return nil
		case p.err != nil:
			return p.err
		case p.c.closed.Load():
			return net.ErrClosed
		case err == nil: // left only to see whether the deadline has passed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case p.c.expired():
			return os.ErrDeadlineExceeded
		}
	}
}

// ready runs a step. False: wait for the poller. Entering the poller has thrown
// away what it had told, so the first call looks for itself.
func (p *pump) ready(fd uintptr) bool {
	in := &p.c.in
	first := p.first
	p.first = false
	if first && p.idle() && !readable(fd) {
		in.drained = true
		return false
	}
	in.fd = int(fd)
	if p.runStep() || !in.drained {
		return true
	}
	if !p.c.mayWait(fd) {
		in.drained = false
		return true
	}
	return false
}

// idle reports whether only the socket can have something to read.
func (p *pump) idle() bool {
	c := p.c
	if c.in.drained {
		return true
	}
	return c.tls == nil && len(c.in.prefix) == 0 && (c.ws == nil || len(c.ws.ahead) == 0 && c.ws.failed == nil)
}

// runStep reports whether Pump is over.
func (p *pump) runStep() bool {
	c := p.c
	c.in.empty, c.in.drained = false, false
	if c.wishes.Load() != 0 {
		c.tend() // a peer that sends may read by now, too
	}
	if c.in.armed || c.in.grown || !stacks.run(p) {
		c.in.grown = true
		p.done = p.step(p.read)
	}
	return p.done || p.err != nil || c.closed.Load()
}

func (p *pump) readNext(b []byte) (int, error) {
	n, err := p.c.read(b)
	switch err {
	case nil:
	case ErrWouldBlock:
		p.c.in.drained = true
	case errYield:
		err = ErrWouldBlock
	default:
		if p.err == nil {
			p.err = err
		}
	}
	return n, err
}

// runBlocking is run for what can only be read by blocking: a small buffer
// replaces the poller.
func (p *pump) runBlocking() error {
	c := p.c
	buf := make([]byte, smallRead)
	for {
		if c.in.drained || p.idle() {
			n, err := c.nc.Read(buf)
			switch {
			case n > 0:
				c.in.prefix = buf[:n]
			case c.closed.Load():
				return net.ErrClosed
			case errors.Is(err, os.ErrDeadlineExceeded):
				if c.expired() {
					return os.ErrDeadlineExceeded
				}
				continue
			}
			c.in.failed = err
		}
		if p.runStep() {
			return p.result()
		}
	}
}

func (p *pump) result() error {
	if p.done || p.err != nil {
		return p.err
	}
	return net.ErrClosed
}
