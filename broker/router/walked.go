package router

import (
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// A retained message that is set while a SUBSCRIBE is under way can reach the session on two
// ways: as a publish that matches, and in the walk through what is retained. Between nodes
// each way may be the slower one by far. So a walk leaves out what has come live since its
// subscription was entered, and what comes live is left out if a walk has just sent it: QoS
// 2 comes once, and an older value never behind a newer one.

const (
	// maxHeard bounds what is remembered of a session: what is more comes twice.
	maxHeard = 4096
	// walkMemory is how long before a walk a message must have been set that does not come
	// live any more, and how long one is remembered that was not.
	walkMemory = 2 * time.Minute
)

// heard are the newest messages of topics that a session was given. Messages of a topic are
// in the order of their numbers if one process has given these.
type heard map[heardKey]uint64

type heardKey struct {
	topic string
	run   uint64
}

func (h *heard) add(m *message.Message) {
	k := heardKey{m.Topic, m.ID.Run}
	if _, known := (*h)[k]; !known && len(*h) >= maxHeard {
		return
	}
	if *h == nil {
		*h = heard{}
	}
	(*h)[k] = max((*h)[k], m.ID.Seq)
}

// has reports whether m was added, or something newer.
func (h heard) has(m *message.Message) bool {
	seq, known := h[heardKey{m.Topic, m.ID.Run}]
	return known && m.ID.Seq <= seq
}

// walked is what walks have sent that may still come live.
type walked struct {
	heard
	last time.Time // when something was added
}

// beginLocked has walks told of what comes live. They start when the SUBSCRIBE is answered,
// or are abandoned.
func (c *Client) beginLocked(walks []*cursor) {
	if len(walks) > 0 {
		c.makeRareLocked().begun = walks
	}
}

// begunLocked ends that.
func (c *Client) begunLocked() {
	if c.rare != nil {
		c.rare.begun = nil
		c.tidyRareLocked()
	}
}

// liveLocked tells the walks of a message that came live.
func (c *Client) liveLocked(m *message.Message, qos byte) {
	if !m.Retain || qos < 2 || c.rare == nil {
		return
	}
	for _, cu := range c.rare.begun {
		cu.live.add(m)
	}
	for _, cu := range c.rare.cursors {
		if c.r.retained.isFor(cu, m.Topic) {
			cu.live.add(m)
		}
	}
}

// isFor reports whether a walk would send what is retained for a topic now.
func (t *retained) isFor(cu *cursor, name string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k, ok := t.names.Get(name)
	return ok && k.version <= cu.version
}

// walkedLocked remembers a QoS 2 message that a walk has sent, unless it is known to be old.
func (c *Client) walkedLocked(m *message.Message, version uint64) {
	now := c.r.now()
	if version < uint64(max(0, now.Add(-walkMemory).UnixNano())) {
		return
	}
	has := c.makeRareLocked()
	if has.walked == nil {
		has.walked = &walked{}
		c.r.due.Add(now.Add(walkMemory), c.forgetWalked)
	}
	has.walked.add(m)
	has.walked.last = now
}

// forgetWalked is called when it may be time to.
func (c *Client) forgetWalked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.rareLocked().walked
	switch {
	case w == nil:
	case w.last.Add(walkMemory).After(c.r.now()):
		c.r.due.Add(w.last.Add(walkMemory), c.forgetWalked)
	default:
		c.rare.walked = nil
		c.tidyRareLocked()
	}
}

// hadLocked reports whether a message that comes live is one that a walk has sent. Whoever
// waits for it is answered when that is committed.
func (c *Client) hadLocked(m *message.Message, qos byte, wait func() *Pending) bool {
	w := c.rareLocked().walked
	if w == nil || qos < 2 || !m.Retain || !w.has(m) {
		return false
	}
	c.r.follows.delivered(m, c)
	if wait != nil && c.Persistent() {
		pend := wait()
		pend.left.Add(1)
		c.r.commit(c.batchLocked([]store.Op{touch}), &commitDone{r: c.r, c: c, pend: pend})
	}
	return true
}
