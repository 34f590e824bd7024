package router

import (
	"slices"
	"unicode/utf8"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// Publisher is the publishing side of one connection. It belongs to the
// connection's goroutine.
type Publisher struct {
	r       *Router
	c       *Client // nil for what comes through an inbox
	box     *box    // whose subscriptions are matched
	hook    *hooks.Client
	id      message.ClientID
	user    string
	version byte
	acks    Acker
	link    *Link
	routes  map[string]*route
	last    *route
	run     *run     // nil while nothing is gathered: an idle connection holds none
	pend    *Pending // what the gathered publishes, or the one at hand, wait in
	open    bool     // between begin and end

	feed   *feed   // nil for a connection
	abroad *abroad // nil for a node alone, and for what comes through an inbox: it has been routed
}

// NewPublisher returns the publishing side of l's connection, after Connect.
func (r *Router) NewPublisher(l *Link, acks Acker) *Publisher {
	a := r.goAbroad()
	if a != nil && l.client.page != nil {
		l.client.mu.Lock()
		a.before = l.client.page.sending.unsettled()
		l.client.page.sending = a
		l.client.mu.Unlock()
	}
	return &Publisher{
		r: r, c: l.client, box: r.own, link: l, hook: l.Hook, version: l.Version, acks: acks, id: l.client.ID, user: l.Hook.Identity().User, abroad: a,
	}
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
	if !p.continues(pub) {
		p.flushRun() // before anybody is asked who may take his time
	}
	rt := p.routeFor(pub.Topic)
	if rt == nil {
		return badName(pub.Topic)
	}
	set := p.r.Settings()
	if pub.QoS > set.MaximumQoS { // [MQTT-3.2.2-11]
		return Outcome{codeQoSUnsupported, true, "QoS above the Maximum QoS [MQTT-3.2.2-11]"}
	}
	if pub.Retain && !set.RetainAvailable {
		return Outcome{codeRetainUnsupported, true, "retain is not available [MQTT-3.2.2-14]"}
	}
	if pub.QoS > 0 && p.abroad != nil && !p.abroad.ordered && !p.inOrder() {
		return Outcome{codeUnavailable, true, "what was published through another instance has not arrived"}
	}
	if pub.QoS == 2 && p.repeated(pub) {
		return Outcome{}
	}
	if rt.code != codeSuccess {
		return p.refuse(pub, rt.code, stats.DropACL, rt.rule)
	}
	if rt.each {
		d := p.r.hooks.Authorize(p.hook, hooks.Request{Action: hooks.Publish, Topic: rt.name, QoS: pub.QoS, Retain: pub.Retain})
		if rt.rule = d.Rule; d.Code != 0 {
			return p.refuse(pub, d.Code, stats.DropACL, d.Rule)
		}
	}
	if set.CheckFormat && pub.Format == 1 && !utf8.Valid(pub.Payload) {
		return p.refuse(pub, codePayloadFormat, stats.DropPayloadFormat, "payload is not UTF-8")
	}
	if rt.each || pub.Retain || pub.HasExpiry || pub.Receipt || rt.dollar || p.r.has.Publish || p.r.has.Published {
		p.flushRun()
		out := p.publishOne(rt, pub)
		p.end()
		return out
	}
	if p.run == nil {
		p.run = runs.Get().(*run)
	}
	p.run.add(p, rt, pub, raw)
	if pub.QoS == 2 {
		p.receive(pub, func() *message.Message { return p.run.message(p.run.n - 1) })
	}
	return Outcome{}
}

// continues reports whether a publish may join what is gathered.
func (p *Publisher) continues(pub *message.Publish) bool {
	u := p.run
	return u == nil || u.n == 0 || u.qos == pub.QoS && u.n < u.max && u.rt.name == string(pub.Topic) && u.rt.rules == p.r.rules()
}

// begin opens what the store writes as one: a QoS 2 publish with its entries in all
// sessions, so that neither is there without the other after a crash. Nothing may
// wait until end.
func (p *Publisher) begin() {
	if !p.open {
		p.throttle()
		if p.abroad != nil {
			return // who may have to wait holds nothing back: see receiveFirst
		}
		p.r.store.Begin()
		p.open = true
	}
}

// throttle waits until the store can take more: the connection that publishes too
// much for it waits, nobody else.
func (p *Publisher) throttle() { p.r.store.Wait(p.link.gone) }

func (p *Publisher) end() {
	if p.open {
		p.r.store.End()
		p.open = false
	}
}

// badName says what is wrong with what is no topic name.
func badName(name []byte) Outcome {
	switch {
	case len(name) == 0:
		return Outcome{codeProtocol, true, "empty topic name without an alias (3.3.2.1)"}
	case !message.ValidUTF8(name):
		return Outcome{codeMalformed, true, "topic name is not a UTF-8 string [MQTT-3.3.2-1]"}
	}
	return Outcome{codeTopicInvalid, true, "topic name with a wildcard [MQTT-3.3.2-2]"}
}

// Flush hands on what was gathered. It must be called before the read buffer is
// reused, and before any packet that must see its effects.
func (p *Publisher) Flush() {
	p.flushRun()
	if p.run != nil {
		runs.Put(p.run)
		p.run = nil
	}
}

func (p *Publisher) flushRun() {
	u := p.run
	if u == nil || u.n == 0 {
		return
	}
	switch u.qos {
	case 1:
		p.throttle()
	case 2:
		p.begin()
	}
	if !p.routed() || !p.hold(u.rt) {
		p.end()
		p.lose()
		u.reset()
		return
	}
	if u.trace = p.r.Tracing(); u.trace != nil {
		u.trace.decide(u.decided(DecidedAllowed, u.rt.rule, u.n))
	}
	matched := u.deliver()
	p.let()
	p.end()
	if u.qos > 0 {
		p.settle(u.ids, u.qos, p.matchCode(matched))
	}
	if !matched {
		p.r.stats.Drop(stats.DropNoSubscriber, uint64(u.n))
		if u.trace != nil {
			u.trace.decide(u.decided(DecidedDropped, stats.DropNoSubscriber.String(), u.n))
		}
	}
	u.reset()
}

// matchCode is the reason code of an accepted publish.
func (p *Publisher) matchCode(matched bool) byte {
	if !matched && p.version >= message.V5 && p.r.Settings().NoMatchCode {
		return codeNoMatch
	}
	return codeSuccess
}

// settle acknowledges publishes, now or when their commits are done.
func (p *Publisher) settle(ids []message.PacketID, qos, code byte) {
	pend := p.pend
	p.pend = nil
	if pend == nil && p.abroad != nil { // who has lost his lease acknowledges nothing
		pend = p.pending()
		p.pend = nil
	}
	if pend == nil {
		p.acks.Ack(ids, qos, code)
		return
	}
	pend.IDs, pend.QoS, pend.Code = append([]message.PacketID(nil), ids...), qos, code
	p.traceCommit(pend)
	p.follow(pend)
	p.acks.Defer(pend)
	pend.done()
}

// settleOne acknowledges the publish at hand.
func (p *Publisher) settleOne(pub *message.Publish, code byte) {
	if pub.QoS > 0 {
		p.settle([]message.PacketID{pub.ID}, pub.QoS, code)
	}
}

// pending is what the publishes that are settled next wait in.
func (p *Publisher) pending() *Pending {
	if p.pend == nil {
		p.pend = &Pending{owner: p.acks, from: p.c, of: p.abroad}
		p.pend.left.Store(1)
	}
	return p.pend
}

// repeated answers a QoS 2 publish whose identifier waits for its PUBREL: it is
// acknowledged again in its place and not routed [MQTT-4.3.3-10].
func (p *Publisher) repeated(pub *message.Publish) bool {
	p.c.mu.Lock()
	known := p.c.sess.HasReceived(pub.ID)
	if known {
		p.c.sess.Received(&p.c.out, pub.ID)
		if p.abroad != nil && len(p.c.out.Ops) > 0 {
			p.c.out.Ops = []store.Op{touch} // that it was routed is not known
		}
		if len(p.c.out.Ops) > 0 { // its record may not be committed yet
			p.c.commitLocked(p.pending())
		}
	}
	p.c.mu.Unlock()
	if known {
		p.flushRun()
		p.settleOne(pub, codeSuccess)
	}
	return known
}

// receive notes the identifier of a QoS 2 publish that is going to be routed. In a
// cluster, where its targets are not written together with it, the message is noted too.
func (p *Publisher) receive(pub *message.Publish, m func() *message.Message) {
	if p.c.Persistent() {
		if p.abroad != nil {
			p.receiveFirst(pub.ID, m())
			return
		}
		p.begin()
	}
	p.c.mu.Lock()
	p.c.sess.Received(&p.c.out, pub.ID)
	if len(p.c.out.Ops) > 0 {
		p.c.commitLocked(p.pending())
	}
	p.c.mu.Unlock()
}

// Received reports whether a QoS 2 identifier is one that waits for its PUBREL, and
// how many do.
func (p *Publisher) Received(id message.PacketID) (known bool, n int) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.c.sess.HasReceived(id), p.c.sess.ReceivedCount()
}

// refuse answers a publish that may not be routed: MQTT 5 is told, 3.x cannot be,
// so its publish is acknowledged and dropped, or its connection closed.
func (p *Publisher) refuse(pub *message.Publish, code byte, why stats.DropReason, rule string) Outcome {
	p.r.stats.Drop(why, 1)
	p.r.refused(p.hook, stats.Publishes, string(pub.Topic), code, rule)
	if g := p.r.Tracing(); g != nil {
		e := p.publishing(string(pub.Topic), pub, DecidedRefused, rule)
		e.Code = code
		g.decide(e)
	}
	p.flushRun()
	out := Outcome{Code: code, Why: rule}
	if p.version < message.V5 {
		if out.Close = p.r.Settings().DenyClose; !out.Close {
			p.settleOne(pub, codeSuccess)
			return out
		}
	}
	if pub.QoS == 2 {
		p.unreceive(pub.ID)
	}
	if out.Close { // never acknowledged
		p.pend = nil
		return out
	}
	p.settleOne(pub, code)
	return out
}

// unreceive forgets a QoS 2 identifier whose publish was refused: sent again, it is
// judged again.
func (p *Publisher) unreceive(id message.PacketID) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.sess.Unreceive(&p.c.out, id)
	if a := p.abroad; a != nil {
		a.received = slices.DeleteFunc(a.received, func(rc received) bool { return rc.id == id })
	}
	if len(p.c.out.Ops) > 0 {
		p.c.commitLocked(p.pending())
	}
}
