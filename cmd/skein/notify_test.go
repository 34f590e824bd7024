//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// manager is a service manager that listens for what it is told.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	name string
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	m := &manager{t: t, name: name}
	listen := name
	if abstract, ok := strings.CutPrefix(name, "@"); ok {
		listen = "\x00" + abstract
	}
	var err error
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: listen, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.conn.Close() }) // the test is over
	return m
}

// next is the next state the manager is told.
func (m *manager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(harness.Deadline)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 1024)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// until reads what the manager is told up to a line, and returns all before it.
func (m *manager) until(line string) (before []string) {
	m.t.Helper()
	for {
		s := m.next()
		if strings.HasPrefix(s, line) {
			return before
		}
		before = append(before, s)
	}
}

// socketPath is short enough for the address of a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skein")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is empty
	return filepath.Join(dir, "notify")
}

// A whole life under a service manager: ready, signs of life, a reload, the stop.
func TestTheServiceManagerIsTold(t *testing.T) {
	m := newManager(t, socketPath(t))
	a, _, errs, signals := testApp("NOTIFY_SOCKET="+m.name, "WATCHDOG_USEC=20000", "WATCHDOG_PID="+strconv.Itoa(os.Getpid()))
	code := make(chan int, 1) // never full: one value is sent
	go func() { code <- a.run(t.Context(), []string{"--listen", "tcp://127.0.0.1:0", "--data", t.TempDir()}) }()
	if first := m.next(); !strings.HasPrefix(first, "READY=1\n") {
		t.Errorf("the first word is %q", first)
	}
	m.until("WATCHDOG=1")
	m.until("WATCHDOG=1")
	signals <- syscall.SIGHUP
	m.until("RELOADING=1")
	m.until("READY=1")
	signals <- syscall.SIGTERM
	m.until("STOPPING=1")
	if got := <-code; got != exitDone {
		t.Errorf("code %d\n%s", got, errs)
	}
}

func TestAnAbstractSocket(t *testing.T) {
	if _, err := os.Stat("/proc/net/unix"); err != nil {
		t.Skip("only Linux has abstract sockets")
	}
	m := newManager(t, "@skein-test-"+strconv.Itoa(os.Getpid()))
	n, err := newNotifier([]string{"NOTIFY_SOCKET=" + m.name})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	m.until("READY=1")
	if n.watchdog() != nil {
		t.Error("a watchdog that nobody asked for")
	}
}

// Without a manager nothing is told, and nothing fails.
func TestNoServiceManager(t *testing.T) {
	n, err := newNotifier(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	for _, err := range []error{n.ready(), n.alive(), n.reloading(), n.stopping("x")} {
		if err != nil {
			t.Error(err)
		}
	}
	if n.watchdog() != nil {
		t.Error("a watchdog that nobody asked for")
	}
}

// A manager that went away is no reason to stop, but is told.
func TestTheServiceManagerGoesAway(t *testing.T) {
	m := newManager(t, socketPath(t))
	n, err := newNotifier([]string{"NOTIFY_SOCKET=" + m.name})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	_ = m.conn.Close() // this is what is tested
	if err := n.alive(); err == nil || !strings.Contains(err.Error(), "service manager") {
		t.Error(err)
	}
}

func TestWhatTheServiceManagerAsksFor(t *testing.T) {
	m := newManager(t, socketPath(t))
	socket := "NOTIFY_SOCKET=" + m.name
	for _, c := range []struct {
		env     []string
		every   time.Duration
		problem string
	}{
		{[]string{socket}, 0, ""},
		{[]string{socket, "WATCHDOG_USEC=30000000"}, 15 * time.Second, ""},
		{[]string{socket, "WATCHDOG_USEC=30000000", "WATCHDOG_PID=1"}, 0, ""},
		{[]string{socket, "WATCHDOG_USEC=1"}, 0, "WATCHDOG_USEC"},
		{[]string{socket, "WATCHDOG_USEC=soon"}, 0, "WATCHDOG_USEC"},
		{[]string{socket, "WATCHDOG_USEC=9223372036854775807"}, 0, "WATCHDOG_USEC"},
		{[]string{"NOTIFY_SOCKET=/nowhere/at/all"}, 0, "NOTIFY_SOCKET"},
		{[]string{"WATCHDOG_USEC=soon"}, 0, ""},
	} {
		n, err := newNotifier(c.env)
		n.close()
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) || n.interval != c.every {
			t.Errorf("%v: every %v, %v; want every %v, %q", c.env, n.interval, err, c.every, c.problem)
		}
	}
	code, _, errs := run(t, []string{"NOTIFY_SOCKET=/nowhere/at/all"}, "--data", t.TempDir(), "-l", "tcp://127.0.0.1:0")
	if code != exitFailed || !strings.Contains(errs, "NOTIFY_SOCKET") {
		t.Errorf("code %d: %s", code, errs)
	}
}
