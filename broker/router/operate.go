package router

import (
	"context"

	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

// codeAdministrative ends a connection because an operator wants it (MQTT 5 3.14.2.1).
const codeAdministrative byte = 0x98

// Kick ends the connection of a client; its session stays as long as it would. It
// reports false when there is no such session. A session without a connection is left
// as it is.
func (r *Router) Kick(id ClientID, why string) bool {
	c := r.reg.get(id)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.link.End(codeAdministrative, why)
	}
	return !c.ended
}

// KickAll ends every connection that choose is for, with a reason code, and answers how
// many that were. choose is called without a lock.
func (r *Router) KickAll(choose func(*hooks.Client) bool, code byte, why string) (n int) {
	for _, c := range r.reg.all() {
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l != nil && choose(l.Hook) {
			l.End(code, why)
			n++
		}
	}
	return n
}

// Remove ends a client's connection and deletes its session with all that waits in it.
// A will is treated as at any end of a session. It reports false when there is no such
// session. It waits for the connection to leave; the error is that ctx ended before.
func (r *Router) Remove(ctx context.Context, id ClientID, why string) (bool, error) {
	leave, err := r.reg.gates.enter(ctx, id)
	if err != nil {
		return false, &ConnectError{codeUnavailable, "a connect of this client id is under way"}
	}
	defer leave()
	c := r.reg.get(id)
	if c == nil {
		return false, nil
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return false, nil
	}
	c.operator = true
	left := c.endLinkLocked(codeAdministrative, why)
	c.mu.Unlock()
	if left != nil && !within(ctx, left) {
		return false, &ConnectError{codeUnavailable, "the connection did not end in time"}
	}
	r.endSession(c) // unless it ended with its connection
	return true, nil
}

// endLinkLocked ends the connection, if there is one, and answers what is closed when it
// has left.
func (c *Client) endLinkLocked(code byte, why string) <-chan struct{} {
	l := c.link
	if l == nil {
		l = c.rareLocked().leaving
	}
	if l == nil {
		return nil
	}
	if l.left == nil {
		l.left = make(chan struct{})
	}
	l.End(code, why)
	return l.left
}

// refused remembers a refusal for operators to see.
func (r *Router) refused(h *hooks.Client, what, topic string, code byte, rule string) {
	id := h.Identity()
	r.stats.Refusals.Add(stats.Refusal{
		At: r.now().UnixNano(), What: what, Rule: rule, Code: code, Topic: topic,
		Client: h.ID(), User: id.User, Remote: h.Remote(), Listener: h.Listener(),
	})
}

// whyEndedLocked is why messages of a session that ends are lost.
func (c *Client) whyEndedLocked() stats.DropReason {
	if c.operator {
		return stats.DropOperator
	}
	return stats.DropSessionEnded
}
