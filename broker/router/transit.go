package router

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks/store"
)

// transit is a session on its way between mailboxes. At the old one it is noted what
// was enqueued since the move was prepared; what comes after the move was ordered is
// kept until it is known whether the session has gone. At the new one everything is kept
// until the session has arrived.
//
// A session that goes from an adopted mailbox to the process's own one is at both ends at
// once: what comes through the old mailbox is enqueued and noted, then kept in late; what
// comes for the new one is kept.
type transit struct {
	token string
	keep  bool
	merge bool
	noted []noted
	kept  []kept
	asked int    // of kept: whether they are known
	late  []kept // of a merge: through the old mailbox, after the move was ordered
}

// noted is a message that the session was given while its move was prepared.
type noted struct {
	id      message.ID
	matched message.Position
}

// kept is a message that waits for where the session is.
type kept struct {
	e     session.Entry
	from  origin
	pend  *Pending // nil when nobody waits
	known bool     // the session was given it where it was before
}

// origin is where the publishes at hand come from.
func (p *Publisher) origin() origin {
	if p.feed != nil {
		return p.feed.from
	}
	if p.abroad == nil {
		return origin{}
	}
	return origin{matched: p.abroad.matched}
}

// admitsLocked reports whether what comes from there is for the session, and not
// something that it has: because an inbox is read again, or because it came through the
// mailbox that the session was in before.
func (c *Client) admitsLocked(from origin) bool {
	if from.at == 0 {
		return true
	}
	p := c.page
	if p.transit != nil && p.transit.merge && from.box != c.boxLocked() {
		return true // a place in another inbox: arrival judges it
	}
	if from.at <= p.at || from.matched < p.since {
		return false
	}
	if p.transit == nil || !p.transit.keep {
		p.at = from.at
	}
	return true
}

// keepsLocked reports whether an entry is not to be enqueued: it waits for the session's
// move, or came through its old mailbox.
func (c *Client) keepsLocked(e *session.Entry, from origin, wait func() *Pending) bool {
	p := c.page
	if p == nil || p.transit == nil && p.overlap == nil {
		return false
	}
	if _, has := p.overlap[e.Msg.ID]; has {
		return true
	}
	t := p.transit
	var list *[]kept
	if t != nil {
		list = &t.kept
	}
	switch {
	case t == nil:
		return false
	case t.merge && from.box != c.boxLocked():
		if e.QoS == 0 {
			return true
		}
	case t.merge && t.keep:
		list = &t.late
	case !t.keep:
		t.noted = append(t.noted, noted{e.Msg.ID, from.matched})
		return false
	case e.QoS == 0:
		return true // at most once: it is lost with the move
	}
	k := kept{e: *e, from: from}
	if wait != nil {
		k.pend = wait()
		k.pend.left.Add(1)
	}
	*list = append(*list, k)
	return true
}

// takeLocked enqueues one. A QoS 2 message that was kept twice is done when the first is.
func (c *Client) takeLocked(k *kept, taken map[message.ID]struct{}) {
	if _, twice := taken[k.e.Msg.ID]; twice && k.e.QoS == 2 {
		if k.pend != nil {
			k.pend.left.Add(1)
			c.r.commit(c.batchLocked([]store.Op{touch}), &commitDone{r: c.r, c: c, pend: k.pend})
		}
		return
	}
	taken[k.e.Msg.ID] = struct{}{}
	c.enqueueLocked(k.e)
	c.commitLocked(k.pend)
}

// drop lets go of what was kept: others have it.
func (t *transit) drop() {
	dropKept(t.kept)
	t.kept = nil
}

// fail ends the publishers of what was kept.
func (t *transit) fail() {
	for i := range t.kept {
		if p := t.kept[i].pend; p != nil {
			p.unsure.Store(true)
			p.fail()
		}
	}
	t.kept = nil
}

func dropKept(list []kept) {
	for i := range list {
		if p := list[i].pend; p != nil {
			p.done()
		}
	}
}

// lockAsked takes the lock when it is known which QoS 2 messages that were kept for a session
// it was given where it was before: those that were routed again may have come when its
// records did not say so yet.
func (c *Client) lockAsked() {
	for {
		c.mu.Lock()
		t := c.page.transit
		i, n := t.asked, len(t.kept)
		for i < n && t.kept[i].e.QoS < 2 {
			i++
		}
		t.asked = i
		if i == n {
			return
		}
		id := t.kept[i].e.Msg.ID
		c.mu.Unlock()
		known := c.knows(id)
		c.mu.Lock()
		t.kept[i].known = known
		t.asked = i + 1
		c.mu.Unlock()
	}
}

// takeKeptLocked enqueues what was kept and is the session's: matched at since or later,
// not in overlap, and once. c.page.transit must be nil by now.
func (c *Client) takeKeptLocked(t *transit) {
	taken := make(map[message.ID]struct{})
	for i := range t.kept {
		k := &t.kept[i]
		if k.from.at != 0 && k.from.at > c.page.at {
			c.page.at = k.from.at
		}
		_, has := c.page.overlap[k.e.Msg.ID]
		if k.from.matched >= c.page.since && !has && !k.known {
			c.takeLocked(k, taken)
		}
		if k.pend != nil {
			k.pend.done()
		}
	}
	t.kept = nil
	c.pumpLocked(nil)
}
