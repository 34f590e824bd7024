package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// get receives from ch or fails the test.
func get[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatal("channel closed")
		}
		return v
	case <-timer.C:
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// wait polls until ok answers true or fails the test.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patience)
	for !ok() {
		if <-tick.C; time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// node is a listener being served.
type node struct {
	*Listener
	t      testing.TB
	conns  chan *Conn
	served chan error
}

// open serves o until the end of the test. Connections go to conns.
func open(t testing.TB, o Options) *node {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l)
}

func serve(t testing.TB, l *Listener) *node {
	n := &node{Listener: l, t: t, conns: make(chan *Conn, 4096), served: make(chan error, 1)}
	go func() { n.served <- l.Serve(func(c *Conn) { n.conns <- c }) }()
	t.Cleanup(func() {
		_ = l.Close() // a socket file may be gone on purpose
		if err := get(t, n.served); err != nil {
			t.Error(err)
		}
		for len(n.conns) > 0 {
			_ = (<-n.conns).Close()
		}
	})
	return n
}

// dial connects and hands out the socket.
func (n *node) dial() net.Conn {
	n.t.Helper()
	nc, err := net.Dial(n.Addr().Network(), n.Addr().String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// next is the next established connection.
func (n *node) next() *Conn {
	n.t.Helper()
	c := get(n.t, n.conns)
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

// refuses checks that the peer of nc ends the connection without a byte.
func refuses(t testing.TB, nc net.Conn) {
	t.Helper()
	b, err := io.ReadAll(nc)
	if len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v", b, err)
	}
}

// pair is a transport over loopback TCP and its peer.
func pair(t testing.TB) (*Conn, *net.TCPConn) {
	t.Helper()
	nc, peer := tcpPair(t)
	c := NewConn(nc)
	t.Cleanup(func() { _ = c.Close() })
	return c, peer
}

func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	_ = a.SetDeadline(time.Now().Add(patience))
	return b.(*net.TCPConn), a.(*net.TCPConn)
}

// collect pumps until enough says so, and returns what came. The reads are of size.
func collect(c *Conn, size int, enough func(got []byte) bool) ([]byte, error) {
	var got []byte
	p := make([]byte, size)
	err := c.Pump(func(read func([]byte) (int, error)) bool {
		for {
			n, err := read(p)
			got = append(got, p[:n]...)
			if enough(got) {
				return true
			}
			if err != nil {
				return false
			}
		}
	})
	return got, err
}

func never([]byte) bool { return false }

// expect reads exactly want from c.
func expect(t testing.TB, c *Conn, want []byte) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got, err := collect(c, 64<<10, func(got []byte) bool { return len(got) >= len(want) })
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v; want %d: %.80q", len(got), err, len(want), got)
	}
}

// ends checks that the stream of c ends with want and no more bytes.
func ends(t testing.TB, c *Conn, want error) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got, err := collect(c, 64<<10, never)
	if !errors.Is(err, want) || len(got) > 0 {
		t.Fatalf("got %.80q, %v; want %v", got, err, want)
	}
}

// receives reads exactly want from the peer's side.
func receives(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("received %.80q, %v", got[:n], err)
	}
}

func sends(t testing.TB, w io.Writer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); err != nil || n != len(p) {
		t.Errorf("wrote %d of %d: %v", n, len(p), err) // not fatal: also called beside the test
	}
}

// pattern is n bytes that show when some are missing.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7 / 3)
	}
	return p
}

func withPatience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func webSocketPair(t testing.TB) (*Conn, *net.TCPConn) {
	c, peer := pair(t)
	c.ws = &frames{}
	return c, peer
}

func masked(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }

func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	p := make([]byte, h.Length)
	_, err = io.ReadFull(r, p)
	return ws.NewFrame(h.OpCode, h.Fin, p), err
}
