package router

import (
	"encoding/binary"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

// fillStep is how many bytes a session may append in one hold of its output.
const fillStep = 64 << 10

// deliverRun hands a run to all its targets. It reports whether there was any.
func (r *Router) deliverRun(u *run) bool {
	for i := range u.rt.targets {
		t := &u.rt.targets[i]
		if qos := min(u.qos, t.qos); qos == 0 {
			r.deliverQoS0(u, t)
		} else {
			t.c.deliver(u, t, qos)
		}
	}
	return len(u.rt.targets) > 0
}

// deliverQoS0 appends a run to the output of a connected client, without its
// session. Over the output's limit it is dropped and counted.
func (r *Router) deliverQoS0(u *run, t *target) {
	l := t.c.live.Load()
	if l == nil {
		t.c.offlineQoS0(u, t)
		return
	}
	if l.Out.Room() <= 0 || r.overLimit() {
		t.c.drop(stats.DropOutputFull, u.n)
		return
	}
	if l.plain && len(t.subIDs) == 0 {
		b := u.blockFor(l.Version, 0)
		l.Out.End(append(l.Out.Begin(), b.bytes...))
		r.stats.Sent(0, u.n, len(b.bytes), u.payload)
		return
	}
	e := session.Entry{Entry: store.Entry{SubIDs: t.subIDs}}
	m := message.Message{Topic: u.rt.name}
	e.Msg = &m
	now := r.now().UnixNano()
	buf := l.Out.Begin()
	for i := range u.items {
		m.Payload, m.Props = u.items[i].payload, u.forwarded(&u.items[i])
		was := len(buf)
		var ok bool
		if buf, ok = l.AppendPublish(buf, &e, 0, false, now); !ok {
			t.c.dropCount(stats.DropTooLarge, 1)
			continue
		}
		r.stats.Sent(0, 1, len(buf)-was, len(m.Payload))
	}
	l.Out.End(buf)
}

func (r *Router) overLimit() bool {
	f := r.Settings().OverLimit
	return f != nil && f()
}

// offlineQoS0 queues or drops a QoS 0 run for a client that is away.
func (c *Client) offlineQoS0(u *run, t *target) {
	if !c.r.Settings().QueueQoS0 {
		c.drop(stats.DropQoS0Offline, u.n)
		return
	}
	c.deliver(u, t, 0)
}

// deliver hands a run to a session: as one block while the window has room,
// otherwise through its queue.
func (c *Client) deliver(u *run, t *target, qos byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	done := 0
	if l := c.link; l != nil && l.plain && qos > 0 && !c.sess.Persistent() && len(t.subIDs) == 0 && len(c.cursors) == 0 && l.Out.Room() > 0 {
		done = c.deliverBlock(u, l, qos)
	}
	if done == u.n {
		return
	}
	for i := done; i < u.n; i++ {
		e := session.Entry{Entry: store.Entry{Msg: u.message(i), SubIDs: t.subIDs, QoS: qos}}
		if !c.enqueueLocked(e) {
			break
		}
	}
	if c.sess.Persistent() && qos > 0 && u.pend == nil && len(c.out.Ops) > 0 {
		u.pend = u.p.newPending()
	}
	c.pumpLocked(u.pend)
}

// deliverBlock sends as much of a run as the window has room for, encoded once
// for all subscribers, each with its own packet identifiers.
func (c *Client) deliverBlock(u *run, l *Link, qos byte) int {
	n := min(u.n, c.sess.Free())
	if n == 0 {
		return 0
	}
	b := u.blockFor(l.Version, qos)
	buf := l.Out.Begin()
	base := len(buf)
	buf = append(buf, b.bytes[:b.ends[n-1]]...)
	for _, at := range b.ids[:n] {
		binary.BigEndian.PutUint16(buf[base+at:], uint16(c.sess.Assign(qos)))
	}
	l.Out.End(buf)
	c.r.stats.Sent(qos, n, b.ends[n-1], u.payload*n/u.n)
	return n
}

// enqueueLocked queues an entry. It reports false if the client is to be
// disconnected because its queue is full.
func (c *Client) enqueueLocked(e session.Entry) bool {
	if c.sess.Enqueue(&c.out, e) {
		return true
	}
	if c.link != nil {
		c.link.End(codeQuotaExceeded, "queue full")
	}
	return false
}

// pumpLocked sends what may be sent now and commits what the session recorded.
// It goes on in steps, so that no output is held for long, until the window is
// used up, the output is full or nothing is left.
func (c *Client) pumpLocked(pend *Pending) {
	for c.link != nil {
		l := c.link
		room := l.Out.Room()
		if room <= 0 {
			if l.Out.Full() {
				break // Drained goes on
			}
			continue
		}
		now := c.r.now().UnixNano()
		buf := l.Out.Begin()
		c.out.Now = buf
		step := min(room, fillStep)
		if c.sess.Fill(&c.out, now, step) {
			if c.pullGroupsLocked(now, len(buf)+step) {
				c.fillCursorsLocked(now, len(buf)+step)
			}
		}
		made := len(c.out.Now) - len(buf) + len(c.out.After)
		l.Out.End(c.out.Now)
		c.out.Now = nil
		c.commitLocked(pend)
		if made < step {
			break
		}
	}
	c.commitLocked(pend)
	_, n, _ := c.sess.Counts()
	c.inflight.Store(int32(n))
}

// Drained resumes a client whose output had been full. The connection's flusher
// calls it without locks.
func (r *Router) Drained(l *Link) {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.pumpLocked(nil)
	}
}

// droppedEntry is the session's report of an undelivered entry.
func (c *Client) droppedEntry(e *session.Entry, why session.Drop) {
	reason := [...]stats.DropReason{
		session.DropQueueFull: stats.DropQueueFull, session.DropExpired: stats.DropExpired,
		session.DropTooLarge: stats.DropTooLarge, session.DropRefused: stats.DropRefused,
	}[why]
	c.drops[reason]++
	c.r.stats.Drop(reason, 1)
	if m, ok := e.Source.(*member); ok && why != session.DropRefused {
		m.g.ended()
	}
}

// drop counts messages that were not delivered to the client.
func (c *Client) drop(why stats.DropReason, n int) {
	c.mu.Lock()
	c.dropCount(why, n)
	c.mu.Unlock()
}

func (c *Client) dropCount(why stats.DropReason, n int) {
	c.drops[why] += uint32(n)
	c.r.stats.Drop(why, uint64(n))
}
