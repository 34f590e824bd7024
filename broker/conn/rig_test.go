package conn_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/conn"
	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is the store in memory; while it holds, batches wait.
type slow struct {
	*memory.Store

	mu      sync.Mutex
	holds   bool
	waiting []func()
}

func (s *slow) Commit(b *store.Batch, done store.Committed) {
	s.mu.Lock()
	if s.holds {
		s.waiting = append(s.waiting, func() { s.Store.Commit(b, done) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.Store.Commit(b, done)
}

func (s *slow) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = true
}

// release commits n batches that wait, all and those to come for a negative n.
func (s *slow) release(n int) {
	s.mu.Lock()
	if n < 0 || n > len(s.waiting) {
		s.holds = n >= 0
		n = len(s.waiting)
	}
	list := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	s.mu.Unlock()
	for _, f := range list {
		f()
	}
}

var errNothing = errors.New("nothing to read now")

// pipe is a Transport over net.Pipe: writes block until the client reads.
type pipe struct {
	net.Conn
	addr    netip.AddrPort
	buf     [4096]byte
	pending []byte
}

func (p *pipe) Pump(step func(read func([]byte) (int, error)) bool) error {
	read := func(b []byte) (int, error) {
		if len(p.pending) == 0 {
			return 0, errNothing
		}
		n := copy(b, p.pending)
		p.pending = p.pending[n:]
		return n, nil
	}
	for {
		var err error
		if len(p.pending) == 0 {
			var n int
			n, err = p.Read(p.buf[:])
			p.pending = p.buf[:n]
		}
		if len(p.pending) > 0 && step(read) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *pipe) Shutdown()                      {}
func (p *pipe) RemoteString() string           { return p.addr.String() }
func (p *pipe) RemoteAddr() netip.AddrPort     { return p.addr }
func (p *pipe) Listener() string               { return "test" }
func (p *pipe) Scheme() string                 { return "tcp" }
func (p *pipe) TLSState() *tls.ConnectionState { return nil }

// rig is a server on a bubble's clock.
type rig struct {
	t      *testing.T
	server *conn.Server
	router *router.Router
	store  *slow
	stats  *stats.Node
	stop   chan struct{} // closed: Stop waits for no output any more
}

type setup struct {
	conn.Settings
	router router.Settings
	auth   hooks.Authenticator
}

// test runs f in a bubble, with a server that is stopped at its end.
func test(t *testing.T, change func(*setup), f func(g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, stop := newRig(t, change)
		f(g)
		stop()
	})
}

func newRig(t *testing.T, change func(*setup)) (*rig, func()) {
	s := setup{
		Settings: conn.Settings{
			MaxPacket: 1 << 20, ReceiveMaximum: 10, AliasMaximum: 5, MaximumQoS: 2, RetainAvailable: true, Wildcards: true, SubIDs: true,
			Shared: true, ReasonStrings: true, MaxInflight: 100, OutputBuffer: 1 << 20, InboundBytes: 1 << 10, WriteTimeout: time.Minute,
			PacketTimeout: 30 * time.Second, HandshakeTimeout: 10 * time.Second, HandshakeSize: 1 << 16,
		},
		router: router.Settings{
			Expiry3x: 3600, MaxExpiry: router.NoExpiry, MaxInflight: 100, Queue: session.Limits{Messages: 1000}, MaximumQoS: 2,
			RetainAvailable: true, Wildcards: true, SubIDs: true, Shared: true,
		},
	}
	if change != nil {
		change(&s)
	}
	chain, err := hooks.New(hooks.Options{Authenticator: s.auth})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, store: &slow{Store: memory.New()}, stats: stats.NewNode(), stop: make(chan struct{})}
	queue := due.New(time.Now)
	log := slog.New(slog.DiscardHandler)
	g.router = router.New(router.Options{Log: log, Hooks: chain, Store: g.store, Stats: g.stats, Due: queue, Now: time.Now, Settings: s.router})
	g.server = conn.NewServer(conn.Options{Router: g.router, Hooks: chain, Stats: g.stats, Log: log, Now: time.Now, Settings: s.Settings, Blocked: errNothing})
	go queue.Run()
	return g, func() {
		g.store.release(-1)
		g.server.Stop(g.stop)
		if n := g.server.Len(); n != 0 {
			t.Errorf("%d connections left", n)
		}
		queue.Stop()
		g.router.Close()
		if err := chain.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// client is the other end of a pipe. What comes is read at once, unless it is stuck.
type client struct {
	g       *rig
	nc      net.Conn
	version byte
	read    chan struct{} // closed: reading begins

	mu     sync.Mutex
	got    []string // packets
	closed bool
}

// dial opens a connection from an address; a stuck one does not read before wakes.
func (g *rig) dial(address string, stuck bool) *client {
	ours, theirs := net.Pipe()
	c := &client{g: g, nc: ours, version: 5, read: make(chan struct{})}
	if !stuck {
		c.wake()
	}
	go g.server.Serve(&pipe{Conn: theirs, addr: netip.AddrPortFrom(netip.MustParseAddr(address), 1)})
	go c.receive()
	g.t.Cleanup(func() { _ = ours.Close() }) // the test may have closed it
	return c
}

func (c *client) wake() { close(c.read) }

func (c *client) receive() {
	<-c.read
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
	}()
	for {
		var head [1]byte
		if _, err := io.ReadFull(c.nc, head[:]); err != nil {
			return
		}
		size, shift := 0, 0
		for {
			var b [1]byte
			if _, err := io.ReadFull(c.nc, b[:]); err != nil {
				return
			}
			size |= int(b[0]&0x7f) << shift
			shift += 7
			if b[0] < 0x80 {
				break
			}
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(c.nc, body); err != nil {
			return
		}
		c.mu.Lock()
		c.got = append(c.got, c.word(head[0], body))
		c.mu.Unlock()
	}
}

// word is a packet in short: CONNACK and DISCONNECT with their code, others with
// their identifier, PUBLISH with its payload.
func (c *client) word(head byte, body []byte) string {
	id := func() int { return int(binary.BigEndian.Uint16(body)) }
	switch kind := head >> 4; kind {
	case harness.CONNACK:
		return fmt.Sprintf("connack:%02x", body[1])
	case harness.PUBLISH:
		n := 2 + id()
		if head&6 != 0 {
			n += 2
		}
		if c.version == 5 {
			n += 1 + int(body[n])
		}
		return string(body[n:])
	case harness.DISCONNECT:
		if len(body) == 0 {
			return "disconnect:00"
		}
		return fmt.Sprintf("disconnect:%02x", body[0])
	case harness.PINGRESP:
		return "pong"
	default:
		word := map[byte]string{4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp", 9: "suback", 11: "unsuback"}[kind]
		return fmt.Sprintf("%s:%d", word, id())
	}
}

// send writes bytes; what the server does not take ends with the connection.
func (c *client) send(packets ...[]byte) {
	_, _ = c.nc.Write(harness.Cat(packets...)) // what is expected next tells
	synctest.Wait()
}

// want fails unless exactly these packets have come since the last look.
func (c *client) want(words string) {
	c.g.t.Helper()
	if got := c.take(); got != words {
		c.g.t.Fatalf("got %q, want %q", got, words)
	}
}

func (c *client) take() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := strings.Join(c.got, " ")
	c.got = nil
	return got
}

// gone reports whether the server has closed the connection.
func (c *client) gone() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

const home = "192.0.2.1"

// connect opens a connection and connects.
func (g *rig) connect(o harness.Connect) *client {
	g.t.Helper()
	c := g.dial(home, false)
	if o.Version != 0 {
		c.version = o.Version
	}
	c.send(o.Bytes())
	c.want("connack:00")
	return c
}

func (c *client) subscribe(filter string, qos byte) {
	c.g.t.Helper()
	c.send(harness.Subscribe(c.version, 1, nil, harness.To(filter, qos)))
	c.want("suback:1")
}

func publish(payload string, id int, version byte) []byte {
	qos := byte(0)
	if id > 0 {
		qos = 1
	}
	return harness.Publish{Topic: "t", Payload: payload, ID: id, QoS: qos}.Bytes(version)
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
