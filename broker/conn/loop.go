package conn

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/wire"
)

const (
	largeRead = 64 << 10
	smallRead = 4 << 10 // for a connection that has little to say at a time
	keepAcks  = 4096    // acknowledgements; a longer list is not kept for reuse
)

// scratch is what a reader needs while there is something to read. It is pooled: an
// idle connection has none.
type scratch struct {
	buf   []byte
	pub   message.Publish
	acks  []router.Ack
	count stats.Batch
	trace *router.Tracing // nil while nobody traces
}

var (
	small = sync.Pool{New: func() any { return &scratch{buf: make([]byte, smallRead)} }}
	large = sync.Pool{New: func() any { return &scratch{buf: make([]byte, largeRead)} }}
)

// loop reads until the connection ends.
func (c *Conn) loop() {
	step := c.step
	if len(c.partial) > 0 {
		c.again() // what came with CONNECT
	}
	for c.ended.Load() == nil {
		if !c.rest() {
			continue
		}
		c.arm()
		if c.parked() && c.mayUnpark() { // completed while the deadline was set
			c.again()
			continue
		}
		err := c.t.Pump(step)
		switch {
		case err == nil || c.ended.Load() != nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.timedOut()
		case errors.Is(err, io.EOF):
			c.finishPark()
			c.lost("connection closed by the client")
		default:
			c.finishPark()
			c.lost("connection lost")
		}
	}
}

// step handles all that can be read now. It is called by the transport's Pump.
func (c *Conn) step(read func(p []byte) (int, error)) (done bool) {
	c.take(c.bulk || len(c.partial) >= smallRead/2)
	buf := c.roomFor(c.partial)
	n := copy(buf, c.partial)
	total := 0
	for {
		m, err := read(buf[n:])
		n += m
		if m > 0 {
			if total == 0 { // a step may come without anything to read
				c.lastRead = c.s.instant()
			}
			total += m
			full := n == len(buf)
			used := c.handle(buf[:n])
			if used > 0 {
				c.began = 0 // what is left is another packet
			}
			if done = c.held(); full && !done {
				buf, n = c.enlarge(buf[used:n])
			} else {
				n = copy(buf, buf[used:n])
			}
		}
		if done || err != nil {
			break
		}
	}
	c.bulk = total >= smallRead
	c.keepPartial(buf[:n])
	c.give()
	if len(c.partial) > 0 {
		c.arm() // Pump goes on waiting: the packet that has begun has its deadline
	}
	return done
}

// roomFor is a buffer to read into behind what has come of a packet: the scratch's
// own, unless that would be half full.
func (c *Conn) roomFor(partial []byte) []byte {
	if buf := c.scratch.buf; len(partial) < len(buf)/2 {
		return buf
	}
	return make([]byte, 2*len(partial))
}

// enlarge follows a read that filled its buffer: what is left of it moves to the
// front of a larger one, if the small one was in use or most of it is left.
func (c *Conn) enlarge(rest []byte) (buf []byte, n int) {
	if len(c.scratch.buf) == smallRead {
		old := c.scratch
		c.take(true)
		buf = c.roomFor(rest)
		n = copy(buf, rest)
		c.put(old)
		return buf, n
	}
	buf = c.roomFor(rest)
	return buf, copy(buf, rest)
}

// held reports whether nothing more may be read for now.
func (c *Conn) held() bool { return c.stalled || c.pause > 0 || c.ended.Load() != nil }

// again handles what was read before: parked frames, then what lies behind them.
func (c *Conn) again() {
	c.take(false)
	defer c.give()
	c.unpark()
	if len(c.partial) == 0 || c.held() {
		return
	}
	b := c.partial
	c.partial = nil
	if used := c.handle(b); used < len(b) {
		c.began = 0
		c.keepPartial(b[used:])
	}
}

func (c *Conn) take(bulk bool) {
	pool := &small
	if bulk {
		pool = &large
	}
	c.scratch = pool.Get().(*scratch)
	c.scratch.trace = c.s.router.Tracing()
}

func (c *Conn) give() {
	c.put(c.scratch)
	c.scratch = nil
}

// put returns a scratch with its counters added to the node's.
func (c *Conn) put(s *scratch) {
	c.s.stats.Add(&s.count)
	s.pub, s.trace = message.Publish{}, nil
	if cap(s.acks) > keepAcks {
		s.acks = nil
	}
	if len(s.buf) == smallRead {
		small.Put(s)
	} else {
		large.Put(s)
	}
}

// keepPartial keeps the head of a packet whose rest has not come.
func (c *Conn) keepPartial(b []byte) {
	if len(b) == 0 {
		c.partial, c.began = nil, 0
		return
	}
	if c.partial == nil || c.began == 0 {
		c.began = c.s.instant()
	}
	c.partial = append(c.partial[:0], b...)
}

// arm sets the read deadline that is next: keep alive, or the end of a packet that
// has begun. It is moved only when it has run out or must come earlier.
func (c *Conn) arm() {
	next := c.next()
	if next == 0 || c.deadline != 0 && next >= c.deadline {
		return
	}
	c.deadline = next
	_ = c.t.SetReadDeadline(c.s.time(next)) // a socket that cannot take it fails its read
	if c.ended.Load() != nil {
		_ = c.t.SetReadDeadline(past) // endBy may have come first
	}
}

func (c *Conn) next() instant {
	var next instant
	if c.keepAlive > 0 {
		next = c.lastRead.add(c.keepAlive)
	}
	if len(c.partial) > 0 {
		if end := c.began.add(c.set.PacketTimeout); next == 0 || end < next {
			next = end
		}
	}
	if end := c.identityEnds(); end != 0 && (next == 0 || end < next) {
		next = end
	}
	return next
}

// identityEnds is when the client's identity does, with its token perhaps; 0 is never.
// A re-authentication moves it.
func (c *Conn) identityEnds() instant {
	at := c.hook.ExpiresAt()
	if at == 0 {
		return 0
	}
	return max(1, instant(time.Unix(0, at).Sub(c.s.start)))
}

// timedOut ends the connection if a deadline has really passed [MQTT-3.1.2-22]: it
// may be an old one, or have been set to wake the reader.
func (c *Conn) timedOut() {
	now := c.s.instant()
	c.deadline = 0
	_ = c.t.SetReadDeadline(time.Time{}) // arm sets the next one
	switch end := c.identityEnds(); {
	case end != 0 && now >= end:
		c.end(wire.CodeMaximumConnectTime, "the client's identity has expired")
	case c.keepAlive > 0 && now.since(c.lastRead) >= c.keepAlive:
		c.end(codeKeepAlive, "keep alive timeout [MQTT-3.1.2-22]")
	case len(c.partial) > 0 && now.since(c.began) >= c.set.PacketTimeout:
		c.end(codeMalformed, "limits.packet_timeout: packet not completed in time")
	}
}
