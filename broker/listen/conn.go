package listen

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrWouldBlock is what the read of a step answers when nothing is there now. It
// is a temporary net.Error: crypto/tls keeps what it has of a record and goes on
// with the next read.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string { return "listen: nothing to read now" }

// Timeout and Temporary make it a net.Error.
func (wouldBlock) Timeout() bool { return false }

// Temporary is what crypto/tls asks for.
func (wouldBlock) Temporary() bool { return true }

// Conn is an established transport: a byte stream, whatever is below it. One
// goroutine reads ([Conn.Pump]) and one writes ([Conn.Write]); all other methods
// may be called from anywhere.
type Conn struct {
	nc     net.Conn
	raw    syscall.RawConn // of nc; nil where there is no reading without blocking
	l      *Listener
	remote netip.AddrPort // the client's; invalid where there are no addresses
	tls    *tls.Conn      // nil without TLS
	ws     *frames        // nil without WebSocket

	handshaking bool // reads and writes of the transport block; unset before anybody else knows the Conn
	in          input

	wmu     sync.Mutex    // held for a whole frame; see tend
	ended   bool          // under wmu: nothing more may be written
	writing atomic.Bool   // a Write is at work: the transport may block
	wishes  atomic.Uint32 // what whoever holds or gets wmu has to do

	closing atomic.Bool // Close or abort was called
	closed  atomic.Bool // set under mu; the socket ends now, or when Pump leaves it

	mu       sync.Mutex
	pumping  bool    // Pump holds the socket and closes it
	deadline instant // of reads, as set from outside
	lookAt   instant // an earlier deadline of Pump's own
	writeBy  instant // deadline of writes
	owed     []byte  // begun and not sent: the peer does not read
}

// input belongs to the reader.
type input struct {
	prefix  []byte // read already, goes before what the socket has
	failed  error  // of a blocking read, told to the next read (without raw)
	fd      int    // valid within a step
	empty   bool   // the last read of the socket gave less than asked for
	drained bool   // nothing to read anywhere; Pump must wait
	grown   bool   // a step has run on Pump's own stack
	armed   bool   // lookAt is set: waiting needs no look
	looks   uint8  // since window
	window  instant
}

// pipes is the listener of connections that have none.
var pipes = &Listener{target: target{kind: KindPipe}, opts: Options{Name: string(KindPipe)}}

// NewConn makes a transport of nc, of kind KindPipe: net.Pipe, or whatever a test
// has for a socket. It owns nc.
func NewConn(nc net.Conn) *Conn {
	pipes.stats.Open.Add(1)
	return newConn(nc, pipes)
}

func newConn(nc net.Conn, l *Listener) *Conn {
	c := &Conn{nc: nc, l: l}
	c.raw = rawConn(nc)
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = unmap(a.AddrPort())
	}
	return c
}

// Scheme is Kind as text.
func (c *Conn) Scheme() string { return string(c.l.target.kind) }

// Kind is the scheme of the listener's URL.
func (c *Conn) Kind() Kind { return c.l.target.kind }

// Listener is the listener's name.
func (c *Conn) Listener() string { return c.l.opts.Name }

// RemoteAddr is the client's address: by the PROXY protocol or X-Forwarded-For
// where a trusted proxy told it (the port may be 0 then), else the peer's. It is
// invalid for Unix sockets and pipes without a proxy.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// RemoteString is RemoteAddr for people: without a port that is not known, and
// the kind where there is no address.
func (c *Conn) RemoteString() string {
	switch {
	case !c.remote.IsValid():
		return string(c.Kind())
	case c.remote.Port() == 0:
		return c.remote.Addr().String()
	}
	return c.remote.String()
}

// TLSState is what TLS agreed on, with the client's verified certificates; nil
// without TLS.
func (c *Conn) TLSState() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}

// SetReadDeadline makes Pump return os.ErrDeadlineExceeded at t, at once when t is
// past; zero is never. It stays until the next call.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed // the deadline that ends Pump stays
	}
	c.deadline = instantOf(t)
	return c.nc.SetReadDeadline(c.nextLocked().time())
}

// SetWriteDeadline makes Write fail with os.ErrDeadlineExceeded at t. A Write that
// has failed may have sent a part, so the connection is of no more use.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed // the deadline that ends Write stays
	}
	c.writeBy = instantOf(t)
	return c.nc.SetWriteDeadline(t)
}

// nextLocked is the deadline the socket must have.
func (c *Conn) nextLocked() instant {
	if c.lookAt == 0 || c.deadline != 0 && c.deadline < c.lookAt {
		return c.deadline
	}
	return c.lookAt
}

// read is the read of a step, from the topmost layer.
func (c *Conn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch {
	case c.ws != nil:
		return c.readFrames(p)
	case c.tls != nil:
		return c.tls.Read(p)
	}
	return c.readSocket(p)
}

// readSocket reads below TLS and WebSocket.
func (c *Conn) readSocket(p []byte) (int, error) {
	in := &c.in
	if len(in.prefix) > 0 {
		n := copy(p, in.prefix)
		if in.prefix = in.prefix[n:]; len(in.prefix) == 0 {
			in.prefix = nil
		}
		return n, nil
	}
	switch {
	case c.handshaking:
		return c.nc.Read(p)
	case c.closed.Load():
		return 0, net.ErrClosed
	case in.empty:
		return 0, ErrWouldBlock
	case c.raw == nil:
		if in.failed != nil {
			return 0, in.failed
		}
		return 0, ErrWouldBlock
	}
	n, err := readNow(in.fd, p)
	switch {
	case err != nil:
		in.empty = err == ErrWouldBlock
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	in.empty = n < len(p)
	return n, nil
}

// readHandshake reads what a handshake above TLS needs, and blocks.
func (c *Conn) readHandshake(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.readSocket(p)
}

// transport is the Conn as crypto/tls sees it: the socket with its prefix.
type transport Conn

// Read and Write block in the handshake only.
func (t *transport) Read(p []byte) (int, error) { return (*Conn)(t).readSocket(p) }

// Write may keep what the socket does not take.
func (t *transport) Write(p []byte) (int, error) { return (*Conn)(t).writeSocket(p) }

// Close is not for crypto/tls: Conn closes the socket.
func (t *transport) Close() error { return nil }

// LocalAddr is the socket's.
func (t *transport) LocalAddr() net.Addr { return t.nc.LocalAddr() }

// RemoteAddr is the socket's.
func (t *transport) RemoteAddr() net.Addr { return t.nc.RemoteAddr() }

// SetDeadline does nothing: crypto/tls would set one of its own when it closes.
func (t *transport) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (t *transport) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (t *transport) SetWriteDeadline(time.Time) error { return nil }
