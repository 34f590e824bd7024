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
	m := p.materialize(rt.name, pub, r.now().UnixNano())
	if r.has.Publish {
		changed, verdict := r.hooks.Publish(p.hook, m, p.version)
		switch verdict.Fate {
		case hooks.Reject:
			return p.refuse(pub, verdict.Code, stats.DropHook, verdict.Why)
		case hooks.Ignore:
			r.stats.Drop(stats.DropHook, 1)
			p.accept(pub)
			p.settleOne(pub, codeSuccess)
			return Outcome{}
		}
		m = changed
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
	p.accept(pub)
	if code := r.retain(m, wait); code != codeSuccess {
		return p.refuse(pub, code, stats.DropRetainLimit, "retained messages over their limit")
	}
	p.current(rt)
	r.route(m, rt.targets, rt.groups, wait)
	p.end()
	if r.has.Published {
		r.hooks.Published(p.hook, m, p.version)
	}
	matched := len(rt.targets)+len(rt.groups) > 0
	if !matched {
		r.stats.Drop(stats.DropNoSubscriber, 1)
	}
	p.settleOne(pub, p.matchCode(matched))
	return Outcome{}
}

// accept begins what belongs to a publish that nobody refuses any more.
func (p *Publisher) accept(pub *message.Publish) {
	if pub.QoS > 0 {
		p.begin()
	}
	if pub.QoS == 2 {
		p.receive(pub)
	}
}

// retain stores a retained message. That comes before its targets are matched: a
// SUBSCRIBE in between finds it among the retained messages, one before that is
// matched, so nobody gets neither. A code other than 0 refuses the message.
func (r *Router) retain(m *message.Message, wait func() *Pending) byte {
	if !m.Retain {
		return codeSuccess
	}
	return r.retained.set(m, wait)
}

// route hands m to sessions and groups. wait answers what the commits are waited for
// in; nil when nobody waits.
func (r *Router) route(m *message.Message, targets []target, groups []*Group, wait func() *Pending) {
	for i := range targets {
		t := &targets[i]
		e := session.Entry{Entry: store.Entry{Msg: m, SubIDs: t.subIDs, QoS: min(m.QoS, t.qos), Retain: m.Retain && t.rap}}
		if t.each && !r.mayRead(t.c.identity(), m.Topic, e.QoS, e.Retain) {
			t.c.drop(stats.DropACL, 1)
			r.follows.dropped(m, t.c)
			continue
		}
		t.c.push(e, wait)
	}
	for _, g := range groups {
		g.publish(m, wait)
	}
}

// push hands one message to a session.
func (c *Client) push(e session.Entry, wait func() *Pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		c.r.follows.dropped(e.Msg, c)
		return
	}
	if e.QoS == 0 && (!c.r.Settings().QueueQoS0 || c.link != nil && !c.queuesLocked()) {
		c.pushQoS0Locked(&e)
		return
	}
	c.enqueueLocked(e)
	if e.QoS == 0 { // nobody acknowledges it
		c.r.follows.delivered(e.Msg, c)
	}
	var pend *Pending
	if wait != nil && len(c.out.Ops) > 0 {
		pend = wait()
	}
	c.pumpLocked(pend)
}

// pushQoS0Locked sends a QoS 0 message past the queue.
func (c *Client) pushQoS0Locked(e *session.Entry) {
	l := c.link
	if l == nil {
		c.dropMessageLocked(stats.DropQoS0Offline, e.Msg)
		return
	}
	if l.Out.Room() <= 0 || c.r.overLimit() {
		c.dropMessageLocked(stats.DropOutputFull, e.Msg)
		return
	}
	buf, ok := l.AppendPublish(l.Out.Begin(), e, 0, false, c.r.now().UnixNano())
	l.Out.End(buf)
	if !ok {
		c.dropMessageLocked(stats.DropTooLarge, e.Msg)
	}
	c.r.follows.delivered(e.Msg, c) // if it was not dropped
}

func (c *Client) dropMessageLocked(why stats.DropReason, m *message.Message) {
	c.dropLocked(why, 1)
	c.r.follows.dropped(m, c)
	c.r.events.dropped(c.hook, m)
}

// Inject routes a message of the broker itself: a will, a delayed message. It does
// not wait for commits. It answers the reason code of a refusal.
func (r *Router) Inject(m *message.Message) byte {
	if code := r.retain(m, nil); code != codeSuccess {
		r.stats.Drop(stats.DropRetainLimit, 1)
		return code
	}
	from := r.reg.get(m.Publisher) // its No Local holds for what it had delayed, too
	targets := r.readable(m.Topic, r.own.match(m.Topic, from, nil))
	r.route(m, targets, r.own.matchGroups(m.Topic, nil), nil)
	return codeSuccess
}
