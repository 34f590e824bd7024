package conn

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
)

// acks is the acknowledging end of a publishing connection: PUBACK and PUBREC in
// the order of the PUBLISH packets [MQTT-4.6.0-2], [MQTT-4.6.0-3]. Publishes that
// wait for a commit hold back those behind them. It is bounded by what the
// connection may have unacknowledged.
type acks struct {
	c       *Conn
	waiting atomic.Int32 // publishes that wait for a commit, or behind one

	mu    sync.Mutex
	queue []*router.Pending
}

// Ack implements router.Acker.
func (a *acks) Ack(ids []router.PacketID, qos, code byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) > 0 {
		a.queue = append(a.queue, &router.Pending{IDs: append([]router.PacketID(nil), ids...), QoS: qos, Code: code, Ready: true})
		a.waiting.Add(int32(len(ids)))
		return
	}
	a.write(ids, qos, code)
}

// Defer implements router.Acker.
func (a *acks) Defer(p *router.Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, p)
	a.waiting.Add(int32(len(p.IDs)))
}

// Complete implements router.Acker.
func (a *acks) Complete(p *router.Pending) {
	a.mu.Lock()
	p.Ready = true
	done := 0
	for done < len(a.queue) && a.queue[done].Ready {
		q := a.queue[done]
		a.write(q.IDs, q.QoS, q.Code)
		a.waiting.Add(-int32(len(q.IDs)))
		done++
	}
	clear(a.queue[:done])
	if a.queue = a.queue[done:]; len(a.queue) == 0 {
		a.queue = nil
	}
	a.mu.Unlock()
	if done > 0 {
		a.c.wake()
	}
}

// Refuse implements router.Acker: a publish that can never be acknowledged ends
// the connection, and nothing behind it is acknowledged.
func (a *acks) Refuse(*router.Pending) { a.c.end(codeUnavailable, "publish could not be stored") }

// write appends the packets; their bytes are counted with those of the output.
func (a *acks) write(ids []router.PacketID, qos, code byte) {
	h := wire.TypePuback
	if qos == 2 {
		h = wire.TypePubrec
	}
	size := 4
	b := a.c.out.Begin()
	if code == codeSuccess || a.c.version < 5 {
		for _, id := range ids {
			b = append(b, h<<4, 2, byte(id>>8), byte(id))
		}
	} else {
		size = 5
		for _, id := range ids {
			b = append(b, h<<4, 3, 0, 0, code)
			binary.BigEndian.PutUint16(b[len(b)-3:], uint16(id))
		}
	}
	a.c.out.End(b)
	a.c.s.stats.SentPackets(h, len(ids), size*len(ids))
}
