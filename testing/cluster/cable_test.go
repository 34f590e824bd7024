package cluster

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/server"
)

// fault is what is wrong with a cable.
type fault int

const (
	whole   fault = iota
	cut           // connections end, new ones are closed at once
	stalled       // nothing passes, connections stay; it passes later
	mute          // what is asked passes, what is answered is lost; connections end with the fault
)

// cable is a TCP proxy in which faults can be made. Each connection is two goroutines,
// which end with it; close ends them all.
type cable struct {
	addr    string
	to      string
	rewrite func([]byte) []byte // of answers; nil leaves them

	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when fault changes
	closed  bool
	conns   map[net.Conn]struct{} // both ends of every connection
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	addr := server.FreeAddr(t)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: addr, to: to, listener: l, changed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	c.running.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cable) accept() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return // closed
		}
		if !c.hold(in) {
			_ = in.Close() // that is the fault
			continue
		}
		c.running.Go(func() { c.serve(in) })
	}
}

// hold takes a connection among those that a cut ends, unless it is cut now.
func (c *cable) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.fault == cut {
		return false
	}
	c.conns[conn] = struct{}{}
	return true
}

func (c *cable) drop(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
	_ = conn.Close() // it has ended, or is to
}

func (c *cable) serve(in net.Conn) {
	defer c.drop(in)
	out, err := net.DialTimeout("tcp", c.to, time.Second)
	if err != nil {
		return // the other end is away: so is this one
	}
	if !c.hold(out) {
		_ = out.Close() // as in accept
		return
	}
	defer c.drop(out)
	var asking sync.WaitGroup
	asking.Go(func() {
		c.pump(out, in, false)
		_ = out.Close() // the other direction ends too
	})
	c.pump(in, out, true)
	_ = in.Close() // as above
	asking.Wait()
}

// pump carries bytes until one of the ends is closed, or a torn stream would go on.
func (c *cable) pump(to io.Writer, from io.Reader, answers bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && !c.carry(to, b[:n], answers) {
			return
		}
		if err != nil {
			return
		}
	}
}

// carry writes what was read when the faults allow it.
func (c *cable) carry(to io.Writer, b []byte, answers bool) bool {
	for {
		c.mu.Lock()
		f, changed, closed := c.fault, c.changed, c.closed
		c.mu.Unlock()
		switch {
		case closed || f == cut:
			return false
		case f == stalled:
			<-changed
			continue
		case f == mute && answers:
			<-changed
			return false
		}
		if answers && c.rewrite != nil {
			b = c.rewrite(b)
		}
		_, err := to.Write(b)
		return err == nil
	}
}

// set makes a fault, or mends it.
func (c *cable) set(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == f {
		return
	}
	c.fault = f
	close(c.changed)
	c.changed = make(chan struct{})
	if f == cut {
		c.endLocked()
	}
}

func (c *cable) endLocked() {
	for conn := range c.conns {
		_ = conn.Close() // its end is the fault
	}
}

func (c *cable) close() {
	c.mu.Lock()
	c.closed = true
	close(c.changed)
	c.changed = make(chan struct{})
	c.endLocked()
	c.mu.Unlock()
	_ = c.listener.Close() // accept ends
	c.running.Wait()
}
