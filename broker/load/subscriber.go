package load

import (
	"encoding/binary"
	"fmt"
	"time"
)

// subscriber reads deliveries, verifies and acknowledges them, on a goroutine of its
// own. What it counts reaches the run once for all frames of a read.
type subscriber struct {
	r *run
	c *client

	first   int      // number of the publisher that streams and gates begin with
	streams []stream // by publisher
	gates   []*gate  // by publisher
	member  *member  // of a shared group; nil for an ordinary subscription
	seen    bitmap   // instead of streams where no order is promised; nil otherwise

	counts  []int64 // new messages since the last commit, by publisher
	touched []int   // publishers whose count is above 0
	acks    []byte
	found   func(i int, v verdict)

	gone chan struct{} // closed when receive has returned
}

// newSubscriber takes a connected client that has subscribed to what the publishers
// of the gates send; the first of them has that number. run starts it.
func (r *run) newSubscriber(c *client, first int, gates ...*gate) *subscriber {
	s := &subscriber{
		r: r, c: c, first: first, gates: gates,
		streams: make([]stream, len(gates)),
		counts:  make([]int64, len(gates)),
		touched: make([]int, 0, len(gates)),
		gone:    make(chan struct{}),
	}
	s.found = s.judge
	return s
}

// receive runs until the connection is closed.
func (s *subscriber) receive() {
	defer close(s.gone)
	for {
		err := s.takeFrames()
		s.commit()
		if err == nil && len(s.acks) > 0 {
			_, err = s.c.conn.Write(s.acks)
			s.acks = s.acks[:0]
		}
		if err == nil {
			err = s.c.in.fill()
		}
		if err != nil {
			s.r.connectionFailed(s.c, err)
			return
		}
	}
}

// takeFrames handles all frames that have arrived.
func (s *subscriber) takeFrames() error {
	for {
		head, body, ok, err := s.c.in.next()
		if !ok || err != nil {
			return err
		}
		switch head >> 4 {
		case typePublish:
			err = s.takePublish(head, body)
		case typePubrel:
			var id uint16
			if id, _, err = splitAck(body); err == nil {
				s.acks = appendAck(s.acks, headPubcomp, id)
			}
		case typePingresp:
			s.c.pinged()
		case typeDisconnect:
			err = disconnected(body)
		}
		if err != nil {
			return err
		}
	}
}

func (s *subscriber) takePublish(head byte, body []byte) error {
	payload, qos, id, err := splitPublish(s.c.version, head, body)
	if err != nil {
		return err
	}
	switch qos {
	case 1:
		s.acks = appendAck(s.acks, headPuback, id)
	case 2:
		s.acks = appendAck(s.acks, headPubrec, id)
	}
	s.takePayload(payload)
	return nil
}

func (s *subscriber) takePayload(payload []byte) {
	if len(payload) != s.r.o.Size {
		s.r.unexpected.Add(1)
		return
	}
	publisher, seq := s.first, uint64(0)
	if len(payload) >= orderSize {
		publisher, seq = readOrder(payload)
	}
	i := publisher - s.first
	if i < 0 || i >= len(s.streams) {
		s.r.unexpected.Add(1)
		return
	}
	if len(payload) >= stampSize {
		s.observe(int64(binary.LittleEndian.Uint64(payload[orderSize:])))
	}
	switch {
	case len(payload) < orderSize:
		s.judge(i, inOrder) // no room for a number: it is counted, no more
	case s.member != nil:
		s.member.notes = append(s.member.notes, note{i, seq})
	case s.seen != nil:
		s.judge(i, s.seen.mark(seq))
	default:
		s.judge(i, s.streams[i].mark(seq))
	}
}

func (s *subscriber) observe(stamp int64) {
	if stamp != 0 && s.r.measuring.Load() {
		s.r.latency.observe(time.Duration(time.Now().UnixNano() - stamp))
	}
}

// judge counts a message. A repeated one is no delivery: it must not make up for one
// that is lost.
func (s *subscriber) judge(i int, v verdict) {
	switch v {
	case repeated:
		s.r.duplicates.Add(1)
		return
	case overtaken:
		s.r.disorder.Add(1)
	}
	if s.counts[i] == 0 {
		s.touched = append(s.touched, i)
	}
	s.counts[i]++
}

// commit hands what was counted to the run and to the publishers that wait for it.
func (s *subscriber) commit() {
	if s.member != nil {
		s.member.commit(s.found)
	}
	var all int64
	for _, i := range s.touched {
		all += s.counts[i]
		s.gates[i].deliver(s.counts[i])
		s.counts[i] = 0
	}
	s.touched = s.touched[:0]
	if all > 0 {
		s.r.delivered.Add(all)
	}
}

// disconnected is a DISCONNECT of the broker as an error.
func disconnected(body []byte) error {
	if len(body) == 0 {
		return fmt.Errorf("the broker disconnects")
	}
	return fmt.Errorf("the broker disconnects with 0x%02X", body[0])
}
