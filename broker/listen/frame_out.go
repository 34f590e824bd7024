package listen

import (
	"encoding/binary"
	"net"
	"sync"
)

// copyBelow is up to how many bytes of payload are copied behind their head: less
// work than two pieces for the system, and over TLS one record instead of two.
const copyBelow = 4 << 10

const maxHead = 10 // bytes; the server does not mask

var frameBuffers = sync.Pool{New: func() any { return new(frameBuffer) }}

// frameBuffer is what writing a frame needs.
type frameBuffer struct {
	bytes [maxHead + copyBelow]byte
	parts [2][]byte
	both  net.Buffers
}

// frameOut is the writing side of frames.
type frameOut struct {
	closeSent bool   // under Conn.wmu
	pong      []byte // under Conn.mu: payload of the last ping not answered
	code      uint16 // under Conn.mu: of the close frame to send
}

func appendHead(b []byte, op byte, size int) []byte {
	b = append(b, bitFin|op)
	switch {
	case size <= maxControl:
		return append(b, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// writeFrame writes p as one frame. Its payload is not copied but for the
// beginning. It is called with wmu held.
func (c *Conn) writeFrame(p []byte) (int, error) {
	if c.ws.closeSent {
		return 0, errShutdown
	}
	fb := frameBuffers.Get().(*frameBuffer)
	defer frameBuffers.Put(fb)
	b := appendHead(fb.bytes[:0], opBinary, len(p))
	head := len(b)
	var n int
	var err error
	if c.tls == nil && len(p) > copyBelow {
		n, err = c.writeBoth(fb, b, p)
	} else {
		first := min(len(p), copyBelow)
		n, err = c.writeBelow(append(b, p[:first]...))
		if err == nil && first < len(p) {
			var m int
			m, err = c.writeBelow(p[first:])
			n += m
		}
	}
	if err != nil {
		c.ws.closeSent = true // a frame may have begun: nothing can follow
	}
	return max(n-head, 0), err
}

// writeBoth writes head and payload in one call.
func (c *Conn) writeBoth(fb *frameBuffer, head, p []byte) (int, error) {
	if err := c.sendOwed(); err != nil {
		return 0, err
	}
	fb.parts[0], fb.parts[1] = head, p
	fb.both = fb.parts[:]
	n, err := fb.both.WriteTo(c.nc)
	clear(fb.parts[:])
	fb.both = nil
	return int(n), err
}

func (c *Conn) writeBelow(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(p)
	}
	return c.writeSocket(p)
}

// pong answers a ping; if an earlier answer is not sent yet, this one replaces it,
// as RFC 6455 5.5.3 allows.
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	c.ws.pong = payload
	c.wishes.Or(wishPong) // under mu, so that payload and wish go together
	c.mu.Unlock()
	c.tend()
}

// sendPong is called with wmu held.
func (c *Conn) sendPong() {
	c.mu.Lock()
	c.wishes.And(^wishPong)
	p := c.ws.pong
	c.ws.pong = nil
	c.mu.Unlock()
	c.sendControl(opPong, p)
}

// closeWith has a close frame sent, the first one that is asked for.
func (c *Conn) closeWith(code uint16) {
	c.mu.Lock()
	if c.ws.code == 0 {
		c.ws.code = code
	}
	c.mu.Unlock()
	c.wish(wishClose)
}

// sendClose is called with wmu held; code counts if none was asked for before.
func (c *Conn) sendClose(code uint16) {
	c.mu.Lock()
	if c.ws.code != 0 {
		code = c.ws.code
	}
	c.mu.Unlock()
	if c.ws.closeSent {
		return
	}
	var p [2]byte
	binary.BigEndian.PutUint16(p[:], code)
	c.sendControl(opClose, p[:])
	c.ws.closeSent = true
}

// sendControl does not block. It is called with wmu held.
func (c *Conn) sendControl(op byte, payload []byte) {
	if c.ws.closeSent {
		return
	}
	b := make([]byte, 0, 2+maxControl)
	b = append(appendHead(b, op, len(payload)), payload...)
	_, _ = c.writeBelow(b) // whoever writes or reads next gets the error
}
