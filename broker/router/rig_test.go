package router

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lagging is the store in memory, whose answers come when the test says so: a batch
// waits, in order, until release or fail.
type lagging struct {
	*memory.Store

	mu      sync.Mutex
	holds   bool
	waiting []batch // guarded by mu
	refuse  error   // what batches that do not wait are answered
	busy    sync.Mutex
	poke    chan struct{} // of the worker; nil without one
}

type batch struct {
	b    *store.Batch
	done store.Committed
}

func (s *lagging) Commit(b *store.Batch, done store.Committed) {
	s.mu.Lock()
	if s.holds {
		s.waiting = append(s.waiting, batch{b, done})
		s.mu.Unlock()
		select {
		case s.poke <- struct{}{}:
		default:
		}
		return
	}
	err := s.refuse
	s.mu.Unlock()
	if err != nil {
		done.Committed(err)
		return
	}
	s.Store.Commit(b, done)
}

func (s *lagging) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = true
}

// take takes out at most n waiting batches; all for a negative n.
func (s *lagging) take(n int) []batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > len(s.waiting) {
		n = len(s.waiting)
	}
	list := slices.Clone(s.waiting[:n])
	s.waiting = s.waiting[n:]
	return list
}

// release commits n waiting batches on a goroutine of its own, all for a negative n.
func (s *lagging) release(n int) {
	s.busy.Lock() // batches are answered in order
	defer s.busy.Unlock()
	list := s.take(n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range list {
			s.Store.Commit(b.b, b.done)
		}
	}()
	<-done
}

// open ends the holding.
func (s *lagging) open() {
	for {
		s.release(-1)
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.holds = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

func (s *lagging) fail(err error) {
	for _, b := range s.take(-1) {
		b.done.Committed(err)
	}
}

func (s *lagging) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// work commits what comes on another goroutine, until the test ends.
func (s *lagging) work(t *testing.T) {
	s.poke = make(chan struct{}, 1)
	s.hold()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.poke:
				s.release(-1)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done; s.open() })
}

// settle waits until nothing waits.
func (s *lagging) settle() {
	for {
		s.busy.Lock()
		n := s.held()
		s.busy.Unlock()
		if n == 0 || s.poke == nil {
			return
		}
		runtime.Gosched()
	}
}

// bothStores runs a test with a store that answers within Commit, and with one that
// answers later from another goroutine.
func bothStores(t *testing.T, change func(*setup), f func(g *rig)) {
	t.Run("at once", func(t *testing.T) { f(newRig(t, change)) })
	t.Run("later", func(t *testing.T) {
		g := newRig(t, change)
		g.store.work(t)
		f(g)
	})
}

// output is a Sink whose bytes wait until the test takes them.
type output struct {
	limit   int
	drained func()
	some    chan struct{} // 1 deep: there is something

	mu      sync.Mutex
	buf     []byte
	waiting bool
	closed  bool
}

func (o *output) Begin() []byte {
	o.mu.Lock()
	return o.buf
}

func (o *output) End(b []byte) {
	if o.closed {
		b = nil
	}
	more := len(b) > 0
	o.buf = b
	o.mu.Unlock()
	if more {
		select {
		case o.some <- struct{}{}:
		default:
		}
	}
}

func (o *output) Room() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.limit - len(o.buf)
}

func (o *output) Full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) < o.limit || o.closed {
		return false
	}
	o.waiting = true
	return true
}

func (o *output) take() []byte {
	o.mu.Lock()
	b := o.buf
	o.buf = nil
	call := o.waiting && !o.closed
	o.waiting = false
	o.mu.Unlock()
	if call {
		o.drained()
	}
	return b
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.buf = true, nil
}

// ackQueue is an Acker like that of package conn.
type ackQueue struct {
	out     *output
	mu      sync.Mutex
	queue   []*Pending
	refused bool
}

func (a *ackQueue) Ack(ids []message.PacketID, qos, code byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, &Pending{IDs: slices.Clone(ids), QoS: qos, Code: code, Ready: true})
	a.writeLocked()
}

func (a *ackQueue) Defer(p *Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, p)
}

func (a *ackQueue) Complete(p *Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.Ready = true
	a.writeLocked()
}

func (a *ackQueue) Refuse(*Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = true
}

func (a *ackQueue) writeLocked() {
	for len(a.queue) > 0 && a.queue[0].Ready {
		p := a.queue[0]
		a.queue = a.queue[1:]
		b := a.out.Begin()
		for _, id := range p.IDs {
			b = append(b, []byte{0, 0x40, 0x50}[p.QoS], 3, byte(id>>8), byte(id), p.Code)
		}
		a.out.End(b)
	}
}

// rig is a router with what it is made of.
type rig struct {
	t     testing.TB
	r     *Router
	store *lagging
	stats *stats.Node
	due   *due.Queue
	hooks *hooks.Chain
}

type setup struct {
	Settings
	auth  hooks.Authorizer
	hooks []mqtt.Hook
	store *lagging
}

func defaults() setup {
	return setup{
		store: &lagging{Store: memory.New()},
		Settings: Settings{
			Expiry3x: 3600, MaxExpiry: NoExpiry, MaxInflight: 1000, Queue: session.Limits{Messages: 100_000, Bytes: 64 << 20},
			MaximumQoS: 2, RetainAvailable: true, Wildcards: true, SubIDs: true, Shared: true,
			DelayedEnabled: true, DelayedMax: time.Hour, WillGrace: 10 * time.Second, MaxLevels: 128, Durable: true,
		},
	}
}

// newRig makes a router whose clock runs; within synctest it is the bubble's.
func newRig(t testing.TB, change func(*setup)) *rig {
	s := defaults()
	if change != nil {
		change(&s)
	}
	var loaded []hooks.Loaded
	for _, h := range s.hooks {
		loaded = append(loaded, hooks.Loaded{Hook: h})
	}
	chain, err := hooks.New(hooks.Options{Authorizer: s.auth, Hooks: loaded})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, store: s.store, stats: stats.NewNode(), due: due.New(time.Now), hooks: chain}
	g.r = New(Options{
		Log: slog.New(slog.DiscardHandler), Hooks: chain, Store: s.store, Stats: g.stats, Due: g.due, Now: time.Now, Settings: s.Settings,
	})
	if err := g.r.Restore(context.Background()); err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	go func() { defer close(running); g.due.Run() }()
	t.Cleanup(func() {
		g.due.Stop()
		<-running
		g.r.Close()
		if err := chain.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// peer is a client: its connection of now, and what a client remembers.
type peer struct {
	g    *rig
	id   string
	link *Link
	out  *output
	acks *ackQueue
	pub  *Publisher
	gone chan struct{}
	once sync.Once
	code byte // of End; valid when gone is closed
	next message.PacketID
}

// dial describes a connect; the zero value is MQTT 5 that keeps its session.
type dial struct {
	version byte
	clean   bool
	expiry  uint32 // 0: an hour
	ends    bool   // expiry 0
	window  int
	limit   int // of the output
	max     int // Maximum Packet Size
	alias   uint16
	will    *Will
	user    string
}

func (g *rig) tryConnect(id string, d dial) (*peer, ConnectResult, error) {
	if d.version == 0 {
		d.version = 5
	}
	if d.expiry == 0 && !d.ends {
		d.expiry = 3600
	}
	if d.window == 0 {
		d.window = 1000
	}
	if d.limit == 0 {
		d.limit = 8 << 20
	}
	p := &peer{g: g, id: id, out: &output{limit: d.limit, some: make(chan struct{}, 1)}, gone: make(chan struct{})}
	p.acks = &ackQueue{out: p.out}
	p.link = &Link{
		Out: p.out, Version: d.version, Window: d.window, MaxPacket: d.max, AliasMax: d.alias,
		Hook: g.hooks.NewClient(hooks.Info{ID: id, Version: d.version, User: d.user, HasUser: d.user != ""}),
		End:  func(code byte, _ string) { p.once.Do(func() { p.code = code; close(p.gone) }) },
		Gone: func() <-chan struct{} { return p.gone },
	}
	p.out.drained = func() { g.r.Drained(p.link) }
	var got ConnectResult
	q := ConnectRequest{ID: ClientID(id), Clean: d.clean, Expiry: d.expiry, Will: d.will, Link: p.link, User: d.user, HasUser: d.user != ""}
	err := g.r.Connect(context.Background(), q, func(dst []byte, res ConnectResult) []byte {
		got = res
		return append(dst, 0x20, 2, 0, 0)
	})
	if err != nil {
		return nil, got, err
	}
	p.pub = g.r.NewPublisher(p.link, p.acks)
	return p, got, nil
}

// connect connects and takes CONNACK.
func (g *rig) connect(id string, d dial) *peer {
	g.t.Helper()
	p, _, err := g.tryConnect(id, d)
	if err != nil {
		g.t.Fatalf("connect %s: %v", id, err)
	}
	if f := p.out.Begin(); len(f) < 4 || f[0] != 0x20 {
		g.t.Fatalf("CONNACK is not the first packet: % x", f)
	} else {
		p.out.End(slices.Clone(f[4:]))
	}
	return p
}

// drop ends the connection as a lost one.
func (p *peer) drop() bool {
	ended := p.g.r.Disconnect(p.link, DisconnectRequest{Will: true})
	p.out.close()
	return ended
}

func (p *peer) bye() bool {
	ended := p.g.r.Disconnect(p.link, DisconnectRequest{})
	p.out.close()
	return ended
}

// subscribe subscribes and answers the codes.
func (p *peer) subscribe(qos byte, filters ...string) []byte {
	list := make([]Subscription, len(filters))
	for i, f := range filters {
		list[i] = Subscription{Filter: f, QoS: qos}
	}
	return p.subscribeTo(list...)
}

func (p *peer) subscribeTo(list ...Subscription) (codes []byte) {
	p.g.r.Subscribe(p.link, list, make([]byte, len(list)), func(dst, c []byte) []byte {
		codes = slices.Clone(c)
		return append(dst, 0x90, 0)
	})
	return codes
}

func (p *peer) unsubscribe(filters ...string) (codes []byte) {
	p.g.r.Unsubscribe(p.link, filters, func(dst, c []byte) []byte {
		codes = slices.Clone(c)
		return append(dst, 0xB0, 0)
	})
	return codes
}

// put publishes without a flush.
func (p *peer) put(m message.Message, id message.PacketID, dup bool) Outcome {
	f := message.Form{Version: p.link.Version, QoS: m.QoS, Retain: m.Retain, Dup: dup}
	if m.Expires != 0 {
		f.Now = time.Now().UnixNano()
	}
	raw := f.Append(nil, &m, id)
	_, head := message.Uvarint(raw[1:])
	var pub message.Publish
	if err := pub.Parse(p.link.Version, raw[0], raw[1+head:]); err != nil {
		p.g.t.Fatal(err)
	}
	return p.pub.Publish(&pub, raw)
}

// publish publishes one message under a new identifier.
func (p *peer) publish(topic, payload string, qos byte) Outcome {
	return p.send(message.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (p *peer) send(m message.Message) Outcome {
	if m.QoS > 0 {
		p.next++
	}
	o := p.put(m, p.next, false)
	p.pub.Flush()
	return o
}

// frame is a packet that the router sent.
type frame struct {
	kind    byte
	id      message.PacketID
	code    byte // of an acknowledgement
	qos     byte
	dup     bool
	retain  bool
	topic   string
	payload string
	props   string
	subIDs  int
}

func (f frame) String() string {
	if f.kind != 3 {
		return fmt.Sprintf("%d#%d/%02x", f.kind, f.id, f.code)
	}
	s := fmt.Sprintf("%s=%s/%d", f.topic, f.payload, f.qos)
	if f.dup {
		s += "d"
	}
	if f.retain {
		s += "r"
	}
	return s
}

// frames takes what was sent.
func (p *peer) frames() (list []frame) {
	p.g.store.settle()
	b := p.out.take()
	p.g.store.settle() // what room has made
	for len(b) > 0 {
		size, n := message.Uvarint(b[1:])
		body := b[1+n : 1+n+size]
		f := frame{kind: b[0] >> 4}
		switch {
		case f.kind == 3:
			f.publish(p.link.Version, b[0], body)
		case len(body) >= 2:
			f.id = message.PacketID(binary.BigEndian.Uint16(body))
			if len(body) > 2 {
				f.code = body[2]
			}
		}
		list = append(list, f)
		b = b[1+n+size:]
	}
	return list
}

// publish reads a PUBLISH; parsing is for what clients send, which has no
// Subscription Identifiers.
func (f *frame) publish(version, head byte, body []byte) {
	f.qos, f.dup, f.retain = head>>1&3, head&message.FlagDup != 0, head&message.FlagRetain != 0
	n := int(binary.BigEndian.Uint16(body))
	f.topic, body = string(body[2:2+n]), body[2+n:]
	if f.qos > 0 {
		f.id, body = message.PacketID(binary.BigEndian.Uint16(body)), body[2:]
	}
	if version >= message.V5 {
		size, n := message.Uvarint(body)
		f.props, body = string(body[n:n+size]), body[n+size:]
		f.subIDs = strings.Count(f.props, "\x0b") // identifiers and lengths in tests are not 11
	}
	f.payload = string(body)
}

// got takes what was sent, as words.
func (p *peer) got() string {
	var words []string
	for _, f := range p.frames() {
		words = append(words, f.String())
	}
	return strings.Join(words, " ")
}

// want fails unless exactly the words were sent.
func (p *peer) want(words string) {
	p.g.t.Helper()
	if got := p.got(); got != words {
		p.g.t.Fatalf("%s was sent %q, want %q", p.id, got, words)
	}
}

func (p *peer) ack(kind byte, ids ...message.PacketID) {
	p.g.t.Helper()
	list := make([]Ack, len(ids))
	for i, id := range ids {
		list[i] = Ack{ID: id, Type: kind}
	}
	if err := p.g.r.Acked(p.link, list); err != nil {
		p.g.t.Error(err)
	}
}

// receive takes messages and acknowledges them, whatever their QoS, until nothing
// more comes.
func (p *peer) receive() (list []frame) {
	for {
		var acks []Ack
		for _, f := range p.frames() {
			if a := answer(&f); a.Type != 0 {
				acks = append(acks, a)
			}
			if f.kind == 3 {
				list = append(list, f)
			}
		}
		if len(acks) == 0 {
			return list
		}
		if err := p.g.r.Acked(p.link, acks); err != nil {
			p.g.t.Error(err)
		}
	}
}

// answer is the acknowledgement of a frame; its Type is 0 for none.
func answer(f *frame) Ack {
	a := Ack{ID: f.id}
	switch {
	case f.kind == 3 && f.qos == 1:
		a.Type = typePuback
	case f.kind == 3 && f.qos == 2:
		a.Type = typePubrec
	case f.kind == 5 && f.code < 0x80:
		a.Type = typePubrel
	case f.kind == 6:
		a.Type = typePubcomp
	}
	return a
}

func payloads(list []frame) string {
	words := make([]string, len(list))
	for i := range list {
		words[i] = list[i].payload
	}
	return strings.Join(words, " ")
}

// dropped is the count of a reason.
func (g *rig) dropped(why stats.DropReason) uint64 { return g.stats.Snapshot().Dropped(why) }

// balanced fails unless nothing is left in the totals.
func (g *rig) balanced() {
	g.t.Helper()
	s := g.stats.Snapshot()
	if s.Queued != 0 || s.Inflight != 0 || s.QueuedBytes != 0 {
		g.t.Errorf("totals: %d queued, %d in flight, %d bytes", s.Queued, s.Inflight, s.QueuedBytes)
	}
}

var errBroken = errors.New("disk broken")
