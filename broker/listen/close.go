package listen

import (
	"net"
	"time"
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Shutdown tells the peer that nothing more comes: a close frame over WebSocket,
// close_notify over TLS, then the end of the stream. A Write at work is finished
// first; later ones fail. Reading goes on. It never blocks.
func (c *Conn) Shutdown() { c.wish(wishShut) }

// Close ends the connection, with a close frame and close_notify if they can be
// sent at once. A Write at work fails, Pump returns net.ErrClosed. It never blocks
// (on systems without non-blocking writes: at most 50 ms), and may be called from
// within a step and again.
func (c *Conn) Close() error {
	if !c.closing.CompareAndSwap(false, true) {
		return nil
	}
	if c.wmu.TryLock() { // else a Write is at work, in the middle of a frame
		c.goodbyeLocked()
		c.wmu.Unlock()
	}
	return c.kill()
}

// abort is Close without a word; it may be called during the handshake.
func (c *Conn) abort() {
	if c.closing.CompareAndSwap(false, true) {
		_ = c.kill() // nobody to tell
	}
}

// kill ends the socket. Closing one waits for all that use it, and a step, which
// may be the caller, is such a use: Pump closes it then.
func (c *Conn) kill() error {
	c.mu.Lock()
	c.closed.Store(true)
	pumping := c.pumping
	if pumping {
		_ = c.nc.SetDeadline(past) // wakes Pump and Write
	}
	c.mu.Unlock()
	c.l.stats.Open.Add(-1)
	if !pumping {
		return c.closeSocket()
	}
	closeWrite(c.nc) // the peer need not wait for the end of a step
	return nil
}

// goodbyeLocked says what TLS and WebSocket have to say at the end, once.
func (c *Conn) goodbyeLocked() {
	if c.ended {
		return
	}
	if c.ws != nil {
		c.sendClose(closeNormal)
	}
	if c.tls != nil {
		_ = c.tls.CloseWrite() // best effort: the peer may be gone
	}
	c.ended = true
}

// closeSocket first reads away what the peer has sent: closing a socket with
// something unread resets the connection, and on some systems a reset takes from
// the peer what it has not read of our last words.
func (c *Conn) closeSocket() error {
	if c.raw != nil {
		discard(c.raw)
	}
	return c.nc.Close()
}

func closeWrite(nc net.Conn) {
	if h, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // the peer may be gone
	}
}
