package router

import (
	"unicode/utf8"
	"unsafe"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

// Publisher is the publishing side of one connection. It belongs to the
// connection's goroutine.
type Publisher struct {
	r       *Router
	c       *Client
	hook    *hooks.Client
	user    string
	version byte
	acks    Acker
	routes  map[string]*route
	last    *route
	run     *run // nil while nothing is gathered: an idle connection holds none
}

// NewPublisher returns the publishing side of l's connection.
func (r *Router) NewPublisher(l *Link, acks Acker) *Publisher {
	p := &Publisher{r: r, c: l.client, hook: l.Hook, version: l.Version, acks: acks}
	if id := l.Hook.Identity(); id.User != "" {
		p.user = id.User
	}
	return p
}

// Outcome is what became of a publish that was handed in.
type Outcome struct {
	Code  byte   // 0, or the reason code that refused it
	Close bool   // the connection must end with Code
	Why   string // the rule, for the log
}

// Publish takes a parsed PUBLISH. raw is the whole frame that pub was parsed
// from; both may alias the read buffer until Flush. A refused QoS 1 or 2 publish
// is acknowledged by the Publisher; the caller only closes if told to.
func (p *Publisher) Publish(pub *message.Publish, raw []byte) Outcome {
	rt := p.routeFor(pub.Topic)
	if rt == nil {
		return Outcome{codeTopicInvalid, true, "topic name invalid [MQTT-3.3.2-2]"}
	}
	set := p.r.Settings()
	if pub.QoS > set.MaximumQoS { // [MQTT-3.2.2-11]
		return Outcome{0x9B, true, "QoS above the Maximum QoS"}
	}
	if pub.Retain && !set.RetainAvailable { // [MQTT-3.2.2-14]
		return Outcome{codeRetainUnsupported, true, "retain is not available"}
	}
	if p.run != nil && p.run.n > 0 && (p.run.rt != rt || p.run.qos != pub.QoS || p.run.n >= maxRun) {
		p.flushRun()
	}
	if pub.QoS == 2 && !p.receive(pub) {
		return Outcome{}
	}
	if rt.code != 0 {
		return p.refuse(pub, rt.code, stats.DropACL, "topic refused")
	}
	if set.CheckFormat && pub.Format == 1 && !utf8.Valid(pub.Payload) {
		return p.refuse(pub, codePayloadFormat, stats.DropPayloadFormat, "payload is not UTF-8")
	}
	if p.special(pub, rt) {
		p.Flush()
		return p.publishSpecial(rt, pub)
	}
	if p.run == nil {
		p.run = runs.Get().(*run)
	}
	p.run.add(p, rt, pub, raw)
	return Outcome{}
}

// special tells the publishes that are handled one by one, as messages.
func (p *Publisher) special(pub *message.Publish, rt *route) bool {
	return pub.Retain || pub.HasExpiry || len(rt.groups) > 0 || p.r.has.Publish || p.r.has.Published || rt.name[0] == '$' || p.perMessageACL()
}

func (p *Publisher) perMessageACL() bool { return false }

// Flush hands on what was gathered. It must be called before the read buffer is
// reused, and before any packet that must see its effects.
func (p *Publisher) Flush() {
	if p.run == nil {
		return
	}
	if p.run.n > 0 {
		p.flushRun()
	}
	runs.Put(p.run)
	p.run = nil
}

func (p *Publisher) flushRun() {
	run := p.run
	matched := p.r.deliverRun(run)
	if run.qos > 0 {
		p.settle(run.ids, run.qos, p.matchCode(matched), run.pend)
	}
	run.reset()
}

// matchCode is the reason code of an accepted publish.
func (p *Publisher) matchCode(matched bool) byte {
	if !matched && p.version >= message.V5 && p.r.Settings().NoMatchCode {
		return codeNoMatch
	}
	return 0
}

// settle acknowledges publishes now or when their commits are done.
func (p *Publisher) settle(ids []message.PacketID, qos, code byte, pend *Pending) {
	if pend == nil {
		p.acks.Ack(ids, qos, code)
		return
	}
	pend.IDs, pend.QoS, pend.Code = append([]message.PacketID(nil), ids...), qos, code
	p.acks.Defer(pend)
	pend.done()
}

func (p *Publisher) newPending() *Pending {
	pd := &Pending{owner: p.acks}
	pd.left.Store(1)
	return pd
}

// receive notes a QoS 2 identifier. It reports false for a repetition, which is
// acknowledged again in its place and not routed.
func (p *Publisher) receive(pub *message.Publish) bool {
	p.c.mu.Lock()
	fresh := p.c.sess.Received(&p.c.out, pub.ID)
	var pend *Pending
	if len(p.c.out.Ops) > 0 {
		pend = p.pending()
		p.c.commitLocked(pend)
	}
	p.c.mu.Unlock()
	if fresh {
		return true
	}
	p.Flush()
	p.settle([]message.PacketID{pub.ID}, 2, 0, nil)
	return false
}

// pending is the group that the publishes of the gathered run wait in.
func (p *Publisher) pending() *Pending {
	if p.run == nil {
		p.run = runs.Get().(*run)
	}
	if p.run.pend == nil {
		p.run.pend = p.newPending()
	}
	return p.run.pend
}

// refuse answers a publish that may not be routed.
func (p *Publisher) refuse(pub *message.Publish, code byte, why stats.DropReason, rule string) Outcome {
	p.r.stats.Drop(why, 1)
	p.Flush()
	if p.version < message.V5 {
		if p.r.Settings().DenyClose {
			return Outcome{code, true, rule}
		}
		code = 0
	}
	if pub.QoS == 2 && code >= 0x80 {
		p.c.mu.Lock()
		p.c.sess.Unreceive(&p.c.out, pub.ID)
		p.c.commitLocked(nil)
		p.c.mu.Unlock()
	}
	if pub.QoS > 0 {
		p.settle([]message.PacketID{pub.ID}, pub.QoS, code, nil)
	}
	return Outcome{Code: code, Why: rule}
}

// contiguous reports whether b starts where a ends in memory.
func contiguous(a, b []byte) bool {
	return unsafe.Pointer(unsafe.SliceData(b)) == unsafe.Add(unsafe.Pointer(unsafe.SliceData(a)), len(a))
}
