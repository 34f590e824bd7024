package router

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// ErrNoSession says that there is no session with the client identifier.
var ErrNoSession = errors.New("there is no such session")

// Identity is who acts without an MQTT connection.
type Identity struct {
	Name   string // stands for the client identifier, in rules and for hooks
	User   string // what rules know
	Remote string // address, for rules and logs
}

// Sender publishes for somebody without an MQTT connection, by the same rules. It is
// safe for concurrent use.
type Sender struct {
	r    *Router
	hook *hooks.Client
	id   Identity
}

// NewSender returns the Sender of an identity.
func (r *Router) NewSender(id Identity) *Sender {
	return &Sender{r: r, id: id, hook: r.outsider(id, "http")}
}

// outsider is an identity as rules and hooks see it.
func (r *Router) outsider(id Identity, transport string) *hooks.Client {
	return r.hooks.NewClient(hooks.Info{
		ID: id.Name, User: id.User, HasUser: true, Remote: id.Remote, Listener: "http", ListenerKind: transport, Version: message.V5,
	})
}

// Posted is what became of a message.
type Posted struct {
	Code      byte   // 0, 0x10 when nobody subscribes, or the reason code of the refusal
	Why       string // of a refusal
	Committed bool   // everything that acknowledging it promises is durable
	Matched   int    // sessions and groups, when receipts were asked for or not
	Delivered int    // of them, when receipts were asked for: have acknowledged it, or were sent it at QoS 0
	Dropped   int    // will not get it
	Pending   int    // have it and have not acknowledged it
}

// Refused reports whether the message was not accepted.
func (o *Posted) Refused() bool { return o.Code >= codeUnspecified }

// Publish publishes messages in their order, as a client of MQTT 5 would, and waits
// until they are committed; with receipts until everybody who matched has acknowledged
// them. The end of ctx ends the wait, not the publish: what is known by then is
// answered, and done is false. Messages are the router's from then on; it gives them
// their ids, times and publisher. An Expires that is not 0 is taken as nanoseconds from
// now.
func (s *Sender) Publish(ctx context.Context, list []*Message, receipts bool) (out []Posted, done bool) {
	w := newPostings(s.r, len(list), receipts)
	defer w.forget()
	p := &Publisher{r: s.r, box: s.r.own, abroad: s.r.goAbroad(), id: ClientID(s.id.Name), hook: s.hook, version: message.V5, user: s.id.User}
	for _, m := range list {
		s.r.store.Wait(func() <-chan struct{} { return ctx.Done() })
		at := w.begin(s.own(m))
		at.Code, at.Why = s.publish(p, m, at)
		s.traceRefused(m, at.Code, at.Why)
		at.end()
	}
	return w.wait(ctx)
}

// Send gives a message to one session, whatever it is subscribed to, and waits as
// Publish does. The error is ErrNoSession.
func (s *Sender) Send(ctx context.Context, id ClientID, m *Message, receipts bool) (out Posted, done bool, err error) {
	c := s.r.reg.get(id)
	if c == nil {
		return out, true, ErrNoSession
	}
	w := newPostings(s.r, 1, receipts)
	defer w.forget()
	s.r.store.Wait(func() <-chan struct{} { return ctx.Done() })
	at := w.begin(s.own(m))
	at.Code, at.Why = s.send(c, m, at)
	s.traceRefused(m, at.Code, at.Why)
	at.end()
	list, done := w.wait(ctx)
	return list[0], done, nil
}

// own makes a message one that the sender publishes now.
func (s *Sender) own(m *Message) *Message {
	m.ID, m.Publisher, m.User = s.r.nextID(), ClientID(s.id.Name), s.id.User
	life := m.Expires // relative until here
	m.Created = s.r.now().UnixNano()
	if m.Expires = 0; life > 0 {
		m.Expires = m.Created + life
	}
	return m
}

// publish judges a message and routes it. The reason code is that of PUBACK.
func (s *Sender) publish(p *Publisher, m *Message, at *posting) (code byte, why string) {
	r := s.r
	if code, why = s.judge(m); code != codeSuccess {
		return code, why
	}
	if r.has.Publish {
		changed, verdict := r.hooks.Publish(s.hook, m, message.V5)
		switch verdict.Fate {
		case hooks.Reject:
			return s.refuse(stats.DropHook, verdict.Code, verdict.Why)
		case hooks.Ignore:
			r.stats.Drop(stats.DropHook, 1)
			return codeSuccess, ""
		}
		m = changed
	}
	if code, why = r.judgeReceipt(s.hook, m); code != codeSuccess {
		return s.refuse(receiptDrop(code), code, why)
	}
	if strings.HasPrefix(m.Topic, delayedPrefix) {
		return s.delay(m, at)
	}
	rt := p.routeFor([]byte(m.Topic))
	switch {
	case rt == nil: // only a hook can have made it
		return s.refuse(stats.DropHook, codeTopicInvalid, "a hook made an invalid topic name")
	case rt.code != codeSuccess:
		r.refused(s.hook, stats.Publishes, rt.name, rt.code, rt.rule)
		return s.refuse(stats.DropACL, rt.code, rt.rule)
	case rt.each:
		if code, why = s.authorize(m, m.Topic); code != codeSuccess {
			return code, why
		}
	}
	return s.route(p, rt, m, at)
}

// route hands a message on that the rules refuse no more.
func (s *Sender) route(p *Publisher, rt *route, m *Message, at *posting) (code byte, why string) {
	r := s.r
	wait := at.wait(m)
	p.current(rt) // asks hooks, if any, before the store is held
	r.store.Begin()
	p.hold(rt) // it never waits: nothing is unsettled
	if code = r.retain(m, wait); code != codeSuccess {
		p.let()
		r.store.End()
		return s.refuse(stats.DropRetainLimit, code, "retained messages over their limit")
	}
	r.traceMessage(m, DecidedAllowed, rt.rule, "")
	if m.Retain {
		r.traceMessage(m, DecidedRetained, "", "")
	}
	p.current(rt) // as of now: see retain
	at.expect(rt.targets, rt.groups)
	r.route(m, rt.targets, rt.groups, wait, p.origin())
	p.forwardOne(rt, m, wait)
	if !rt.any() {
		r.tellNobody(m, wait)
	}
	at.routed(p)
	p.let()
	r.store.End()
	if r.has.Published {
		r.hooks.Published(s.hook, m, message.V5)
	}
	if !rt.any() {
		r.stats.Drop(stats.DropNoSubscriber, 1)
		r.traceMessage(m, DecidedDropped, stats.DropNoSubscriber.String(), "")
		return codeNoMatch, ""
	}
	return codeSuccess, ""
}

// judge says what refuses a message before hooks see it.
func (s *Sender) judge(m *Message) (code byte, why string) {
	r, set := s.r, s.r.Settings()
	name := m.Topic
	form := message.Form{Version: message.V5, QoS: m.QoS}
	switch {
	case topic.ValidName(name) != nil:
		return s.refuse(stats.DropInvalid, codeTopicInvalid, "not a topic name")
	case m.QoS > set.MaximumQoS:
		return s.refuse(stats.DropInvalid, codeQoSUnsupported, "QoS above mqtt.maximum_qos")
	case m.Retain && !set.RetainAvailable:
		return s.refuse(stats.DropInvalid, codeRetainUnsupported, "retain is not available")
	case form.Len(m)+maxIdentifiers > message.MaxLen:
		return s.refuse(stats.DropTooLarge, codePacketTooLarge, "larger than a packet can be")
	case set.CheckFormat && isText(m) && !utf8.Valid(m.Payload):
		return s.refuse(stats.DropPayloadFormat, codePayloadFormat, "payload is not UTF-8")
	}
	if code = r.judgeTopic(name); code != codeSuccess {
		return s.refuse(stats.DropInvalid, code, "topic name refused")
	}
	return codeSuccess, ""
}

// maxIdentifiers is what expiry, alias and a few subscription identifiers may add to a
// message on its way to a subscriber.
const maxIdentifiers = 1 << 10

func isText(m *Message) bool {
	v := message.Property(m.Props, message.PropPayloadFormat)
	return len(v) == 1 && v[0] == 1
}

func (s *Sender) refuse(drop stats.DropReason, code byte, why string) (byte, string) {
	s.r.stats.Drop(drop, 1)
	return code, why
}

func (s *Sender) authorize(m *Message, name string) (code byte, why string) {
	d := s.r.hooks.Authorize(s.hook, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain})
	if d.Code != codeSuccess {
		s.r.refused(s.hook, stats.Publishes, name, d.Code, d.Rule)
		return s.refuse(stats.DropACL, d.Code, d.Rule)
	}
	return codeSuccess, ""
}

// delay stores a message for $delayed.
func (s *Sender) delay(m *Message, at *posting) (code byte, why string) {
	r, set := s.r, s.r.Settings()
	seconds, name, _, err := topic.ParseDelayed(m.Topic)
	switch {
	case err != nil:
		return s.refuse(stats.DropInvalid, codeTopicInvalid, err.Error())
	case !set.DelayedEnabled || seconds > int64(set.DelayedMax/time.Second):
		return s.refuse(stats.DropInvalid, codeTopicInvalid, "$delayed is switched off or too far away")
	}
	if code = r.judgeTopic(name); code != codeSuccess {
		return s.refuse(stats.DropInvalid, code, "topic behind $delayed refused")
	}
	if code, why = s.authorize(m, name); code != codeSuccess {
		return code, why
	}
	later := *m
	later.Topic = name
	if !r.delayed.add(r, &later, m.Created+seconds*int64(time.Second), at.pending()) {
		return s.refuse(stats.DropDelayLimit, codeQuotaExceeded, "too many delayed messages")
	}
	return codeSuccess, ""
}

// send gives a message to a session.
func (s *Sender) send(c *Client, m *Message, at *posting) (code byte, why string) {
	r := s.r
	m.Retain = false
	if code, why = s.judge(m); code != codeSuccess {
		return code, why
	}
	if code, why = s.authorize(m, m.Topic); code != codeSuccess {
		return code, why
	}
	if code, why = r.judgeReceipt(s.hook, m); code != codeSuccess {
		return s.refuse(receiptDrop(code), code, why)
	}
	if !r.mayRead(c.identity(), m.Topic, m.QoS, false) {
		return s.refuse(stats.DropACL, codeNotAuthorized, "the client may not read the topic")
	}
	at.expect([]target{{c: c}}, nil)
	c.push(session.Entry{Entry: store.Entry{Msg: m, QoS: m.QoS}}, at.wait(m), origin{})
	return codeSuccess, ""
}
