package router

import "github.com/skeinmq/skein/hooks"

// Judge answers the reason code with which a connection is to end, or 0, and why.
type Judge func(h *hooks.Client) (code byte, why string)

// Review looks at all connections after rules have changed. Those that judge is against
// end. Of the others the subscriptions are judged again: one that is refused is taken
// away or, with strict, ends the connection. Sessions without a connection are judged
// when their clients come back. Nobody waits but the caller.
func (r *Router) Review(judge Judge, strict bool) {
	for _, c := range r.reg.all() {
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l == nil {
			continue
		}
		if code, why := judge(l.Hook); code != codeSuccess {
			l.End(code, why)
			continue
		}
		c.judgeSubscriptions(l, strict)
	}
}

func (c *Client) judgeSubscriptions(l *Link, strict bool) {
	c.r.store.Begin() // what the client gives back to groups changes owner
	c.mu.Lock()
	var woken []*Group
	switch {
	case c.link != l || c.ended:
	case strict && c.refusedLocked(l.Hook):
		l.End(codeNotAuthorized, "a subscription is not allowed any more")
	case !strict:
		woken = c.judgeAgainLocked(l.Hook)
		c.commitLocked(nil)
	}
	c.mu.Unlock()
	c.r.store.End()
	wakeAll(woken)
}

// refusedLocked reports whether today's rules refuse one of the subscriptions.
func (c *Client) refusedLocked(h *hooks.Client) bool {
	for s := range c.subs.all() {
		q := hooks.Request{Action: hooks.Subscribe, Topic: string(s.parsed.Filter), QoS: s.QoS, Again: true}
		if d := c.r.hooks.Authorize(h, q); d.Code != codeSuccess {
			return true
		}
	}
	return false
}

// all is every session that is registered now.
func (g *registry) all() []*Client {
	var list []*Client
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, c := range s.byID {
			list = append(list, c)
		}
		s.mu.Unlock()
	}
	return list
}
