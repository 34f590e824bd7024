package router

import (
	"context"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// startWillLocked answers the will that is to be sent now, or starts its delay.
func (c *Client) startWillLocked(ends bool) *store.Will {
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
	w.At = at.UnixNano()
	c.waitWillLocked(at)
	return nil
}

func (c *Client) waitWillLocked(at time.Time) {
	c.r.stats.Wills.Inc()
	c.willDue = c.r.due.Add(at, func() {
		c.mu.Lock()
		w, hook := c.head.Will, c.hook
		if c.willDue == nil || c.link != nil || w == nil {
			c.mu.Unlock()
			return
		}
		c.willDue, c.head.Will = nil, nil
		c.r.stats.Wills.Dec()
		if c.Persistent() && !c.ended {
			head := c.head
			c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
			c.commitLocked(nil)
		}
		c.mu.Unlock()
		c.r.sendWill(c, hook, w)
	})
}

// cancelWillLocked stops the delay of a will. It reports whether one was waiting.
func (c *Client) cancelWillLocked() bool {
	if c.willDue == nil {
		return false
	}
	c.r.due.Remove(c.willDue)
	c.willDue = nil
	c.r.stats.Wills.Dec()
	return true
}

// restoreTimesLocked starts the clocks of a session that was loaded from the
// store: its will and its expiry keep the times they had. One that was connected
// when the broker ended gets the grace of `session.will_grace` to come back.
func (c *Client) restoreTimesLocked() {
	now := c.r.now()
	if c.head.ExpiresAt == 0 && c.head.Expiry != NoExpiry {
		c.head.ExpiresAt = now.Add(time.Duration(c.head.Expiry) * time.Second).UnixNano()
	}
	if c.head.Expiry != NoExpiry {
		c.expiry = c.r.due.Add(time.Unix(0, c.head.ExpiresAt), func() { c.r.expire(c) })
	}
	if w := c.head.Will; w != nil {
		if w.At == 0 {
			w.At = now.Add(max(time.Duration(min(w.Delay, c.head.Expiry))*time.Second, c.r.Settings().WillGrace)).UnixNano()
		}
		c.waitWillLocked(time.Unix(0, w.At))
	}
}

// sendWill publishes a will under the identity it was accepted with: hooks and
// rules of now decide.
func (r *Router) sendWill(c *Client, h *hooks.Client, w *store.Will) {
	m := *w.Message
	m.Created = r.now().UnixNano()
	m.ID = r.nextID()
	if w.HasExp {
		m.Expires = expiry(m.Created, w.Expiry)
	}
	if r.has.Will {
		changed, err := r.hooks.Will(h, mqtt.Will{TopicName: m.Topic, Payload: m.Payload, Qos: m.QoS, Retain: m.Retain, Flag: 1, WillDelayInterval: w.Delay})
		if err != nil {
			r.log.Info("will refused by a hook", "client", c.ID, "error", err)
			return
		}
		m.Topic, m.Payload, m.QoS, m.Retain = changed.TopicName, changed.Payload, changed.Qos, changed.Retain
		if topic.ValidName(m.Topic) != nil {
			return
		}
	}
	if code := r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain}).Code; code != 0 {
		r.log.Info("will refused", "client", c.ID, "topic", m.Topic, "code", code)
		return
	}
	if seconds, name, ok, err := topic.ParseDelayed(m.Topic); ok && err == nil {
		m.Topic = name
		r.delayed.add(r, &m, m.Created+seconds*int64(time.Second), nil)
		return
	}
	r.Inject(&m)
	if r.has.WillSent {
		r.hooks.WillSent(h, packetOf(&m, message.V5))
	}
}

func (r *Router) restoreDelayed(ctx context.Context) error {
	return r.store.Delayed(ctx, func(seq uint64, at int64, m *message.Message) bool {
		r.delayed.mu.Lock()
		defer r.delayed.mu.Unlock()
		r.delayed.seq = max(r.delayed.seq, seq)
		r.delayed.waitLocked(r, seq, at, m)
		return true
	})
}
