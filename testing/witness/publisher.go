package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// publisher has a persistent session, and sends again what was not acknowledged when
// it comes back [MQTT-4.4.0-1].
type publisher struct {
	*Load
	id      string
	version byte
	rng     *rand.Rand
	known   bool // a CONNACK was read
	lastID  int
	flight  []flying // in the order of sending
}

// flying is a PUBLISH whose flow has not ended.
type flying struct {
	harness.Publish
	message  int
	released bool // PUBREC was read
}

// How many messages are under way at once.
const (
	burst = 24
	topUp = 8 // below which more are sent
)

// run publishes until the load ends and everything was acknowledged.
func (p *publisher) run(ctx context.Context) {
	for ctx.Err() == nil && (p.Busy.Err() == nil || len(p.flight) > 0) {
		k, ack, err := p.dial(ctx, persistent(p.version, p.id))
		if err != nil {
			Pause(ctx, retry)
			continue
		}
		p.Rec.connected(Connected{Client: p.id, Known: p.known, Present: ack.present})
		p.known = true
		p.Rec.Changes(p.id, true)
		p.note(ctx, p.id, p.connection(ctx, k))
		k.close()
	}
}

// connection works until the link or the load ends, or it is time for another one.
func (p *publisher) connection(ctx context.Context, k *link) error {
	if err := p.again(k); err != nil {
		return err
	}
	for ctx.Err() == nil {
		busy := p.Busy.Err() == nil
		switch {
		case !busy && len(p.flight) == 0:
			return k.write(harness.Disconnect(0))
		case busy && p.rng.IntN(500) == 0:
			return nil // cut
		case busy && len(p.flight) < topUp:
			Pause(ctx, time.Duration(p.rng.Int64N(int64(p.Pace.Think))))
			if err := p.more(k); err != nil {
				return err
			}
		default:
			if err := p.answer(k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *publisher) again(k *link) error {
	var b []byte
	for i := range p.flight {
		f := &p.flight[i]
		if f.released {
			b = append(b, harness.Ack(harness.PUBREL, f.ID, 0)...)
			continue
		}
		f.Dup = true
		b = append(b, f.Bytes(p.version)...)
	}
	return k.write(b)
}

func (p *publisher) more(k *link) error {
	var b []byte
	for range 1 + p.rng.IntN(burst) {
		f := p.make()
		p.flight = append(p.flight, f)
		b = append(b, f.Bytes(p.version)...)
	}
	return k.write(b)
}

// make records a message of a random kind.
func (p *publisher) make() flying {
	f := flying{Publish: harness.Publish{QoS: 1 + byte(p.rng.IntN(2)), ID: p.freeID()}}
	m := Message{QoS: f.QoS, Publisher: p.id}
	switch r := p.rng.IntN(40); {
	case r == 0:
		m.Kind, m.Delay = KindDelayed, time.Second
		m.Topic = "delayed/" + p.id
		f.Topic = "$delayed/1/" + m.Topic
	case r < 5:
		m.Retain = true // each topic has one writer, at one QoS
		m.Topic = fmt.Sprintf("retained/%s/%d", p.id, m.QoS)
	case r < 15:
		m.Topic = fmt.Sprintf("data/all/%d", p.rng.IntN(3))
	default:
		m.Topic = fmt.Sprintf("data/%s/%d", p.id, p.rng.IntN(2))
	}
	if m.Kind != KindDelayed {
		f.Topic = m.Topic
	}
	f.Retain = m.Retain
	f.message = p.Rec.sent(m)
	size := p.rng.IntN(100)
	if p.rng.IntN(50) == 0 {
		size = p.rng.IntN(20_000)
	}
	f.Payload = payload(f.message, size)
	return f
}

func (p *publisher) freeID() int {
	for {
		p.lastID = p.lastID%65535 + 1
		if p.find(p.lastID) < 0 {
			return p.lastID
		}
	}
}

func (p *publisher) find(id int) int {
	for i := range p.flight {
		if p.flight[i].ID == id {
			return i
		}
	}
	return -1
}

// answer reads an acknowledgement and goes on with its flow.
func (p *publisher) answer(k *link) error {
	a, err := k.read(time.Now().Add(p.Pace.Patience))
	if err != nil {
		return err
	}
	i := p.find(a.id)
	unknown := a.kind == harness.PUBCOMP && a.code == 0x92 // its flow has ended, and the answer was lost
	if i < 0 || a.code >= 0x80 && !unknown {
		return fmt.Errorf("%w: packet type %d, id %d, code %#02x", errAnswer, a.kind, a.id, a.code)
	}
	f := &p.flight[i]
	switch {
	case a.kind == harness.PUBACK && f.QoS == 1:
		p.Rec.acked(f.message)
	case a.kind == harness.PUBREC && f.QoS == 2:
		p.Rec.acked(f.message)
		f.released = true
		return k.write(harness.Ack(harness.PUBREL, a.id, 0))
	case a.kind == harness.PUBCOMP && f.released:
	default:
		return fmt.Errorf("%w: packet type %d, id %d", errAnswer, a.kind, a.id)
	}
	p.flight = append(p.flight[:i], p.flight[i+1:]...)
	return nil
}
