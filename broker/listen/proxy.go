package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	proxyproto "github.com/pires/go-proxyproto"
)

const (
	// proxyBuffer is the largest header: of version 2, with as many TLVs as the
	// parser takes; a client's certificate among them has room.
	proxyBuffer = 4<<10 + proxyV2Fixed

	proxyV1Max   = 107 // bytes of a version 1 line, with CR LF
	proxyV2Fixed = 16  // bytes before the addresses; the last two are the length of the rest
)

var (
	errUntrusted   = errors.New("address is not trusted to use the PROXY protocol")
	errProxyHeader = errors.New("no PROXY protocol header")
	errProxySize   = errors.New("header is too large")
)

// proxyHeader reads the required header, takes the address from it and keeps what
// was read beyond it for the next to read.
func (l *Listener) proxyHeader(c *Conn) error {
	if l.target.kind != KindUnix && !contains(l.opts.Proxy.Trusted, c.remote.Addr()) {
		return errUntrusted
	}
	header, rest, err := readProxyHeader(c.nc)
	if err != nil {
		return fmt.Errorf("PROXY protocol: %w", err)
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(header)))
	if err != nil {
		return fmt.Errorf("PROXY protocol: %w", err)
	}
	// LOCAL is the proxy's own connection (a health check): its address is real.
	if h.Command == proxyproto.PROXY {
		if src, ok := h.SourceAddr.(*net.TCPAddr); ok {
			c.remote = unmap(src.AddrPort())
		}
	}
	if len(rest) > 0 {
		c.in.prefix = bytes.Clone(rest)
	}
	return nil
}

// readProxyHeader reads until the header is complete, in however many pieces it
// comes: the parser wants it whole.
func readProxyHeader(nc net.Conn) (header, rest []byte, err error) {
	buf := make([]byte, 0, proxyBuffer)
	for {
		n, err := nc.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		size, bad := proxySize(buf)
		switch {
		case n > 0 && bad != nil:
			return nil, nil, bad
		case size > 0 && size <= len(buf):
			return buf[:size], buf[size:], nil
		case err != nil:
			return nil, nil, err
		}
	}
}

// proxySize is the length of the header that b begins with; 0 while unknown.
func proxySize(b []byte) (int, error) {
	switch {
	case begins(b, proxyproto.SIGV2):
		if len(b) < proxyV2Fixed {
			return 0, nil
		}
		size := proxyV2Fixed + int(binary.BigEndian.Uint16(b[proxyV2Fixed-2:]))
		if size > proxyBuffer {
			return 0, errProxySize
		}
		return size, nil
	case begins(b, proxyproto.SIGV1):
		end := bytes.IndexByte(b[:min(len(b), proxyV1Max)], '\n') + 1
		if end == 0 && len(b) >= proxyV1Max {
			return 0, errProxySize
		}
		return end, nil
	}
	return 0, errProxyHeader
}

// begins reports whether b is the beginning of something that begins with sig.
func begins(b, sig []byte) bool {
	n := min(len(b), len(sig))
	return bytes.Equal(b[:n], sig[:n])
}
