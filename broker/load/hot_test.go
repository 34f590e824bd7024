package load

import (
	"bytes"
	"testing"
)

// hotPublisher has a publisher whose messages go nowhere.
func hotPublisher(o Options) *publisher {
	r := &run{o: o}
	p := &publisher{
		r: r, c: &client{version: o.Version}, qos: byte(o.QoS), payload: make([]byte, o.Size),
		gate: newGate(unbounded, 1, unbounded), sample: sampleEvery,
	}
	p.toOneTopic("load/somebody/1")
	return p
}

// A message costs no memory: neither to send nor to receive, verify and acknowledge.
func TestMessagesAllocateNothing(t *testing.T) {
	for _, v := range []Version{MQTT311, MQTT5} {
		for qos := range 3 {
			o := Defaults()
			o.Version, o.QoS = v, qos
			p := hotPublisher(o)
			p.out = make([]byte, 0, flushAt+1000)
			sent := int64(0)
			if n := testing.AllocsPerRun(20, func() {
				p.out = p.out[:0]
				sent = p.add(sent, 100)
			}); n > 0 {
				t.Errorf("MQTT %v, QoS %d: sending 100 messages allocates %v times", v, qos, n)
			}

			s := p.r.newSubscriber(&client{version: v}, 0, p.gate)
			s.acks = make([]byte, 0, 1000)
			in := &s.c.in
			in.buf = make([]byte, readBuffer)
			if n := testing.AllocsPerRun(20, func() {
				p.out = p.out[:0]
				sent = p.add(sent, 100)
				in.start, in.end = 0, copy(in.buf, p.out)
				if err := s.takeFrames(); err != nil {
					t.Fatal(err)
				}
				s.commit()
				s.acks = s.acks[:0]
			}); n > 0 {
				t.Errorf("MQTT %v, QoS %d: receiving 100 messages allocates %v times", v, qos, n)
			}
			if got := p.gate.delivered.n.Load(); got != 21*100 {
				t.Errorf("MQTT %v, QoS %d: %d delivered", v, qos, got)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	p := hotPublisher(Defaults())
	sent := int64(0)
	for b.Loop() {
		p.out = p.out[:0]
		sent = p.add(sent, 1)
	}
}

func BenchmarkReceive(b *testing.B) {
	p := hotPublisher(Defaults())
	s := p.r.newSubscriber(&client{version: MQTT311}, 0, p.gate)
	s.c.in.buf = make([]byte, readBuffer)
	for n := 0; n < b.N; n += 500 {
		p.out = p.out[:0]
		p.add(int64(n), 500)
		s.c.in.start, s.c.in.end = 0, copy(s.c.in.buf, p.out)
		if err := s.takeFrames(); err != nil {
			b.Fatal(err)
		}
		s.commit()
	}
}

// FuzzBroker is whatever a broker may send: it may end a connection, no more.
func FuzzBroker(f *testing.F) {
	o := Defaults()
	o.QoS = 2
	p := hotPublisher(o)
	p.add(0, 2)
	f.Add(true, bytes.Clone(p.out))
	f.Add(false, frame(typeConnack<<4, []byte{0, 0, 3, propReceiveMaximum, 0, 7}))
	f.Add(true, frame(typePubrec<<4, []byte{0, 1, 0x87}))
	f.Add(true, frame(typeDisconnect<<4, []byte{0x8B}))
	f.Add(false, []byte{0x30, 128, 128, 128, 128, 1})
	f.Fuzz(func(_ *testing.T, five bool, raw []byte) {
		v := MQTT311
		if five {
			v = MQTT5
		}
		p := hotPublisher(o)
		c := &client{version: v, pong: make(chan struct{}, 1), in: frameReader{src: bytes.NewReader(raw), buf: make([]byte, 8)}}
		s := p.r.newSubscriber(c, 0, p.gate)
		for c.in.fill() == nil {
			if s.takeFrames() != nil {
				break
			}
			s.commit()
		}
		p.c = &client{version: v, pong: make(chan struct{}, 1), in: frameReader{buf: raw, end: len(raw)}}
		var out []byte
		_, _ = p.takeAcks(&out) // an error ends the connection
		_, _ = readConnack(v, raw)
	})
}
