package router

import (
	"time"

	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
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
	c.mu.Lock()
	c.link = nil
	c.makeRareLocked().leaving = l
	c.live.Store(nil)
	c.sess.Disconnected()
	if q.HasExpiry {
		c.head.Expiry = min(q.Expiry, r.Settings().MaxExpiry)
	}
	if !c.Persistent() {
		c.stopWalksLocked()
	}
	woken := c.giveBackLocked((*member).othersOnline)
	ended = !c.Persistent() || c.head.Expiry == 0
	var send *Will
	switch {
	case !q.Will:
		c.head.Will = nil
	case !q.Stopping || ended || !r.Settings().Durable:
		send = c.startWillLocked(ended || c.clean || q.Stopping) // a delay would outlive the node
	}
	if !ended {
		c.startExpiryLocked()
	}
	c.accountLocked()
	c.commitLocked(nil)
	hook := c.hook
	c.mu.Unlock()
	if ended {
		r.endSession(c)
	}
	if send != nil {
		r.sendWill(c.ID, hook, send)
	}
	wakeAll(woken)
	l.hasLeft()
	return ended
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

// startExpiryLocked starts the session's expiry and records its head.
func (c *Client) startExpiryLocked() {
	if c.head.Expiry != NoExpiry {
		at := c.r.now().Add(time.Duration(c.head.Expiry) * time.Second)
		c.head.ExpiresAt = at.UnixNano()
		c.expireAtLocked(at)
	}
	if c.Persistent() {
		head := c.head
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
	}
}

func (c *Client) expireAtLocked(at time.Time) {
	c.expiry = c.r.due.Add(at, func() { c.r.events.aside(func() { c.r.expire(c) }) })
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
// its delay is sent [MQTT-3.1.3-9].
func (r *Router) endSession(c *Client) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	w := c.head.Will
	waiting := c.willDue != nil
	c.stopClocksLocked()
	woken := c.giveBackLocked(nil)
	for s := range c.subs.all() {
		woken = append(woken, c.removeLocked(s)...)
	}
	persistent := c.Persistent()
	if queued, inflight, _ := c.sess.Counts(); persistent && queued+inflight > 0 {
		c.dropLocked(stats.DropSessionEnded, queued+inflight)
	}
	c.subs = subset{}
	c.stopWalksLocked()
	c.sess = session.New(persistent, session.Limits{}) // a cached route may hold the client for long
	c.accountLocked()
	c.out.Ops = c.out.Ops[:0]
	if persistent {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Delete: true})
		r.stats.PersistentSessions.Dec()
	}
	r.stats.Sessions.Dec()
	r.reg.remove(c)
	c.commitLocked(nil)
	hook := c.hook
	c.mu.Unlock()
	wakeAll(woken)
	if waiting && w != nil {
		r.sendWill(c.ID, hook, w)
	}
}
