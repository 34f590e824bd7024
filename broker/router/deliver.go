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

// deliverQoS0 appends a run to the output of a connected client, without its
// session. Over the output's limit it is dropped and counted.
func (c *Client) deliverQoS0(u *run, t *target) {
	l := c.live.Load()
	switch {
	case c.r.Settings().QueueQoS0 && (l == nil || c.queues()):
		c.deliver(u, t, 0)
	case l == nil:
		c.dropRun(stats.DropQoS0Offline, u)
	case l.Out.Room() <= 0:
		c.dropRun(stats.DropOutputFull, u)
	case c.r.overLimit():
		c.dropRun(stats.DropMemory, u)
	case l.plain && len(t.subIDs) == 0:
		b := u.blockFor(l.Version, 0)
		l.Out.End(append(l.Out.Begin(), b.bytes...))
		c.r.stats.Sent(0, u.n, len(b.bytes), u.payload)
		u.sentRun(c, l.Hook, u.n)
	default:
		c.appendQoS0(u, t, l)
	}
}

// queues reports whether something waits in the session's queue.
func (c *Client) queues() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queuesLocked()
}

func (c *Client) queuesLocked() bool {
	n, _, _ := c.sess.Counts()
	return n > 0
}

// appendQoS0 encodes a run for one subscriber.
func (c *Client) appendQoS0(u *run, t *target, l *Link) {
	m := message.Message{Topic: u.rt.name}
	e := session.Entry{Entry: store.Entry{Msg: &m, SubIDs: t.subIDs}}
	now := c.r.now().UnixNano()
	large := 0
	buf := l.Out.Begin()
	for i := range u.items {
		m.Payload, m.Props = u.items[i].payload, u.items[i].forwarded()
		var ok bool
		if buf, ok = l.AppendPublish(buf, &e, 0, false, now); !ok {
			large++
		}
	}
	l.Out.End(buf)
	u.sentRun(c, l.Hook, u.n-large)
	if large > 0 {
		c.drop(stats.DropTooLarge, large)
		u.droppedRun(c, l.Hook, stats.DropTooLarge, large)
	}
}

// dropRun counts a run that did not reach the client.
func (c *Client) dropRun(why stats.DropReason, u *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(why, u.n)
	u.droppedRun(c, c.hook, why, u.n)
	if c.r.has.PublishDropped {
		for i := range u.n {
			c.r.events.dropped(c.hook, u.message(i))
		}
	}
}

// deliver hands a run to a session: as one block while the window has room,
// otherwise through its queue.
func (c *Client) deliver(u *run, t *target, qos byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	from := u.p.origin()
	if c.page != nil && !c.admitsLocked(from) {
		return
	}
	done := 0
	if l := c.link; l != nil && qos > 0 && l.plain && len(t.subIDs) == 0 && len(c.rareLocked().cursors) == 0 && l.Out.Room() > 0 {
		switch {
		case !c.sess.Persistent():
			done = c.deliverBlock(u, l, qos)
		case u.qos == 1 && c.lendsLocked() && !u.asks():
			done = c.lendBlock(u, l)
		}
	}
	u.sentRun(c, c.hook, done)
	if done == u.n {
		return
	}
	before := uint64(0)
	if u.trace != nil {
		before = c.sess.Figures().Last
	}
	for i := done; i < u.n; i++ {
		e := session.Entry{Entry: store.Entry{Msg: u.message(i), SubIDs: t.subIDs, QoS: qos}}
		if !c.keepsLocked(&e, from, u.p.wait(u.qos)) {
			c.enqueueLocked(e)
		}
	}
	if u.trace != nil {
		u.queuedRun(c, before)
	}
	var pend *Pending
	if u.qos > 0 && len(c.out.Ops) > 0 {
		pend = u.p.pending()
	}
	c.pumpLocked(pend)
}

// deliverBlock sends as much of a run as the window has room for, encoded once
// for all subscribers, each with its own packet identifiers.
func (c *Client) deliverBlock(u *run, l *Link, qos byte) int {
	n := min(u.n, c.sess.Free())
	if n == 0 {
		return 0
	}
	c.sendBlock(u, l, qos, n)
	return n
}

// sendBlock sends the first n messages of a run and answers the last identifier.
func (c *Client) sendBlock(u *run, l *Link, qos byte, n int) (id message.PacketID) {
	b := u.blockFor(l.Version, qos)
	buf := l.Out.Begin()
	base := len(buf)
	buf = append(buf, b.bytes[:b.ends[n-1]]...)
	for _, at := range b.ids[:n] {
		id = c.sess.Assign(qos)
		binary.BigEndian.PutUint16(buf[base+at:], uint16(id))
	}
	l.Out.End(buf)
	c.r.stats.Sent(qos, n, b.ends[n-1], u.payload*n/u.n)
	c.accountLocked()
	return id
}

// enqueueLocked queues an entry, or disconnects the client because its queue is full.
func (c *Client) enqueueLocked(e session.Entry) {
	if !c.sess.Ready(1) && c.r.overQueued(&e) {
		c.dropMessageLocked(stats.DropQuota, &e)
		if c.link != nil && c.r.Settings().Queue.Overflow == session.Disconnect {
			c.link.End(codeQuotaExceeded, "limits.queued")
		}
		return
	}
	if !c.sess.Enqueue(&c.out, e) && c.link != nil {
		c.link.End(codeQuotaExceeded, "queue full")
	}
}

// overQueued reports whether one more message is too much for all queues together.
func (r *Router) overQueued(e *session.Entry) bool {
	set := r.Settings()
	if set.MaxQueued == 0 && set.MaxQueuedBytes == 0 {
		return false
	}
	n, bytes := r.stats.QueuedTotals()
	return over(int(n)+1, set.MaxQueued) || set.MaxQueuedBytes > 0 && bytes+int64(e.Msg.Size()) > set.MaxQueuedBytes
}

// pumpLocked sends what may be sent now and commits what the session recorded.
// It goes on in steps, so that no output is held for long, until the window is
// used up, the output is full or nothing is left. pend, if any, waits for every
// commit.
func (c *Client) pumpLocked(pend *Pending) {
	for c.link != nil {
		l := c.link
		room := l.Out.Room()
		if room <= 0 {
			if l.Out.Full() || l.Out.Room() <= 0 { // Drained goes on, or it is closed
				break
			}
			continue // it was written meanwhile
		}
		step := min(room, fillStep)
		if made := c.stepLocked(l, step); made < step {
			break
		}
		c.commitLocked(pend)
	}
	c.commitLocked(pend)
	c.wantPageLocked()
	c.accountLocked()
}

// stepLocked appends about step bytes to the output: redelivery and queue first,
// then the groups' queues, then retained messages. It answers how many it made.
func (c *Client) stepLocked(l *Link, step int) int {
	now := c.r.now().UnixNano()
	buf := l.Out.Begin()
	was := len(buf) + len(c.out.After)
	c.out.Now = buf
	before := c.sess.LastID()
	if c.sess.Fill(&c.out, now, step) && c.pullGroupsLocked(now, was+step) {
		c.fillCursorsLocked(now, was+step)
	}
	made := len(c.out.Now) + len(c.out.After) - was
	l.Out.End(c.out.Now)
	c.out.Now = nil
	c.timeSentLocked(before)
	c.sentLocked(l)
	return made
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
