package bridge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// rigTerm is the lease in these tests. None runs out by itself, however busy the machine is:
// a test whose subject that is has it happen (see expire).
const rigTerm = time.Hour

// rigBeat is the time between two renewals.
const rigBeat = time.Second / renewals

// mailNode is an instance without records: its router is the test.
type mailNode struct {
	*cluster
	t   testing.TB
	box message.MailboxID

	adoptions chan message.MailboxID // those that came; the test lets them go on
	losses    chan message.MailboxID // of the own mailbox
	admit     chan error             // what adopt answers; closed is nil

	mu      sync.Mutex
	came    []delivery
	dones   []store.Committed // of came, while held
	held    bool              // dones are kept
	loose   []string
	hold    chan struct{} // what is loose waits for it; nil is none
	answers []string
	control []string
	table   map[message.MailboxID]map[string]int
	at      message.Position
	forgot  []message.MailboxID
	gate    chan struct{} // Route waits for it
}

type delivery struct {
	box     message.MailboxID
	at      message.Position
	topic   string
	payload string
}

// newNode is an instance on the Redis at addr that has joined but consumes nothing yet.
func newNode(t testing.TB, addr string) *mailNode {
	t.Helper()
	return nodeAt(t, "redis://"+addr, &Options{})
}

// nodeAt is newNode with a URL and some of the options.
func nodeAt(t testing.TB, url string, o *Options) *mailNode {
	t.Helper()
	client, err := redis.New(redis.Options{URL: url, Scripts: Scripts(), ReadTimeout: time.Second, DialTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	n := &mailNode{
		t: t, box: newMailboxID(), adoptions: make(chan message.MailboxID, 16), losses: make(chan message.MailboxID, 16),
		admit: make(chan error), table: make(map[message.MailboxID]map[string]int), gate: make(chan struct{}),
	}
	close(n.gate)
	close(n.admit)
	o.Client, o.Prefix, o.Lease, o.Log = client, "skein:", rigTerm, slog.New(slog.NewTextHandler(logTo{t}, nil))
	n.cluster = newCluster(newLink(t.Context(), o), o, tenure{adopt: n.adopt, gone: n.goneTo, lost: n.lostTo})
	n.beat, n.mail.term = rigBeat, renewals*rigBeat
	n.mail.control = func(box message.MailboxID, _ message.Position, payload []byte, done store.Committed) {
		n.mu.Lock()
		n.control = append(n.control, string(payload))
		n.mu.Unlock()
		done.Committed(nil)
	}
	n.answer = func(_ message.MailboxID, payload []byte) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.answers = append(n.answers, string(payload))
	}
	t.Cleanup(func() {
		n.close()
		_ = client.Close() // the test is over
	})
	return n
}

// logTo writes a log to a test's.
type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

// joined is newNode and all that makes it one of the cluster.
func joined(t testing.TB, addr string) *mailNode {
	t.Helper()
	n := newNode(t, addr)
	n.join(t)
	return n
}

func (n *mailNode) join(t testing.TB) {
	t.Helper()
	ctx := within(t)
	if err := n.open(ctx, n.box); err != nil {
		t.Fatal(err)
	}
	if err := n.start(ctx, router{n}); err != nil {
		t.Fatal(err)
	}
	if err := n.serve(); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), server.Deadline)
	t.Cleanup(cancel)
	return ctx
}

func (n *mailNode) adopt(_ context.Context, box message.MailboxID, _ uint64) error {
	n.adoptions <- box
	return <-n.admit
}

func (n *mailNode) goneTo(box message.MailboxID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgot = append(n.forgot, box)
}

func (n *mailNode) lostTo(box message.MailboxID) { n.losses <- box }

// Deliver, Loose and the others are the router's side.
func (n *mailNode) Deliver(box message.MailboxID, at message.Position, b *message.Bundle, done store.Committed) {
	n.mu.Lock()
	for i := range b.Items {
		n.came = append(n.came, delivery{box, at, b.Topic, string(b.Items[i].Payload)})
	}
	held := n.held
	if held {
		n.dones = append(n.dones, done)
	}
	n.mu.Unlock()
	if !held {
		done.Committed(nil)
	}
}

func (n *mailNode) loosely(b *message.Bundle) {
	n.mu.Lock()
	wait := n.hold
	n.mu.Unlock()
	if wait != nil {
		<-wait
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range b.Items {
		n.loose = append(n.loose, string(b.Items[i].Payload))
	}
}

func (n *mailNode) Route(at message.Position, changes []store.RouteChange) {
	n.mu.Lock()
	gate := n.gate
	n.mu.Unlock()
	<-gate
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = at
	for _, c := range changes {
		if c.Delete {
			delete(n.table[c.Box], c.Key)
			continue
		}
		if n.table[c.Box] == nil {
			n.table[c.Box] = make(map[string]int)
		}
		n.table[c.Box][c.Key] = c.Online
	}
}

// router is a mailNode as an Inbox: Loose would be the promoted one of mail otherwise.
type router struct{ *mailNode }

func (r router) Loose(_ message.MailboxID, b *message.Bundle) { r.loosely(b) }
func (r router) Retained(*message.Message, bool)              {}

func (n *mailNode) hasKey(box message.MailboxID, key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.table[box][key]
	return ok
}

func (n *mailNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.came)
}

// outcome is told one, and waits for it.
type outcome chan error

func newOutcome() outcome { return make(outcome, 1) }

func (o outcome) Committed(err error) { o <- err }

func (o outcome) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-o:
		return err
	case <-time.After(server.Deadline):
		t.Fatal("nobody was told")
		return nil
	}
}

func (o outcome) told() bool { return len(o) > 0 }

// tally counts outcomes.
type tally struct{ good, bad atomic.Int64 }

func (c *tally) Committed(err error) {
	if err != nil {
		c.bad.Add(1)
	} else {
		c.good.Add(1)
	}
}

func bundle(topic string, payloads ...string) *message.Bundle {
	b := &message.Bundle{Topic: topic, Publisher: "p", QoS: 1, Match: true, First: message.ID{Run: 1, Seq: 1}}
	for _, p := range payloads {
		b.Items = append(b.Items, message.BundleItem{Payload: []byte(p)})
	}
	return b
}

// inOrder fails unless exactly the numbers below n came, in order.
func inOrder(t testing.TB, came []delivery, n int) {
	t.Helper()
	if len(came) != n {
		t.Errorf("%d messages came, want %d", len(came), n)
	}
	for i, d := range came {
		if d.payload != strconv.Itoa(i) {
			t.Fatalf("message %d is %q", i, d.payload)
		}
	}
}

// rigProxy is a way to a Redis that can be disturbed.
type rigProxy struct {
	addr string
	to   string

	cut  atomic.Int64 // so many answers from now on are cut off, each with its connection
	dead atomic.Bool  // connections are closed and refused

	late atomic.Int64 // answers to what was stranded

	mu       sync.Mutex
	held     chan struct{} // closed while traffic flows
	stranded chan struct{} // nil is none
	conns    map[*rigConn]struct{}
}

type rigConn struct {
	c, s net.Conn
	deaf atomic.Bool                   // what the server says is swallowed
	late atomic.Pointer[chan struct{}] // what is asked waits for it; nil is nothing
}

func newRigProxy(t testing.TB, to string) *rigProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &rigProxy{addr: l.Addr().String(), to: to, held: make(chan struct{}), conns: make(map[*rigConn]struct{})}
	close(p.held)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close() // ends accept
		p.resume()
		if p.stranded != nil {
			close(p.stranded)
		}
		p.kill()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	return p
}

func (p *rigProxy) serve(c net.Conn) {
	defer func() { _ = c.Close() }() // closed twice
	if p.dead.Load() {
		return
	}
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	r := &rigConn{c: c, s: s}
	p.mu.Lock()
	p.conns[r] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, r)
	}()
	var wg sync.WaitGroup
	wg.Go(func() { p.pump(r, c, r.arrive) })
	p.pump(c, s, func() bool {
		if r.late.Load() != nil {
			p.late.Add(1)
		}
		for n := p.cut.Load(); n > 0; n = p.cut.Load() {
			if p.cut.CompareAndSwap(n, n-1) {
				return false
			}
		}
		return true
	}, r)
	r.close()
	wg.Wait()
}

func (r *rigConn) close() {
	_ = r.c.Close() // both ends of what is cut
	_ = r.s.Close()
}

func (p *rigProxy) pump(to io.WriteCloser, from io.Reader, pass func() bool, deaf ...*rigConn) {
	defer func() { _ = to.Close() }() // the other direction ends too
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil || !pass() {
			return
		}
		p.mu.Lock()
		held := p.held
		p.mu.Unlock()
		<-held
		if len(deaf) > 0 && deaf[0].deaf.Load() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// Write and Close are those of the way to the server. What arrives late is answered before
// its connection ends.
func (r *rigConn) Write(b []byte) (int, error) { return r.s.Write(b) }

func (r *rigConn) Close() error {
	if tcp, ok := r.s.(*net.TCPConn); ok && r.late.Load() != nil {
		return tcp.CloseWrite()
	}
	return r.s.Close()
}

// arrive waits if what is asked is to arrive late.
func (r *rigConn) arrive() bool {
	if late := r.late.Load(); late != nil {
		<-*late
	}
	return true
}

// strand has what is asked on the connections of now arrive only after land, when who asked
// has long asked again on another one.
func (p *rigProxy) strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stranded = make(chan struct{})
	late := p.stranded
	for r := range p.conns {
		r.late.Store(&late)
	}
}

// land lets it arrive, and waits until something of it was answered.
func (p *rigProxy) land(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	late := p.stranded
	p.stranded = nil
	p.mu.Unlock()
	before := p.late.Load()
	close(late)
	server.Poll(t, 0, func() bool { return p.late.Load() > before })
}

// hold stops all traffic; connections stay.
func (p *rigProxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = make(chan struct{})
}

func (p *rigProxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.held:
	default:
		close(p.held)
	}
}

// kill closes all connections.
func (p *rigProxy) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.conns {
		r.close()
	}
}

// deafen makes every connection that is there now swallow what the server says.
func (p *rigProxy) deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.conns {
		r.deaf.Store(true)
	}
}

// numbered are the payloads "from" to "to".
func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}
