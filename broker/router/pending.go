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
	of     *abroad // its connection's; nil is nobody's
	left   atomic.Int32
	failed atomic.Bool
	unsure atomic.Bool // with failed: it may be owed to a session that is elsewhere by now

	traced *tracedCommit // nil unless somebody looks
	away   *away         // nil when nobody is asked before the acknowledgement
}

// away is what a group of publishes has to do with other instances before it is
// acknowledged.
type away struct {
	cluster Forwarder        // is asked
	of      *abroad          // told when it is settled; nil is nobody
	from    *Publisher       // whose it is; nil with of
	matched message.Position // of the route table
	asked   bool
	routed  []received // QoS 2 publishes whose records say so when all targets have them
}

func (p *Pending) done() {
	if p.left.Add(-1) != 0 {
		return
	}
	switch {
	case p.failed.Load():
		p.refuse()
	case p.away == nil || p.away.asked:
		p.complete()
	default:
		p.away.cluster.Confirm(p.away.matched, p)
	}
}

// Committed implements store.Committed: it is the answer to Confirm.
func (p *Pending) Committed(err error) {
	p.away.asked = true
	switch {
	case err != nil:
		p.refuse()
	case len(p.away.routed) > 0:
		p.commitRouted()
	default:
		p.complete()
	}
}

func (p *Pending) complete() {
	if p.traced != nil {
		p.traced.done(p.from.r)
	}
	p.owner.Complete(p)
	p.settled()
}

func (p *Pending) settled() {
	if p.away != nil && p.away.of != nil {
		p.away.of.settledOne()
	}
}

// refuse ends the publisher's connection. QoS 2 publishes that a persistent session has
// received are not sent again once they are known: they are routed again from here.
func (p *Pending) refuse() {
	a := p.away
	if a == nil || a.of == nil {
		p.owner.Refuse(p)
		return
	}
	a.of.lost.Store(true)
	if list := a.routed; len(list) > 0 { // what comes from the client later waits for them
		a.from.r.finishLater(a.from.c, list, p.settled)
		p.owner.Refuse(p)
		return
	}
	p.owner.Refuse(p)
	p.settled()
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

// fail counts a target that will not have it. Nothing that follows may be routed from then
// on, whatever else is still waited for.
func (p *Pending) fail() {
	p.failed.Store(true)
	if p.of != nil {
		p.of.lost.Store(true)
	}
	p.done()
}
