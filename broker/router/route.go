package router

import (
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
}

// route is what one connection knows of one topic name: whether it may publish
// there, and who gets it. It is rebuilt when a subscription that could match has
// changed or the access rules have.
type route struct {
	name    string
	version uint64
	shared  uint64
	rules   uint64
	code    byte // 0 or the reason code of the refusal
	targets []target
	groups  []*Group
}

// maxRoutes bounds a connection's cache; a publisher with more topics starts over.
const maxRoutes = 4096

// routeFor returns the route of a topic name, from the cache if it still holds.
func (p *Publisher) routeFor(name []byte) *route {
	rt := p.last
	if rt == nil || rt.name != string(name) {
		rt = p.routes[string(name)]
		if rt == nil {
			return p.newRoute(name)
		}
		p.last = rt
	}
	r := p.r
	if rt.version != r.subs.Version(rt.name) || rt.shared != r.shared.Version(rt.name) || rt.rules != r.hooks.Generation() {
		p.fill(rt)
	}
	return rt
}

// newRoute judges a name that this connection has not used before. It returns
// nil for one that is no topic name.
func (p *Publisher) newRoute(name []byte) *route {
	if !topic.ValidNameBytes(name) {
		return nil
	}
	if len(p.routes) >= maxRoutes {
		clear(p.routes)
	}
	if p.routes == nil {
		p.routes = map[string]*route{}
	}
	rt := &route{name: string(name)}
	p.fill(rt)
	p.routes[rt.name], p.last = rt, rt
	return rt
}

func (p *Publisher) fill(rt *route) {
	r := p.r
	// The versions are read before the trees: a change in between makes the route
	// stale at once instead of never.
	rt.version, rt.shared, rt.rules = r.subs.Version(rt.name), r.shared.Version(rt.name), r.hooks.Generation()
	rt.code = r.judgeName(p.hook, rt.name)
	rt.targets = r.match(rt.name, p.c, rt.targets[:0])
	rt.groups = rt.groups[:0]
	r.shared.Match(rt.name, func(_ topic.Filter, g *Group, _ *struct{}) { rt.groups = append(rt.groups, g) })
}

// judgeName answers the reason code that refuses every publish to a name, or 0.
// What depends on QoS and retain is asked for each combination by the chain.
func (r *Router) judgeName(h *hooks.Client, name string) byte {
	if name[0] == '$' && len(name) >= 4 && name[:4] == "$SYS" {
		return codeNotAuthorized
	}
	if topic.Levels(name) > r.Settings().MaxLevels {
		return codeTopicInvalid
	}
	return r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: name}).Code
}

// match lists the sessions that subscribed to name, each once. from is the
// publisher: its No Local subscriptions do not count [MQTT-3.8.3-3].
func (r *Router) match(name string, from *Client, list []target) []target {
	var index map[*Client]int
	r.subs.Match(name, func(_ topic.Filter, c *Client, s *Sub) {
		if s.NoLocal && c == from {
			return
		}
		i := -1
		if index != nil {
			if k, ok := index[c]; ok {
				i = k
			}
		} else {
			for k := range list {
				if list[k].c == c {
					i = k
					break
				}
			}
		}
		if i < 0 {
			i = len(list)
			list = append(list, target{c: c})
			if index != nil {
				index[c] = i
			} else if len(list) > 16 {
				index = make(map[*Client]int, 64)
				for k := range list {
					index[list[k].c] = k
				}
			}
		}
		t := &list[i]
		t.qos, t.rap = max(t.qos, s.QoS), t.rap || s.RAP
		if s.ID != 0 {
			t.subIDs = append(t.subIDs, s.ID)
		}
	})
	return list
}

// Reason codes that the router answers with.
const (
	codeNoMatch            byte = 0x10
	codeUnspecified        byte = 0x80
	codeNotAuthorized      byte = 0x87
	codeTopicFilterInvalid byte = 0x8F
	codeTopicInvalid       byte = 0x90
	codeQuotaExceeded      byte = 0x97
	codePayloadFormat      byte = 0x99
	codeRetainUnsupported  byte = 0x9A
	codeSharedUnsupported  byte = 0x9E
	codeSubIDUnsupported   byte = 0xA1
	codeWildUnsupported    byte = 0xA2
)

// expiry turns a relative expiry into an absolute one.
func expiry(now int64, seconds uint32) int64 { return now + int64(seconds)*1e9 }

// materialize copies a parsed publish into a message of its own.
func (r *Router) materialize(p *Publisher, name string, pub *message.Publish) *message.Message {
	now := r.now().UnixNano()
	n := len(pub.Payload) + len(pub.Props)
	buf := make([]byte, 0, n)
	buf = append(buf, pub.Payload...)
	props := message.AppendForwarded(buf[len(buf):len(buf):n], pub.Props)
	m := &message.Message{
		ID: r.nextID(), Topic: name, Payload: buf[:len(buf):len(buf)], Props: props,
		Created: now, QoS: pub.QoS, Retain: pub.Retain,
	}
	if p != nil {
		m.Publisher, m.User = p.c.ID, p.user
	}
	if pub.HasExpiry {
		m.Expires = expiry(now, pub.Expiry)
	}
	return m
}
