package router

import (
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

const packetPublish = "PUBLISH"

// decided is a decision about a run, or n messages of it.
func (u *run) decided(decision, rule string, n int) *TraceEvent {
	e := &TraceEvent{Client: u.p.id, Packet: packetPublish, Topic: u.rt.name, QoS: u.qos, Decision: decision, Rule: rule, Count: n}
	if len(u.ids) > 0 {
		e.ID = u.ids[0]
	}
	return e.from(u.p.hook)
}

// from names the publisher's address.
func (e *TraceEvent) from(h *hooks.Client) *TraceEvent {
	if h != nil {
		e.Remote = h.Remote()
	}
	return e
}

// sentRun shows what a target got of a run at once.
func (u *run) sentRun(c *Client, h *hooks.Client, n int) {
	if u.trace != nil && n > 0 {
		u.trace.decide(u.decided(DecidedSent, "", n).to(c, h))
	}
}

// queuedRun shows how many messages went into the queue of a target, whose last number
// was before; those of a target that is full did not. Its c.mu is held.
func (u *run) queuedRun(c *Client, before uint64) {
	if n := c.sess.Figures().Last - before; n > 0 {
		u.trace.decide(u.decided(DecidedQueued, "", int(n)).to(c, c.hook))
	}
}

// droppedRun shows that a target did not get n messages of a run.
func (u *run) droppedRun(c *Client, h *hooks.Client, why stats.DropReason, n int) {
	if u.trace != nil {
		u.trace.decide(u.decided(DecidedDropped, why.String(), n).to(c, h))
	}
}

// publishing is an event about a publish at hand.
func (p *Publisher) publishing(topic string, pub *message.Publish, decision, rule string) *TraceEvent {
	e := &TraceEvent{Client: p.id, Packet: packetPublish, Topic: topic, QoS: pub.QoS, ID: pub.ID, Decision: decision, Rule: rule}
	return e.from(p.hook)
}

// messageEvent is an event about a message.
func messageEvent(m *message.Message, decision, rule string) *TraceEvent {
	e := &TraceEvent{Packet: packetPublish, Decision: decision, Rule: rule}
	if m != nil {
		e.Client, e.Topic, e.QoS = m.Publisher, m.Topic, m.QoS
	}
	return e
}

// traceMessage shows a decision about a message, whoever published it.
func (r *Router) traceMessage(m *message.Message, decision, rule, target string) {
	if g := r.Tracing(); g != nil {
		e := messageEvent(m, decision, rule)
		e.Target = target
		g.decide(e)
	}
}

// traceLocked shows a decision about a message to the client. c.mu is held.
func (c *Client) traceLocked(m *message.Message, decision, rule string) {
	if g := c.r.Tracing(); g != nil {
		g.decide(messageEvent(m, decision, rule).to(c, c.hook))
	}
}

// enqueueTracedLocked is enqueueLocked that shows where the message went.
func (c *Client) enqueueTracedLocked(e session.Entry) {
	g := c.r.Tracing()
	if g == nil {
		c.enqueueLocked(e)
		return
	}
	before := c.sess.Figures().Last
	c.enqueueLocked(e)
	if c.sess.Figures().Last > before {
		g.decide(messageEvent(e.Msg, DecidedQueued, "").to(c, c.hook))
	}
}

// tracedCommit shows when a group of publishes was committed.
type tracedCommit struct {
	g     *Tracing
	e     TraceEvent
	since int64
}

// traceCommit has the commit of publishes shown that are settled now: they went to the
// topic that was looked up last.
func (p *Publisher) traceCommit(pend *Pending) {
	g := p.r.Tracing()
	if g == nil || p.c == nil || p.feed != nil || p.last == nil {
		return
	}
	t := &tracedCommit{g: g, since: p.r.since()}
	t.e = TraceEvent{Client: p.id, Packet: packetPublish, Topic: p.last.name, QoS: pend.QoS, Decision: DecidedCommitted, Count: len(pend.IDs)}
	if len(pend.IDs) > 0 {
		t.e.ID = pend.IDs[0]
	}
	t.e.from(p.hook)
	pend.traced = t
}

// done shows it.
func (t *tracedCommit) done(r *Router) {
	e := t.e // who looks may have ended meanwhile
	e.Took = time.Duration(r.since() - t.since)
	t.g.decide(&e)
}

// traceFilter shows what became of a filter that a client asked for.
func (r *Router) traceFilter(h *hooks.Client, f *Subscription, d *hooks.Decision) {
	g := r.Tracing()
	if g == nil {
		return
	}
	e := &TraceEvent{Packet: "SUBSCRIBE", Topic: f.Filter, QoS: f.QoS, Decision: DecidedAllowed, Rule: d.Rule, Code: d.Code}
	if d.Code != codeSuccess {
		e.Decision = DecidedRefused
	}
	g.decide(e.about(h))
}

// traceRead shows that a rule keeps a topic from a client.
func (r *Router) traceRead(c *Client, h *hooks.Client, name string, d *hooks.Decision) {
	if g := r.Tracing(); g != nil {
		e := &TraceEvent{Packet: packetPublish, Topic: name, Decision: DecidedRefused, Rule: d.Rule, Code: d.Code}
		g.decide(e.to(c, h))
	}
}

// traceAllowed shows that a publish at hand is routed.
func (p *Publisher) traceAllowed(rt *route, pub *message.Publish) {
	if g := p.r.Tracing(); g != nil {
		g.decide(p.publishing(rt.name, pub, DecidedAllowed, rt.rule))
		if pub.Retain {
			g.decide(p.publishing(rt.name, pub, DecidedRetained, ""))
		}
	}
}

// traceLost shows that what the client's session had ended with it.
func (c *Client) traceLost(n int) {
	if g := c.r.Tracing(); g != nil {
		e := messageEvent(nil, DecidedDropped, c.whyEndedLocked().String())
		e.Count = n
		g.decide(e.to(c, c.hook))
	}
}

// traceRefused shows that a message of a Sender was refused, if it was.
func (s *Sender) traceRefused(m *message.Message, code byte, rule string) {
	if g := s.r.Tracing(); g != nil && code >= codeUnspecified {
		e := messageEvent(m, DecidedRefused, rule).from(s.hook)
		e.Code = code
		g.decide(e)
	}
}
