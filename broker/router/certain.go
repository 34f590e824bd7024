package router

import (
	"context"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// certain routes messages that a record keeps until all their targets have them: wills,
// delayed messages, receipts, and QoS 2 publishes whose routing was cut off. A target that
// could not take them, and a lease that was lost meanwhile, have all of them routed again,
// in their order, by the table of then: who has one knows its id.
type certain struct {
	r      *Router
	list   []*message.Message
	again  bool   // they may be known
	record func() // within Store.Begin: all targets have them
	end    func() // afterwards, or when the router closes, which leaves the record
}

// route is called where no lock of a client is held.
func (s *certain) route() {
	pend := &Pending{owner: s}
	if p := s.r.peers; p != nil {
		p.mu.RLock()
		pend.away = &away{cluster: s.r.cluster, matched: p.at} // what they are matched with is as new
		p.mu.RUnlock()
	}
	pend.left.Store(1)
	for _, m := range s.list {
		s.routeOne(m, pend)
	}
	pend.done()
}

func (s *certain) routeOne(m *message.Message, pend *Pending) {
	if seconds, name, delayed, err := topic.ParseDelayed(m.Topic); delayed && err == nil {
		later := *m
		later.Topic = name
		s.r.delayed.addAgain(s.r, &later, m.Created+seconds*int64(time.Second), pend)
		return
	}
	s.r.inject(m, s.again, func() *Pending { return pend })
}

// Ack implements Acker.
func (*certain) Ack([]message.PacketID, byte, byte) {}

// Defer implements Acker.
func (*certain) Defer(*Pending) {}

// Complete implements Acker. It is called where no lock of a client may be taken.
func (s *certain) Complete(*Pending) {
	s.r.events.apart(func() {
		s.r.store.Begin()
		s.record()
		s.r.store.End()
		s.end()
	})
}

// Refuse implements Acker: a target is gone, or the lease.
func (s *certain) Refuse(*Pending) {
	s.r.events.apart(func() {
		if !s.r.pause() {
			s.end()
			return
		}
		s.again = true
		s.route()
	})
}

// finishRouting routes QoS 2 messages of a session again of which a crash left unknown
// whether all their targets have them, and calls end when they do.
func (r *Router) finishRouting(c *Client, list []store.Unrouted, end func()) {
	s := &certain{r: r, again: true, end: end}
	for _, u := range list {
		s.list = append(s.list, u.Msg)
	}
	s.record = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, u := range list {
			if !c.ended && c.sess.HasReceived(u.ID) {
				c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindReceived, ID: u.ID})
			}
		}
		c.commitLocked(nil)
	}
	s.route()
}

// finishStored is finishRouting of a session that was loaded. What its client publishes
// waits for it.
func (r *Router) finishStored(c *Client, list []store.Unrouted) {
	if len(list) == 0 {
		return
	}
	a := &abroad{quiet: make(chan struct{}, 1)}
	a.n.Store(1)
	c.mu.Lock()
	a.before = c.page.sending.unsettled()
	c.page.sending = a
	c.mu.Unlock()
	r.finishRouting(c, list, a.settledOne)
}

// finishLater is finishRouting of what failed here, and not under the caller's locks.
func (r *Router) finishLater(c *Client, list []received, end func()) {
	all := make([]store.Unrouted, len(list))
	for i, rc := range list {
		all[i] = store.Unrouted{ID: rc.id, Msg: rc.m}
	}
	r.events.apart(func() { r.finishRouting(c, all, end) })
}

// unsettled is the newest connection's, of this one and those before, that has publishes
// which are not settled; nil when none has.
func (a *abroad) unsettled() *abroad {
	for a != nil && a.n.Load() == 0 {
		a = a.before
	}
	return a
}

// rest waits until nothing is unsettled of this connection, which has ended, and those
// before.
func (a *abroad) rest(ctx context.Context) error {
	for a = a.unsettled(); a != nil; a = a.unsettled() {
		select {
		case <-a.quiet:
			if a.n.Load() == 0 {
				a.tell() // somebody else may wait
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for publishes of the client: %w", context.Cause(ctx))
		}
	}
	return nil
}

// sent waits until what the client published is routed, or will never be.
func (c *Client) sent(ctx context.Context) error {
	c.mu.Lock()
	a := c.page.sending
	c.mu.Unlock()
	return a.rest(ctx)
}
