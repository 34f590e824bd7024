package router

import (
	"context"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// firstGroupSeq is the number of a group's first record. What a member gives back
// goes before the others and counts down from it.
const firstGroupSeq = 1 << 40

// waiting is a message that waits for a member of its group.
type waiting struct {
	m   *message.Message
	seq uint64 // of its record
}

// groupQueue is what no member had room for, oldest first. Each message has a record
// of the node's own; it goes in the batch with which a persistent member takes the
// message over, or when a member that is not persistent has acknowledged it.
type groupQueue struct {
	list  []waiting
	bytes int64
	back  uint64 // numbers given so far behind firstGroupSeq
	front uint64 // and before it
}

func (q *groupQueue) pop() waiting {
	w := q.list[0]
	q.list[0], q.list = waiting{}, q.list[1:]
	q.bytes -= int64(w.m.Size())
	if len(q.list) == 0 {
		q.list = nil
	}
	return w
}

// record is the name of the group in its records.
func (k *groupKey) record() string { return k.name + "/" + string(k.filter) }

// forget deletes the record of a message that nobody takes over.
func (g *Group) forget(w waiting) {
	g.r.commitBox(g.box, store.Op{Kind: store.KindGroupEntry, Delete: true, Filter: g.key.record(), Seq: w.seq}, nil)
}

func (g *Group) keepLocked(w waiting, pend *Pending) {
	g.r.commitBox(g.box, store.Op{Kind: store.KindGroupEntry, Filter: g.key.record(), Seq: w.seq, Msg: w.m}, pend)
}

// pushLocked queues a message by the queue's limits. wait, if not nil, answers what
// its commit is waited for in.
func (g *Group) pushLocked(m *message.Message, wait func() *Pending) {
	lim := g.r.Settings().Queue
	q := &g.queue
	size := int64(m.Size())
	if lim.Bytes > 0 && size > lim.Bytes {
		g.refuse(m, stats.DropQueueFull, wait)
		return
	}
	for len(q.list) > 0 && (over(len(q.list)+1, lim.Messages) || lim.Bytes > 0 && q.bytes+size > lim.Bytes) {
		if lim.Overflow != session.DropOldest {
			g.refuse(m, stats.DropQueueFull, wait)
			return
		}
		g.dropLocked(stats.DropQueueFull)
	}
	w := waiting{m, firstGroupSeq + q.back}
	q.back++
	q.list = append(q.list, w)
	q.bytes += size
	var pend *Pending
	if wait != nil {
		pend = wait()
	}
	g.keepLocked(w, pend)
}

// takeBackLocked puts messages that a member gives back before all others.
func (g *Group) takeBackLocked(list []waiting) {
	q := &g.queue
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].seq == 0 { // it has no record yet
			q.front++
			list[i].seq = firstGroupSeq - q.front
			g.keepLocked(list[i], nil)
		}
		q.bytes += int64(list[i].m.Size())
	}
	q.list = append(list, q.list...)
}

// endAllLocked ends the queue of a group without members.
func (g *Group) endAllLocked() {
	list := g.queue.list
	g.queue.list, g.queue.bytes = nil, 0
	if g.r.peers == nil {
		for _, w := range list {
			g.lose(w, stats.DropSessionEnded)
		}
		return
	}
	if len(list) > 0 { // other mailboxes may have members: they are asked without this lock
		g.r.events.apart(func() {
			for _, w := range list {
				if !g.r.relay(g, w) {
					g.lose(w, stats.DropSessionEnded)
				}
			}
		})
	}
}

// take takes the oldest message that has not expired out, unless may, if not nil, says
// that this member may not have it: then it stays for the others.
func (g *Group) take(now int64, may func(*message.Message) bool) (w waiting, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queue.list) > 0 {
		m := g.queue.list[0].m
		expired := m.Expired(now)
		refused := !expired && may != nil && !may(m)
		if refused && g.somebodyMayLocked(m) {
			return waiting{}, false
		}
		switch {
		case expired:
			g.dropLocked(stats.DropExpired)
		case refused:
			g.dropLocked(stats.DropACL)
		default:
			return g.queue.pop(), true
		}
	}
	return waiting{}, false
}

// lent is a message of a group's queue that a member has which is not persistent: its
// record stays until it is acknowledged.
type lent struct {
	mb  *member
	seq uint64
}

// sourceOf answers whose member an entry was sent to, and its record, if it still has
// one; nil for an entry of the session's own.
func sourceOf(e *session.Entry) (*member, uint64) {
	switch s := e.Source.(type) {
	case *member:
		return s, 0
	case *lent:
		return s.mb, s.seq
	}
	return nil, 0
}

// pullLocked sends a message of the group's queue to the member.
func (mb *member) pullLocked(w waiting, now int64) {
	c := mb.c
	e := mb.entry(w.m, min(w.m.QoS, mb.sub.QoS))
	if c.Persistent() && e.QoS > 0 {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindGroupEntry, Delete: true, Filter: mb.g.key.record(), Seq: w.seq})
	} else if e.QoS > 0 || c.r.asks(w.m) != "" {
		e.Source = &lent{mb, w.seq}
	} else {
		mb.g.forget(w)
	}
	c.sess.Push(&c.out, e, now)
	if e.QoS == 0 {
		c.r.follows.delivered(e.Msg, mb.g)
	}
}

// finish takes the record away of a message whose way through the group has ended, and
// tells how.
func (g *Group) finish(w waiting, o outcome) {
	var ops []store.Op
	if w.seq != 0 {
		ops = append(ops, store.Op{Kind: store.KindGroupEntry, Delete: true, Filter: g.key.record(), Seq: w.seq})
	}
	g.r.tell(g.box.id, w.m, o, ops, nil)
}

// dropLocked ends the oldest message of the queue.
func (g *Group) dropLocked(why stats.DropReason) {
	g.lose(g.queue.pop(), why)
}

// lose ends a message that no member gets.
func (g *Group) lose(w waiting, why stats.DropReason) {
	g.r.stats.Drop(why, 1)
	g.r.follows.dropped(w.m, g)
	g.finish(w, dropped(why))
}

// targetOf answers whom an entry of the client was meant for: the client, or a group.
func (c *Client) targetOf(e *session.Entry) any {
	if mb, _ := sourceOf(e); mb != nil {
		return mb.g
	}
	return c
}

// restoreGroups loads what waits in shared groups, after the sessions. What a member
// took over before the process ended, but whose record is still there, is not taken
// again.
func (r *Router) restoreGroups(ctx context.Context) error {
	taken := map[*Group]map[message.ID]bool{}
	return r.store.GroupEntries(ctx, func(name string, seq uint64, m *message.Message) bool {
		r.restoreWaiting(ctx, r.own, taken, name, seq, m)
		return true
	})
}

// restoreWaiting takes a stored message of a group in a mailbox. taken is what members
// were found to have.
func (r *Router) restoreWaiting(ctx context.Context, b *box, taken map[*Group]map[message.ID]bool, name string, seq uint64, m *message.Message) {
	group, filter, _ := strings.Cut(name, "/")
	g := b.groups.get(groupKey{group, topic.Filter(filter)})
	if g == nil { // its last member left
		ends := store.Op{Kind: store.KindGroupEntry, Delete: true, Filter: name, Seq: seq}
		r.tell(b.id, m, dropped(stats.DropSessionEnded), []store.Op{ends}, nil)
		return
	}
	if taken[g] == nil {
		taken[g] = r.takenOver(ctx, g)
	}
	if taken[g][m.ID] {
		g.forget(waiting{seq: seq})
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q := &g.queue
	q.list = append(q.list, waiting{m, seq})
	q.bytes += int64(m.Size())
	q.given(seq)
}

// given keeps the number of a record from being given once more.
func (q *groupQueue) given(seq uint64) {
	if seq >= firstGroupSeq {
		q.back = max(q.back, seq-firstGroupSeq+1)
	} else {
		q.front = max(q.front, firstGroupSeq-seq)
	}
}

// takenOver lists what members of a group have in flight.
func (r *Router) takenOver(ctx context.Context, g *Group) map[message.ID]bool {
	ids := map[message.ID]bool{}
	for _, mb := range g.members {
		img, err := r.store.Load(ctx, mb.c.ID)
		if err != nil {
			r.log.Error("member of a shared group could not be loaded", "client", string(mb.c.ID), "error", err)
			continue
		}
		for i := range img.Entries {
			ids[img.Entries[i].Msg.ID] = true
		}
	}
	return ids
}
