package router

import (
	"context"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// restoreLog is after how many sessions a long restore says how far it is.
const restoreLog = 50_000

// Restore loads what the store holds: retained messages, heads and subscriptions of
// sessions, what waits in groups, and delayed messages. Queues stay where they are
// until their clients connect. It must be done before the first client connects.
func (r *Router) Restore(ctx context.Context) error {
	if err := r.store.Retained(ctx, r.retained.restore); err != nil {
		return fmt.Errorf("load retained messages: %w", err)
	}
	if err := r.store.Delayed(ctx, r.restoreDelayed); err != nil {
		return fmt.Errorf("load delayed messages: %w", err)
	}
	r.outcomes.restored()
	n := 0
	err := r.store.Heads(ctx, func(h *store.Head) bool {
		r.restoreHead(h)
		if n++; n%restoreLog == 0 {
			r.log.Info("loading sessions", "loaded", n)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	if err := r.restoreGroups(ctx); err != nil {
		return fmt.Errorf("load queues of shared groups: %w", err)
	}
	r.outcomes.start()
	return nil
}

func (r *Router) restoreHead(h *store.Head) { r.restoreHeadIn(r.own, h, r.Settings().WillGrace) }

// restoreHeadIn makes a stored session known, in a mailbox. One that was connected has
// grace to come back before its will is sent. It answers nil for one that is over.
func (r *Router) restoreHeadIn(b *box, h *store.Head, grace time.Duration) *Client {
	persistent := h.Session.Expiry > 0
	c := r.newClient(h.Session.ID, persistent)
	c.hook = r.identityOf(&h.Session)
	c.mu.Lock()
	c.settleLocked(b)
	c.head, c.recorded = h.Session, true
	c.ghost, c.unloaded = !persistent, persistent
	if persistent {
		r.users.add(c.head.User, ofSessions, 0)
		c.sess = session.RestoreHead(h.Queue, r.Settings().Queue)
		c.restoreSubsLocked(h.Subs)
		c.accountLocked()
	}
	c.restoreTimesLocked(grace)
	over := c.ghost && c.head.Will == nil
	c.mu.Unlock()
	if over { // it was connected when the process ended, and would have ended with its connection
		r.endSession(c)
		return nil
	}
	return c
}

func (c *Client) restoreSubsLocked(subs []store.Subscription) {
	r := c.r
	var keys []string
	for _, s := range subs {
		parsed, err := topic.Parse(s.Filter)
		if err != nil {
			r.log.Error("stored subscription is invalid", "client", string(c.ID), "filter", s.Filter, "error", err)
			continue
		}
		if parsed.Exclusive {
			r.exclusive.take(parsed.Filter, c)
		}
		c.enterLocked(&subscription{s, parsed})
		keys = append(keys, c.subs.get(s.Filter).announcement())
	}
	if c.r.peers != nil && len(keys) > 0 {
		r.cluster.Join(c.boxLocked().id, keys, nobody{})
	}
	c.out.Ops = nil // they are stored
}

// load brings in what a restored session has in flight, before its first connection.
// Its gate is held; what is enqueued meanwhile stays in the store.
func (c *Client) load(ctx context.Context) error {
	c.mu.Lock()
	unloaded := c.unloaded
	c.mu.Unlock()
	if !unloaded {
		return nil
	}
	img, err := c.r.store.Load(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("load session: %w", err)
	}
	c.mu.Lock()
	c.sess.Load(img)
	c.resumeWalksLocked(img.Cursors)
	c.unloaded = false
	c.accountLocked()
	c.mu.Unlock()
	c.r.finishStored(c, img.Unrouted)
	return nil
}

// restoreTimesLocked starts the clocks of a session that was loaded from the
// store: its will and its expiry keep the times they had. One that was connected
// when the broker ended gets grace to come back.
func (c *Client) restoreTimesLocked(grace time.Duration) {
	now := c.r.now()
	if c.Persistent() && c.head.Expiry != NoExpiry {
		if c.head.ExpiresAt == 0 {
			c.head.ExpiresAt = now.Add(time.Duration(c.head.Expiry) * time.Second).UnixNano()
		}
		c.expireAtLocked(time.Unix(0, c.head.ExpiresAt))
	}
	if w := c.head.Will; w != nil {
		waiting := *w
		if waiting.At == 0 {
			delay := time.Duration(min(w.Delay, c.head.Expiry)) * time.Second
			waiting.At = now.Add(max(delay, grace)).UnixNano()
		}
		c.head.Will = &waiting
		c.waitWillLocked(time.Unix(0, waiting.At))
	}
}

func (r *Router) restoreDelayed(seq uint64, at int64, m *message.Message) bool {
	if ofReceipt(at) {
		r.delayed.given(seq)
		r.outcomes.restore(delayedKey{"", seq}, at, m)
		return true
	}
	r.delayed.adopt(r, r.own, seq, at, m)
	return true
}
