package router

import (
	"strings"

	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// subscription is one of a client's, as it was asked for and how it was parsed.
type subscription struct {
	store.Subscription
	parsed topic.Parsed
}

func (s *subscription) sub() Sub {
	return Sub{ID: s.ID, QoS: s.QoS, NoLocal: s.NoLocal, RAP: s.RetainAsPub}
}

// Subscribe carries out a SUBSCRIBE. codes holds a reason code for each filter:
// one that is not 0 refuses it beforehand; the others are replaced by the answer.
// reply encodes the SUBACK; it leaves when the subscriptions are committed, before
// any retained message. The caller's goroutine waits for the commit.
func (r *Router) Subscribe(l *Link, filters []Subscription, codes []byte, reply func(dst, codes []byte) []byte) {
	c := l.client
	subs := make([]*subscription, len(filters))
	for i := range filters {
		if codes[i] == codeSuccess {
			subs[i], codes[i] = r.judgeFilter(l, &filters[i])
		}
	}
	if !r.holdExclusive(l, subs, codes) {
		l.End(codeUnavailable, "holder of an exclusive subscription could not be stored")
		return
	}
	c.mu.Lock()
	walks, joined := c.enterAllLocked(subs, codes)
	c.beginLocked(walks)
	committed := c.commitSubsLocked()
	box := c.boxLocked().id
	c.mu.Unlock()
	why := ""
	switch {
	case !l.committed(committed):
		why = "subscription could not be stored"
	case !r.announced(l, box, joined) || !r.upToDate(l, walks):
		why = "subscription could not be announced"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begunLocked()
	if why != "" {
		l.End(codeUnavailable, why)
		return
	}
	l.Out.End(reply(l.Out.Begin(), codes))
	for _, cu := range walks { // a new SUBSCRIBE of a filter restarts its walk
		c.dropWalkLocked(cu.filter)
		has := c.makeRareLocked()
		has.cursors = append(has.cursors, cu)
	}
	c.pumpLocked(nil)
}

// committed waits for a commit, if there is one. It reports false if that was refused, or the
// connection is to end.
func (l *Link) committed(w commitWait) bool {
	if w == nil {
		return true
	}
	select {
	case err := <-w:
		return err == nil
	case <-l.gone():
		return false
	}
}

// enterAllLocked makes the subscriptions match and answers the walks through the
// retained messages that follow.
func (c *Client) enterAllLocked(subs []*subscription, codes []byte) (walks []*cursor, joined []join) {
	r := c.r
	limit := r.Settings().MaxSubscriptions
	for i, s := range subs {
		if s == nil {
			continue
		}
		known := c.subs.get(s.Filter) != nil
		if !known && (limit > 0 && c.subs.len() >= limit || r.users.over(c.head.User, ofSubscriptions, r.Settings().MaxUserSubscriptions)) || s.parsed.Exclusive && !r.exclusive.take(s.parsed.Filter, c) {
			codes[i] = codeQuotaExceeded
			continue
		}
		codes[i] = s.QoS
		c.enterLocked(s)
		joined = append(joined, join{s.announcement(), known})
		if s.parsed.Group == "" && (s.RetainHandling == 0 || s.RetainHandling == 1 && !known) {
			if cu := r.retained.newCursor(s.parsed.Filter, s.sub()); cu != nil {
				cu.spelled, cu.since = s.Filter, r.now().UnixNano()
				c.recordCursorLocked(cu, false)
				walks = append(walks, cu)
			}
		}
	}
	return walks, joined
}

// commitSubsLocked hands the recorded subscriptions to the store; nil when there
// is nothing to wait for.
func (c *Client) commitSubsLocked() commitWait {
	if len(c.out.Ops) == 0 {
		return nil
	}
	w := make(commitWait, 1)
	ops := c.out.Ops
	c.out.Ops = nil
	c.commitAndWaitLocked(ops, w)
	return w
}

// judgeFilter answers a subscription that may be made, or nil and the reason code.
func (r *Router) judgeFilter(l *Link, f *Subscription) (*subscription, byte) {
	set := r.Settings()
	parsed, err := topic.Parse(f.Filter)
	filter := string(parsed.Filter)
	switch {
	case err != nil || over(topic.Levels(filter), set.MaxLevels) || over(len(f.Filter), set.MaxTopicLength):
		return nil, codeTopicFilterInvalid
	case parsed.Group != "" && !set.Shared:
		return nil, codeSharedUnsupported
	case !set.Wildcards && strings.ContainsAny(filter, "+#"):
		return nil, codeWildUnsupported
	case f.ID > 0 && !set.SubIDs:
		return nil, codeSubIDUnsupported
	}
	s := &subscription{Subscription: *f, parsed: parsed}
	s.QoS = min(f.QoS, set.MaximumQoS)
	d := r.hooks.Authorize(l.Hook, hooks.Request{Action: hooks.Subscribe, Topic: filter, QoS: s.QoS})
	r.traceFilter(l.Hook, f, &d)
	if d.Code != 0 {
		r.refused(l.Hook, stats.Subscribes, f.Filter, d.Code, d.Rule)
		return nil, d.Code
	}
	return s, codeSuccess
}

func over(n, limit int) bool { return limit > 0 && n > limit }

// enterLocked makes a subscription match, in the place of one with the same filter
// [MQTT-3.8.4-3].
func (c *Client) enterLocked(s *subscription) {
	r := c.r
	known := c.subs.get(s.Filter) != nil
	c.subs.put(s)
	if s.parsed.Group != "" {
		r.joinLocked(c, s)
	} else {
		c.boxLocked().subs.Subscribe(s.parsed.Filter, c, s.sub())
	}
	if !known {
		r.stats.Subscriptions.Inc()
		r.users.add(c.head.User, ofSubscriptions, 0)
		if s.parsed.Group != "" {
			r.stats.SharedSubscriptions.Inc()
		}
	}
	if c.Persistent() {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSubscription, Filter: s.Filter, Sub: &s.Subscription})
	}
}

// removeLocked undoes enterLocked. It answers the groups to wake when c.mu is free.
func (c *Client) removeLocked(s *subscription) (woken []*Group) {
	r := c.r
	c.subs.remove(s.Filter)
	if r.peers != nil {
		r.cluster.Leave(c.boxLocked().id, []string{s.announcement()})
	}
	r.stats.Subscriptions.Dec()
	r.users.remove(c.head.User, ofSubscriptions, 1)
	if s.parsed.Group != "" {
		r.stats.SharedSubscriptions.Dec()
		woken = r.leaveLocked(c, s)
	} else if !c.otherSpellingLocked(s) {
		c.stopWalkLocked(s.parsed.Filter)
		c.boxLocked().subs.Unsubscribe(s.parsed.Filter, c)
	}
	if s.parsed.Exclusive {
		r.exclusive.release(s.parsed.Filter, c)
	}
	if c.Persistent() && !c.ended {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSubscription, Delete: true, Filter: s.Filter})
	}
	return woken
}

// otherSpellingLocked puts the plain twin of an $exclusive subscription, or the
// other way round, in its place: both are one entry of the filter tree.
func (c *Client) otherSpellingLocked(s *subscription) bool {
	twin := exclusivePrefix + string(s.parsed.Filter)
	if s.parsed.Exclusive {
		twin = string(s.parsed.Filter)
	}
	o := c.subs.get(twin)
	if o == nil {
		return false
	}
	c.boxLocked().subs.Subscribe(o.parsed.Filter, c, o.sub())
	return true
}

// Unsubscribe carries out an UNSUBSCRIBE; what is in flight is still completed
// [MQTT-3.10.4-3]. reply encodes the UNSUBACK, which leaves with the commit.
func (r *Router) Unsubscribe(l *Link, filters []string, reply func(dst, codes []byte) []byte) {
	c := l.client
	codes := make([]byte, len(filters))
	var woken []*Group
	r.store.Begin() // what the client gives back to groups changes owner
	c.mu.Lock()
	for i, f := range filters {
		if s := c.subs.get(f); s != nil {
			woken = append(woken, c.removeLocked(s)...)
			continue
		}
		codes[i] = codeNoSubscription
		if _, err := topic.Parse(f); err != nil {
			codes[i] = codeTopicFilterInvalid
		}
	}
	c.out.After = reply(c.out.After, codes)
	c.commitLocked(nil)
	c.mu.Unlock()
	r.store.End()
	wakeAll(woken)
}

// stopWalkLocked ends the walk of a filter.
func (c *Client) stopWalkLocked(f topic.Filter) {
	if cu := c.dropWalkLocked(f); cu != nil {
		c.recordCursorLocked(cu, true)
	}
}

// dropWalkLocked takes the walk of a filter out, but for its record.
func (c *Client) dropWalkLocked(f topic.Filter) *cursor {
	has := c.rareLocked()
	for i, cu := range has.cursors {
		if cu.filter == f {
			has.cursors = append(has.cursors[:i:i], has.cursors[i+1:]...)
			return cu
		}
	}
	return nil
}
