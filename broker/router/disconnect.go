package router

import (
	"slices"
	"time"

	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// DisconnectRequest says how a connection ended.
type DisconnectRequest struct {
	Will      bool   // the will is to be sent: no DISCONNECT 0x00 came
	HasExpiry bool   // MQTT 5 DISCONNECT with a Session Expiry Interval
	Expiry    uint32 // seconds
	Stopping  bool   // the server stops: a will that its session's record keeps is left to the next start
}

// Disconnect ends a connection that Connect accepted; once for each. It answers
// whether the session ended with it.
func (r *Router) Disconnect(l *Link, q DisconnectRequest) (ended bool) {
	c := l.client
	r.store.Begin()
	c.mu.Lock()
	c.link = nil
	c.makeRareLocked().leaving = l
	c.live.Store(nil)
	c.announceOnlineLocked()
	c.recallLocked()
	c.sess.Disconnected()
	if q.HasExpiry {
		c.head.Expiry = min(q.Expiry, r.Settings().MaxExpiry)
	}
	if !c.Persistent() {
		c.stopWalksLocked()
	}
	woken := c.giveBackLocked((*member).othersOnline)
	ended = !c.Persistent() || c.head.Expiry == 0
	reads := ended && c.readsLocked()
	var send *Will
	switch {
	case !q.Will:
		c.head.Will = nil
	case !q.Stopping || ended || !r.Settings().Durable:
		send = c.startWillLocked(ended || c.clean || q.Stopping) // a delay would outlive the node
	}
	now := ended && !reads
	if reads { // it ends below; should the process end before, then after the restart
		c.head.Expiry = 1
	}
	if !now {
		c.startExpiryLocked()
	}
	c.accountLocked()
	c.commitLocked(nil)
	hook := c.hook
	c.mu.Unlock()
	if send == nil {
		c.left(now)
	}
	r.store.End()
	leaves := func() {
		if reads {
			r.endSession(c)
		}
		l.hasLeft()
	}
	wakeAll(woken)
	r.users.remove(l.user, ofConnections, 1)
	if send != nil {
		r.sendWill(c, hook, send, func() { c.left(now) }, leaves)
	} else {
		leaves()
	}
	return ended
}

// left records what a connection's end makes of the session, within Store.Begin. A
// will has been dealt with.
func (c *Client) left(ended bool) {
	if ended {
		if _, _, ok := c.markEnded(); ok {
			c.r.deleteSession(c)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recordHeadLocked()
	c.commitLocked(nil)
}

// hasLeft lets a connection go on that takes the session over.
func (l *Link) hasLeft() {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.client.makeRareLocked().leaving = nil
	l.client.tidyRareLocked()
	if l.left != nil {
		close(l.left)
	}
}

// startExpiryLocked starts the session's expiry; its head has to be recorded.
func (c *Client) startExpiryLocked() {
	if c.head.Expiry != NoExpiry {
		at := c.r.now().Add(time.Duration(c.head.Expiry) * time.Second)
		c.head.ExpiresAt = at.UnixNano()
		c.expireAtLocked(at)
	}
}

// recordHeadLocked adds the session's head to what the next commit takes.
func (c *Client) recordHeadLocked() {
	if c.recorded && !c.ended {
		head := c.head
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
	}
}

func (c *Client) expireAtLocked(at time.Time) {
	c.expiry = c.r.due.Add(at, func() {
		if c.endsSlowly() {
			c.r.events.due.Go(func() { c.r.expire(c) })
			return
		}
		c.r.events.aside(func() { c.r.expire(c) })
	})
}

// endsSlowly reports whether the end of the session has to wait for something.
func (c *Client) endsSlowly() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readsLocked() || c.r.peers != nil && c.willDue != nil
}

// stopClocksLocked stops expiry and will delay of a session that is resumed.
func (c *Client) stopClocksLocked() {
	if c.expiry != nil {
		c.r.due.Remove(c.expiry)
		c.expiry = nil
	}
	c.cancelWillLocked()
}

// expire ends a session whose client did not come back in time. A will that
// still waits is sent now [MQTT-3.1.2-8].
func (r *Router) expire(c *Client) {
	c.mu.Lock()
	due := c.link == nil && !c.ended && c.expiry != nil && c.head.ExpiresAt <= r.now().UnixNano()
	hook := c.hook
	c.mu.Unlock()
	if !due || !r.endIdle(c) {
		return
	}
	r.stats.ExpiredSessions.Inc()
	if r.has.ClientExpired {
		r.hooks.ClientExpired(hook)
	}
}

// endIdle ends a session unless its client is connecting just now.
func (r *Router) endIdle(c *Client) bool {
	leave, ok := r.reg.gates.try(c.ID)
	if !ok {
		c.expireLater()
		return false
	}
	defer leave()
	c.mu.Lock()
	idle := c.link == nil && !c.ended && c.expiry != nil
	c.mu.Unlock()
	if idle {
		r.endSession(c)
	}
	return idle
}

// expireAgain is when an expiry looks again that met a connect.
const expireAgain = time.Second

// expireLater looks again: the connect under way stops the expiry, or replaces the
// session, or is refused and leaves it.
func (c *Client) expireLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil && !c.ended && c.expiry != nil {
		c.expireAtLocked(c.r.now().Add(expireAgain))
	}
}

// endSession deletes a session and all that belongs to it. A will that waits for
// its delay is sent [MQTT-3.1.3-9]; with others that waits for the store's answer whose
// the session is, so that the client id has nothing of it left when this returns.
func (r *Router) endSession(c *Client) {
	w, hook, ok := c.markEnded()
	if ok {
		r.readOut(c)
	}
	if w != nil && !r.stillOurs(c) {
		w = nil // it is sent by whoever has the session
		c.mu.Lock()
		c.recorded = false
		c.mu.Unlock()
	}
	switch {
	case !ok:
	case w != nil:
		r.dealWithWill(c.ID, hook, w, func() { r.deleteSession(c) })
	default:
		r.store.Begin()
		r.deleteSession(c)
		r.store.End()
	}
}

// markEnded takes a session out of service and answers its will if that waits. It
// reports false if somebody else did.
func (c *Client) markEnded() (*Will, *hooks.Client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, nil, false
	}
	c.ended = true
	var w *Will
	if c.willDue != nil {
		w = c.head.Will
	}
	c.stopClocksLocked()
	return w, c.hook, true
}

// deleteSession is the rest of endSession: what others know of the session, and its
// records. It is called within Store.Begin.
func (r *Router) deleteSession(c *Client) {
	c.mu.Lock()
	asked := c.askedLocked()
	var woken []*Group
	if c.recorded || r.peers == nil { // else what it has is in its records, which are another process's
		woken = c.giveBackLocked(nil)
	} else if c.Persistent() {
		c.quitAllLocked()
	}
	for s := range c.subs.all() {
		woken = append(woken, c.removeLocked(s)...)
	}
	persistent := c.Persistent()
	r.follows.gone(c)
	if queued, inflight, _ := c.sess.Counts(); persistent && queued+inflight > 0 {
		c.dropLocked(c.whyEndedLocked(), queued+inflight)
		c.traceLost(queued + inflight)
	}
	c.subs = subset{}
	c.settleLocked(r.own)
	c.stopWalksLocked()
	c.sess.Forsake(&c.out)
	c.out.Ops = slices.DeleteFunc(c.out.Ops, func(op store.Op) bool { return op.Kind != store.KindDelayed })
	c.repayTellsLocked()
	c.tellEndLocked(asked)
	c.sess = session.New(persistent, session.Limits{}) // a cached route may hold the client for long
	c.accountLocked()
	if c.recorded {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Delete: true})
	}
	if persistent {
		r.users.remove(c.head.User, ofSessions, 1)
		r.stats.PersistentSessions.Dec()
	}
	r.stats.Sessions.Dec()
	r.reg.remove(c)
	c.commitLocked(nil)
	c.mu.Unlock()
	wakeAll(woken)
}
