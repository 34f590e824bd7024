package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

// subscriber has a persistent session and comes and goes, with and without a
// DISCONNECT, with what it read acknowledged or not.
type subscriber struct {
	*load
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

// Times of a subscriber: the longest connection, and the longest absence.
const (
	maxOnline  = 600 * time.Millisecond
	maxOffline = 150 * time.Millisecond
)

// run comes and goes until the load ends, and stays from then on.
func (s *subscriber) run(ctx context.Context) {
	for ctx.Err() == nil {
		if s.once(ctx) != nil {

			pause(ctx, retry)
		} else if s.busy.Err() == nil {
			pause(ctx, time.Duration(s.rng.Int64N(int64(maxOffline))))
		}
	}
}

// once is one connection.
func (s *subscriber) once(ctx context.Context) error {
	k, ack, err := dial(ctx, s.n, narrow(persistent(s.version, s.id), s.window))
	if err != nil {
		return err
	}
	defer k.close()
	s.rec.connected(Connected{Client: s.id, Known: s.known, Present: ack.present})
	s.known = true
	s.conn++
	s.rec.changes(s.id, true)
	defer s.rec.changes(s.id, false)
	if !ack.present {
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
	end := time.Now().Add(time.Duration(s.rng.Int64N(int64(maxOnline))))
	for ctx.Err() == nil {
		stay := s.busy.Err() != nil
		if !stay && time.Now().After(end) {
			return s.leave(k)
		}
		until := end
		if stay {
			until = time.Now().Add(patience)
		}
		p, err := k.read(until)
		switch {
		case TimedOut(err):
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
	s.rec.changes(s.id, false)
	switch s.rng.IntN(3) {
	case 0:
		return k.write(Disconnect(0))
	case 1: // with some more messages read, and none of them acknowledged
		for range s.rng.IntN(20) {
			p, err := k.read(time.Now().Add(10 * time.Millisecond))
			if err != nil || p.kind != PUBLISH {
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
	if err := k.write(Subscribe(s.version, 1, nil, To(full, s.qos))); err != nil {
		return err
	}
	for {
		p, err := k.read(time.Now().Add(patience))
		if err != nil {
			return err
		}
		if p.kind != SUBACK {
			if err := s.take(k, &p, true); err != nil {
				return err
			}
			continue
		}
		if p.code != s.qos {
			return fmt.Errorf("%w: SUBACK with %#02x", errAnswer, p.code)
		}
		s.rec.subscribed(Subscription{Client: s.id, Group: s.group, QoS: s.qos, Filter: filter})
		s.subscribed++
		return nil
	}
}

// take is what a client does with a packet. A PUBLISH whose QoS 2 identifier is known
// is the one that was read before [MQTT-4.3.3-10].
func (s *subscriber) take(k *link, p *packet, answer bool) error {
	var reply []byte
	switch p.kind {
	case PUBLISH:
		before, known := s.got[p.id]
		if p.qos() < 2 || !known {
			s.rec.arrived(s.id, s.conn, p.topic, p.payload)
		} else if before != p.payload {
			return fmt.Errorf("%w: id %d was given to message %d before message %d was released", errAnswer, p.id, number(p.payload), number(before))
		}
		switch p.qos() {
		case 1:
			reply = Ack(PUBACK, p.id, 0)
		case 2:
			s.got[p.id] = p.payload
			reply = Ack(PUBREC, p.id, 0)
		}
	case PUBREL:
		delete(s.got, p.id)
		reply = Ack(PUBCOMP, p.id, 0)
	case PINGRESP:
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
func (l *load) passing(ctx context.Context, name string, rng *rand.Rand) {
	const kept = 2
	left := 0
	for n := 0; l.busy.Err() == nil && ctx.Err() == nil; n++ {
		s := &subscriber{
			load: l, id: fmt.Sprintf("%s-%d", name, n), version: version(rng), qos: 1 + byte(rng.IntN(2)),
			filters: []string{"data/#", "retained/#"}, rng: rand.New(rand.NewPCG(rng.Uint64(), 0)),
		}
		for range 1 + rng.IntN(4) {
			// a SUBACK that was lost would make the retained messages come again
			if err := s.once(ctx); err != nil && s.subscribed < len(s.filters) {
				break
			}
			pause(ctx, time.Duration(rng.Int64N(int64(maxOffline))))
		}
		if left < kept && s.subscribed == len(s.filters) && rng.IntN(4) == 0 {
			left++
			l.spawn(func() {
				<-l.busy.Done() // ends before ctx does, or with it
				s.run(ctx)
			})
			continue
		}
		s.end(ctx)
	}
}

// end ends the session.
func (s *subscriber) end(ctx context.Context) {
	s.rec.ends(s.id)
	for ctx.Err() == nil {
		k, _, err := dial(ctx, s.n, Connect{Version: s.version, ID: s.id})
		if err == nil {
			k.close()
			return
		}
		pause(ctx, retry)
	}
}
