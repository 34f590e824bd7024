package router

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// Strategy picks the member of a shared group that gets a message.
type Strategy uint8

// Strategies of shared subscriptions.
const (
	RoundRobin Strategy = iota
	LeastInflight
	Sticky
	HashClient
	HashTopic
	Random
)

var groupSeed = maphash.MakeSeed()

// groups are the shared subscriptions by "group/filter".
type groups struct {
	mu    sync.Mutex
	byKey map[string]*Group
}

// member is one session's part in a group.
type member struct {
	g   *Group
	c   *Client
	sub Sub
}

// Group is a shared subscription: its members and one queue, from which members
// pull as their windows allow. It ends with its last member.
type Group struct {
	r      *Router
	key    string
	filter topic.Filter

	mu      sync.Mutex
	members []*member
	queue   []*message.Message // messages no member had room for, oldest first
	bytes   int64
	next    int
	sticky  *member
}

// join makes c a member or changes its options; c.mu is held.
func (r *Router) join(c *Client, group string, f topic.Filter, s Sub) {
	key := group + "/" + string(f)
	r.groups.mu.Lock()
	defer r.groups.mu.Unlock()
	g := r.groups.byKey[key]
	if g == nil {
		g = &Group{r: r, key: key, filter: f}
		r.groups.byKey[key] = g
		r.shared.Subscribe(f, g, struct{}{})
		r.stats.SharedGroups.Inc()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		if m.c == c {
			m.sub = s
			return
		}
	}
	m := &member{g: g, c: c, sub: s}
	g.members = append(g.members, m)
	c.member = append(c.member, m)
}

// leave takes c out of the group; what it had not got goes to the others. c.mu
// is not held.
func (r *Router) leave(c *Client, group string, f topic.Filter) {
	key := group + "/" + string(f)
	r.groups.mu.Lock()
	g := r.groups.byKey[key]
	if g == nil {
		r.groups.mu.Unlock()
		return
	}
	g.mu.Lock()
	for i, m := range g.members {
		if m.c == c {
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			if g.sticky == m {
				g.sticky = nil
			}
			break
		}
	}
	if len(g.members) == 0 {
		delete(r.groups.byKey, key)
		r.shared.Unsubscribe(f, g)
		r.stats.SharedGroups.Dec()
		r.stats.Drop(stats.DropSessionEnded, uint64(len(g.queue)))
		g.queue = nil
	}
	g.mu.Unlock()
	r.groups.mu.Unlock()
	c.mu.Lock()
	for i, m := range c.member {
		if m.g == g {
			c.member = append(c.member[:i:i], c.member[i+1:]...)
			break
		}
	}
	c.mu.Unlock()
}

// order lists the members to try for m, the strategy's choice first. g.mu is held.
func (g *Group) orderLocked(m *message.Message) []*member {
	n := len(g.members)
	if n == 0 {
		return nil
	}
	start := 0
	switch g.r.Settings().Strategy {
	case RoundRobin:
		g.next++
		start = g.next % n
	case Random:
		start = rand.IntN(n)
	case HashClient:
		start = int(maphash.String(groupSeed, string(m.Publisher)) % uint64(n))
	case HashTopic:
		start = int(maphash.String(groupSeed, m.Topic) % uint64(n))
	case Sticky:
		for i, mb := range g.members {
			if mb == g.sticky {
				start = i
			}
		}
	case LeastInflight:
		least := int(^uint(0) >> 1)
		for i, mb := range g.members {
			if l := mb.c.live.Load(); l != nil {
				if k := int(mb.c.inflight.Load()); k < least {
					least, start = k, i
				}
			}
		}
	}
	list := make([]*member, 0, n)
	for i := range n {
		list = append(list, g.members[(start+i)%n])
	}
	return list
}

// publish gives m to one member: the strategy's choice among those that are
// connected and have room. If none has room it waits in the group's queue; with
// nobody connected too, as far as a member's session outlives its connection.
func (g *Group) publish(m *message.Message) {
	g.mu.Lock()
	if len(g.queue) > 0 && m.QoS > 0 {
		g.pushLocked(m)
		list := g.orderLocked(m)
		g.mu.Unlock()
		g.wake(list)
		return
	}
	list := g.orderLocked(m)
	g.mu.Unlock()
	if g.offer(list, m) {
		return
	}
	g.mu.Lock()
	if m.QoS == 0 {
		g.r.stats.Drop(stats.DropQoS0Offline, 1)
	} else {
		g.pushLocked(m)
	}
	list = g.orderLocked(m)
	g.mu.Unlock()
	g.wake(list)
}

func (g *Group) offer(list []*member, m *message.Message) bool {
	for _, mb := range list {
		if mb.c.live.Load() != nil && mb.take(m) {
			if g.r.Settings().Strategy == Sticky {
				g.mu.Lock()
				g.sticky = mb
				g.mu.Unlock()
			}
			return true
		}
	}
	return false
}

// wake lets members pull: one may have got room between the offer and the push.
func (g *Group) wake(list []*member) {
	for _, mb := range list {
		if mb.c.live.Load() == nil {
			continue
		}
		mb.c.mu.Lock()
		mb.c.pumpLocked(nil)
		mb.c.mu.Unlock()
		g.mu.Lock()
		empty := len(g.queue) == 0
		g.mu.Unlock()
		if empty {
			return
		}
	}
}

// take gives m to the member if it can be sent now.
func (mb *member) take(m *message.Message) bool {
	c := mb.c
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil || c.ended || l.Out.Room() <= 0 {
		return false
	}
	qos := min(m.QoS, mb.sub.QoS)
	if qos > 0 && !c.sess.Ready(1) {
		return false
	}
	mb.sendLocked(m, qos)
	c.commitLocked(nil)
	return true
}

// sendLocked sends m through the member's session. c.mu is held.
func (mb *member) sendLocked(m *message.Message, qos byte) {
	c := mb.c
	c.out.Now = c.link.Out.Begin()
	c.sess.Push(&c.out, mb.entry(m, qos), c.r.now().UnixNano())
	c.link.Out.End(c.out.Now)
	c.out.Now = nil
}

func (mb *member) entry(m *message.Message, qos byte) session.Entry {
	e := session.Entry{Entry: store.Entry{Msg: m, QoS: qos, Retain: m.Retain && mb.sub.RAP}, Source: mb}
	if mb.sub.ID != 0 {
		e.SubIDs = []uint32{mb.sub.ID}
	}
	return e
}

func (g *Group) pushLocked(m *message.Message) {
	lim := g.r.Settings().Queue
	size := int64(m.Size())
	for len(g.queue) > 0 && (len(g.queue) >= lim.Messages || g.bytes+size > lim.Bytes) {
		g.r.stats.Drop(stats.DropQueueFull, 1)
		if lim.Overflow != session.DropOldest {
			return
		}
		g.bytes -= int64(g.queue[0].Size())
		g.queue[0], g.queue = nil, g.queue[1:]
	}
	g.queue = append(g.queue, m)
	g.bytes += size
}

// pop takes the oldest message that has not expired.
func (g *Group) pop(now int64) *message.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queue) > 0 {
		m := g.queue[0]
		g.queue[0], g.queue = nil, g.queue[1:]
		g.bytes -= int64(m.Size())
		if !m.Expired(now) {
			return m
		}
		g.r.stats.Drop(stats.DropExpired, 1)
	}
	g.queue = nil
	return nil
}

// ended is told of an entry that its member could not take.
func (g *Group) ended() {}

// pullGroupsLocked fills the client from the queues of its groups. It reports
// false if it had to stop. The output's lock is held; g.mu is taken inside.
func (c *Client) pullGroupsLocked(now int64, limit int) bool {
	for _, mb := range c.member {
		for len(c.out.Now)+len(c.out.After) < limit && c.sess.Window(1) {
			m := mb.g.pop(now)
			if m == nil {
				break
			}
			c.sess.Push(&c.out, mb.entry(m, min(m.QoS, mb.sub.QoS)), now)
		}
		if len(c.out.Now)+len(c.out.After) >= limit || !c.sess.Window(1) {
			return false
		}
	}
	return true
}

// giveBack returns to their groups what a member that left had been sent at
// QoS 1 and not acknowledged, oldest first. c.mu is held; it answers the groups
// to wake once it is released.
func (c *Client) giveBackLocked(keep func(*member) bool) []*Group {
	var woken []*Group
	back := map[*Group][]*message.Message{}
	c.sess.Leave(&c.out, func(e *session.Entry) bool {
		mb := e.Source.(*member)
		if keep != nil && keep(mb) {
			return false
		}
		if len(back[mb.g]) == 0 {
			woken = append(woken, mb.g)
		}
		back[mb.g] = append(back[mb.g], e.Msg)
		return true
	})
	for g, list := range back {
		g.mu.Lock()
		if len(g.members) > 0 {
			g.queue = append(list, g.queue...)
			for _, m := range list {
				g.bytes += int64(m.Size())
			}
		}
		g.mu.Unlock()
	}
	return woken
}

// wakeAll lets the members of groups pull.
func wakeAll(list []*Group) {
	for _, g := range list {
		g.mu.Lock()
		members := append([]*member(nil), g.members...)
		g.mu.Unlock()
		g.wake(members)
	}
}
