//go:build unix

package listen

import "golang.org/x/sys/unix"

// full reports whether the socket takes nothing more now.
func full(c *Conn) bool {
	n := 1
	_ = c.raw.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
	})
	return n == 0
}
