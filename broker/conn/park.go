package conn

import (
	"bytes"
	"time"

	"github.com/skeinmq/skein/broker/wire"
)

// Back-pressure for clients that know no Receive Maximum: publishes beyond it are
// parked, and with them all that must keep its place behind them, while
// acknowledgements and PINGREQ go on. When the park is full, nothing is read.

// park is frames of a 3.x client that wait for acknowledgements.
type park struct {
	frames [][]byte
	bytes  int
}

// next takes the first frame out.
func (p *park) next() []byte {
	raw := p.frames[0]
	p.frames[0], p.frames = nil, p.frames[1:]
	p.bytes -= len(raw)
	return raw
}

func (c *Conn) parked() bool { return c.park != nil && len(c.park.frames) > 0 }

// mustPark reports whether a PUBLISH has to wait. QoS 0 waits only behind others.
func (c *Conn) mustPark(qos byte) bool {
	switch {
	case c.unparking:
		return false
	case c.parked():
		return true
	}
	return qos > 0 && c.version < 5 && int(c.acks.waiting.Load()) >= c.set.ReceiveMaximum
}

func (c *Conn) parkFrame(raw []byte) {
	if c.resume.Load() == nil {
		ch := make(chan bool, 1)
		c.resume.Store(&ch)
	}
	if c.park == nil {
		c.park = &park{}
	}
	c.park.frames = append(c.park.frames, bytes.Clone(raw))
	c.park.bytes += len(raw)
	c.stalled = c.park.bytes >= c.set.InboundBytes
}

// mayUnpark reports whether the first parked frame has its turn.
func (c *Conn) mayUnpark() bool { return int(c.acks.waiting.Load()) < c.set.ReceiveMaximum }

// unpark deals with parked frames as far as acknowledgements have made room.
func (c *Conn) unpark() {
	c.unparking = true
	for c.parked() && c.mayUnpark() && c.ended.Load() == nil {
		raw := c.park.next()
		h, body, _, err := wire.Next(raw, 0)
		if err != nil { // it was whole when it was parked
			c.refuse(err)
			break
		}
		c.frame(h, body, raw)
		c.flush() // raw is a buffer of its own; and the count of those that wait is up to date
	}
	c.unparking = false
	if !c.parked() {
		c.park = nil
	}
	c.stalled = c.park != nil && c.park.bytes >= c.set.InboundBytes
	c.rate()
}

// finishPark deals with what a client sent before its stream ended, a DISCONNECT
// perhaps, as acknowledgements make room. A store that does not answer is waited for as
// long as a socket would be.
func (c *Conn) finishPark() {
	if !c.parked() {
		return
	}
	t := time.NewTimer(c.set.WriteTimeout)
	defer t.Stop()
	for c.parked() && c.ended.Load() == nil {
		if !c.mayUnpark() {
			select {
			case <-*c.resume.Load():
			case <-c.isGone():
			case <-t.C:
				return
			}
		}
		c.again()
	}
}

// wake makes the reader look at what it has parked. Any goroutine may call it.
func (c *Conn) wake() {
	ch := c.resume.Load()
	if ch == nil {
		return
	}
	select {
	case *ch <- true:
	default:
	}
	_ = c.t.SetReadDeadline(past) // it may be waiting for the socket
}

// rest waits while nothing may be read. It reports whether reading goes on at once;
// otherwise the connection may have ended. Silence meanwhile is not the client's.
func (c *Conn) rest() bool {
	switch {
	case c.pause > 0:
		t := time.NewTimer(c.pause)
		select {
		case <-t.C:
		case <-c.isGone():
		}
		t.Stop()
		c.pause = 0
	case c.stalled:
		if !c.mayUnpark() {
			select {
			case <-*c.resume.Load():
			case <-c.isGone():
			}
		}
	default:
		return true
	}
	c.lastRead = c.s.instant()
	c.again()
	return false
}
