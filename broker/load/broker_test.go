package load

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
)

// faults is what a test broker does wrong. Deliveries are counted from 1 over all sessions.
type faults struct {
	deliver     func(n int) fault
	connack     []byte // variable header, instead of an accepting one
	suback      byte   // added to what is granted
	puback      byte   // reason code
	connected   func(id string, visit int)
	forget      bool   // loses sessions that are away
	shut        string // refuses connects of the session with this name, when it is away
	hangUpAfter int    // closes the connection of this delivery
	deaf        bool   // reads nothing after CONNECT
}

type fault byte

const (
	right fault = iota
	drop
	twice
	later // after the next delivery of the same session
)

// testBroker is the smallest broker that runs every scenario, with faults to order.
type testBroker struct {
	faults
	listener net.Listener
	upgrade  func(net.Conn) (net.Conn, error)
	wg       sync.WaitGroup
	stop     chan struct{}

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	sessions map[string]*testSession
	retained map[string][]byte
	count    int            // deliveries
	turn     map[string]int // of a shared group
	pings    int
	visits   map[string][]string // addresses that a client has connected to
	asked    []string            // filters
}

type testSession struct {
	conn    net.Conn // nil while away
	version Version
	kept    bool
	filters map[string]byte
	queue   [][]byte
	held    []byte
	id      uint16
}

func startBroker(t *testing.T, f faults, upgrade func(net.Conn) (net.Conn, error)) *testBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &testBroker{
		faults: f, listener: l, upgrade: upgrade, stop: make(chan struct{}), conns: map[net.Conn]struct{}{},
		sessions: map[string]*testSession{}, retained: map[string][]byte{}, turn: map[string]int{},
		visits: map[string][]string{},
	}
	b.wg.Go(func() { b.acceptFrom(l) })
	t.Cleanup(func() {
		close(b.stop)
		_ = l.Close() // the test is over
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close() // the test is over
		}
		b.mu.Unlock()
		b.wg.Wait()
	})
	return b
}

func (b *testBroker) address() string { return b.listener.Addr().String() }

func (b *testBroker) acceptFrom(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[raw] = struct{}{}
		b.mu.Unlock()
		b.wg.Go(func() {
			defer func() { _ = raw.Close() }() // the other side sees it
			conn := raw
			if b.upgrade != nil {
				if conn, err = b.upgrade(raw); err != nil {
					return
				}
			}
			b.serve(conn)
		})
	}
}

func (b *testBroker) serve(conn net.Conn) {
	in := frameReader{src: conn, buf: make([]byte, 4096)}
	_, body, err := in.read()
	if err != nil {
		return
	}
	s := b.connect(conn, body)
	if b.deaf {
		<-b.stop
		return
	}
	for {
		head, body, err := in.read()
		if err != nil || head>>4 == typeDisconnect {
			b.away(s, conn)
			return
		}
		b.handle(s, head, bytes.Clone(body))
	}
}

func (b *testBroker) connect(conn net.Conn, body []byte) *testSession {
	version, flags, rest := Version(body[6]), body[7], body[10:]
	kept := flags&2 == 0
	if version == MQTT5 {
		rest = rest[1+rest[0]:]
	}
	id := string(rest[2 : 2+binary.BigEndian.Uint16(rest)])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.visits[id] = append(b.visits[id], conn.LocalAddr().String())
	if b.connected != nil {
		b.connected(id, len(b.visits[id]))
	}
	s := b.sessions[id]
	present := s != nil && s.kept && kept && !b.forget
	if !present {
		s = &testSession{filters: map[string]byte{}}
		b.sessions[id] = s
	}
	s.conn, s.version, s.kept = conn, version, kept
	ack := []byte{0, 0}
	if present {
		ack[0] = 1
	}
	if version == MQTT5 {
		ack = append(ack, 0)
	}
	if b.connack != nil {
		ack = b.connack
	}
	if present && b.shut != "" && strings.HasSuffix(id, b.shut) {
		ack[1] = 5
	}
	_, _ = conn.Write(frame(typeConnack<<4, ack)) // the reader sees it
	for _, f := range s.queue {
		b.send(s, f)
	}
	s.queue = nil
	return s
}

func (b *testBroker) away(s *testSession, conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.conn != conn {
		return
	}
	s.conn = nil
	if !s.kept {
		s.filters = map[string]byte{}
	}
}

func (b *testBroker) handle(s *testSession, head byte, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reply := func(p []byte) { _, _ = s.conn.Write(p) } // the reader sees it
	switch head >> 4 {
	case typePublish:
		b.publish(s, head, body, reply)
	case typePubrec:
		reply(frame(headPubrel, body[:2]))
	case typePubrel:
		reply(frame(headPubcomp, body[:2]))
	case headSubscribe >> 4:
		b.subscribe(s, body, reply)
	case headPingreq >> 4:
		b.pings++
		reply([]byte{typePingresp << 4, 0})
	}
}

func (b *testBroker) subscribe(s *testSession, body []byte, reply func([]byte)) {
	at := 2
	if s.version == MQTT5 {
		at++
	}
	n := int(binary.BigEndian.Uint16(body[at:]))
	filter, qos := string(body[at+2:at+2+n]), body[at+2+n]
	s.filters[filter] = qos
	b.asked = append(b.asked, filter)
	reply(frame(typeSuback<<4, append(body[:at:at], qos+b.suback)))
	for topic, payload := range b.retained {
		if matches(filter, topic) {
			b.deliver(s, topic, payload, 0)
		}
	}
}

func (b *testBroker) publish(s *testSession, head byte, body []byte, reply func([]byte)) {
	payload, qos, id, err := splitPublish(s.version, head, body)
	if err != nil {
		return
	}
	topic := string(body[2 : 2+binary.BigEndian.Uint16(body)])
	ack := binary.BigEndian.AppendUint16(nil, id)
	if b.puback != 0 {
		ack = append(ack, b.puback)
	}
	switch qos {
	case 1:
		reply(frame(headPuback, ack))
	case 2:
		reply(frame(headPubrec, ack))
	}
	if b.puback >= failure {
		return
	}
	if head&flagRetain != 0 {
		b.retained[topic] = payload
		if len(payload) == 0 {
			delete(b.retained, topic)
		}
	}
	b.route(topic, payload, qos)
}

func (b *testBroker) route(topic string, payload []byte, qos byte) {
	groups := map[string][]*testSession{}
	for _, s := range b.sessions {
		for filter, q := range s.filters {
			if share, ok := strings.CutPrefix(filter, "$share/"); ok {
				if _, f, _ := strings.Cut(share, "/"); matches(f, topic) {
					groups[filter] = append(groups[filter], s)
				}
			} else if matches(filter, topic) {
				b.deliver(s, topic, payload, min(q, qos))
			}
		}
	}
	for filter, members := range groups {
		b.turn[filter]++
		s := members[b.turn[filter]%len(members)]
		b.deliver(s, topic, payload, min(s.filters[filter], qos))
	}
}

func (b *testBroker) deliver(s *testSession, topic string, payload []byte, qos byte) {
	f := append(publishHead(s.version, topic, qos<<qosShift, len(payload)), payload...)
	if qos > 0 {
		s.id = max(1, s.id+1)
		binary.BigEndian.PutUint16(f[len(f)-len(payload)-idOffset(s.version):], s.id)
	}
	if s.conn == nil {
		if s.kept && qos > 0 {
			s.queue = append(s.queue, f)
		}
		return
	}
	b.send(s, f)
}

// send does what the faults say with one delivery.
func (b *testBroker) send(s *testSession, f []byte) {
	b.count++
	what := right
	if b.faults.deliver != nil {
		what = b.faults.deliver(b.count)
	}
	if b.count == b.hangUpAfter {
		_ = s.conn.Close() // that is the fault
		return
	}
	switch what {
	case drop:
		return
	case later:
		s.held = f
		return
	case twice:
		f = append(bytes.Clone(f), f...)
	}
	_, _ = s.conn.Write(append(f, s.held...)) // the reader sees it
	s.held = nil
}

// matches is plain: levels, +, #.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
