package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// What an adopted mailbox has goes to the process's own one, a few sessions at a time while
// their clients are away, so that it can be deleted: what is published for it would go
// through its inbox for ever.

// Mergeable lists sessions of an adopted mailbox that could be merged now, at most max, and
// reports whether there is anything else in the mailbox.
func (r *Router) Mergeable(id message.MailboxID, max int) (list []message.ClientID, more bool) {
	f := r.adopted.feed(id)
	if f == nil {
		return nil, false
	}
	for _, c := range f.p.box.residents(math.MaxInt) {
		if len(list) == max {
			return list, true
		}
		c.mu.Lock()
		there := c.boxLocked() == f.p.box && !c.ended
		idle := there && c.link == nil && c.page != nil && c.page.transit == nil && c.rareLocked().leaving == nil
		c.mu.Unlock()
		if idle && len(list) < max {
			list = append(list, c.ID)
		} else if there {
			more = true
		}
	}
	return list, more
}

// MergeBegin makes a session known in the own mailbox, too, if it can be merged: what comes
// for it there is kept.
func (r *Router) MergeBegin(id message.ClientID, token string) bool {
	leave, ok := r.reg.gates.try(id)
	if !ok {
		return false
	}
	defer leave()
	c := r.reg.get(id)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.link != nil || c.page == nil || c.page.transit != nil || c.boxLocked() == r.own {
		return false
	}
	c.page.transit = &transit{token: token, merge: true}
	for s := range c.subs.all() {
		if s.parsed.Group == "" {
			r.own.subs.Subscribe(s.parsed.Filter, c, s.sub())
		}
	}
	r.cluster.Join("", c.keysLocked(), nobody{})
	return true
}

// keysLocked are the session's subscriptions as they are announced.
func (c *Client) keysLocked() []string {
	keys := make([]string, 0, c.subs.len())
	for s := range c.subs.all() {
		keys = append(keys, s.announcement())
	}
	return keys
}

// leaveOwnLocked undoes MergeBegin.
func (c *Client) leaveOwnLocked() {
	for s := range c.subs.all() {
		if s.parsed.Group == "" {
			c.r.own.subs.Unsubscribe(s.parsed.Filter, c)
		}
	}
	c.r.cluster.Leave("", c.keysLocked())
}

// MergeOrdered is told in the order of the old mailbox's inbox: what comes through it from
// now on comes for the own mailbox, too.
func (r *Router) MergeOrdered(id message.ClientID, token string) {
	if c := r.reg.get(id); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t := c.mergingLocked(token); t != nil {
			t.keep = true
		}
	}
}

func (c *Client) mergingLocked(token string) *transit {
	if c.page == nil || c.page.transit == nil || !c.page.transit.merge || c.page.transit.token != token {
		return nil
	}
	return c.page.transit
}

// Merge moves a session to the own mailbox by step, which is given the ids of what came
// through the old one although it was matched at since or later. It reports false when the
// session stays.
func (r *Router) Merge(ctx context.Context, id message.ClientID, token string, since message.Position, step func(context.Context, []message.ID) (bool, error)) (bool, error) {
	leave, err := r.reg.gates.enter(ctx, id)
	if err != nil {
		return false, fmt.Errorf("wait for a connect of the client: %w", err)
	}
	defer leave()
	c := r.reg.get(id)
	if c == nil {
		return false, nil
	}
	c.mu.Lock()
	t := c.mergingLocked(token)
	c.mu.Unlock()
	if t == nil {
		return false, nil
	}
	if err := c.flush(ctx, false); err != nil {
		c.remain()
		return false, err
	}
	c.mu.Lock()
	overlap := t.overlap(since)
	c.mu.Unlock()
	moved, err := step(ctx, overlap)
	if err != nil || !moved {
		c.remain()
		return false, err
	}
	c.merged(t, since, overlap)
	return true, nil
}

// overlap are the ids of what was noted and matched at since or later.
func (t *transit) overlap(since message.Position) []message.ID {
	var ids []message.ID
	for _, n := range t.noted {
		if n.matched >= since {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// merged makes the own mailbox the session's. The gate of the client id is held.
func (c *Client) merged(t *transit, since message.Position, overlap []message.ID) {
	r := c.r
	r.store.Begin()
	c.mu.Lock()
	old := c.boxLocked()
	var woken []*Group
	var members []*subscription
	for s := range c.subs.all() {
		if s.parsed.Group != "" {
			members = append(members, s)
			continue
		}
		old.subs.Unsubscribe(s.parsed.Filter, c)
	}
	for _, s := range members { // the own group is there before the old one hands its queue on
		woken = append(woken, c.changeGroupLocked(s, old)...)
	}
	c.settleLocked(r.own)
	r.cluster.Leave(old.id, c.keysLocked())
	c.page.transit, c.page.at, c.page.since, c.page.overlap = nil, 0, since, overlapOf(overlap)
	dropKept(t.late)
	c.takeKeptLocked(t)
	c.mu.Unlock()
	r.store.End()
	wakeAll(woken)
}

// changeGroupLocked makes the client a member of the group in the own mailbox instead of
// that in the old one.
func (c *Client) changeGroupLocked(s *subscription, old *box) []*Group {
	i := slices.IndexFunc(c.rareLocked().members, func(m *member) bool {
		return m.g.box == old && m.g.key == groupKey{s.parsed.Group, s.parsed.Filter}
	})
	if i < 0 {
		return nil
	}
	before := c.rare.members[i]
	c.rare.members = slices.Delete(c.rare.members, i, i+1)
	c.rare.box = nil // joinLocked looks for the own one
	c.r.joinLocked(c, s)
	c.rare.box = old
	before.quit() // what the session was given as its member stays with the session
	return []*Group{c.rare.members[len(c.rare.members)-1].g}
}

// ErrMailboxInUse is what the end of a mailbox is refused with that something is in.
var ErrMailboxInUse = errors.New("router: the mailbox is not empty")

// Empty moves what an adopted mailbox has beside sessions to the own one, and reports
// whether nothing is left in it.
func (r *Router) Empty(id message.MailboxID) bool {
	f := r.adopted.feed(id)
	if f == nil {
		return true
	}
	r.delayed.move(r, id)
	if !r.outcomes.move(id) {
		return false
	}
	f.p.box.groups.mu.Lock()
	n := len(f.p.box.groups.byKey)
	f.p.box.groups.mu.Unlock()
	list, more := r.Mergeable(id, 1)
	return n == 0 && len(list) == 0 && !more
}

// move gives the delayed messages of a mailbox to the own one.
func (d *delayed) move(r *Router, id message.MailboxID) {
	d.mu.Lock()
	var keys []delayedKey
	for key := range d.waits {
		if key.box == id {
			keys = append(keys, key)
		}
	}
	d.mu.Unlock()
	for _, key := range keys {
		r.store.Begin() // before d.mu, as publishers have it
		d.moveOne(r, key)
		r.store.End()
	}
}

func (d *delayed) moveOne(r *Router, key delayedKey) {
	own := delayedKey{"", d.number()}
	d.mu.Lock()
	defer d.mu.Unlock()
	w, ok := d.waits[key]
	if !ok { // its time has come
		return
	}
	r.due.Remove(w.item)
	delete(d.waits, key)
	r.stats.Delayed.Dec()
	r.commit(&store.Batch{Ops: []store.Op{{Kind: store.KindDelayed, Seq: own.seq, At: w.at, Msg: w.m}}}, &commitDone{r: r})
	r.commit(&store.Batch{Box: key.box, Ops: []store.Op{{Kind: store.KindDelayed, Delete: true, Seq: key.seq}}}, &commitDone{r: r})
	d.waitLocked(r, own, w.at, w.m, true)
}
