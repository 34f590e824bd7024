package router

import (
	"sync/atomic"

	"github.com/skeinmq/skein/broker/message"
)

// Acker is the acknowledging end of a publishing connection. The order of its
// acknowledgements is the order of the calls.
type Acker interface {
	// Ack acknowledges publishes that need no commit.
	Ack(ids []message.PacketID, qos, code byte)
	// Defer gives a group of publishes its place in the order; Complete says that
	// it may be acknowledged.
	Defer(p *Pending)
	Complete(p *Pending)
	// Refuse ends the connection: a group can never be acknowledged.
	Refuse(p *Pending)
}

// Pending is a group of publishes of one connection that is acknowledged as one
// when all its commits are done.
type Pending struct {
	IDs   []message.PacketID
	QoS   byte
	Code  byte
	Ready bool // guarded by the Acker

	owner  Acker
	from   *Client // the publisher
	left   atomic.Int32
	failed atomic.Bool
}

func (p *Pending) done() {
	if p.left.Add(-1) == 0 {
		if p.failed.Load() {
			p.owner.Refuse(p)
			return
		}
		p.owner.Complete(p)
	}
}

func (p *Pending) fail() {
	p.failed.Store(true)
	p.done()
}
