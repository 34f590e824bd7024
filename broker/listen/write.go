package listen

import (
	"errors"
	"net"
	"os"
	"time"
)

// maxOwed is how many bytes of TLS's and WebSocket's own messages wait for a peer
// that does not read; more break the connection.
const maxOwed = 64 << 10

var (
	errShutdown = errors.New("listen: write after shutdown")
	errOwed     = errors.New("listen: peer does not read")
)

// Wishes of those who must not wait for wmu.
const (
	wishOwed  uint32 = 1 << iota // send what is owed
	wishPong                     // send frames.pong
	wishClose                    // send a close frame with frames.code
	wishShut                     // end the stream
)

// Write sends p whole, over WebSocket as one binary frame. It blocks until the
// system has taken all, or the write deadline. One goroutine writes at a time.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.wmu.Lock()
	c.writing.Store(true)
	n, err := c.writeLocked(p)
	c.writing.Store(false)
	c.wmu.Unlock()
	if err != nil && c.closed.Load() {
		return n, net.ErrClosed
	}
	if c.wishes.Load() != 0 {
		c.tend()
	}
	return n, err
}

func (c *Conn) writeLocked(p []byte) (int, error) {
	switch {
	case c.closed.Load():
		return 0, net.ErrClosed
	case c.ended:
		return 0, errShutdown
	case c.ws != nil:
		return c.writeFrame(p)
	case c.tls != nil:
		return c.tls.Write(p)
	}
	return c.nc.Write(p)
}

// writeSocket writes below TLS and WebSocket. Outside of Write it must not block:
// it keeps what the socket does not take.
func (c *Conn) writeSocket(p []byte) (int, error) {
	if !c.handshaking && !c.writing.Load() {
		return c.writeOwed(p)
	}
	if err := c.sendOwed(); err != nil {
		return 0, err
	}
	return c.nc.Write(p)
}

// sendOwed sends what is owed and waits for it, before a Write.
func (c *Conn) sendOwed() error {
	if c.wishes.Load()&wishOwed == 0 {
		return nil
	}
	c.mu.Lock()
	owed := c.owed
	c.owed = nil
	c.wishes.And(^wishOwed)
	c.mu.Unlock()
	_, err := c.nc.Write(owed)
	return err
}

// writeOwed appends p to what is owed and sends as much as the socket takes.
func (c *Conn) writeOwed(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed.Load():
		return 0, net.ErrClosed
	case len(c.owed)+len(p) > maxOwed:
		return 0, errOwed
	}
	all := p
	if len(c.owed) > 0 {
		all = append(c.owed, p...)
	}
	n, err := c.writeNowLocked(all)
	c.oweLocked(all[n:])
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *Conn) oweLocked(rest []byte) {
	if len(rest) == 0 {
		c.owed = nil
		c.wishes.And(^wishOwed)
		return
	}
	c.owed = append([]byte(nil), rest...)
	c.wishes.Or(wishOwed)
}

// soon is how long a write that should not block takes at most where the system
// offers only blocking ones.
const soon = 50 * time.Millisecond

// writeSoonLocked is writeNowLocked for sockets that have only blocking writes.
func (c *Conn) writeSoonLocked(p []byte) (int, error) {
	if err := c.nc.SetWriteDeadline(time.Now().Add(soon)); err != nil {
		return 0, err
	}
	n, err := c.nc.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, errors.Join(err, c.nc.SetWriteDeadline(c.writeBy.time()))
}

// tend does what is wished for, unless somebody holds wmu: that one tends when
// it lets go. So nobody waits for a Write, and nothing is forgotten.
func (c *Conn) tend() {
	for c.wishes.Load() != 0 && c.wmu.TryLock() {
		stuck := c.tendLocked()
		c.wmu.Unlock()
		if stuck && c.wishes.Load()&wishShut == 0 {
			return // the next Write or step tries again
		}
	}
}

// tendLocked does it; stuck when something is left because the peer does not
// read. Errors are not told: whoever writes or reads next gets them.
func (c *Conn) tendLocked() (stuck bool) {
	if c.wishes.Load()&wishOwed != 0 {
		_, _ = c.writeOwed(nil)
	}
	if w := c.wishes.Load(); w&wishPong != 0 && w&wishOwed == 0 {
		c.sendPong()
	}
	if c.wishes.Load()&wishClose != 0 {
		c.wishes.And(^wishClose)
		c.sendClose(closeNormal)
	}
	if c.wishes.Load()&wishShut != 0 {
		c.wishes.And(^wishShut)
		c.goodbyeLocked()
		closeWrite(c.nc)
	}
	return c.wishes.Load() != 0
}

func (c *Conn) wish(w uint32) {
	c.wishes.Or(w)
	c.tend()
}
