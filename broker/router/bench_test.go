package router

import (
	"fmt"
	"testing"

	"github.com/skeinmq/skein/broker/message"
)

// stream is a publisher's read: frames that lie behind each other, as in a read buffer.
type stream struct {
	p    *peer
	raws [][]byte
	pubs []message.Publish
}

func (p *peer) stream(n int, qos byte) *stream {
	f := message.Form{Version: p.link.Version, QoS: qos}
	m := message.Message{Topic: "bench/topic", Payload: make([]byte, 64)}
	s := &stream{p: p, pubs: make([]message.Publish, n)}
	var buf []byte
	var ends []int
	for i := range n {
		buf = f.Append(buf, &m, message.PacketID(i+1))
		ends = append(ends, len(buf))
	}
	at := 0
	for i, end := range ends {
		raw := buf[at:end]
		_, head := message.Uvarint(raw[1:])
		if err := s.pubs[i].Parse(p.link.Version, raw[0], raw[1+head:]); err != nil {
			p.g.t.Fatal(err)
		}
		s.raws = append(s.raws, raw)
		at = end
	}
	return s
}

func (s *stream) read() {
	for i := range s.pubs {
		s.p.pub.Publish(&s.pubs[i], s.raws[i])
	}
	s.p.pub.Flush()
}

// sinkhole is a Sink that forgets, and an Acker that does.
type sinkhole struct{ buf []byte }

func (s *sinkhole) Begin() []byte                      { return s.buf[:0] }
func (s *sinkhole) End(b []byte)                       { s.buf = b }
func (s *sinkhole) Room() int                          { return 1 << 20 }
func (s *sinkhole) Full() bool                         { return false }
func (s *sinkhole) Written(done func(bool))            { done(true) }
func (s *sinkhole) Ack([]message.PacketID, byte, byte) {}
func (s *sinkhole) Defer(*Pending)                     {}
func (s *sinkhole) Complete(*Pending)                  {}
func (s *sinkhole) Refuse(*Pending)                    {}

// flow is one publisher and its subscribers, who acknowledge each read.
type flow struct {
	*stream
	subs []*peer
	acks []Ack
	qos  byte
}

func newFlow(t testing.TB, subs int, qos byte, persistent bool, burst int) *flow {
	g := newRig(t, nil)
	f := &flow{qos: qos}
	hole := func(p *peer) *peer { p.link.Out = &sinkhole{}; return p }
	for i := range subs {
		s := hole(g.connect(fmt.Sprint("s", i), dial{version: 4, clean: !persistent, window: 65535}))
		s.subscribe(qos, "bench/topic")
		f.subs = append(f.subs, s)
	}
	p := hole(g.connect("p", dial{version: 4, clean: true}))
	p.pub.acks = &sinkhole{}
	f.stream = p.stream(burst, qos)
	return f
}

// round publishes one read and acknowledges it everywhere. ids says from where the
// subscribers' identifiers count.
func (f *flow) round(first int) {
	f.read()
	if f.qos == 0 {
		return
	}
	for _, s := range f.subs {
		for _, typ := range [][]byte{nil, {typePuback}, {typePubrec, typePubcomp}}[f.qos] {
			f.acks = f.acks[:0]
			for i := range f.pubs {
				f.acks = append(f.acks, Ack{ID: message.PacketID((first+i)%65535 + 1), Type: typ})
			}
			if err := s.g.r.Acked(s.link, f.acks); err != nil {
				panic(err)
			}
		}
	}
	if f.qos == 2 {
		f.acks = f.acks[:0]
		for i := range f.pubs {
			f.acks = append(f.acks, Ack{ID: message.PacketID(i + 1), Type: typePubrel})
		}
		if err := f.p.g.r.Acked(f.p.link, f.acks); err != nil {
			panic(err)
		}
	}
}

// What a message costs in steady state: nothing at QoS 0, nothing at QoS 1 and 2 to
// sessions that end with their connection.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const burst = 100
	for _, tc := range []struct {
		subs int
		qos  byte
		most float64 // a message
	}{{1, 0, 0.02}, {10, 0, 0.02}, {1, 1, 0.05}, {10, 1, 0.05}, {1, 2, 0.1}} {
		f := newFlow(t, tc.subs, tc.qos, false, burst)
		first := 0
		got := testing.AllocsPerRun(200, func() { f.round(first); first += burst }) / burst
		if got > tc.most {
			t.Errorf("QoS %d, %d subscribers: %.2f allocations a message, want %.2f at most", tc.qos, tc.subs, got, tc.most)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, subs := range []int{1, 50} {
		for qos := range byte(3) {
			for _, persistent := range []bool{false, true} {
				b.Run(fmt.Sprintf("1to%d/QoS%d/persistent=%v", subs, qos, persistent), func(b *testing.B) {
					const burst = 100
					f := newFlow(b, subs, qos, persistent, burst)
					first := 0
					b.ReportAllocs()
					for i := 0; i < b.N; i += burst {
						f.round(first)
						first += burst
					}
					b.ReportMetric(float64(b.N*subs)/b.Elapsed().Seconds(), "deliveries/s")
				})
			}
		}
	}
}
