package load

import (
	"net"
	"os"
	"syscall"
)

// bindAddressNoPort leaves the choice of the port to connect, where it need only be
// free towards that destination (IP_BIND_ADDRESS_NO_PORT).
const bindAddressNoPort = 24

// bindLoopback gives each perSource connections a loopback address of their own,
// and each process its own, so that ports of an earlier run that linger do not count.
func bindLoopback(d *net.Dialer, block int) {
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(os.Getpid()), byte(2+block%250))}
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// Without it ports run out sooner, which the connect itself will say.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
		})
	}
}
