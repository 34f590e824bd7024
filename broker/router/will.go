package router

import (
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
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
// [MQTT-3.1.3-9]. The record goes after it was routed: a crash in between sends it
// again rather than never.
func (r *Router) willFallsDue(c *Client, w *Will) {
	c.mu.Lock()
	if c.willDue == nil || c.head.Will != w {
		c.mu.Unlock()
		return
	}
	c.willDue, c.head.Will = nil, nil
	r.stats.Wills.Dec()
	hook := c.hook
	c.mu.Unlock()
	r.sendWill(c.ID, hook, w)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Persistent() && !c.ended {
		head := c.head
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
		c.commitLocked(nil)
	}
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
// rules of now decide.
func (r *Router) sendWill(id message.ClientID, h *hooks.Client, w *Will) {
	m := *w.Message
	m.Created = r.now().UnixNano()
	m.ID = r.nextID()
	if w.HasExp {
		m.Expires = expiry(m.Created, w.Expiry)
	}
	will := &m
	if r.has.Will {
		changed, err := r.hooks.Will(h, will, w.Delay)
		if err != nil {
			r.stats.Drop(stats.DropHook, 1)
			r.log.Info("will refused by a hook", "client", string(id), "error", err)
			return
		}
		will = changed
	}
	seconds, name, delayed, err := topic.ParseDelayed(will.Topic)
	if !delayed {
		name, err = will.Topic, topic.ValidName(will.Topic)
	}
	if err != nil || r.judgeTopic(name) != codeSuccess {
		r.stats.Drop(stats.DropInvalid, 1)
		r.log.Info("will refused", "client", string(id), "topic", will.Topic, "rule", "topic name invalid")
		return
	}
	if d := r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: name, QoS: will.QoS, Retain: will.Retain}); d.Code != 0 {
		r.stats.Drop(stats.DropACL, 1)
		r.log.Info("will refused", "client", string(id), "topic", will.Topic, "rule", d.Rule)
		return
	}
	if delayed {
		later := *will
		later.Topic = name
		if !r.delayed.add(r, &later, later.Created+seconds*int64(time.Second), nil) {
			r.stats.Drop(stats.DropDelayLimit, 1)
		}
		return
	}
	r.Inject(will)
	if r.has.WillSent {
		r.hooks.WillSent(h, will)
	}
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
	return r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain}).Code
}
