package router

import (
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// publishSpecial routes one publish as a message: retained, expiring, delayed,
// for a shared group, or looked at by hooks.
func (p *Publisher) publishSpecial(rt *route, pub *message.Publish) Outcome {
	r := p.r
	m := r.materialize(p, rt.name, pub)
	if r.has.Publish {
		var out *Outcome
		if m, out = p.hooked(m, pub); out != nil {
			return *out
		}
	}
	pend := p.takePending()
	if seconds, name, ok, err := topic.ParseDelayed(m.Topic); ok || err != nil {
		return p.delay(pub, m, seconds, name, err, pend)
	}
	if m.Topic != rt.name {
		rt = &route{name: m.Topic}
		p.fill(rt)
		if rt.code != 0 {
			return p.refuse(pub, rt.code, stats.DropACL, "topic refused")
		}
	}
	matched, pend, code := r.route(m, rt, p, pend)
	if code != 0 {
		return p.refuse(pub, code, stats.DropRetainLimit, "retained messages over their limit")
	}
	if r.has.Published {
		r.hooks.Published(p.hook, packetOf(m, p.version))
	}
	if pub.QoS > 0 {
		p.settle([]message.PacketID{pub.ID}, pub.QoS, p.matchCode(matched), pend)
	}
	return Outcome{}
}

// takePending takes over what the QoS 2 record of this publish waits in.
func (p *Publisher) takePending() *Pending {
	if p.run == nil || p.run.n > 0 {
		return nil
	}
	pd := p.run.pend
	p.run.pend = nil
	return pd
}

// hooked asks the hooks; a non-nil Outcome ends the publish.
func (p *Publisher) hooked(m *message.Message, pub *message.Publish) (*message.Message, *Outcome) {
	pk, err := p.r.hooks.Publish(p.hook, packetOf(m, p.version))
	if err == nil {
		changed := *m
		changed.Topic, changed.Payload, changed.Retain = pk.TopicName, pk.Payload, pk.FixedHeader.Retain
		if err := topic.ValidName(changed.Topic); err != nil {
			out := p.refuse(pub, codeTopicInvalid, stats.DropHook, "hook made an invalid topic name")
			return nil, &out
		}
		return &changed, nil
	}
	if errors.Is(err, packets.CodeSuccessIgnore) {
		p.r.stats.Drop(stats.DropHook, 1)
		if pub.QoS > 0 {
			p.settle([]message.PacketID{pub.ID}, pub.QoS, 0, p.takePending())
		}
		return nil, &Outcome{}
	}
	code := codeUnspecified
	var c packets.Code
	if errors.As(err, &c) && c.Code >= 0x80 && c.Code != 0x82 {
		code = c.Code
	}
	out := p.refuse(pub, code, stats.DropHook, "refused by a hook")
	return nil, &out
}

// packetOf shows a message to hooks.
func packetOf(m *message.Message, version byte) packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS, Retain: m.Retain},
		TopicName:   m.Topic, Payload: m.Payload, ProtocolVersion: version, Origin: string(m.Publisher), Created: m.Created / 1e9,
	}
	if m.Expires != 0 {
		pk.Properties.MessageExpiryInterval = m.Remaining(m.Created)
	}
	if v := message.Property(m.Props, message.PropContentType); v != nil {
		pk.Properties.ContentType = string(v)
	}
	if v := message.Property(m.Props, message.PropResponseTopic); v != nil {
		pk.Properties.ResponseTopic = string(v)
	}
	pk.Properties.CorrelationData = message.Property(m.Props, message.PropCorrelationData)
	if v := message.Property(m.Props, message.PropPayloadFormat); v != nil {
		pk.Properties.PayloadFormat, pk.Properties.PayloadFormatFlag = v[0], true
	}
	message.UserProperties(m.Props, func(k, v string) {
		pk.Properties.User = append(pk.Properties.User, packets.UserProperty{Key: k, Val: v})
	})
	return pk
}

// route stores a retained message and hands m to every session and group of rt.
// pend collects the commits; it is created for p if needed. A code other than 0
// refuses the message before anything was done.
func (r *Router) route(m *message.Message, rt *route, p *Publisher, pend *Pending) (bool, *Pending, byte) {
	wait := func() *Pending {
		if pend == nil && p != nil && m.QoS > 0 {
			pend = p.newPending()
		}
		return pend
	}
	if m.Retain {
		if code := r.retained.set(m, wait); code != 0 {
			return false, pend, code
		}
	}
	for i := range rt.targets {
		t := &rt.targets[i]
		e := session.Entry{Entry: store.Entry{Msg: m, SubIDs: t.subIDs, QoS: min(m.QoS, t.qos), Retain: m.Retain && t.rap}}
		t.c.push(e, wait)
	}
	for _, g := range rt.groups {
		g.publish(m)
	}
	return len(rt.targets)+len(rt.groups) > 0, pend, 0
}

// push hands one message to a session.
func (c *Client) push(e session.Entry, wait func() *Pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if e.QoS == 0 {
		c.pushQoS0Locked(e)
		return
	}
	c.enqueueLocked(e)
	var pend *Pending
	if len(c.out.Ops) > 0 {
		pend = wait()
	}
	c.pumpLocked(pend)
}

// pushQoS0Locked sends a QoS 0 message past the queue.
func (c *Client) pushQoS0Locked(e session.Entry) {
	switch l := c.link; {
	case l == nil && c.r.Settings().QueueQoS0:
		c.enqueueLocked(e)
		c.commitLocked(nil)
	case l == nil:
		c.dropCount(stats.DropQoS0Offline, 1)
	case l.Out.Room() <= 0 || c.r.overLimit():
		c.dropCount(stats.DropOutputFull, 1)
	default:
		buf := l.Out.Begin()
		was := len(buf)
		buf, ok := l.AppendPublish(buf, &e, 0, false, c.r.now().UnixNano())
		l.Out.End(buf)
		if !ok {
			c.dropCount(stats.DropTooLarge, 1)
			return
		}
		c.r.stats.Sent(0, 1, len(buf)-was, len(e.Msg.Payload))
	}
}

// Inject routes a message of the broker itself or of the API: a will, a delayed
// message, $SYS. It does not wait for commits.
func (r *Router) Inject(m *message.Message) {
	rt := &route{name: m.Topic}
	rt.targets = r.match(m.Topic, nil, nil)
	r.shared.Match(m.Topic, func(_ topic.Filter, g *Group, _ *struct{}) { rt.groups = append(rt.groups, g) })
	r.route(m, rt, nil, nil)
}

var _ = hooks.Publish
