package router

import (
	"context"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
)

// Restore loads what the store holds: retained messages, sessions and delayed
// messages. It must be done before the first client connects.
func (r *Router) Restore(ctx context.Context) error {
	if err := r.store.Retained(ctx, r.retained.restore); err != nil {
		return fmt.Errorf("load retained messages: %w", err)
	}
	var ids []message.ClientID
	err := r.store.Heads(ctx, func(h Session, _ []Subscription) bool {
		ids = append(ids, h.ID)
		return true
	})
	if err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	for _, id := range ids {
		if err := r.restoreSession(ctx, id); err != nil {
			return err
		}
	}
	if err := r.store.Delayed(ctx, r.restoreDelayed); err != nil {
		return fmt.Errorf("load delayed messages: %w", err)
	}
	return nil
}

func (r *Router) restoreSession(ctx context.Context, id message.ClientID) error {
	img, err := r.store.Load(ctx, id)
	if err != nil {
		return fmt.Errorf("load session %q: %w", id, err)
	}
	c := r.newClient(id, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sess = session.Restore(img, r.Settings().Queue)
	c.head = img.Session
	c.hook = r.hooks.NewClient(hooks.Info{ID: string(id), User: c.head.User, HasUser: c.head.HasUser, Version: c.head.Version})
	for _, s := range img.Subs {
		parsed, err := topic.Parse(s.Filter)
		if err != nil {
			r.log.Error("stored subscription is invalid", "client", string(id), "filter", s.Filter, "error", err)
			continue
		}
		if parsed.Exclusive {
			r.exclusive.take(parsed.Filter, c)
		}
		c.enterLocked(&subscription{s, parsed})
	}
	c.out.Ops = nil // it is stored
	c.accountLocked()
	c.restoreTimesLocked()
	return nil
}

// restoreTimesLocked starts the clocks of a session that was loaded from the
// store: its will and its expiry keep the times they had. One that was connected
// when the broker ended gets the grace of `session.will_grace` to come back.
func (c *Client) restoreTimesLocked() {
	now := c.r.now()
	if c.head.Expiry != NoExpiry {
		if c.head.ExpiresAt == 0 {
			c.head.ExpiresAt = now.Add(time.Duration(c.head.Expiry) * time.Second).UnixNano()
		}
		c.expireAtLocked(time.Unix(0, c.head.ExpiresAt))
	}
	if w := c.head.Will; w != nil {
		if w.At == 0 {
			delay := time.Duration(min(w.Delay, c.head.Expiry)) * time.Second
			w.At = now.Add(max(delay, c.r.Settings().WillGrace)).UnixNano()
		}
		c.waitWillLocked(time.Unix(0, w.At))
	}
}

func (r *Router) restoreDelayed(seq uint64, at int64, m *message.Message) bool {
	r.delayed.mu.Lock()
	defer r.delayed.mu.Unlock()
	r.delayed.seq = max(r.delayed.seq, seq)
	r.delayed.waitLocked(r, seq, at, m)
	return true
}
