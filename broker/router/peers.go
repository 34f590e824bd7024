package router

import (
	"slices"
	"strings"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// peers are what the other mailboxes subscribe to: the route table of the cluster.
type peers struct {
	filters *topic.Tree[message.MailboxID, struct{}]
	groups  *topic.Tree[peerGroup, int] // members that are connected there

	// mu is held for reading from the match of a publish until it was handed to all its
	// targets, and for writing while the table changes: so whoever has changed it knows
	// that everything that was matched before is on its way.
	mu sync.RWMutex
	at message.Position
}

// peerGroup is a shared group's part in another mailbox.
type peerGroup struct {
	box message.MailboxID
	key string // "group/filter"
}

func newPeers() *peers {
	return &peers{filters: topic.New[message.MailboxID, struct{}](), groups: topic.New[peerGroup, int]()}
}

// Route implements the cluster's inbox: it applies changes of the route table up to a
// position. When it returns, everything that was routed by an older table has been
// handed on.
func (r *Router) Route(at message.Position, changes []store.RouteChange) {
	p := r.peers
	var woken []string
	p.mu.Lock()
	for i := range changes {
		if key := p.applyLocked(&changes[i]); key != "" {
			woken = append(woken, key)
		}
	}
	p.at = max(p.at, at)
	p.mu.Unlock()
	for _, key := range woken {
		r.handOnGroup(key)
	}
}

// applyLocked answers the key of a group that has members online elsewhere now.
func (p *peers) applyLocked(c *store.RouteChange) string {
	if !strings.HasPrefix(c.Key, sharePrefix) {
		if c.Delete {
			p.filters.Unsubscribe(topic.Filter(c.Key), c.Box)
		} else {
			p.filters.Subscribe(topic.Filter(c.Key), c.Box, struct{}{})
		}
		return ""
	}
	key := c.Key[len(sharePrefix):]
	_, filter, _ := strings.Cut(key, "/")
	g := peerGroup{c.Box, key}
	if c.Delete {
		p.groups.Unsubscribe(topic.Filter(filter), g)
		return ""
	}
	p.groups.Subscribe(topic.Filter(filter), g, c.Online)
	if c.Online > 0 {
		return key
	}
	return ""
}

// boxes lists the other mailboxes that a name's messages go to.
func (p *peers) boxes(name string, list []message.MailboxID) []message.MailboxID {
	p.filters.Match(name, func(_ topic.Filter, b message.MailboxID, _ *struct{}) {
		if !slices.Contains(list, b) {
			list = append(list, b)
		}
	})
	return list
}

// spread is a shared group that other mailboxes have members of.
type spread struct {
	key   string // "group/filter"
	local *Group // nil without members here
	parts []part
	next  int
}

type part struct {
	box    message.MailboxID
	online int
}

// spread lists the groups of a name that have members elsewhere. Those of local that
// are among them are moved there.
func (p *peers) spread(name string, local []*Group) ([]*Group, []*spread) {
	var list []*spread
	p.groups.Match(name, func(_ topic.Filter, g peerGroup, online *int) {
		s := findSpread(list, g.key)
		if s == nil {
			s = &spread{key: g.key}
			list = append(list, s)
		}
		s.parts = append(s.parts, part{g.box, *online})
	})
	if len(list) == 0 {
		return local, nil
	}
	kept := local[:0]
	for _, g := range local {
		if s := findSpread(list, g.key.record()); s != nil {
			s.local = g
		} else {
			kept = append(kept, g)
		}
	}
	clear(local[len(kept):])
	return kept, list
}

func findSpread(list []*spread, key string) *spread {
	for _, s := range list {
		if s.key == key {
			return s
		}
	}
	return nil
}

// choose answers where the next message of the group goes: to a mailbox, or to the
// members here when it answers none. Mailboxes take turns by the members they have
// online; without any online anywhere it waits here, or in the first mailbox that has
// members, which is the same one for everybody.
func (s *spread) choose() (message.MailboxID, bool) {
	here := 0
	if s.local != nil {
		here = s.local.online()
	}
	total := here
	for i := range s.parts {
		total += s.parts[i].online
	}
	if total == 0 {
		if s.local != nil {
			return "", true
		}
		best := s.first("")
		return best, best != ""
	}
	s.next++
	n := s.next % total
	if n < here {
		return "", true
	}
	n -= here
	for i := range s.parts {
		if n -= s.parts[i].online; n < 0 {
			return s.parts[i].box, true
		}
	}
	return "", s.local != nil
}

// first is the mailbox with the lowest id, of which own is that of the members here.
func (s *spread) first(own message.MailboxID) message.MailboxID {
	best := message.MailboxID("")
	if s.local != nil {
		best = own
	}
	for i := range s.parts {
		if b := s.parts[i].box; best == "" || b < best {
			best = b
		}
	}
	return best
}

// online is how many members are connected.
func (g *Group) online() int {
	g.mu.Lock()
	members := g.members
	g.mu.Unlock()
	n := 0
	for _, m := range members {
		if m.c.live.Load() != nil {
			n++
		}
	}
	return n
}
