package router

import (
	"sync/atomic"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

// What a publish needs in a cluster beside its own node's sessions: the order that
// changes of the route table, other processes and failures leave it, and the way to
// other mailboxes. A node alone takes none of this.

// received is a QoS 2 publish of a persistent session that is not known to be routed.
type received struct {
	id message.PacketID
	m  *message.Message
}

// abroad is what a connection's publishes have to do with other mailboxes. But for what
// is atomic, and quiet, it belongs to the connection's goroutine.
type abroad struct {
	table    *peers
	matched  message.Position // of the table that the publishes at hand were matched with
	fresh    bool             // matched is that of the publishes that are settled next
	received []received       // QoS 2 publishes of a persistent session, until they are routed
	moved    bool             // targets in other mailboxes have changed
	forgot   bool             // what the targets were is not known any more
	ordered  bool             // what the publisher sent through another process has been consumed

	before *abroad // of the connection before, if something of it was not settled

	quiet chan struct{} // told when nothing is unsettled; full: whoever waits looks anyway
	n     atomic.Int32  // groups of publishes that are not acknowledged
	lost  atomic.Bool   // one failed: nothing that follows may be routed
}

// goAbroad is nil for a node alone.
func (r *Router) goAbroad() *abroad {
	if r.peers == nil {
		return nil
	}
	return &abroad{table: r.peers, quiet: make(chan struct{}, 1)}
}

func (a *abroad) settledOne() {
	if a.n.Add(-1) == 0 {
		a.tell()
	}
}

func (a *abroad) tell() {
	select {
	case a.quiet <- struct{}{}:
	default:
	}
}

// waitSettled waits until everything that the connection published is acknowledged. It
// reports false when the connection is to end. It is called with no lock held, and not
// between Store.Begin and End.
func (p *Publisher) waitSettled() bool {
	for p.abroad.n.Load() > 0 {
		select {
		case <-p.abroad.quiet:
			if p.abroad.n.Load() == 0 {
				p.abroad.tell() // somebody else may wait
			}
		case <-p.link.gone():
			return false
		}
	}
	return !p.abroad.lost.Load()
}

// hold brings a route's targets up to date and keeps the route table as it is until let.
// When the targets in other mailboxes have changed, what was sent to the old ones is
// waited for first, so that nothing overtakes it. It reports false when the connection
// is to end.
func (p *Publisher) hold(rt *route) bool {
	a := p.abroad
	if a == nil {
		p.current(rt)
		return true
	}
	for {
		if a.lost.Load() {
			return false
		}
		a.table.mu.RLock()
		p.current(rt)
		a.matched = a.table.at
		if !a.moved && !a.forgot || a.n.Load() == 0 {
			a.moved, a.forgot, a.fresh = false, false, true
			return true
		}
		a.table.mu.RUnlock()
		if !p.waitSettled() {
			return false
		}
	}
}

func (p *Publisher) let() {
	if a := p.abroad; a != nil {
		a.table.mu.RUnlock()
	}
}

// lose gives up what is at hand: it is never acknowledged, and the connection ends.
func (p *Publisher) lose() {
	p.pend = nil
	a := p.abroad
	if a == nil {
		return
	}
	if len(a.received) > 0 { // sent again, they are routed
		p.c.mu.Lock()
		for _, rc := range a.received {
			p.c.sess.Unreceive(&p.c.out, rc.id)
		}
		p.c.commitLocked(nil)
		p.c.mu.Unlock()
	}
	a.received = nil
	a.lost.Store(true)
	p.link.End(codeUnavailable, "publish could not be routed")
}

// inOrder waits, before the first QoS 1 or 2 publish of a connection, until what the
// client may have published through another instance before has been consumed, and what
// it published here is settled.
func (p *Publisher) inOrder() bool {
	ctx, cancel := p.link.context()
	defer cancel()
	if p.abroad.before.rest(ctx) != nil {
		return false
	}
	p.abroad.before = nil
	if err := p.r.cluster.CaughtUp(ctx); err != nil {
		return false
	}
	p.abroad.ordered = true
	return true
}

// receiveFirst notes a QoS 2 publish whose identifier and message are committed before it
// is routed: a crash in between is made good from the record.
func (p *Publisher) receiveFirst(id message.PacketID, m *message.Message) {
	p.c.mu.Lock()
	p.c.sess.Received(&p.c.out, id)
	p.c.out.Ops = nil // routed commits them, with their messages
	p.c.mu.Unlock()
	p.abroad.received = append(p.abroad.received, received{id, m})
}

// routed commits what receiveFirst noted. It reports false if that was refused, or the
// connection is to end.
func (p *Publisher) routed() bool {
	if p.abroad == nil || len(p.abroad.received) == 0 {
		return true
	}
	list := p.abroad.received
	ops := make([]store.Op, len(list))
	for i, rc := range list {
		ops[i] = store.Op{Kind: store.KindReceived, ID: rc.id, Msg: rc.m}
	}
	w := make(commitWait, 1)
	p.c.mu.Lock()
	p.r.store.Commit(p.c.batchLocked(ops), w)
	p.c.mu.Unlock()
	select {
	case err := <-w:
		return err == nil
	case <-p.link.gone():
		return false
	}
}

// follow makes the publishes of pend known to be routed when all their targets have
// them, and the connection wait for them when it must. What is answered without being
// routed, as a repetition, is as good as routed now.
func (p *Publisher) follow(pend *Pending) {
	a := p.abroad
	if a == nil {
		return
	}
	if !a.fresh {
		a.table.mu.RLock()
		a.matched = a.table.at
		a.table.mu.RUnlock()
	}
	a.fresh = false
	pend.away = &away{cluster: p.r.cluster, of: a, from: p, matched: a.matched, routed: a.received}
	a.received = nil
	a.n.Add(1)
}

// commitRouted records that all targets have the publishes: a repetition after a crash
// is not routed again.
func (p *Pending) commitRouted() {
	r, c := p.away.from.r, p.away.from.c
	r.events.apart(func() {
		p.left.Store(1)
		c.mu.Lock()
		for _, rc := range p.away.routed {
			if c.sess.HasReceived(rc.id) {
				c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindReceived, ID: rc.id})
			}
		}
		p.away.routed = nil
		c.commitLocked(p)
		c.mu.Unlock()
		p.done()
	})
}

// forward hands the run to other mailboxes.
func (u *run) forward() {
	rt := u.rt
	if len(rt.peers) > 0 {
		b := u.asBundle()
		b.Match = true
		for _, box := range rt.peers {
			u.p.r.send(box, b, u.p.pending)
			if u.trace != nil {
				e := u.decided(DecidedForwarded, "", u.n)
				e.Target = string(box)
				u.trace.decide(e)
			}
		}
	}
	for _, s := range rt.spread {
		for i := range u.n {
			u.p.r.sendGroup(s, u.message(i), false, u.p.pending)
		}
	}
}

// asBundle encodes nothing yet; the bundle is good until the run is reset.
func (u *run) asBundle() *message.Bundle {
	b := &u.bundle
	b.Topic, b.Publisher, b.User, b.QoS, b.Matched, b.Created = u.rt.name, u.p.id, u.p.user, u.qos, u.p.origin().matched, u.time()
	if u.qos > 0 {
		b.First = u.name()
	}
	for i := range u.items {
		b.Items = append(b.Items, message.BundleItem{Payload: u.items[i].payload, Props: u.items[i].forwarded()})
	}
	return b
}

// bundleOf is a bundle of one message.
func bundleOf(m *message.Message) *message.Bundle {
	return &message.Bundle{
		Topic: m.Topic, Publisher: m.Publisher, User: m.User, First: m.ID, Created: m.Created, QoS: m.QoS,
		Items: []message.BundleItem{{Payload: m.Payload, Props: m.Props, Expires: m.Expires, Retain: m.Retain}},
	}
}

// forwardOne hands one message to other mailboxes. wait answers what their inboxes are
// waited for in; nil when nobody waits.
func (p *Publisher) forwardOne(rt *route, m *message.Message, wait func() *Pending) {
	p.r.forward(rt.peers, rt.spread, m, p.origin().matched, false, wait)
}

func (r *Router) forward(peers []message.MailboxID, groups []*spread, m *message.Message, matched message.Position, again bool, wait func() *Pending) {
	if len(peers) > 0 {
		b := bundleOf(m)
		b.Matched, b.Match, b.Again = matched, true, again
		for _, box := range peers {
			r.send(box, b, wait)
			r.traceMessage(m, DecidedForwarded, "", string(box))
		}
	}
	for _, s := range groups {
		r.sendGroup(s, m, again, wait)
	}
}

// send hands a bundle to another mailbox.
func (r *Router) send(box message.MailboxID, b *message.Bundle, wait func() *Pending) {
	switch {
	case b.QoS == 0:
		r.cluster.Loose(box, b)
	case wait == nil:
		r.cluster.Append(box, b, nobody{})
	default:
		r.cluster.Append(box, b, wait().target())
	}
}

// nobody waits for a commit.
type nobody struct{}

// Committed implements store.Committed.
func (nobody) Committed(error) {}

// sendGroup gives a message to a shared group that has members in several mailboxes.
func (r *Router) sendGroup(s *spread, m *message.Message, again bool, wait func() *Pending) {
	if again && m.QoS == 2 {
		if box := s.first(r.cluster.Mailbox()); box != "" { // it goes round
			r.send(box, groupBundle(s.key, m, nil, true), wait)
		}
		return
	}
	box, ok := s.choose()
	switch {
	case !ok:
		r.stats.Drop(stats.DropNoSubscriber, 1)
	case box == "":
		s.local.publish(m, wait)
	default:
		r.send(box, groupBundle(s.key, m, nil, again), wait)
	}
}
