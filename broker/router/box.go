package router

import (
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/topic"
)

// box is a mailbox: sessions and shared groups that get what is published for it. A
// node alone has one. In a cluster it may have adopted others: what is published for
// those goes through their inbox, also when it was published here.
type box struct {
	id      message.MailboxID // empty for the node's own
	subs    *topic.Tree[*Client, Sub]
	shared  *topic.Tree[*Group, struct{}]
	groups  groups
	passed  passed           // by groups, to other mailboxes
	waited  passed           // what went round when the box was adopted, because it waited in a group
	replays message.Position // where the inbox ended when the box was adopted: up to there things may come again

	mu      sync.Mutex
	clients map[*Client]struct{} // sessions that live there; nil for the own one, where all others do
}

// residents are some of the sessions that live in an adopted mailbox.
func (b *box) residents(max int) []*Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*Client, 0, min(max, len(b.clients)))
	for c := range b.clients {
		if len(list) == max {
			break
		}
		list = append(list, c)
	}
	return list
}

func newBox(id message.MailboxID) *box {
	b := &box{id: id, subs: topic.New[*Client, Sub](), shared: topic.New[*Group, struct{}]()}
	b.groups.byKey = map[groupKey]*Group{}
	return b
}

// boxLocked is the mailbox that the session lives in.
func (c *Client) boxLocked() *box {
	if c.rare != nil && c.rare.box != nil {
		return c.rare.box
	}
	return c.r.own
}

// settleLocked makes b the session's mailbox. It must have no subscriptions.
func (c *Client) settleLocked(b *box) {
	if b == c.r.own {
		b = nil
	}
	if b == nil && c.rare == nil {
		return
	}
	r := c.makeRareLocked()
	if old := r.box; old != nil {
		old.mu.Lock()
		delete(old.clients, c)
		old.mu.Unlock()
	}
	if r.box = b; b != nil {
		b.mu.Lock()
		if b.clients == nil {
			b.clients = map[*Client]struct{}{}
		}
		b.clients[c] = struct{}{}
		b.mu.Unlock()
	}
	c.tidyRareLocked()
}

// announcement is the key of a subscription in the routes of the cluster.
func (s *subscription) announcement() string {
	if s.parsed.Group != "" {
		return sharePrefix + s.parsed.Group + "/" + string(s.parsed.Filter)
	}
	return string(s.parsed.Filter)
}

const sharePrefix = "$share/"
