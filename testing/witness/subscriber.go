package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// subscriber has a persistent session and comes and goes, with and without a
// DISCONNECT, with what it read acknowledged or not.
type subscriber struct {
	*Load
	id      string
	version byte
	qos     byte
	filters []string
	group   string // empty: not shared
	window  int    // Receive Maximum; 0: not given
	rng     *rand.Rand

	known      bool
	subscribed int
	conn       int
	got        map[int]string // QoS 2: what was read under an identifier, until its PUBREL
}

// run comes and goes until the load ends, and stays from then on.
func (s *subscriber) run(ctx context.Context) {
	for ctx.Err() == nil {
		if s.once(ctx) != nil {
			Pause(ctx, retry)
		} else if s.Busy.Err() == nil {
			Pause(ctx, time.Duration(s.rng.Int64N(int64(s.Pace.Offline))))
		}
	}
}

// once is one connection.
func (s *subscriber) once(ctx context.Context) error {
	k, ack, err := s.dial(ctx, narrow(persistent(s.version, s.id), s.window))
	if err != nil {
		return err
	}
	defer k.close()
	s.Rec.connected(Connected{Client: s.id, Known: s.known, Present: ack.present})
	s.known = true
	s.conn++
	s.Rec.Changes(s.id, true)
	defer s.Rec.Changes(s.id, false)
	if !ack.present || s.got == nil { // a session may be there whose CONNACK was never read
		s.got = make(map[int]string)
	}
	err = s.connection(ctx, k)
	s.note(ctx, s.id, err)
	return err
}

func (s *subscriber) connection(ctx context.Context, k *link) error {
	for s.subscribed < len(s.filters) {
		if err := s.subscribe(k); err != nil {
			return err
		}
	}
	end := time.Now().Add(time.Duration(s.rng.Int64N(int64(s.Pace.Online))))
	for ctx.Err() == nil {
		stay := s.Busy.Err() != nil
		if !stay && time.Now().After(end) {
			return s.leave(k)
		}
		until := end
		if stay {
			until = time.Now().Add(s.Pace.Patience)
		}
		p, err := k.read(until)
		switch {
		case harness.TimedOut(err):
			return s.leave(k)
		case err != nil:
			return err
		}
		if err := s.take(k, &p, true); err != nil {
			return err
		}
	}
	return nil
}

// leave ends a connection in one of three ways.
func (s *subscriber) leave(k *link) error {
	s.Rec.Changes(s.id, false)
	switch s.rng.IntN(3) {
	case 0:
		return k.write(harness.Disconnect(0))
	case 1: // with some more messages read, and none of them acknowledged
		for range s.rng.IntN(20) {
			p, err := k.read(time.Now().Add(10 * time.Millisecond))
			if err != nil || p.kind != harness.PUBLISH {
				return nil // its end was wanted
			}
			if err := s.take(k, &p, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *subscriber) subscribe(k *link) error {
	filter := s.filters[s.subscribed]
	full := filter
	if s.group != "" {
		full = "$share/" + s.group + "/" + filter
	}
	if err := k.write(harness.Subscribe(s.version, 1, nil, harness.To(full, s.qos))); err != nil {
		return err
	}
	for {
		p, err := k.read(time.Now().Add(s.Pace.Patience))
		if err != nil {
			return err
		}
		if p.kind != harness.SUBACK {
			if err := s.take(k, &p, true); err != nil {
				return err
			}
			continue
		}
		if p.code != s.qos {
			return fmt.Errorf("%w: SUBACK with %#02x", errAnswer, p.code)
		}
		s.Rec.subscribed(Subscription{Client: s.id, Group: s.group, QoS: s.qos, Filter: filter})
		s.subscribed++
		return nil
	}
}

// take is what a client does with a packet. A PUBLISH whose QoS 2 identifier is known
// is the one that was read before [MQTT-4.3.3-10].
func (s *subscriber) take(k *link, p *packet, answer bool) error {
	var reply []byte
	switch p.kind {
	case harness.PUBLISH:
		before, known := s.got[p.id]
		if p.qos() < 2 || !known {
			s.Rec.arrived(s.id, s.conn, p.topic, p.payload)
		} else if before != p.payload {
			return fmt.Errorf("%w: id %d was given to message %d before message %d was released", errAnswer, p.id, number(p.payload), number(before))
		}
		switch p.qos() {
		case 1:
			reply = harness.Ack(harness.PUBACK, p.id, 0)
		case 2:
			s.got[p.id] = p.payload
			reply = harness.Ack(harness.PUBREC, p.id, 0)
		}
	case harness.PUBREL:
		delete(s.got, p.id)
		reply = harness.Ack(harness.PUBCOMP, p.id, 0)
	case harness.PINGRESP:
	default:
		return fmt.Errorf("%w: packet type %d", errAnswer, p.kind)
	}
	if !answer {
		return nil
	}
	return k.write(reply)
}

// passing makes sessions one after the other, uses each for a while, and ends it or
// leaves it behind.
func (l *Load) passing(ctx context.Context, name string, rng *rand.Rand) {
	const kept = 2
	left := 0
	for n := 0; l.Busy.Err() == nil && ctx.Err() == nil; n++ {
		s := &subscriber{
			Load: l, id: fmt.Sprintf("%s-%d", name, n), version: version(rng), qos: 1 + byte(rng.IntN(2)),
			filters: []string{"data/#", "retained/#"}, rng: rand.New(rand.NewPCG(rng.Uint64(), 0)),
		}
		for range 1 + rng.IntN(4) {
			// a SUBACK that was lost would make the retained messages come again
			if err := s.once(ctx); err != nil && s.subscribed < len(s.filters) {
				break
			}
			Pause(ctx, time.Duration(rng.Int64N(int64(l.Pace.Offline))))
		}
		if left < kept && s.subscribed == len(s.filters) && rng.IntN(4) == 0 {
			left++
			l.spawn(func() {
				<-l.Busy.Done() // ends before ctx does, or with it
				s.run(ctx)
			})
			continue
		}
		s.end(ctx)
	}
}

// end ends the session.
func (s *subscriber) end(ctx context.Context) {
	s.Rec.ends(s.id)
	for ctx.Err() == nil {
		k, _, err := s.dial(ctx, harness.Connect{Version: s.version, ID: s.id})
		if err == nil {
			k.close()
			return
		}
		Pause(ctx, retry)
	}
}
