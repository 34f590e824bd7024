//go:build unix

package listen

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// full reports whether the socket takes nothing more now.
func full(c *Conn) bool {
	n := 1
	_ = c.raw.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
	})
	return n == 0
}

// descriptor takes the socket out of the Go runtime: nothing but a number is left.
func descriptor(t *testing.T, nc *net.TCPConn) int {
	t.Helper()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	dup := -1
	if err := raw.Control(func(fd uintptr) { dup, err = unix.Dup(int(fd)) }); err != nil || dup < 0 {
		t.Fatal(err)
	}
	_ = nc.Close() // the duplicate lives
	return dup
}

func closeDescriptor(fd int) { _ = unix.Close(fd) }
