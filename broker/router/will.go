package router

import (
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
)

// startWillLocked answers the will that is to be sent now, or starts its delay.
func (c *Client) startWillLocked(ends bool) *Will {
	w := c.head.Will
	if w == nil {
		return nil
	}
	delay := min(w.Delay, c.head.Expiry)
	if delay == 0 || ends {
		c.head.Will = nil
		return w
	}
	at := c.r.now().Add(time.Duration(delay) * time.Second)
	waiting := *w // what is committed is not changed
	waiting.At = at.UnixNano()
	c.head.Will = &waiting
	c.waitWillLocked(at)
	return nil
}

func (c *Client) waitWillLocked(at time.Time) {
	c.r.stats.Wills.Inc()
	w := c.head.Will
	c.willDue = c.r.due.Add(at, func() { c.r.events.aside(func() { c.r.willFallsDue(c, w) }) })
}

// willFallsDue sends a will whose delay has passed, unless the client came back
// [MQTT-3.1.3-9]. Its record goes together with what it leads to.
func (r *Router) willFallsDue(c *Client, w *Will) {
	c.mu.Lock()
	if c.willDue == nil || c.head.Will != w {
		c.mu.Unlock()
		return
	}
	c.willDue, c.head.Will = nil, nil
	r.stats.Wills.Dec()
	hook, ghost := c.hook, c.ghost
	c.mu.Unlock()
	r.sendWill(c, hook, w, func() { c.left(ghost) }, func() {})
}

// cancelWillLocked stops the delay of a will.
func (c *Client) cancelWillLocked() {
	if c.willDue == nil {
		return
	}
	c.r.due.Remove(c.willDue)
	c.willDue = nil
	c.r.stats.Wills.Dec()
}

// sendWill publishes a will under the identity it was accepted with: hooks and
// rules of now decide. record is called within Store.Begin, and commits that it was dealt
// with, together with what it leads to; then is called last. With others it does not wait:
// who has the session is asked first, and whoever has it sends its will.
func (r *Router) sendWill(c *Client, h *hooks.Client, w *Will, record, then func()) {
	if r.peers == nil {
		r.dealWithWill(c.ID, h, w, record)
		then()
		return
	}
	ours := r.askOwner(c)
	r.events.apart(func() {
		if r.answered(ours) {
			r.dealWithWill(c.ID, h, w, record)
		}
		then()
	})
}

// dealWithWill is sendWill for a session that is this process's.

func (r *Router) dealWithWill(id message.ClientID, h *hooks.Client, w *Will, record func()) {
	will, name, at, why := r.judgeDueWill(h, w)
	if will == nil {
		r.log.Info("will refused", "client", string(id), "topic", w.Message.Topic, "rule", why)
		r.store.Begin()
		record()
		r.store.End()
		return
	}
	if at == 0 {
		r.injectThen(will, true, record)
		if r.has.WillSent {
			r.hooks.WillSent(h, will)
		}
		return
	}
	r.store.Begin()
	{
		later := *will
		later.Topic = name
		if !r.delayed.add(r, &later, at, nil) {
			r.stats.Drop(stats.DropDelayLimit, 1)
		}
	}
	record()
	r.store.End()
}

// judgeDueWill answers the message that a will is published as. For $delayed, at is
// when (Unix nanoseconds) and name the topic behind it. A nil message was refused.
func (r *Router) judgeDueWill(h *hooks.Client, w *Will) (m *message.Message, name string, at int64, why string) {
	will := *w.Message
	will.Created = r.now().UnixNano()
	if will.ID.Seq == 0 {
		will.ID = r.nextID()
	}
	if w.HasExp {
		will.Expires = expiry(will.Created, w.Expiry)
	}
	m = &will
	if r.has.Will {
		changed, err := r.hooks.Will(h, m, w.Delay)
		if err != nil {
			r.stats.Drop(stats.DropHook, 1)
			return nil, "", 0, err.Error()
		}
		m = changed
	}
	seconds, name, delayed, err := topic.ParseDelayed(m.Topic)
	if !delayed {
		name, err = m.Topic, topic.ValidName(m.Topic)
	}
	if err != nil || r.judgeTopic(name) != codeSuccess {
		r.stats.Drop(stats.DropInvalid, 1)
		return nil, "", 0, "topic name invalid"
	}
	if code, why := r.judgeReceipt(h, m); code != codeSuccess {
		r.stats.Drop(receiptDrop(code), 1)
		return nil, "", 0, why
	}
	if set := r.Settings(); delayed && (!set.DelayedEnabled || seconds > int64(set.DelayedMax/time.Second)) {
		r.stats.Drop(stats.DropInvalid, 1)
		return nil, "", 0, "$delayed is switched off or too far away"
	}
	d := r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain, Again: true})
	if d.Code != 0 {
		r.stats.Drop(stats.DropACL, 1)
		return nil, "", 0, d.Rule
	}
	if delayed {
		at = m.Created + seconds*int64(time.Second)
	}
	return m, name, at, ""
}

// JudgeWill answers the reason code that refuses a will at CONNECT, or 0.
func (r *Router) JudgeWill(h *hooks.Client, w *Will) byte {
	set := r.Settings()
	m := w.Message
	_, name, delayed, err := topic.ParseDelayed(m.Topic)
	if !delayed {
		name, err = m.Topic, nil
	}
	switch {
	case err != nil:
		return codeTopicInvalid
	case m.QoS > set.MaximumQoS: // [MQTT-3.2.2-12]
		return codeQoSUnsupported
	case m.Retain && !set.RetainAvailable: // [MQTT-3.2.2-13]
		return codeRetainUnsupported
	}
	if code := r.judgeTopic(name); code != codeSuccess {
		return code
	}
	if code, _ := r.judgeReceipt(h, m); code != codeSuccess {
		return code
	}
	return r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain}).Code
}
