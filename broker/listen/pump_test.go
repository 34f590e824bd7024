package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// transports are the ways below a Conn: the poller and the blocking read.
var transports = map[string]func(t testing.TB) (*Conn, net.Conn){
	"poller": func(t testing.TB) (*Conn, net.Conn) { return pair(t) },
	"blocking": func(t testing.TB) (*Conn, net.Conn) {
		a, b := net.Pipe()
		c := NewConn(a)
		t.Cleanup(func() { _, _ = c.Close(), b.Close() })
		return c, b
	},
}

func eachTransport(t *testing.T, test func(t *testing.T, c *Conn, peer net.Conn)) {
	for name, make := range transports {
		t.Run(name, func(t *testing.T) {
			c, peer := make(t)
			test(t, c, peer)
		})
	}
}

func TestPumpReadsAllAndEnds(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		want := pattern(1 << 20)
		go func() {
			_, _ = peer.Write(want) // the reader sees what is missing
			_ = peer.Close()
		}()
		got, err := collect(c, 1000, never)
		if err != io.EOF || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if err := c.Pump(func(read func([]byte) (int, error)) bool {
			_, err := read(make([]byte, 1))
			if err != io.EOF {
				t.Errorf("read: %v", err)
			}
			return false
		}); err != io.EOF {
			t.Fatalf("again: %v", err)
		}
	})
}

func TestReadIsNonBlocking(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() { _, _ = peer.Write([]byte("hello")) }()
		steps := 0
		err := c.Pump(func(read func([]byte) (int, error)) bool {
			steps++
			if n, err := read(nil); n != 0 || err != nil {
				t.Errorf("empty read: %d, %v", n, err)
			}
			p := make([]byte, 3)
			if n, err := read(p); n != 3 || err != nil || string(p) != "hel" {
				t.Errorf("first read: %q, %v", p[:n], err)
			}
			if n, err := read(p); n != 2 || err != nil || string(p[:2]) != "lo" {
				t.Errorf("second read: %q, %v", p[:n], err)
			}
			for range 3 {
				if n, err := read(p); n != 0 || err != ErrWouldBlock {
					t.Errorf("empty: %d, %v", n, err)
				}
			}
			return true
		})
		if err != nil || steps != 1 {
			t.Fatalf("%d steps, %v", steps, err)
		}
	})
}

// A step that leaves something is called again though the socket tells nothing new.
func TestStepThatHasHadEnough(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() { _, _ = peer.Write([]byte("abcdef")) }()
		var got []byte
		p := make([]byte, 1)
		one := func(read func([]byte) (int, error)) bool {
			n, err := read(p)
			if err != nil && err != ErrWouldBlock {
				t.Errorf("read: %v", err)
				return true
			}
			got = append(got, p[:n]...)
			return len(got) == 3 || len(got) == 6
		}
		for _, want := range []string{"abc", "abcdef"} {
			if err := c.Pump(one); err != nil || string(got) != want {
				t.Fatalf("got %q, %v", got, err)
			}
		}
	})
}

func TestReadDeadlineWakes(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		ended := func() error {
			ch := make(chan error, 1)
			go func() {
				_, err := collect(c, 16, never)
				ch <- err
			}()
			return get(t, ch)
		}
		for range 3 { // it stays
			if err := ended(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		}
		_ = c.SetReadDeadline(time.Time{})
		go func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }()
		if err := ended(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("woken with %v", err)
		}
		// A deadline set within a step counts when the step is over.
		_ = c.SetReadDeadline(time.Time{})
		go func() { _, _ = peer.Write([]byte("x")) }()
		err := c.Pump(func(read func([]byte) (int, error)) bool {
			if _, err := read(make([]byte, 8)); err == nil {
				_ = c.SetReadDeadline(time.Unix(1, 0))
			}
			return false
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after a step: %v", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		go func() { _, _ = peer.Write([]byte("still here")) }()
		expect(t, c, []byte("still here"))
	})
}

// The poller tells of the last bytes and of the end at once, and only once.
func TestEndThatCameWithTheLastBytes(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) error{
		"close":    (*net.TCPConn).Close,
		"shutdown": (*net.TCPConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			sends(t, peer, []byte("last words"))
			if err := end(peer); err != nil {
				t.Fatal(err)
			}
			settle(t)
			got, err := collect(c, 1<<10, never)
			if err != io.EOF || string(got) != "last words" {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

// settle makes the runtime's poller tell all that has happened: it hears of what
// another pair of sockets says now.
func settle(t *testing.T) {
	t.Helper()
	b, a := tcpPair(t)
	go func() { _, _ = io.Copy(b, b) }() // ends with a
	for range 10 {
		sends(t, a, []byte("x"))
		receives(t, a, []byte("x"))
	}
	_ = a.Close()
}

// A busy connection, which is not looked at before each wait, ends too.
func TestEndOfBusyConnection(t *testing.T) {
	c, peer := pair(t)
	ended, steps := make(chan error, 1), make(chan bool)
	go func() {
		p := make([]byte, 1<<10)
		busy := false
		ended <- c.Pump(func(read func([]byte) (int, error)) bool {
			if !busy {
				if n, _ := read(p); n == 0 {
					return false // nothing has come
				}
				busy = c.in.armed
				steps <- busy
				if busy {
					<-steps // the last byte and the end are there
				}
			}
			for {
				if _, err := read(p); err != nil {
					return false
				}
			}
		})
	}()
	for busy := false; !busy; busy = get(t, steps) {
		sends(t, peer, []byte("x"))
	}
	sends(t, peer, []byte("last"))
	_ = peer.Close()
	steps <- true
	if err := get(t, ended); err != io.EOF {
		t.Fatal(err)
	}
}

func TestLookDeadlineIsNotTheCallers(t *testing.T) {
	c, peer := pair(t)
	far, long := instantOf(time.Now().Add(time.Hour)), instantOf(time.Unix(1, 0))
	_ = c.SetReadDeadline(far.time())
	soon := instantOf(time.Now())
	if !c.armLook(soon) || c.nextLocked() != soon {
		t.Fatal("not armed")
	}
	_ = c.SetReadDeadline(long.time())
	if c.nextLocked() != long || !c.expired() {
		t.Fatal("the caller's deadline does not count")
	}
	_ = c.SetReadDeadline(far.time())
	if c.expired() || c.lookAt != 0 || c.nextLocked() != far {
		t.Fatal("its own deadline stayed")
	}
	sends(t, peer, []byte("x"))
	expect(t, c, []byte("x"))
}

func TestReset(t *testing.T) {
	c, peer := pair(t)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	ends(t, c, syscall.ECONNRESET)
}

func TestCloseWakesPump(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		before := pipes.stats.Open.Load()
		in, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- c.Pump(func(read func([]byte) (int, error)) bool {
				if n, _ := read(make([]byte, 8)); n > 0 {
					close(in)
				}
				return false
			})
		}()
		sends(t, peer, []byte("x"))
		closes(t, in)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := get(t, ended); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		ends(t, c, net.ErrClosed)
		refuses(t, peer)
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		for _, set := range []func(time.Time) error{c.SetReadDeadline, c.SetWriteDeadline} {
			if err := set(time.Time{}); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		if open := before - pipes.stats.Open.Load(); open != 1 {
			t.Fatalf("%d closed", open)
		}
	})
}

// closes waits for ch to be closed.
func closes(t testing.TB, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
}

func TestCloseWithinStep(t *testing.T) {
	eachTransport(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() { _, _ = peer.Write([]byte("x")) }()
		err := c.Pump(func(read func([]byte) (int, error)) bool {
			if _, err := read(make([]byte, 8)); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := read(make([]byte, 8)); !errors.Is(err, net.ErrClosed) && err != ErrWouldBlock {
				t.Error(err)
			}
			return false
		})
		if !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		refuses(t, peer)
	})
}

// A step that takes its time does not keep the peer from hearing of Close.
func TestCloseIsHeardDuringStep(t *testing.T) {
	c, peer := pair(t)
	sends(t, peer, []byte("x"))
	in, leave, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- c.Pump(func(read func([]byte) (int, error)) bool {
			_, _ = read(make([]byte, 8))
			close(in)
			<-leave
			return false
		})
	}()
	closes(t, in)
	_ = c.Close()
	refuses(t, peer)
	close(leave)
	if err := get(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	c, peer := pair(t)
	p := make([]byte, 4<<10)
	msg := make([]byte, 100)
	sends(t, peer, msg)
	err := c.Pump(func(read func([]byte) (int, error)) bool {
		if n, err := read(p); err != nil || n != len(msg) {
			t.Error(n, err)
		}
		c.in.empty = false
		allocs := testing.AllocsPerRun(200, func() {
			if _, err := peer.Write(msg); err != nil {
				t.Error(err)
			}
			if n, err := read(p); err != nil || n != len(msg) {
				t.Error(n, err)
			}
			if _, err := read(p); err != ErrWouldBlock {
				t.Error(err)
			}
			c.in.empty = false
		})
		if allocs != 0 {
			t.Errorf("%v allocations a read", allocs)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}
