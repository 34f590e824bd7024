//go:build unix

package listen

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// connRefused is how the system says that nobody listens on a socket file.
const connRefused = syscall.ECONNREFUSED

// rawConn is nc's way around the net package, nil if it has none.
func rawConn(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what is there, or answers ErrWouldBlock. Go's sockets are
// non-blocking.
func readNow(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, ErrWouldBlock
		default:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// writeNowLocked sends what the socket takes without waiting, whatever its deadline.
func (c *Conn) writeNowLocked(p []byte) (sent int, err error) {
	if c.raw == nil {
		return c.writeSoonLocked(p)
	}
	failed := c.raw.Control(func(fd uintptr) {
		for err == nil && sent < len(p) {
			var n int
			n, err = syscall.Write(int(fd), p[sent:])
			sent += max(n, 0)
			if err == syscall.EINTR {
				err = nil
			}
		}
	})
	if err == syscall.EAGAIN {
		err = nil
	}
	return sent, os.NewSyscallError("write", errors.Join(failed, err))
}

// discard reads away what is there, but not for ever.
func discard(raw syscall.RawConn) {
	const most = 64 << 10
	fb := frameBuffers.Get().(*frameBuffer)
	defer frameBuffers.Put(fb)
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket
		for range most / len(fb.bytes) {
			if n, err := readNow(int(fd), fb.bytes[:]); err != nil || n < len(fb.bytes) {
				return
			}
		}
	})
}
