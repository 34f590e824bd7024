package router

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// boxes are the mailboxes whose inboxes this process consumes: its own and adopted ones.
type boxes struct {
	mu   sync.Mutex
	byID map[message.MailboxID]*feed // the own one under ""
}

func (b *boxes) feed(id message.MailboxID) *feed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id]
}

func (b *boxes) put(f *feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		b.byID = map[message.MailboxID]*feed{}
	}
	b.byID[f.p.box.id] = f
}

// take removes a mailbox.
func (b *boxes) take(id message.MailboxID) *feed {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.byID[id]
	delete(b.byID, id)
	return f
}

func (b *boxes) all() []*feed {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*feed, 0, len(b.byID))
	for _, f := range b.byID {
		list = append(list, f)
	}
	return list
}

// origin is where a message comes from. Position at, of an inbox, is 0 for what was
// published here.
type origin struct {
	at      message.Position
	matched message.Position // of the route table
	again   bool             // it may be known already
	known   *answers         // who knows it, if that was asked before; nil is asked when it matters
	box     *box             // whose inbox it came through; nil is what was published here
}

// itemBits are how many messages an entry of an inbox can have, as a power of two: a place
// counts messages, so that of an entry with several each is told from the others, however
// it is taken the next time.
const itemBits = 20

// feed is the publisher of what comes through a mailbox's inbox. What belongs to QoS 1
// and 2 belongs to the goroutine that calls Deliver.
type feed struct {
	p     Publisher
	at    message.Position // of the entry at hand
	index message.Position // of the bundle's first message in it
	next  message.Position // of the one behind the bundle
	from  origin

	mu    sync.Mutex // guards loose: QoS 0 has a goroutine of its own
	loose Publisher
}

func (r *Router) newFeed(b *box) *feed {
	f := &feed{}
	f.p = Publisher{r: r, box: b, feed: f, version: message.V5, link: &Link{}}
	f.loose = Publisher{r: r, box: b, feed: f, version: message.V5, link: &Link{}, acks: arrival{nobody{}, r}}
	return f
}

// arrival acknowledges a bundle to whoever trims the inbox.
type arrival struct {
	done store.Committed
	r    *Router
}

// Ack implements Acker.
func (a arrival) Ack([]message.PacketID, byte, byte) { a.done.Committed(nil) }

// Defer implements Acker.
func (arrival) Defer(*Pending) {}

// Complete implements Acker.
func (a arrival) Complete(*Pending) { a.done.Committed(nil) }

// Refuse implements Acker. A store that waits for better times refuses only what would be
// refused for ever: waiting for it would keep everything behind it. One that is closed
// leaves the bundle to whoever has the mailbox next, and so does an instance that stops
// before it knows whether a session has come.
func (a arrival) Refuse(p *Pending) {
	if p.unsure.Load() {
		a.done.Committed(store.ErrClosed)
		return
	}
	select {
	case <-a.r.pager.quit:
		a.done.Committed(store.ErrClosed)
		return
	default:
	}
	a.r.log.Error("message from another instance could not be stored for a session")
	a.done.Committed(nil)
}

// Deliver takes a bundle from a mailbox's inbox. done is told when everything that it
// led to is committed.
func (r *Router) Deliver(box message.MailboxID, at message.Position, b *message.Bundle, done store.Committed) {
	f := r.adopted.feed(box)
	if f == nil {
		done.Committed(nil)
		return
	}
	if f.at != at {
		f.at, f.next = at, 0
	}
	f.index = f.next
	f.next += message.Position(len(b.Items))
	// It does not wait for the store, as a publisher does: that waits for other inboxes, too,
	// and theirs may wait for this one. What is under way of an inbox is bounded.
	f.from = origin{box: f.p.box, matched: b.Matched, again: b.Again || at <= f.p.box.replays}
	f.stand(len(b.Items) - 1) // a session that has the last one of a run has all
	f.p.acks = arrival{done, r}
	f.take(&f.p, b)
}

// Loose takes a bundle of QoS 0.
func (r *Router) Loose(box message.MailboxID, b *message.Bundle) {
	f := r.adopted.feed(box)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(&f.loose, b)
}

// stand makes message i of the bundle at hand the place that sessions are given.
func (f *feed) stand(i int) {
	f.from.at = f.at<<itemBits | min(f.index+message.Position(max(i, 0)), 1<<itemBits-1)
}

func (f *feed) take(p *Publisher, b *message.Bundle) {
	p.id, p.user = b.Publisher, b.User
	if b.QoS == 2 {
		f.repeated(b)
	}
	// No Local holds for a publisher whose session was adopted with this mailbox.
	if c := p.r.reg.get(b.Publisher); c != p.c {
		p.c = c
		clear(p.routes)
		p.last = nil
	}
	switch rt := p.routeFor([]byte(b.Topic)); {
	case rt == nil:
		p.r.log.Error("topic name from another instance is invalid", "topic", b.Topic)
	case b.Group != "":
		p.toGroup(b)
	case b.Again || b.QoS == 2 && f.from.again || slices.ContainsFunc(b.Items, special):
		p.current(rt)
		for i := range b.Items {
			if b.QoS > 0 {
				f.stand(i)
			}
			p.r.route(b.Message(i).Clone(), rt.targets, rt.groups, p.wait(b.QoS), f.origin(b))
		}
	default:
		p.takeRun(rt, b)
	}
	p.pendNow(b.QoS)
}

// repeated looks whether a bundle may have come before, or was routed again.
func (f *feed) repeated(b *message.Bundle) {
	s := &f.p.r.repeats
	if b.Again {
		for i := range b.Items {
			s.add(message.ID{Run: b.First.Run, Seq: b.First.Seq + uint64(i)})
		}
		return
	}
	f.from.again = f.from.again || s.has(b.First, len(b.Items))
}

// special tells an item that has to be looked at.
func special(it message.BundleItem) bool { return it.Retain || it.Expires != 0 }

// origin is where the bundle at hand came from.
func (f *feed) origin(b *message.Bundle) origin {
	if b.QoS == 0 {
		return origin{}
	}
	return f.from
}

func (p *Publisher) wait(qos byte) func() *Pending {
	if qos == 0 {
		return nil
	}
	return p.pending
}

// pendNow ends the bundle at hand.
func (p *Publisher) pendNow(qos byte) {
	if qos > 0 {
		p.settle(nil, qos, codeSuccess)
	}
}

func (p *Publisher) takeRun(rt *route, b *message.Bundle) {
	p.current(rt)
	u := runs.Get().(*run)
	for i := range b.Items {
		it := &b.Items[i]
		u.add(p, rt, &message.Publish{Payload: it.Payload, Props: it.Props, QoS: b.QoS}, nil)
	}
	u.rawOK, u.ids = false, u.ids[:0]
	u.first, u.now, u.trace = b.First, b.Created, p.r.Tracing()
	u.deliver()
	u.reset()
	runs.Put(u)
}

func (g *groups) get(key groupKey) *Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byKey[key]
}

// knows reports whether a message that may come again waits in the group, or was given to
// one of its members.
func (g *Group) knows(id message.ID) bool {
	g.mu.Lock()
	members := g.members
	waits := slices.ContainsFunc(g.queue.list, func(w waiting) bool { return w.m.ID == id })
	g.mu.Unlock()
	return waits || slices.ContainsFunc(members, func(mb *member) bool { return mb.c.knows(id) })
}

// sample is a topic name that a filter matches.
func sample(filter string) string {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if l == "+" || l == "#" {
			levels[i] = "x"
		}
	}
	return strings.Join(levels, "/")
}

// handOnGroup gives what waits in a group to a mailbox that has a member online, if none
// is here.
func (r *Router) handOnGroup(key string) {
	name, filter, _ := strings.Cut(key, "/")
	for _, f := range r.adopted.all() {
		b := f.p.box
		g := b.groups.get(groupKey{name, topic.Filter(filter)})
		if g == nil || g.online() > 0 {
			continue
		}
		for {
			w, ok := g.take(r.now().UnixNano(), nil)
			if !ok {
				break
			}
			pend := &Pending{owner: handed{g, w}}
			pend.left.Store(1)
			if !r.pass(b, key, w.m, false, func() *Pending { return pend }) {
				g.mu.Lock()
				g.takeBackLocked([]waiting{w})
				g.mu.Unlock()
				break
			}
			pend.done()
		}
	}
}

// pass gives what waits in a group to another mailbox: see handOn. wait is told when it is
// there; its owner is told if the mailbox is gone.
func (r *Router) pass(b *box, key string, m *message.Message, any bool, wait func() *Pending) bool {
	me := []message.MailboxID{r.nameOf(b)}
	to := r.onlineOf(key, me, any)
	if to == "" {
		return false
	}
	if m.QoS == 2 {
		b.passed.add(keyOf(key), m.ID)
	}
	r.send(to, groupBundle(key, m, me, true), wait)
	return true
}

// relay gives what waits in a group that has lost its last member here to a mailbox that
// has members. It reports false if there is none: the group has ended. No lock is held.
func (r *Router) relay(g *Group, w waiting) bool {
	if r.peers == nil {
		return false
	}
	if own := r.own.groups.get(g.key); own != nil && own != g {
		r.store.Begin()
		own.mu.Lock()
		own.pushLocked(w.m, nil)
		own.mu.Unlock()
		g.forget(w)
		r.store.End()
		own.wake(own.membersNow(), 0)
		return true
	}
	pend := &Pending{owner: handed{g, w}}
	pend.left.Store(1)
	ok := r.pass(g.box, g.key.record(), w.m, true, func() *Pending { return pend })
	if ok {
		pend.done()
	}
	return ok
}

func (g *Group) membersNow() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members
}

// handed is a group's message on its way to another mailbox: its record goes when it is
// there.
type handed struct {
	g *Group
	w waiting
}

// Ack implements Acker.
func (h handed) Ack([]message.PacketID, byte, byte) { h.Complete(nil) }

// Defer implements Acker.
func (handed) Defer(*Pending) {}

// Complete implements Acker.
func (h handed) Complete(*Pending) { h.g.forget(h.w) }

// Refuse implements Acker: the other mailbox is gone. What refuses is asked again after a
// while, as the table may not tell it yet. When the router closes the record stays.
func (h handed) Refuse(*Pending) {
	h.g.r.events.apart(func() {
		if h.g.r.pause() {
			h.again()
		}
	})
}

// again gives the message to the group here, or to another mailbox.
func (h handed) again() {
	h.g.box.passed.remove(h.g.key, h.w.m.ID)
	h.g.mu.Lock()
	last := len(h.g.members) == 0
	if !last {
		h.g.takeBackLocked([]waiting{h.w})
	}
	h.g.mu.Unlock()
	switch {
	case !last:
		wakeAll([]*Group{h.g})
	case !h.g.r.relay(h.g, h.w):
		h.g.lose(h.w, stats.DropSessionEnded)
	}
}

// knows reports whether the session was given a message before: see Router.knows.
func (c *Client) knows(id message.ID) bool {
	if c.page == nil { // it ends with its connection
		return false
	}
	return c.r.knows(c.ID, id)
}

// pause waits a moment before something is tried again. It reports false when the router
// closes.
func (r *Router) pause() bool {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.pager.quit:
		return false
	}
}

const retryPause = 100 * time.Millisecond

// Retained applies a change of a retained message that was made anywhere, in the order
// that holds for all.
func (r *Router) Retained(m *message.Message, removed bool) { r.retained.apply(m, removed) }

// Adopt takes over a mailbox of a process that is gone: the sessions that live there, what
// waits in its groups, and its delayed messages. Its inbox is consumed from then on.
func (r *Router) Adopt(id message.MailboxID, a *store.Adoption) {
	b := newBox(id)
	b.replays = a.End
	f := r.newFeed(b)
	r.adopted.put(f)
	for i := range a.Delayed { // they are there when sessions end
		if e := &a.Delayed[i]; ofReceipt(e.At) {
			r.outcomes.restore(delayedKey{id, e.Seq}, e.At, e.Msg)
		}
	}
	r.outcomes.restored()
	for i := range a.Heads {
		r.adoptHead(b, &a.Heads[i], a.Orderly)
	}
	taken := map[*Group]map[message.ID]bool{}
	for i := range a.Groups {
		e := &a.Groups[i]
		if r.waitedRound(b, e.Group, waiting{e.Msg, e.Seq}) {
			continue
		}
		r.restoreWaiting(context.Background(), b, taken, e.Group, e.Seq, e.Msg)
	}
	for i := range a.Delayed {
		if e := &a.Delayed[i]; !ofReceipt(e.At) {
			r.delayed.adopt(r, b, e.Seq, e.At, e.Msg)
		}
	}
	r.log.Info("mailbox adopted", "mailbox", string(id), "sessions", len(a.Heads))
}

// adoptHead takes over one session.
func (r *Router) adoptHead(b *box, h *store.AdoptedHead, orderly bool) {
	if old := r.reg.get(h.Session.ID); old != nil { // it is older: only one process can own it
		r.forget(old)
	}
	grace := time.Duration(0)
	if orderly {
		grace = r.Settings().WillGrace
	}
	c := r.restoreHeadIn(b, &h.Head, grace)
	if c == nil {
		return
	}
	c.mu.Lock()
	if c.page != nil {
		c.page.at, c.page.since = h.At, h.Since
		c.page.overlap = overlapOf(h.Overlap)
	}
	c.mu.Unlock()
}

// Lost forgets an adopted mailbox that belongs to another process now: nothing of it can be
// committed any more.
func (r *Router) Lost(id message.MailboxID) {
	f := r.adopted.take(id)
	if f == nil {
		return
	}
	list := f.p.box.residents(math.MaxInt)
	for _, c := range list { // all at once, so that nobody waits for the slow ones
		c.mu.Lock()
		if l := c.link; l != nil {
			l.End(codeTakenOver, "the session belongs to another instance")
		}
		c.mu.Unlock()
	}
	for _, c := range list {
		r.forget(c)
	}
}

// forget closes a session's connection and forgets the session; its records are another
// process's.
func (r *Router) forget(c *Client) {
	ctx, cancel := context.WithTimeout(context.Background(), forgetWait)
	defer cancel()
	c.mu.Lock()
	l := c.link
	c.recorded = false // nothing of it is committed from here
	c.head.Will = nil
	var t *transit
	if c.page != nil {
		t, c.page.transit = c.page.transit, nil
	}
	c.mu.Unlock()
	if t != nil { // the session has what was kept, wherever it is
		t.drop()
		dropKept(t.late)
	}
	if l != nil {
		_ = r.takeOver(ctx, c, false) // a connection that does not end in time finds its session ended
	}
	if _, _, ok := c.markEnded(); ok {
		r.deleteSession(c)
	}
}

const forgetWait = 10 * time.Second

func overlapOf(list []message.ID) map[message.ID]struct{} {
	if len(list) == 0 {
		return nil
	}
	m := make(map[message.ID]struct{}, len(list))
	for _, id := range list {
		m[id] = struct{}{}
	}
	return m
}

// Joined is called once the node has joined a cluster, in the place of Restore.
func (r *Router) Joined() { r.outcomes.start() }
