package router

import (
	"strings"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks/store"
)

// keep is a retained message and the change that set it.
type keep struct {
	m       *message.Message
	version uint64 // nanoseconds of the clock, as far as that goes on; 0 if it was there at the start
	expiry  *due.Item
}

// retained holds the last retained message of each topic [MQTT-3.3.1-5].
type retained struct {
	r *Router

	mu      sync.RWMutex
	names   *topic.NameTree[*keep]
	version uint64
	bytes   int64
}

func newRetained(r *Router) *retained { return &retained{r: r, names: topic.NewNames[*keep]()} }

// set stores or, for an empty payload, removes [MQTT-3.3.1-6]. It answers 0x97
// when the message would be over the limits.
func (t *retained) set(m *message.Message, wait func() *Pending) byte {
	set := t.r.Settings()
	t.mu.Lock()
	defer t.mu.Unlock()
	old, had := t.names.Get(m.Topic)
	if len(m.Payload) == 0 {
		if had {
			t.removeLocked(old)
		}
		if had || t.r.owed.owesRetained(m.Topic) {
			t.record(m, true, wait)
		}
		return 0
	}
	size := int64(m.Size())
	if had {
		size -= int64(old.m.Size())
	}
	if !own(m.Topic) && (!had && over(t.names.Len()+1, set.MaxRetained) || size > 0 && set.MaxRetainedBytes > 0 && t.bytes+size > set.MaxRetainedBytes) {
		return codeQuotaExceeded
	}
	if had {
		t.removeLocked(old)
	}
	t.setLocked(m)
	t.record(m, false, wait)
	return 0
}

// setLocked puts a message that is new.
func (t *retained) setLocked(m *message.Message) {
	t.version = max(t.version+1, uint64(max(0, t.r.now().UnixNano())))
	t.putLocked(m)
}

func (t *retained) putLocked(m *message.Message) {
	k := &keep{m: m, version: t.version}
	t.names.Set(m.Topic, k)
	t.bytes += int64(m.Size())
	t.r.stats.Retained.Inc()
	t.r.stats.RetainedBytes.Add(int64(m.Size()))
	if m.Expires != 0 {
		k.expiry = t.r.due.Add(time.Unix(0, m.Expires), func() { t.expire(k) })
	}
}

func (t *retained) removeLocked(k *keep) {
	t.names.Delete(k.m.Topic)
	t.bytes -= int64(k.m.Size())
	t.r.stats.Retained.Dec()
	t.r.stats.RetainedBytes.Add(-int64(k.m.Size()))
	if k.expiry != nil {
		t.r.due.Remove(k.expiry)
	}
}

func (t *retained) expire(k *keep) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now, ok := t.names.Get(k.m.Topic); ok && now == k {
		t.removeLocked(k)
		t.record(k.m, true, nil)
	}
}

// apply takes a change from the log that all instances follow. Its order is the truth: it
// stands also where something newer of this process is on its way there.
func (t *retained) apply(m *message.Message, removed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, had := t.names.Get(m.Topic)
	if had && !removed && old.m.ID == m.ID {
		return // it was set here
	}
	if had {
		t.removeLocked(old)
	}
	if !removed {
		t.setLocked(m)
	}
}

// record commits a change; t.mu keeps the changes of a topic in order. What the
// broker says of itself is not stored.
func (t *retained) record(m *message.Message, remove bool, wait func() *Pending) {
	if own(m.Topic) {
		return
	}
	var pend *Pending
	if wait != nil {
		pend = wait()
	}
	t.r.commitNode(store.Op{Kind: store.KindRetained, Delete: remove, Filter: m.Topic, Msg: m}, pend)
}

// own tells the topics of the broker itself: neither stored nor limited.
func own(name string) bool { return strings.HasPrefix(name, "$SYS/") }

// restore takes a stored message.
func (t *retained) restore(m *message.Message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(m)
	return true
}

// cursor is a subscription's walk through the retained messages. It fills the
// session as its window and output allow, so it takes no memory however many
// there are. What was changed after its SUBSCRIBE comes live and is skipped.
type cursor struct {
	spelled string // the filter as the client spelled it: the name of its record
	since   int64  // Unix nanoseconds of its SUBSCRIBE
	resumed bool   // it was stored: what was created after since came live
	filter  topic.Filter
	sub     Sub
	after   string
	version uint64
	live    heard // what came live since the subscription was entered
}

const cursorPage = 64

// newCursor starts a walk; called under the client's lock, after the
// subscription is in the tree.
func (t *retained) newCursor(filter topic.Filter, s Sub) *cursor {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.names.Len() == 0 && t.r.peers == nil {
		return nil
	}
	return &cursor{filter: filter, sub: s, version: t.version}
}

// named is one step of a walk; m is nil for a message that comes live.
type named struct {
	name    string
	m       *message.Message
	version uint64
}

// page appends up to cursorPage steps of the walk to dst and reports whether
// there may be more.
func (t *retained) page(cu *cursor, dst []named) ([]named, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	more := false
	t.names.Match(cu.filter, cu.after, func(name string, k *keep) bool {
		if len(dst) == cursorPage {
			more = true
			return false
		}
		step := named{name: name, version: k.version}
		if k.version <= cu.version && (!cu.resumed || k.m.Created <= cu.since) {
			step.m = k.m
		}
		dst = append(dst, step)
		return true
	})
	return dst, more
}

// fillCursorsLocked sends retained messages until the output reaches limit bytes
// or the window is used up. The output's lock is held.
func (c *Client) fillCursorsLocked(now int64, limit int) {
	var page [cursorPage]named
	if c.rare == nil {
		return
	}
	for len(c.rare.cursors) > 0 {
		cu := c.rare.cursors[0]
		was := cu.after
		list, more := c.r.retained.page(cu, page[:0])
		if !c.sendPageLocked(cu, list, now, limit) {
			if cu.after != was {
				c.recordCursorLocked(cu, false)
			}
			return
		}
		if !more {
			c.rare.cursors = c.rare.cursors[1:]
			c.recordCursorLocked(cu, true)
		}
	}
	c.stopWalksLocked()
}

// stopWalksLocked ends all walks.
func (c *Client) stopWalksLocked() {
	for _, cu := range c.rareLocked().cursors {
		c.recordCursorLocked(cu, true)
	}
	if c.rare != nil {
		c.rare.cursors = nil
	}
	c.tidyRareLocked()
}

// recordCursorLocked adds a walk's position, or its end, to what the next commit
// takes: with the entries that it has led to.
func (c *Client) recordCursorLocked(cu *cursor, done bool) {
	if !c.Persistent() || c.ended {
		return
	}
	op := store.Op{Kind: store.KindCursor, Delete: done, Filter: cu.spelled}
	if !done {
		s := Subscription{Filter: cu.spelled, ID: cu.sub.ID, QoS: cu.sub.QoS}
		op.Cursor = &store.Cursor{Filter: string(cu.filter), Sub: s, After: cu.after, Since: cu.since}
	}
	c.out.Ops = append(c.out.Ops, op)
}

// resumeWalksLocked goes on with walks that were stored.
func (c *Client) resumeWalksLocked(list []store.Cursor) {
	if len(list) == 0 {
		return
	}
	has := c.makeRareLocked()
	for i := range list {
		s := &list[i]
		cu := c.r.retained.newCursor(topic.Filter(s.Filter), Sub{ID: s.Sub.ID, QoS: s.Sub.QoS})
		if cu == nil {
			continue
		}
		cu.spelled, cu.after, cu.since, cu.resumed = s.Sub.Filter, s.After, s.Since, s.Since != 0
		has.cursors = append(has.cursors, cu)
	}
	c.tidyRareLocked()
}

// sendPageLocked reports false when it had to stop.
func (c *Client) sendPageLocked(cu *cursor, list []named, now int64, limit int) bool {
	for i := range list {
		m := list[i].m
		if m == nil || cu.live.has(m) || m.Expired(now) || c.r.has.ACL && !c.r.mayRead(c.link.Hook, m.Topic, m.QoS, true) {
			cu.after = list[i].name
			continue
		}
		qos := min(m.QoS, cu.sub.QoS)
		if len(c.out.Now)+len(c.out.After) >= limit || qos > 0 && !c.sess.Window(1) {
			return false
		}
		e := session.Entry{Entry: store.Entry{Msg: m, QoS: qos, Retain: true}}
		if cu.sub.ID != 0 {
			e.SubIDs = []uint32{cu.sub.ID}
		}
		c.sess.Push(&c.out, e, now)
		if qos == 2 {
			c.walkedLocked(m, list[i].version)
		}
		cu.after = list[i].name
	}
	return true
}
