//go:build unix

package listen

import (
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"
)

const idleConns = 2000 // enough to see what one costs

// TestIdleMemory measures heap and stacks of connections that have read something
// and wait again, with what the Go runtime and the net package need. A client
// that is only a descriptor costs nothing here.
func TestIdleMemory(t *testing.T) {
	a := newAuthority(t)
	for name, test := range map[string]struct {
		options Options
		client  func(t *testing.T, n *node) int // a descriptor that keeps the connection
		most    uint64
	}{
		"tcp": {Options{URL: anyTCP}, func(t *testing.T, n *node) int { return speak(t, n.dialRaw(t), []byte("hello")) }, 4 << 10},
		"ws": {Options{URL: anyWS}, func(t *testing.T, n *node) int {
			return speak(t, n.dialRaw(t), append(webSocketRequest("/", ""), masked2("hello")...))
		}, 5 << 10},
		"ssl": {Options{URL: anySSL, TLS: a.server("server")}, func(t *testing.T, n *node) int {
			nc := n.dialRaw(t)
			tc := tls.Client(nc, a.config())
			sends(t, tc, []byte("hello"))
			return descriptor(t, nc)
		}, 14 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			each := idleMemory(t, test.options, test.client)
			t.Logf("%s: %d bytes a connection", name, each)
			if each > test.most {
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
	buf := make([]byte, 64<<10)
	before := inUse()
	go func() {
		served <- l.Serve(func(c *Conn) {
			defer left.Add(1)
			defer c.Close()
			_ = c.Pump(func(read func([]byte) (int, error)) bool {
				for {
					n, err := read(buf)
					heard.Add(int64(n))
					if err != nil {
						return false
					}
				}
			})
		})
	}()
	fds := make([]int, idleConns)
	for i := range fds {
		fds[i] = client(t, n)
		wait(t, "hello", func() bool { return heard.Load() == int64(5*(i+1)) })
	}
	after := inUse()
	for _, fd := range fds {
		closeDescriptor(fd)
	}
	wait(t, "all ended", func() bool { return left.Load() == idleConns })
	_ = l.Close()
	if err := get(t, served); err != nil {
		t.Fatal(err)
	}
	return (after - before) / idleConns
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

// inUse is memory after the collector: it halves stacks at each run.
func inUse() uint64 {
	for range 5 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 400 {
		t.Fatalf("%d bytes", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
