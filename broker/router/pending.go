package router

import (
	"sync/atomic"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
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
	from   *Client // the publisher; nil for what comes through an inbox
	left   atomic.Int32
	failed atomic.Bool

	// In a cluster, of a connection:
	cluster Forwarder        // asked before the acknowledgement; nil is nobody
	of      *Publisher       // told when it is settled; nil is nobody
	matched message.Position // of the route table
	routed  []received       // QoS 2 publishes whose records say so when all targets have them
}

func (p *Pending) done() {
	if p.left.Add(-1) != 0 {
		return
	}
	switch {
	case p.failed.Load():
		p.refuse()
	case p.cluster == nil:
		p.complete()
	default:
		p.cluster.Confirm(p.matched, p)
	}
}

// Committed implements store.Committed: it is the answer to Confirm.
func (p *Pending) Committed(err error) {
	p.cluster = nil // it was asked
	switch {
	case err != nil:
		p.refuse()
	case len(p.routed) > 0:
		p.commitRouted()
	default:
		p.complete()
	}
}

func (p *Pending) complete() {
	p.owner.Complete(p)
	if p.of != nil {
		p.of.settledOne()
	}
}

// refuse ends the publisher's connection. QoS 2 publishes that a persistent session has
// received are not sent again once they are known: they are routed again from here.
func (p *Pending) refuse() {
	if p.of != nil {
		p.of.lost.Store(true)
		if len(p.routed) > 0 {
			p.of.r.finishLater(p.of.c, p.routed)
		}
	}
	p.owner.Refuse(p)
	if p.of != nil {
		p.of.settledOne()
	}
}

// target is told by another mailbox's inbox.
func (p *Pending) target() store.Committed {
	p.left.Add(1)
	return (*appended)(p)
}

// appended is a Pending as it waits for an inbox.
type appended Pending

// Committed implements store.Committed.
func (a *appended) Committed(err error) {
	if err != nil {
		(*Pending)(a).fail()
		return
	}
	(*Pending)(a).done()
}

func (p *Pending) fail() {
	p.failed.Store(true)
	p.done()
}
