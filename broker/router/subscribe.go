package router

import (
	"strings"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"

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

// Subscribe carries out a SUBSCRIBE. reply encodes the SUBACK for the reason codes
// of the filters; it leaves when the subscriptions are committed, before any
// retained message.
func (r *Router) Subscribe(l *Link, filters packets.Subscriptions, reply func(codes []byte) []byte) {
	c := l.client
	codes := make([]byte, len(filters))
	subs := make([]*subscription, len(filters))
	for i := range filters {
		subs[i], codes[i] = r.judgeFilter(l, &filters[i])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	var walks []*cursor
	for i, s := range subs {
		if s == nil {
			continue
		}
		_, known := c.subs[s.Filter]
		if set := r.Settings(); !known && set.MaxSubscriptions > 0 && len(c.subs) >= set.MaxSubscriptions {
			codes[i] = codeQuotaExceeded
			continue
		}
		if s.parsed.Exclusive && !r.exclusive.take(string(s.parsed.Filter), c) {
			codes[i] = codeQuotaExceeded
			continue
		}
		codes[i] = s.QoS
		c.enterLocked(s, known)
		if s.parsed.Group == "" && (s.RetainHandling == 0 || s.RetainHandling == 1 && !known) {
			if cu := r.retained.newCursor(string(s.parsed.Filter), s.sub()); cu != nil {
				walks = append(walks, cu)
			}
		}
	}
	for _, cu := range walks { // a new SUBSCRIBE of a filter restarts its walk
		c.stopWalkLocked(cu.filter)
		c.cursors = append(c.cursors, cu)
	}
	c.out.After = append(c.out.After, reply(codes)...)
	c.commitLocked(nil)
	c.pumpLocked(nil)
}

// judgeFilter answers a subscription that may be made, or nil and the reason code.
func (r *Router) judgeFilter(l *Link, f *packets.Subscription) (*subscription, byte) {
	set := r.Settings()
	parsed, err := topic.Parse(f.Filter)
	switch {
	case err != nil || topic.Levels(string(parsed.Filter)) > set.MaxLevels:
		return nil, codeTopicFilterInvalid
	case parsed.Group != "" && !set.Shared:
		return nil, codeSharedUnsupported
	case !set.Wildcards && strings.ContainsAny(string(parsed.Filter), "+#"):
		return nil, codeWildUnsupported
	case f.Identifier > 0 && !set.SubIDs:
		return nil, codeSubIDUnsupported
	}
	qos := min(f.Qos, set.MaximumQoS)
	if code := r.hooks.Authorize(l.Hook, hooks.Request{Action: hooks.Subscribe, Topic: string(parsed.Filter), QoS: qos}).Code; code != 0 {
		return nil, code
	}
	return &subscription{
		Subscription: store.Subscription{
			Filter: f.Filter, ID: uint32(f.Identifier), QoS: qos, RetainHandling: f.RetainHandling, NoLocal: f.NoLocal, RetainAsPub: f.RetainAsPublished,
		},
		parsed: parsed,
	}, 0
}

// enterLocked makes a subscription match.
func (c *Client) enterLocked(s *subscription, known bool) {
	r := c.r
	if c.subs == nil {
		c.subs = map[string]*subscription{}
	}
	c.subs[s.Filter] = s
	if s.parsed.Group != "" {
		r.join(c, s.parsed.Group, s.parsed.Filter, s.sub())
	} else {
		r.subs.Subscribe(s.parsed.Filter, c, s.sub())
	}
	if !known {
		r.stats.Subscriptions.Inc()
		if s.parsed.Group != "" {
			r.stats.SharedSubscriptions.Inc()
		}
	}
	if c.Persistent() {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSubscription, Filter: s.Filter, Sub: &s.Subscription})
	}
}

// removed undoes enterLocked, apart from the record. c.mu is not held.
func (r *Router) removed(c *Client, s *subscription) {
	r.stats.Subscriptions.Dec()
	if s.parsed.Group != "" {
		r.stats.SharedSubscriptions.Dec()
		r.leave(c, s.parsed.Group, s.parsed.Filter)
		return
	}
	r.subs.Unsubscribe(s.parsed.Filter, c)
	if s.parsed.Exclusive {
		r.exclusive.release(string(s.parsed.Filter), c)
	}
}

// Unsubscribe carries out an UNSUBSCRIBE; what is in flight is still completed
// [MQTT-3.10.4-3].
func (r *Router) Unsubscribe(l *Link, filters []string, reply func(codes []byte) []byte) {
	c := l.client
	codes := make([]byte, len(filters))
	var gone []*subscription
	c.mu.Lock()
	for i, f := range filters {
		s := c.subs[f]
		if s == nil {
			codes[i] = 0x11
			if _, err := topic.Parse(f); err != nil {
				codes[i] = codeTopicFilterInvalid
			}
			continue
		}
		delete(c.subs, f)
		gone = append(gone, s)
		c.stopWalkLocked(string(s.parsed.Filter))
		if c.Persistent() {
			c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSubscription, Delete: true, Filter: f})
		}
	}
	c.mu.Unlock()
	for _, s := range gone {
		r.removed(c, s)
	}
	c.mu.Lock()
	woken := c.giveBackLocked(func(m *member) bool { return !left(gone, m) })
	if c.link == l {
		c.out.After = append(c.out.After, reply(codes)...)
	}
	c.commitLocked(nil)
	c.mu.Unlock()
	wakeAll(woken)
}

// left reports whether a member's group is among subscriptions that ended.
func left(gone []*subscription, m *member) bool {
	for _, s := range gone {
		if s.parsed.Group != "" && s.parsed.Group+"/"+string(s.parsed.Filter) == m.g.key {
			return true
		}
	}
	return false
}

func (c *Client) stopWalkLocked(filter string) {
	for i, cu := range c.cursors {
		if cu.filter == filter {
			c.cursors = append(c.cursors[:i:i], c.cursors[i+1:]...)
			return
		}
	}
}

// exclusive are the holders of $exclusive filters: one client each at a time.
type exclusive struct {
	mu      sync.Mutex
	holders map[string]*Client
}

func (e *exclusive) take(filter string, c *Client) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.holders[filter]; h != nil && h != c {
		return false
	}
	e.holders[filter] = c
	return true
}

func (e *exclusive) release(filter string, c *Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.holders[filter] == c {
		delete(e.holders, filter)
	}
}
