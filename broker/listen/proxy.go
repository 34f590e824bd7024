package listen

import (
	"bufio"
	"errors"
	"fmt"
	"net"

	proxyproto "github.com/pires/go-proxyproto"
)

// proxyBuffer is the first read of a connection behind a proxy: a version 1 line
// is at most 107 bytes, a version 2 header with the usual TLVs a few hundred.
const proxyBuffer = 1024

var errUntrusted = errors.New("address is not trusted to use the PROXY protocol")

// proxyHeader reads the required header, takes the address from it and keeps what
// was read beyond it for the next to read.
func (l *Listener) proxyHeader(c *Conn) error {
	if l.target.kind != KindUnix && !contains(l.opts.Proxy.Trusted, c.remote.Addr()) {
		return errUntrusted
	}
	r := bufio.NewReaderSize(c.nc, proxyBuffer)
	h, err := proxyproto.Read(r)
	if err != nil {
		return fmt.Errorf("PROXY protocol: %w", err)
	}
	// LOCAL is the proxy's own connection (a health check): its address is real.
	if h.Command == proxyproto.PROXY {
		if src, ok := h.SourceAddr.(*net.TCPAddr); ok {
			c.remote = unmap(src.AddrPort())
		}
	}
	if n := r.Buffered(); n > 0 {
		c.in.prefix = make([]byte, n)
		_, _ = r.Read(c.in.prefix) // n bytes are there
	}
	return nil
}
