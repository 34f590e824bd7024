package router

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
)

// A message of a shared group goes to one mailbox, and by another table, or at another time,
// to another one. So one of QoS 2 that may have been routed before goes round: to every
// mailbox that has members, in the order of their ids, until one knows it. Inboxes keep
// order, so it comes behind what was sent there before, and of two that go round one is
// behind the other everywhere. The last mailbox gives it to a member, or hands it on.

// grouped is a message for a group, in a mailbox of this process.
type grouped struct {
	r     *Router
	box   *box
	key   string // "group/filter"
	m     *message.Message
	tried []message.MailboxID // who handed it on; then it does not go round
	again bool                // it may be known
	round bool                // it is going round
	taken bool                // see Bundle
	twice bool                // it is from a part of the inbox that is read again
}

// toGroup gives the messages of a bundle to a member of a group. A mailbox that has none
// online hands them on.
func (p *Publisher) toGroup(b *message.Bundle) {
	for i := range b.Items {
		t := grouped{
			r: p.r, box: p.box, key: b.Group, m: b.Message(i).Clone(), tried: b.Tried, again: b.QoS == 2 && p.feed.from.again, round: b.Again, taken: b.Taken,
			twice: p.feed.at <= p.box.replays,
		}
		t.give(p.wait(b.QoS))
	}
}

func (t *grouped) give(wait func() *Pending) {
	key := keyOf(t.key)
	g := t.box.groups.get(key)
	switch {
	case t.again && t.known(key, g):
	case t.again && (len(t.tried) == 0 || t.twice) && t.goRound(wait):
	case g != nil && (g.online() > 0 || t.m.QoS == 0):
		g.publish(t.m, wait)
	case t.m.QoS > 0 && t.handOn(g == nil, wait):
	case g != nil:
		g.publish(t.m, wait)
	default: // it ended
		t.r.stats.Drop(stats.DropSessionEnded, 1)
	}
}

// known reports whether the group here was given the message before. What was handed on may
// come back, also because the process ended to which it was: then it is here again.
func (t *grouped) known(key groupKey, g *Group) bool {
	if len(t.tried) > 0 {
		t.box.passed.remove(key, t.m.ID)
	}
	if t.twice && t.box.waited.has(key, t.m.ID) {
		return true
	}
	return !t.taken && t.box.passed.has(key, t.m.ID) || t.box.knows(t.r, key, g, t.m.ID)
}

// goRound sends the message to the next mailbox. It reports false if this is the last one.
func (t *grouped) goRound(wait func() *Pending) bool {
	me := t.r.nameOf(t.box)
	next := t.r.nextOf(t.key, me)
	if !t.round || t.twice && len(t.tried) > 0 { // what is read again is looked for everywhere
		t.taken = true
		if first := t.r.nextOf(t.key, ""); first != "" && first < me {
			next = first
		}
	}
	if next == "" {
		return false
	}
	t.send(next, nil, true, wait)
	return true
}

// handOn gives the message to a mailbox of the group that was not tried: one that has a
// member online, or any that has a member. It reports false if there is none.
func (t *grouped) handOn(any bool, wait func() *Pending) bool {
	tried := append(slices.Clone(t.tried), t.r.nameOf(t.box))
	to := t.r.onlineOf(t.key, tried, any)
	if to == "" {
		return false
	}
	t.send(to, tried, t.m.QoS == 2, wait)
	return true
}

// send has the message appended to another inbox. wait is told when it is there, or was
// given to a member here because the mailbox is gone.
func (t *grouped) send(to message.MailboxID, tried []message.MailboxID, again bool, wait func() *Pending) {
	if t.m.QoS == 2 && len(tried) > 0 {
		t.box.passed.add(keyOf(t.key), t.m.ID)
	}
	o := &onward{grouped: *t}
	if wait != nil {
		o.of = wait()
		o.of.left.Add(1)
	}
	pend := &Pending{owner: o}
	pend.left.Store(1)
	b := groupBundle(t.key, t.m, tried, again)
	b.Taken = t.taken && len(tried) == 0
	t.r.send(to, b, func() *Pending { return pend })
	pend.done()
}

// waitedRound has a message go round that waits in a group of an adopted mailbox: it may have
// been handed on when the process ended, with its record still there. It reports false if no
// other mailbox has members.
func (r *Router) waitedRound(b *box, name string, w waiting) bool {
	key := keyOf(name)
	first, g := r.nextOf(name, ""), b.groups.get(key)
	if g != nil && w.m.QoS < 2 || first == "" || first == b.id && r.nextOf(name, first) == "" {
		return false
	}
	if g == nil { // its last member left
		g = &Group{r: r, box: b, key: key}
	}
	g.mu.Lock()
	g.queue.given(w.seq)
	g.mu.Unlock()
	if w.m.QoS == 2 {
		b.waited.add(key, w.m.ID)
	}
	pend := &Pending{owner: handed{g, w}}
	pend.left.Store(1)
	m := groupBundle(name, w.m, nil, true)
	m.Taken = true
	r.send(first, m, func() *Pending { return pend })
	pend.done()
	return true
}

// groupBundle is a message of a group on its way to another mailbox.
func groupBundle(key string, m *message.Message, tried []message.MailboxID, again bool) *message.Bundle {
	b := bundleOf(m)
	b.Group, b.Tried, b.Again = key, tried, again
	return b
}

// onward is a message of a group on its way to another mailbox.
type onward struct {
	grouped
	of *Pending // nil when nobody waits
}

// Ack implements Acker.
func (o *onward) Ack([]message.PacketID, byte, byte) { o.Complete(nil) }

// Defer implements Acker.
func (*onward) Defer(*Pending) {}

// Complete implements Acker.
func (o *onward) Complete(*Pending) {
	if o.of != nil {
		o.of.done()
	}
}

// Refuse implements Acker: the mailbox is gone. By the table of a while later it goes
// elsewhere.
func (o *onward) Refuse(*Pending) {
	o.r.events.apart(func() {
		if !o.r.pause() {
			if o.of != nil {
				o.of.fail()
			}
			return
		}
		var wait func() *Pending
		if o.of != nil {
			wait = func() *Pending { return o.of }
		}
		t := o.grouped
		t.again, t.round, t.tried = t.m.QoS == 2, false, nil
		t.box.passed.remove(keyOf(t.key), t.m.ID)
		t.give(wait)
		o.Complete(nil)
	})
}

func keyOf(key string) groupKey {
	name, filter, _ := strings.Cut(key, "/")
	return groupKey{name, topic.Filter(filter)}
}

// nameOf is what the other instances call a mailbox.
func (r *Router) nameOf(b *box) message.MailboxID {
	if b == r.own {
		return r.cluster.Mailbox()
	}
	return b.id
}

// partsOf calls visit for each mailbox that has members of a group, the own one too.
func (r *Router) partsOf(key string, visit func(box message.MailboxID, online int)) {
	if g := r.own.groups.get(keyOf(key)); g != nil {
		visit(r.cluster.Mailbox(), g.online())
	}
	_, filter, _ := strings.Cut(key, "/")
	r.peers.mu.RLock()
	defer r.peers.mu.RUnlock()
	r.peers.groups.Match(sample(filter), func(_ topic.Filter, g peerGroup, online *int) {
		if g.key == key {
			visit(g.box, *online)
		}
	})
}

// nextOf is the mailbox of a group that comes behind another one; empty if none does.
func (r *Router) nextOf(key string, behind message.MailboxID) (next message.MailboxID) {
	r.partsOf(key, func(box message.MailboxID, _ int) {
		if box > behind && (next == "" || box < next) {
			next = box
		}
	})
	return next
}

// onlineOf is the mailbox of a group with the most members online that was not tried; with
// any, one that has none online will do.
func (r *Router) onlineOf(key string, tried []message.MailboxID, any bool) (best message.MailboxID) {
	most := -1
	r.partsOf(key, func(box message.MailboxID, online int) {
		if online > most && (any || online > 0) && !slices.Contains(tried, box) {
			best, most = box, online
		}
	})
	return best
}

// knows reports whether a message that may come again is with the group here: it waits, or
// was given to one who is a member or was one.
func (b *box) knows(r *Router, key groupKey, g *Group, id message.ID) bool {
	if g != nil && g.knows(id) {
		return true
	}
	return slices.ContainsFunc(b.groups.formerOf(key), func(c message.ClientID) bool { return r.knows(c, id) })
}

// ended is told of a message that came when the last member had left: others may have joined
// here, or be in another mailbox.
func (g *Group) ended(m *message.Message, wait func() *Pending) (sure bool) {
	r := g.r
	if r.peers == nil || m.QoS == 0 {
		return g.refuse(m, stats.DropSessionEnded, wait)
	}
	var pend *Pending
	if wait != nil {
		pend = wait()
		pend.left.Add(1)
		wait = func() *Pending { return pend }
	}
	r.events.apart(func() { // the route table may be held
		t := grouped{r: r, box: g.box, key: g.key.record(), m: m}
		if now := g.box.groups.get(g.key); now != nil && now != g {
			now.publish(m, wait)
		} else if !t.handOn(true, wait) {
			g.refuse(m, stats.DropSessionEnded, wait)
		}
		if pend != nil {
			pend.done()
		}
	})
	return false
}

// passed are the newest QoS 2 messages that groups of a mailbox have handed on. What is not in
// ids any more has only its place in order.
type passed struct {
	mu    sync.Mutex
	ids   map[passing]struct{}
	order []passing // oldest first, at most maxRepeats
}

type passing struct {
	key groupKey
	id  message.ID
}

func (s *passed) add(key groupKey, id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := passing{key, id}
	if _, known := s.ids[p]; known {
		return
	}
	if s.ids == nil {
		s.ids = map[passing]struct{}{}
	}
	if len(s.order) == maxRepeats {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
	s.ids[p] = struct{}{}
	s.order = append(s.order, p)
}

func (s *passed) has(key groupKey, id message.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.ids[passing{key, id}]
	return known
}

func (s *passed) remove(key groupKey, id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, passing{key, id})
}

// maxFormer bounds how many clients a mailbox remembers that were members of groups.
const maxFormer = 256

// former is a client that was a member of a group, and has taken with it what it had.
type former struct {
	key groupKey
	id  message.ClientID
}

// leftLocked remembers a persistent client that is not a member any more.
func (g *groups) leftLocked(key groupKey, id message.ClientID) {
	g.former = slices.DeleteFunc(g.former, func(f former) bool { return f == former{key, id} })
	if len(g.former) == maxFormer {
		g.former = slices.Delete(g.former, 0, 1)
	}
	g.former = append(g.former, former{key, id})
}

func (g *groups) formerOf(key groupKey) (list []message.ClientID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.former {
		if f.key == key {
			list = append(list, f.id)
		}
	}
	return list
}

// knows asks the store whether a session was given a message before. Redis away, it waits.
func (r *Router) knows(c message.ClientID, id message.ID) bool {
	for {
		known, err := r.cluster.Known(context.Background(), c, id)
		if err == nil {
			return known
		}
		r.log.Error("cannot tell whether a session knows a message", "client", string(c), "error", err)
		if !r.pause() {
			return false
		}
	}
}
