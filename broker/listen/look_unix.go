//go:build unix

package listen

import "golang.org/x/sys/unix"

// readable looks whether the socket has bytes, an end of stream or an error, and
// needs no buffer. When in doubt it says yes: the read will tell.
func readable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n != 0 || err != nil
}
