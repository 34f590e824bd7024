//go:build !unix

package listen

import (
	"errors"
	"net"
	"syscall"
)

// connRefused is how the system says that nobody listens on a socket file:
// WSAECONNREFUSED.
const connRefused = syscall.Errno(10061)

// rawConn is always nil: reads block.
func rawConn(net.Conn) syscall.RawConn { return nil }

func readNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

func readable(uintptr) bool { return true }

func (c *Conn) writeNowLocked(p []byte) (int, error) { return c.writeSoonLocked(p) }

func discard(syscall.RawConn) {}
