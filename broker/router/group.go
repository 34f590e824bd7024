package router

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
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

// groupKey names a shared subscription.
type groupKey struct {
	name   string
	filter topic.Filter
}

// groups are the shared subscriptions.
type groups struct {
	mu    sync.Mutex
	byKey map[groupKey]*Group

	former []former // the newest last; in a cluster
}

// member is one session's part in a group.
type member struct {
	g   *Group
	c   *Client
	sub Sub // guarded by c.mu
}

// Group is a shared subscription: its members and one queue, from which members
// pull as their windows allow. It ends with its last member.
type Group struct {
	r   *Router
	box *box
	key groupKey

	mu      sync.Mutex
	members []*member // replaced, never changed in place
	queue   groupQueue
	next    int
	sticky  *member
}

// joinLocked makes c a member or changes its options. c.mu is held.
func (r *Router) joinLocked(c *Client, s *subscription) {
	key := groupKey{s.parsed.Group, s.parsed.Filter}
	for _, m := range c.rareLocked().members {
		if m.g.key == key {
			m.sub = s.sub()
			return
		}
	}
	b := c.boxLocked()
	b.groups.mu.Lock()
	defer b.groups.mu.Unlock()
	g := b.groups.byKey[key]
	fresh := g == nil
	if fresh {
		g = &Group{r: r, box: b, key: key}
		b.groups.byKey[key] = g
		r.stats.SharedGroups.Inc()
	}
	m := &member{g: g, c: c, sub: s.sub()}
	has := c.makeRareLocked()
	has.members = append(has.members, m)
	g.mu.Lock()
	g.members = append(g.members[:len(g.members):len(g.members)], m)
	g.mu.Unlock()
	if fresh { // it can be found when it has its member
		b.shared.Subscribe(key.filter, g, struct{}{})
	}
}

// leaveLocked takes c out of a group; what it had not acknowledged goes to the
// others, which are to be woken when c.mu is free.
func (r *Router) leaveLocked(c *Client, s *subscription) []*Group {
	key := groupKey{s.parsed.Group, s.parsed.Filter}
	has := c.rareLocked()
	i := slices.IndexFunc(has.members, func(m *member) bool { return m.g.key == key })
	if i < 0 {
		return nil
	}
	m := has.members[i]
	has.members = slices.Delete(has.members, i, i+1)
	m.quit()
	return c.giveBackLocked(func(o *member) bool { return o == m })
}

// quitAllLocked takes the client out of its groups with all that it was given as a member.
func (c *Client) quitAllLocked() {
	for _, m := range c.rareLocked().members {
		m.quit()
	}
	if c.rare != nil {
		c.rare.members = nil
	}
}

// quit takes a member out of its group, which ends with the last one. The client's lock is
// held.
func (mb *member) quit() {
	g, r := mb.g, mb.g.r
	b := g.box
	b.groups.mu.Lock()
	g.mu.Lock()
	j := slices.Index(g.members, mb)
	g.members = slices.Concat(g.members[:j], g.members[j+1:])
	if g.sticky == mb {
		g.sticky = nil
	}
	if r.peers != nil && mb.c.Persistent() {
		b.groups.leftLocked(g.key, mb.c.ID)
	}
	last := len(g.members) == 0
	if last {
		delete(b.groups.byKey, g.key)
		r.stats.SharedGroups.Dec()
		g.endAllLocked()
	}
	g.mu.Unlock()
	if last {
		b.shared.Unsubscribe(g.key.filter, g)
	}
	b.groups.mu.Unlock()
}

// firstLocked is the index of the member that the strategy chooses for m; those
// behind it follow in turn. g.mu is held, and there are members.
func (g *Group) firstLocked(m *message.Message) int {
	n := len(g.members)
	switch g.r.Settings().Strategy {
	case Random:
		return rand.IntN(n)
	case HashClient:
		return int(maphash.String(groupSeed, string(m.Publisher)) % uint64(n))
	case HashTopic:
		return int(maphash.String(groupSeed, m.Topic) % uint64(n))
	case Sticky:
		return max(0, slices.Index(g.members, g.sticky))
	case LeastInflight:
		return leastInflight(g.members)
	}
	g.next++
	return g.next % n
}

func leastInflight(members []*member) int {
	best, least := 0, int32(math.MaxInt32)
	for i, mb := range members {
		if k := mb.c.inflight.Load(); k < least && mb.c.live.Load() != nil {
			best, least = i, k
		}
	}
	return best
}

// publish gives m to one member: the strategy's choice among those that are
// connected and have room. If none has room it waits in the group's queue; with
// nobody connected too, as far as a member's session outlives its connection.
// wait, if not nil, answers what a member's commit is waited for in. It reports whether
// what becomes of m will be known after a restart too.
func (g *Group) publish(m *message.Message, wait func() *Pending) (sure bool) {
	g.mu.Lock()
	if len(g.members) == 0 { // the last one left meanwhile
		g.mu.Unlock()
		return g.ended(m, wait)
	}
	members, first := g.members, g.firstLocked(m)
	behind := len(g.queue.list) > 0 && m.QoS > 0 // keep the order
	g.mu.Unlock()
	if !behind {
		if took, sure := g.offer(members, first, m, wait); took {
			return sure
		}
	}
	if g.r.has.ACL && !slices.ContainsFunc(members, func(mb *member) bool { return mb.mayRead(mb.c.identity(), m) }) {
		return g.refuse(m, stats.DropACL, wait)
	}
	if m.QoS == 0 {
		return g.refuse(m, g.whyNobody(members), wait)
	}
	g.mu.Lock()
	if len(g.members) == 0 { // as above
		g.mu.Unlock()
		return g.ended(m, wait)
	}
	g.pushLocked(m, wait)
	members = g.members
	g.mu.Unlock()
	g.wake(members, first)
	return true
}

// refuse drops a message that the group does not take.
func (g *Group) refuse(m *message.Message, why stats.DropReason, wait func() *Pending) (sure bool) {
	g.r.stats.Drop(why, 1)
	g.r.traceMessage(m, DecidedDropped, why.String(), g.key.record())
	g.r.follows.dropped(m, g)
	return g.r.tell(g.box.id, m, dropped(why), nil, wait)
}

// whyNobody is why no member took a QoS 0 message.
func (g *Group) whyNobody(members []*member) stats.DropReason {
	for _, mb := range members {
		if mb.c.live.Load() != nil {
			return stats.DropOutputFull
		}
	}
	return stats.DropQoS0Offline
}

// offer reports whether a member took m, and what take says then.
func (g *Group) offer(members []*member, first int, m *message.Message, wait func() *Pending) (took, sure bool) {
	for i := range members {
		mb := members[(first+i)%len(members)]
		if mb.c.live.Load() == nil || g.r.has.ACL && !mb.mayRead(mb.c.identity(), m) {
			continue
		}
		if took, sure = mb.take(m, wait); !took {
			continue
		}
		if g.r.Settings().Strategy == Sticky {
			g.mu.Lock()
			g.sticky = mb
			g.mu.Unlock()
		}
		return true, sure
	}
	return false, false
}

// wake lets members pull: one may have got room between the offer and the push.
func (g *Group) wake(members []*member, first int) {
	for i := range members {
		c := members[(first+i)%len(members)].c
		if c.live.Load() == nil {
			continue
		}
		c.mu.Lock()
		c.pumpLocked(nil)
		c.mu.Unlock()
		g.mu.Lock()
		empty := len(g.queue.list) == 0
		g.mu.Unlock()
		if empty {
			return
		}
	}
}

// othersOnline reports whether another member is connected: what this one leaves
// unacknowledged goes there, otherwise it waits for its own client.
func (mb *member) othersOnline() bool {
	mb.g.mu.Lock()
	members := mb.g.members
	mb.g.mu.Unlock()
	return slices.ContainsFunc(members, func(o *member) bool { return o != mb && o.c.live.Load() != nil })
}

// wakeAll lets the members of groups pull. No client's lock is held.
func wakeAll(list []*Group) {
	for _, g := range list {
		g.mu.Lock()
		members := g.members
		g.mu.Unlock()
		g.wake(members, 0)
	}
}

// take gives m to the member if it can be sent now. sure says that what becomes of it will
// be known after a restart too.
func (mb *member) take(m *message.Message, wait func() *Pending) (took, sure bool) {
	c := mb.c
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil || c.ended || l.Out.Room() <= 0 {
		return false, false
	}
	qos := min(m.QoS, mb.sub.QoS)
	if qos > 0 && !c.sess.Ready(1) {
		return false, false
	}
	c.out.Now = l.Out.Begin()
	c.sess.Push(&c.out, mb.entry(m, qos), c.r.now().UnixNano())
	l.Out.End(c.out.Now)
	c.out.Now = nil
	if qos == 0 {
		c.r.follows.delivered(m, mb.g)
	}
	c.sentLocked(l)
	var pend *Pending
	if wait != nil && len(c.out.Ops) > 0 {
		pend = wait()
	}
	c.commitLocked(pend)
	c.accountLocked()
	return true, qos > 0 && c.Persistent()
}

// mayRead asks the rules whether the member, who is h, may have m.
func (mb *member) mayRead(h *hooks.Client, m *message.Message) bool {
	return mb.g.r.mayRead(h, m.Topic, m.QoS, false)
}

func (mb *member) entry(m *message.Message, qos byte) session.Entry {
	e := session.Entry{Entry: store.Entry{Msg: m, QoS: qos, Retain: m.Retain && mb.sub.RAP}, Source: mb}
	if mb.sub.ID != 0 {
		e.SubIDs = []uint32{mb.sub.ID}
	}
	return e
}

// somebodyMayLocked reports whether a member may have m, as far as it can be asked
// without the member's lock; one that is away may.
func (g *Group) somebodyMayLocked(m *message.Message) bool {
	return slices.ContainsFunc(g.members, func(mb *member) bool {
		l := mb.c.live.Load()
		return l == nil || mb.mayRead(l.Hook, m)
	})
}

// pullGroupsLocked fills the client from the queues of its groups. It reports
// false if it had to stop. The output's lock is held; g.mu is taken inside.
func (c *Client) pullGroupsLocked(now int64, limit int) bool {
	for _, mb := range c.rareLocked().members {
		var may func(*message.Message) bool
		if c.r.has.ACL {
			may = func(m *message.Message) bool { return mb.mayRead(c.hook, m) }
		}
		for {
			if len(c.out.Now)+len(c.out.After) >= limit || !c.sess.Window(1) {
				return false
			}
			w, ok := mb.g.take(now, may)
			if !ok {
				break
			}
			mb.pullLocked(w, now)
		}
	}
	return true
}

// giveBackLocked returns to their groups what the client had been sent at QoS 1 as
// a member and has not acknowledged, oldest first; of, if not nil, chooses the
// members. It answers the groups to wake once c.mu is free. What the caller commits
// for the client and what is committed here must be one (Store.Begin).
func (c *Client) giveBackLocked(of func(*member) bool) []*Group {
	var woken []*Group
	var back map[*Group][]waiting
	c.sess.Leave(&c.out, func(e *session.Entry) bool {
		mb, seq := sourceOf(e)
		if of != nil && !of(mb) {
			return false
		}
		if back == nil {
			back = map[*Group][]waiting{}
		}
		if len(back[mb.g]) == 0 {
			woken = append(woken, mb.g)
		}
		back[mb.g] = append(back[mb.g], waiting{e.Msg, seq})
		return true
	})
	for g, list := range back {
		g.mu.Lock()
		switch {
		case len(g.members) > 0:
			g.takeBackLocked(list)
		case g.r.peers != nil: // other mailboxes may have members
			g.takeBackLocked(list)
			g.endAllLocked()
		default:
			c.gaveUpLocked(g, list)
		}
		g.mu.Unlock()
	}
	return woken
}
