package cluster

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// echo answers lines.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// asks sends a line and returns the answer.
func asks(c net.Conn, within time.Duration) (string, error) {
	_, _ = c.Write([]byte("hello\n")) // the answer tells
	_ = c.SetReadDeadline(time.Now().Add(within))
	return bufio.NewReader(c).ReadString('\n')
}

func dials(t *testing.T, c *cable) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestCable(t *testing.T) {
	t.Parallel()
	c := newCable(t, echo(t))
	c.rewrite = func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "hello", "world")) }
	conn := dials(t, c)
	if s, err := asks(conn, harness.Deadline); s != "world\n" {
		t.Fatalf("%q, %v", s, err)
	}
	c.set(stalled)
	if s, err := asks(conn, 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("stalled: %q, %v", s, err)
	}
	c.set(whole)
	_ = conn.SetReadDeadline(time.Now().Add(harness.Deadline))
	if s, err := bufio.NewReader(conn).ReadString('\n'); s != "world\n" {
		t.Fatalf("what was stalled: %q, %v", s, err)
	}
	c.set(mute)
	if s, err := asks(conn, 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("mute: %q, %v", s, err)
	}
	c.set(whole)
	if s, err := asks(conn, harness.Deadline); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a stream that has lost something goes on: %q, %v", s, err)
	}
	conn = dials(t, c)
	if s, err := asks(conn, harness.Deadline); s != "world\n" {
		t.Fatalf("%q, %v", s, err)
	}
	c.set(cut)
	for range 2 { // the old connection, and a new one
		if s, err := asks(conn, harness.Deadline); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("cut: %q, %v", s, err)
		}
		conn = dials(t, c)
	}
}
