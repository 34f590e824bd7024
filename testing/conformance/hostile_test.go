package conformance

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/config"
	. "github.com/skeinmq/skein/testing/harness"
)

const (
	// burstEnv is how many connections TestBurst opens.
	burstEnv     = "SKEIN_TEST_BURST"
	defaultBurst = 2000
)

// Time-outs that a hostile client runs into; the first is one that a good client
// on a busy machine does not.
const (
	handshakeTimeout = config.Duration(2 * time.Second)
	packetTimeout    = config.Duration(300 * time.Millisecond)
)

// TestSlow has clients that begin and do not go on.
func TestSlow(t *testing.T) {
	t.Parallel()
	b := NodeWith(t, Setup{All: true, Config: func(c *config.Config) {
		c.Limits.HandshakeTimeout, c.Limits.PacketTimeout = handshakeTimeout, packetTimeout
		for i := range c.Listeners {
			c.Listeners[i].HandshakeTimeout = handshakeTimeout
		}
	}})
	h := newHealthy(t, b)

	t.Run("handshake", func(t *testing.T) {
		connect := Connect{ID: Name()}.Bytes()
		var slow []*Client
		for i := range 40 {
			c := Dial(t, b.TCP)
			c.Send(connect[:i%len(connect)])
			slow = append(slow, c)
		}
		for _, url := range []string{b.WS, b.WSS, b.Unix, b.TLS} { // whose own handshake is done
			slow = append(slow, Dial(t, url))
		}
		for _, url := range []string{b.TLS, b.WS, b.WSS} { // whose own handshake never comes
			host, port := HostPort(t, url)
			slow = append(slow, Dial(t, "tcp://"+net.JoinHostPort(host, port)))
		}
		h.check(t)
		for _, c := range slow {
			_ = c.ReadAll() // a refusal may be told
		}
		h.check(t)
	})

	t.Run("half a packet", func(t *testing.T) {
		for _, v := range versions {
			topic := Name()
			for _, p := range [][]byte{
				Publish{Topic: topic, Payload: "never whole"}.Bytes(v), Subscribe(v, 1, nil, To(topic, 0)), {0x30}, {0x30, 0xFF}, {0x30, 0xFF, 0x7F, 0x00},
			} {
				c := b.Connect(t, Connect{Version: v, KeepAlive: NoKeepAlive})
				c.Send(p[:len(p)-len(p)/3])
				h.check(t)
				c.ExpectClosed()
			}
		}
		h.check(t)
	})

	t.Run("a stream that never ends with a packet", func(t *testing.T) {
		// Every read of the broker ends inside some packet, for longer than one may take.
		sub, pub, topic := pair(t, b, V5, 0)
		p := Publish{Topic: topic, Payload: "x"}.Bytes(V5)
		half := len(p) / 2
		pub.Send(p[:half])
		for begin := time.Now(); time.Since(begin) < 4*packetTimeout.Std(); {
			pub.Send(p[half:], p[:half])
			sub.ExpectMessage(topic, "x")
		}
	})

	t.Run("a byte at a time in time", func(t *testing.T) {
		sub, pub, topic := pair(t, b, V5, 0)
		for _, x := range (Publish{Topic: topic, Payload: "slow but whole"}.Bytes(V5)) {
			pub.Send([]byte{x})
		}
		sub.ExpectMessage(topic, "slow but whole")
	})
}

// TestDeaf has subscribers that never read, while others are served.
func TestDeaf(t *testing.T) { // not beside other tests: it looks at the heap
	OwnNode(t)
	for _, keepAlive := range []int{NoKeepAlive, 1} {
		t.Run(fmt.Sprintf("keep alive %d", keepAlive), func(t *testing.T) {
			t.Parallel()
			b := Node(t, func(c *config.Config) {
				c.Limits.OutputBuffer = 256 * config.KiB
				c.Limits.WriteTimeout = 2 * config.Duration(time.Second)
				c.Session.Queue.Bytes = config.MiB
			})
			topic := Name()
			gone := b.Client(t, V5)
			gone.Subscribe(topic+"/gone", 0)
			deaf := b.Connect(t, Connect{KeepAlive: keepAlive, Will: &Will{Topic: topic + "/gone", Payload: "gone"}})
			if tcp, ok := deaf.Conn.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(4096) // the system may give more
			}
			deaf.Subscribe(topic+"/#", 1)
			good := b.Client(t, V5)
			good.Subscribe(topic+"/x", 1)
			pub := b.Client(t, V5)
			payload := strings.Repeat("x", 64<<10)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			const n = 400 // 25 MiB for everybody
			for i := range n {
				pub.Publish(Publish{Topic: topic + "/x", Payload: payload, QoS: byte(i % 2)})
				good.ExpectMessage(topic+"/x", payload)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			const bound = 24 << 20
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > bound {
				t.Errorf("the heap grew by %d MiB for a client that does not read, want less than %d", grown>>20, bound>>20)
			}
			gone.ExpectMessage(topic+"/gone", "gone") // its connection was closed
			good.ExpectNothing()
		})
	}
}

// TestBurst opens many connections at once.
func TestBurst(t *testing.T) { // not beside other tests: it takes the descriptors
	n := defaultBurst
	if e := os.Getenv(burstEnv); e != "" {
		var err error
		if n, err = strconv.Atoi(e); err != nil {
			t.Fatal(err)
		}
	}
	const others = 300 // descriptors
	b, most := Shared(t), descriptors()
	switch {
	case most > 0 && n+others > most:
		t.Skipf("%d connections need more than the %d descriptors there are", n, most)
	case os.Getenv(External) == "" && most > 0 && 2*n+others > most: // both ends are too many for one process
		child, stop := childBroker(t, "all")
		defer stop()
		b = child
	}
	h := newHealthy(t, b)
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			nc, err := DialConn(b.TCP)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			conns[i] = nc
			_ = nc.SetDeadline(time.Now().Add(2 * Deadline)) // a broken connection fails the read
			if _, err := nc.Write(Connect{Version: V311, ID: fmt.Sprintf("burst%d", i)}.Bytes()); err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			var ack [4]byte
			if _, err := nc.Read(ack[:]); err != nil || ack[3] != 0 {
				t.Errorf("connection %d: CONNACK % x, %v", i, ack, err)
			}
		})
	}
	h.check(t)
	wg.Wait()
	h.check(t)
	for _, nc := range conns {
		if nc != nil {
			_ = nc.Close() // nothing is promised
		}
	}
	h.check(t)
}
