package listen

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const anyTCP = "tcp://127.0.0.1:0"

func TestTCP(t *testing.T) {
	for _, url := range []string{anyTCP, "tcp://[::1]:0"} {
		n := open(t, Options{URL: url, Name: "plain"})
		nc := n.dial()
		c := n.next()
		sends(t, nc, []byte("to"))
		expect(t, c, []byte("to"))
		sends(t, c, []byte("fro"))
		receives(t, nc, []byte("fro"))
		if c.Kind() != KindTCP || c.Listener() != "plain" || c.TLSState() != nil ||
			c.RemoteString() != nc.LocalAddr().String() || c.RemoteAddr().String() != c.RemoteString() {
			t.Fatal(c.Kind(), c.Listener(), c.TLSState(), c.RemoteString())
		}
		_ = c.Close()
		refuses(t, nc)
		s := n.Stats()
		if s.Accepted.Load() != 1 || s.Established.Load() != 1 || s.Open.Load() != 0 {
			t.Fatal(s.Accepted.Load(), s.Established.Load(), s.Open.Load())
		}
	}
}

func TestAddressInUse(t *testing.T) {
	n := open(t, Options{URL: anyTCP})
	if _, err := Open(Options{URL: "tcp://" + n.Addr().String()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
}

func TestConnectionsOutliveTheListener(t *testing.T) {
	n := open(t, Options{URL: anyTCP})
	nc := n.dial()
	c := n.next()
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sends(t, nc, []byte("still"))
	expect(t, c, []byte("still"))
	if _, err := net.Dial("tcp", n.Addr().String()); err == nil {
		t.Fatal("still accepts")
	}
}

// lines is a log that may be read meanwhile.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func TestAcceptErrorsDoNotEndServe(t *testing.T) {
	var log lines
	l, err := Open(Options{URL: anyTCP, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	accept := l.accept
	var calls atomic.Int32
	l.accept = func() (net.Conn, error) {
		if calls.Add(1) <= 4 {
			return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		}
		return accept()
	}
	n := serve(t, l)
	nc := n.dial()
	sends(t, nc, []byte("x"))
	expect(t, n.next(), []byte("x"))
	if e := l.Stats().AcceptErrors.Load(); e != 4 || log.count("accept failed") != 1 {
		t.Fatal(e, log.count("accept failed"))
	}
}

func TestCloseEndsThePauseAfterAnError(t *testing.T) {
	l, err := Open(Options{URL: anyTCP})
	if err != nil {
		t.Fatal(err)
	}
	l.accept = func() (net.Conn, error) { return nil, syscall.EMFILE }
	n := serve(t, l)
	wait(t, "errors", func() bool { return l.Stats().AcceptErrors.Load() > 2 })
	_ = l.Close()
	err = get(t, n.served)
	n.served <- err // for the end of the test
	if err != nil {
		t.Fatal(err)
	}
}

func TestMaxConnections(t *testing.T) {
	n := open(t, Options{URL: anyTCP, MaxConnections: 2})
	var conns []*Conn
	for range 2 {
		n.dial()
		conns = append(conns, n.next())
	}
	refuses(t, n.dial())
	if s := n.Stats(); s.OverLimit.Load() != 1 || s.Open.Load() != 2 {
		t.Fatal(s.OverLimit.Load(), s.Open.Load())
	}
	_ = conns[0].Close()
	nc := n.dial()
	sends(t, nc, []byte("x"))
	expect(t, n.next(), []byte("x"))
}

func TestBurstOfConnects(t *testing.T) {
	const burst = 300
	n := open(t, Options{URL: anyTCP})
	var dialing sync.WaitGroup
	for range burst {
		dialing.Go(func() {
			nc, err := net.Dial("tcp", n.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			_ = nc.Close()
		})
	}
	for range burst {
		_ = n.next().Close()
	}
	dialing.Wait()
	wait(t, "all closed", func() bool { return n.Stats().Open.Load() == 0 })
}

// socketPath is short: systems allow about a hundred bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skein")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestUnix(t *testing.T) {
	path := socketPath(t)
	n := open(t, Options{URL: "unix://" + path, UnixMode: 0o620})
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o620 {
		t.Fatal(fi, err)
	}
	nc := n.dial()
	c := n.next()
	if c.Kind() != KindUnix || c.RemoteString() != "unix" || c.RemoteAddr().IsValid() {
		t.Fatal(c.Kind(), c.RemoteString())
	}
	want := pattern(1 << 20)
	go sends(t, c, want)
	receives(t, nc, want)
	go sends(t, nc, want)
	expect(t, c, want)
	_ = nc.Close()
	if _, err := collect(c, 16, never); err == nil {
		t.Fatal("no end")
	}
	_ = n.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("socket file is still there", err)
	}
}

func TestUnixSocketFiles(t *testing.T) {
	path := socketPath(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	open(t, Options{URL: "unix://" + path}).dial()
	if _, err := Open(Options{URL: "unix://" + path}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("a live socket: %v", err)
	}
	file := path + "file"
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{URL: "unix://" + file}); err == nil {
		t.Fatal("took a file")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Fatal(string(b), err)
	}
}
