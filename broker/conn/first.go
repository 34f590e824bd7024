package conn

import (
	"errors"
	"io"
	"os"

	"github.com/skeinmq/skein/broker/wire"
)

// firstRead is the buffer of a handshake; a CONNECT rarely needs more.
const firstRead = 512

var errTooLate = errors.New("handshake timeout")

// readPacket reads the next packet of a handshake: its first byte, its body and the
// whole frame's length, all in c.partial, where what follows it stays. A connection
// that is not yet accepted may send HandshakeSize bytes a packet.
func (c *Conn) readPacket(first bool) (h byte, body []byte, n int, err error) {
	var bad error
	check := func() bool { // enough, or wrong
		if first && len(c.partial) > 0 {
			if bad = wire.CheckFirst(c.partial[0]); bad != nil {
				return true
			}
		}
		h, body, n, bad = wire.Next(c.partial, c.set.HandshakeSize)
		return bad != nil || n > 0
	}
	if check() {
		return h, body, n, bad
	}
	err = c.t.Pump(func(read func([]byte) (int, error)) bool { return c.readFirst(read, check) })
	switch {
	case bad != nil:
		return 0, nil, 0, bad
	case n > 0:
		return h, body, n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, nil, 0, errTooLate
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return 0, nil, 0, err
}

// readFirst reads until check has had enough.
func (c *Conn) readFirst(read func([]byte) (int, error), check func() bool) bool {
	for {
		if cap(c.partial)-len(c.partial) < firstRead/2 {
			c.partial = append(make([]byte, 0, firstRead+2*len(c.partial)), c.partial...)
		}
		m, err := read(c.partial[len(c.partial):cap(c.partial)])
		c.partial = c.partial[:len(c.partial)+m]
		if m > 0 && check() {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// took drops a packet that readPacket read.
func (c *Conn) took(n int) {
	if c.partial = c.partial[n:]; len(c.partial) == 0 {
		c.partial = nil
	}
}
