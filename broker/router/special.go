package router

import (
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// publishOne routes one publish as a message: retained, expiring, delayed, or
// looked at by hooks. Nothing is gathered before it.
func (p *Publisher) publishOne(rt *route, pub *message.Publish) Outcome {
	r := p.r
	m := p.materialize(rt.name, pub, r.now().UnixNano(), r.nextID())
	if r.has.Publish {
		changed, verdict := r.hooks.Publish(p.hook, m, p.version)
		switch verdict.Fate {
		case hooks.Reject:
			return p.refuse(pub, verdict.Code, stats.DropHook, verdict.Why)
		case hooks.Ignore:
			r.stats.Drop(stats.DropHook, 1)
			r.traceMessage(m, DecidedDropped, stats.DropHook.String(), "")
			p.accept(pub, m)
			if !p.routed() {
				p.lose()
				return Outcome{}
			}
			p.settleOne(pub, codeSuccess)
			return Outcome{}
		}
		m = changed
	}
	if code, why := r.judgeReceipt(p.hook, m); code != codeSuccess {
		return p.refuse(pub, code, receiptDrop(code), why)
	}
	if strings.HasPrefix(m.Topic, delayedPrefix) {
		return p.delay(pub, m)
	}
	if m.Topic != rt.name { // a hook sent it elsewhere
		if rt = p.routeFor([]byte(m.Topic)); rt == nil || rt.code != codeSuccess {
			return p.refuse(pub, codeTopicInvalid, stats.DropHook, "a hook made an invalid topic name")
		}
	}
	var wait func() *Pending
	if pub.QoS > 0 {
		wait = p.pending
	}
	p.current(rt) // asks hooks, if any, before the store is held; what changes until it is matched again is little
	if !r.outcomes.admit(m, len(rt.targets)+len(rt.groups), p.link.gone) {
		return p.refuse(pub, codeQuotaExceeded, stats.DropQuota, "receipts.summaries")
	}
	p.traceAllowed(rt, pub)
	p.accept(pub, m)
	if !p.routed() || !p.hold(rt) { // nothing is retained of what will be published again, with another id
		p.lose()
		return Outcome{}
	}
	if code := r.retain(m, wait); code != codeSuccess {
		p.let()
		return p.refuse(pub, code, stats.DropRetainLimit, "retained messages over their limit")
	}
	p.current(rt) // as of now: see retain
	r.route(m, rt.targets, rt.groups, wait, p.origin())
	p.forwardOne(rt, m, wait)
	matched := rt.any()
	if !matched {
		r.tellNobody(m, wait)
	}
	p.let()
	p.end()
	if r.has.Published {
		r.hooks.Published(p.hook, m, p.version)
	}
	if !matched {
		r.stats.Drop(stats.DropNoSubscriber, 1)
		r.traceMessage(m, DecidedDropped, stats.DropNoSubscriber.String(), "")
	}
	p.settleOne(pub, p.matchCode(matched))
	return Outcome{}
}

// accept begins what belongs to a publish that nobody refuses any more.
func (p *Publisher) accept(pub *message.Publish, m *message.Message) {
	if pub.QoS > 0 && p.abroad == nil {
		p.begin()
	}
	if pub.QoS == 2 {
		p.receive(pub, func() *message.Message { return m })
	}
}

// retain stores a retained message. That comes before its targets are matched: a
// SUBSCRIBE in between finds it among the retained messages, one before that is
// matched, so nobody gets neither. A code other than 0 refuses the message.
func (r *Router) retain(m *message.Message, wait func() *Pending) byte {
	if !m.Retain {
		return codeSuccess
	}
	return r.retained.set(unasked(m), wait)
}

// route hands m to sessions and groups. wait answers what the commits are waited for
// in; nil when nobody waits.
func (r *Router) route(m *message.Message, targets []target, groups []*Group, wait func() *Pending, from origin) {
	q := r.inquire(m, targets, groups, wait)
	for i := range targets {
		t := &targets[i]
		e := session.Entry{Entry: store.Entry{Msg: m, SubIDs: t.subIDs, QoS: min(m.QoS, t.qos), Retain: m.Retain && t.rap}}
		if t.each && !r.mayRead(t.c.identity(), m.Topic, e.QoS, e.Retain) {
			t.c.drop(stats.DropACL, 1)
			r.traceMessage(m, DecidedDropped, stats.DropACL.String(), string(t.c.ID))
			r.follows.dropped(m, t.c)
			q.drop(stats.DropACL, t.c, wait)
			continue
		}
		if from.again && e.QoS == 2 && from.known.session(t.c, m.ID) {
			q.sure(true)
			continue
		}
		q.sure(t.c.push(e, wait, from))
	}
	for _, g := range groups {
		if from.again && m.QoS == 2 && from.known.group(g, m.ID) {
			q.sure(true)
			continue
		}
		q.sure(g.publish(m, wait))
		r.traceMessage(m, DecidedQueued, "", g.key.record())
	}
	q.end(wait)
}

// push hands one message to a session. It reports whether what becomes of it will be
// known after a restart too.
func (c *Client) push(e session.Entry, wait func() *Pending, from origin) (sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		c.r.follows.dropped(e.Msg, c)
		o := dropped(stats.DropSessionEnded)
		o.client = c.ID
		return c.r.tell("", e.Msg, o, nil, wait)
	}
	if e.QoS == 0 && (!c.r.Settings().QueueQoS0 || c.link != nil && !c.queuesLocked()) {
		c.pushQoS0Locked(&e)
		return false
	}
	if c.page != nil && (!c.admitsLocked(from) || c.keepsLocked(&e, from, wait)) {
		return e.QoS > 0
	}
	if c.hadLocked(e.Msg, e.QoS, wait) {
		return true
	}
	c.liveLocked(e.Msg, e.QoS)
	c.enqueueTracedLocked(e)
	if e.QoS == 0 { // nobody acknowledges it
		c.r.follows.delivered(e.Msg, c)
	}
	var pend *Pending
	if wait != nil && len(c.out.Ops) > 0 {
		pend = wait()
	}
	c.pumpLocked(pend)
	return e.QoS > 0 && c.Persistent()
}

// pushQoS0Locked sends a QoS 0 message past the queue.
func (c *Client) pushQoS0Locked(e *session.Entry) {
	l := c.link
	if l == nil {
		c.dropMessageLocked(stats.DropQoS0Offline, e)
		return
	}
	if l.Out.Room() <= 0 {
		c.dropMessageLocked(stats.DropOutputFull, e)
		return
	}
	if c.r.overLimit() {
		c.dropMessageLocked(stats.DropMemory, e)
		return
	}
	buf, ok := l.AppendPublish(l.Out.Begin(), e, 0, false, c.r.now().UnixNano())
	l.Out.End(buf)
	if !ok {
		c.dropMessageLocked(stats.DropTooLarge, e)
		return
	}
	c.r.follows.delivered(e.Msg, c)
	c.writtenLocked(l, e.Msg)
	c.traceLocked(e.Msg, DecidedSent, "")
}

func (c *Client) dropMessageLocked(why stats.DropReason, e *session.Entry) {
	c.dropLocked(why, 1)
	c.traceLocked(e.Msg, DecidedDropped, why.String())
	c.tellLocked(e.Msg, e.QoS, dropped(why))
	c.r.follows.dropped(e.Msg, c)
	c.r.events.dropped(c.hook, e.Msg)
}

// Inject routes a message of the broker itself: a will, a delayed message. It does
// not wait for commits. It answers the reason code of a refusal.
func (r *Router) Inject(m *message.Message) byte { return r.inject(m, false, nil) }

// inject is Inject with what waits for it. again says that it may have been routed
// before.
func (r *Router) inject(m *message.Message, again bool, wait func() *Pending) byte {
	if code := r.retain(m, wait); code != codeSuccess {
		r.stats.Drop(stats.DropRetainLimit, 1)
		return code
	}
	if r.peers == nil {
		targets, groups := r.matchOwn(m)
		r.route(m, targets, groups, wait, origin{again: again})
		if len(targets)+len(groups) == 0 {
			r.tellNobody(m, wait)
		}
		return codeSuccess
	}
	known := &answers{}
	if again && m.QoS == 2 {
		r.repeats.add(m.ID)
	}
	for !r.injectByTable(m, again, known, wait) {
		known.ask(m.ID)
	}
	return codeSuccess
}

// matchOwn is who gets a message of the broker itself here.
func (r *Router) matchOwn(m *message.Message) ([]target, []*Group) {
	from := r.reg.get(m.Publisher) // its No Local holds for what it had delayed, too
	return r.readable(m.Topic, r.own.match(m.Topic, from, nil)), r.own.matchGroups(m.Topic, nil)
}

// injectByTable routes a message while the route table stays as it is. Nobody may wait for the
// store meanwhile, as others wait for the table with it: if somebody has to be asked whether
// he knows the message, it does nothing and reports false.
func (r *Router) injectByTable(m *message.Message, again bool, known *answers, wait func() *Pending) bool {
	r.peers.mu.RLock()
	defer r.peers.mu.RUnlock()
	targets, groups := r.matchOwn(m)
	groups, spread := r.peers.spread(m.Topic, groups)
	if again && m.QoS == 2 && known.wanted(targets, groups) {
		return false
	}
	r.route(m, targets, groups, wait, origin{matched: r.peers.at, again: again, known: known})
	r.forward(r.peers.boxes(m.Topic, nil), spread, m, r.peers.at, again, wait)
	return true
}

// injectThen routes a message of the broker itself and commits, by record, that it was
// dealt with: written as one by a node alone. In a cluster record is called when all
// targets have it, so that a crash in between repeats it with the same id.
func (r *Router) injectThen(m *message.Message, again bool, record func()) {
	if r.peers == nil {
		r.store.Begin()
		r.inject(m, again, nil)
		record()
		r.store.End()
		return
	}
	(&certain{r: r, list: []*message.Message{m}, again: again, record: record, end: func() {}}).route()
}
