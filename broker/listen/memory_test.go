//go:build unix

package listen

import (
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

const idleConns = 2000 // enough to see what one costs

// measuring is set in the process that measures.
const measuring = "SKEIN_LISTEN_IDLE"

// TestIdleMemory measures heap and stacks of connections that have read something
// and wait again, with what the Go runtime and the net package need. It does so in
// a process of its own, in which all goroutines start with the smallest stack:
// else that depends on what ran before.
func TestIdleMemory(t *testing.T) {
	if os.Getenv(measuring) == "" {
		cmd := exec.CommandContext(withPatience(t), os.Args[0], "-test.run=^TestIdleMemory$", "-test.v")
		cmd.Env = append(os.Environ(), measuring+"=1", "GODEBUG=adaptivestackstart=0")
		out, err := cmd.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	a := newAuthority(t)
	for _, test := range []struct {
		name    string
		options Options
		client  func(t *testing.T, n *node) int // a descriptor that keeps the connection
		most    uint64
	}{
		{"tcp", Options{URL: anyTCP}, func(t *testing.T, n *node) int { return speak(t, n.dialRaw(t), []byte("hello")) }, 3600},
		{"ws", Options{URL: anyWS}, func(t *testing.T, n *node) int {
			return speak(t, n.dialRaw(t), append(webSocketRequest("/", ""), masked2("hello")...))
		}, 3800},
		{"ssl", Options{URL: anySSL, TLS: a.server("server")}, func(t *testing.T, n *node) int {
			nc := n.dialRaw(t)
			tc := tls.Client(nc, a.config())
			sends(t, tc, []byte("hello"))
			return descriptor(t, nc)
		}, 12 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			each := idleMemory(t, test.options, test.client)
			t.Logf("%d bytes a connection", each)
			if each > test.most && !underRace {
				t.Errorf("more than %d", test.most)
			}
		})
	}
}

func idleMemory(t *testing.T, o Options, client func(t *testing.T, n *node) int) uint64 {
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Listener: l, t: t}
	served := make(chan error, 1)
	var heard, left atomic.Int64
	buffers := sync.Pool{New: func() any { return new([64 << 10]byte) }}
	before := inUse()
	go func() {
		served <- l.Serve(func(c *Conn) {
			defer left.Add(1)
			defer func() { _ = c.Close() }()
			_ = c.Pump(func(read func([]byte) (int, error)) bool {
				buf := buffers.Get().(*[64 << 10]byte)
				defer buffers.Put(buf)
				deep(64)
				for {
					n, err := read(buf[:])
					heard.Add(int64(n))
					if err != nil {
						return false
					}
				}
			})
		})
	}()
	count := idleConns
	if underRace {
		count = 50
	}
	fds := make([]int, count)
	for i := range fds {
		fds[i] = client(t, n)
		wait(t, "hello", func() bool { return heard.Load() == int64(5*(i+1)) })
	}
	after := inUse()
	for _, fd := range fds {
		closeDescriptor(fd)
	}
	wait(t, "all ended", func() bool { return left.Load() == int64(count) })
	_ = l.Close()
	if err := get(t, served); err != nil {
		t.Fatal(err)
	}
	return (after - before) / uint64(count)
}

func (n *node) dialRaw(t *testing.T) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

func speak(t *testing.T, nc *net.TCPConn, p []byte) int {
	sends(t, nc, p)
	return descriptor(t, nc)
}

// deep uses as much stack as handling a packet may.
//
//go:noinline
func deep(n int) byte {
	var frame [256]byte
	frame[n] = byte(n)
	if n > 0 {
		frame[0] = deep(n - 1)
	}
	return frame[0] + frame[n]
}

// inUse is memory after the collector: it halves stacks at each run.
func inUse() uint64 {
	for range 5 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 256 {
		t.Fatalf("%d bytes", n)
	}
}
