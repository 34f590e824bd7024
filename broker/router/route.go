package router

import (
	"slices"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
)

// target is a session that a topic's messages go to, with what its matching
// subscriptions add up to.
type target struct {
	c      *Client
	subIDs []uint32 // all of them [MQTT-3.3.4-4]
	qos    byte     // the highest granted [MQTT-3.3.4-2]
	rap    bool     // Retain As Published if any has it
	each   bool     // the rules want to be asked for each delivery
}

// route is what one connection knows of one topic name: whether it may publish
// there, and who gets it. The verdict is renewed when the access rules change, the
// targets when a subscription that could match does.
type route struct {
	name string

	rules  uint64 // generation of the rules that judged
	code   byte   // 0 or the reason code of the refusal
	rule   string // that refused
	each   bool   // the verdict depends on QoS and retain
	dollar bool   // the name begins with $

	watch   []topic.Watch // of the trees: two, and two of the route table in a cluster
	seen    uint64        // the sum of their versions that targets and groups show
	targets []target
	groups  []*Group
	peers   []message.MailboxID // other mailboxes that get it
	spread  []*spread           // groups with members in other mailboxes
}

// maxRoutes bounds a connection's cache; a publisher with more topics starts over.
const maxRoutes = 4096

// routeFor returns the route of a topic name, judged by the rules of now; nil for
// one that is no topic name.
func (p *Publisher) routeFor(name []byte) *route {
	rt := p.last
	if rt == nil || rt.name != string(name) {
		if rt = p.routes[string(name)]; rt == nil {
			return p.newRoute(name)
		}
		p.last = rt
	}
	if rt.rules != p.r.rules() {
		p.judge(rt)
		p.match(rt)
	}
	return rt
}

// newRoute judges a name that this connection has not used before.
func (p *Publisher) newRoute(name []byte) *route {
	if !topic.ValidNameBytes(name) {
		return nil
	}
	if len(p.routes) >= maxRoutes {
		clear(p.routes)
		if p.abroad != nil {
			p.abroad.forgot = true
		}
	}
	if p.routes == nil {
		p.routes = map[string]*route{}
	}
	rt := p.makeRoute(string(name))
	p.routes[rt.name], p.last = rt, rt
	return rt
}

func (p *Publisher) makeRoute(name string) *route {
	rt := &route{name: name, dollar: name[0] == '$', watch: []topic.Watch{p.box.subs.Watch(name), p.box.shared.Watch(name)}}
	if a := p.abroad; a != nil {
		rt.watch = append(rt.watch, a.table.filters.Watch(name), a.table.groups.Watch(name))
	}
	p.judge(rt)
	a := p.abroad
	moved := a != nil && (a.moved || a.forgot) // nothing was sent there yet, as far as that is known
	p.match(rt)
	if a != nil {
		a.moved = moved
	}
	return rt
}

// judge asks whether the connection may publish to a topic.
func (p *Publisher) judge(rt *route) {
	r := p.r
	rt.rules = r.rules()
	if p.feed != nil { // it was judged where it came in
		return
	}
	rt.each, rt.rule = false, "topic name refused"
	if rt.code = r.judgeTopic(rt.name); rt.code != codeSuccess {
		return
	}
	if strings.HasPrefix(rt.name, delayedPrefix) {
		return // the topic behind it is judged
	}
	d := r.hooks.Authorize(p.hook, hooks.Request{Action: hooks.Publish, Topic: rt.name})
	if rt.each = d.PerMessage; !rt.each { // else it holds for nothing but this question
		rt.code, rt.rule = d.Code, d.Rule // of an allowed one, too: a trace shows it
	}
}

// judgeTopic answers the reason code that refuses every client's publishes to a
// name, or 0: $SYS is the broker's own, and a name has limits.
func (r *Router) judgeTopic(name string) byte {
	if name == "$SYS" || strings.HasPrefix(name, "$SYS/") {
		return codeNotAuthorized
	}
	set := r.Settings()
	if over(topic.Levels(name), set.MaxLevels) || over(len(name), set.MaxTopicLength) {
		return codeTopicInvalid
	}
	return codeSuccess
}

// version is the sum of the versions of what the route was matched with. Each only
// grows, so the sum of now is that of then only if nothing changed.
func (rt *route) version() (n uint64) {
	for i := range rt.watch {
		n += rt.watch[i].Version()
	}
	return n
}

// current brings a route's targets up to date.
func (p *Publisher) current(rt *route) {
	if rt.version() != rt.seen {
		p.match(rt)
	}
}

func (p *Publisher) match(rt *route) {
	// The versions are read before the trees: a change in between makes the route
	// stale at once instead of never.
	rt.seen = rt.version()
	clear(rt.targets)
	clear(rt.groups)
	rt.targets = p.r.readable(rt.name, p.box.match(rt.name, p.c, rt.targets[:0]))
	rt.groups = rt.groups[:0]
	if p.feed == nil { // what comes through an inbox for a group names it
		rt.groups = p.box.matchGroups(rt.name, rt.groups)
	}
	if a := p.abroad; a != nil {
		peers := a.table.boxes(rt.name, nil)
		a.moved = a.moved || !slices.Equal(rt.peers, peers)
		rt.peers = peers
		rt.groups, rt.spread = a.table.spread(rt.name, rt.groups)
	}
}

// readable keeps the targets that may read a topic.
func (r *Router) readable(name string, list []target) []target {
	if !r.has.ACL {
		return list
	}
	kept := list[:0]
	for i := range list {
		t := list[i]
		d := r.hooks.Authorize(t.c.identity(), hooks.Request{Action: hooks.Deliver, Topic: name, QoS: t.qos})
		if t.each = d.PerMessage; t.each || d.Code == codeSuccess {
			kept = append(kept, t)
		} else {
			r.traceRead(t.c, t.c.identity(), name, &d)
		}
	}
	clear(list[len(kept):])
	return kept
}

func (b *box) matchGroups(name string, list []*Group) []*Group {
	b.shared.Match(name, func(_ topic.Filter, g *Group, _ *struct{}) { list = append(list, g) })
	return list
}

// indexFrom is how many targets a list has before a map finds them.
const indexFrom = 16

// matcher gathers the targets of a name, each once.
type matcher struct {
	from  *Client
	list  []target
	index map[*Client]int // of list, once it is long
}

// match lists the sessions that subscribed to name. from is the publisher: its No
// Local subscriptions do not count [MQTT-3.8.3-3].
func (b *box) match(name string, from *Client, list []target) []target {
	m := matcher{from: from, list: list}
	b.subs.Match(name, m.add)
	return m.list
}

func (m *matcher) add(_ topic.Filter, c *Client, s *Sub) {
	if s.NoLocal && c == m.from {
		return
	}
	t := m.target(c)
	t.qos, t.rap = max(t.qos, s.QoS), t.rap || s.RAP
	if s.ID != 0 {
		t.subIDs = append(t.subIDs, s.ID)
	}
}

func (m *matcher) target(c *Client) *target {
	if m.index != nil {
		if i, ok := m.index[c]; ok {
			return &m.list[i]
		}
		m.index[c] = len(m.list)
	} else {
		for i := range m.list {
			if m.list[i].c == c {
				return &m.list[i]
			}
		}
		if len(m.list) == indexFrom {
			m.index = make(map[*Client]int, 4*indexFrom)
			for i := range m.list {
				m.index[m.list[i].c] = i
			}
			m.index[c] = indexFrom
		}
	}
	m.list = append(m.list, target{c: c})
	return &m.list[len(m.list)-1]
}

// expiry turns a relative expiry into an absolute one.
func expiry(now int64, seconds uint32) int64 { return now + int64(seconds)*1e9 }

// materialize copies a parsed publish into a message of its own.
func (p *Publisher) materialize(name string, pub *message.Publish, now int64, id message.ID) *message.Message {
	n := len(pub.Payload) + len(pub.Props)
	buf := make([]byte, 0, n)
	buf = append(buf, pub.Payload...)
	props := message.AppendForwarded(buf[len(buf):len(buf):n], pub.Props)
	m := &message.Message{
		ID: id, Topic: name, Payload: buf[:len(buf):len(buf)], Props: props,
		Publisher: p.id, User: p.user, Created: now, QoS: pub.QoS, Retain: pub.Retain,
	}
	if pub.HasExpiry {
		m.Expires = expiry(now, pub.Expiry)
	}
	return m
}
