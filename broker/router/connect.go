package router

import (
	"context"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// NoExpiry is the Session Expiry Interval that never ends [MQTT-3.1.2-23].
const NoExpiry = 0xFFFFFFFF

// ConnectRequest is an accepted CONNECT.
type ConnectRequest struct {
	ID      message.ClientID
	User    string
	HasUser bool
	Clean   bool   // Clean Start, or Clean Session of 3.x
	Expiry  uint32 // MQTT 5: Session Expiry Interval, seconds
	Will    *store.Will
	Link    *Link
}

// ConnectResult is what CONNACK tells of the session.
type ConnectResult struct {
	Present bool
	Expiry  uint32 // granted, seconds
	Client  *Client
}

// ConnectError is a refused connect with its MQTT 5 reason code.
type ConnectError struct {
	Code byte
	Why  string
}

func (e *ConnectError) Error() string { return fmt.Sprintf("%s (0x%02X)", e.Why, e.Code) }

// Connect gives a connection its session: a new one, or the stored one, taken
// over from an older connection if there is one [MQTT-3.1.4-3]. ready is called
// once the session is committed, with the client locked out of every delivery, so
// that CONNACK is the first packet [MQTT-3.2.0-1]; deliveries follow at once.
func (r *Router) Connect(ctx context.Context, q ConnectRequest, ready func(ConnectResult)) error {
	leave, err := r.reg.gates.enter(ctx, q.ID)
	if err != nil {
		return &ConnectError{0x88, "another connect of this client id is under way"}
	}
	defer leave()
	old := r.reg.get(q.ID)
	if old != nil {
		if !old.belongs(q.User, q.HasUser) {
			return &ConnectError{0x85, "client id belongs to another user"}
		}
		if err := r.takeOver(ctx, old, q.Clean); err != nil {
			return err
		}
		if r.reg.get(q.ID) != old {
			old = nil // it ended with its connection
		}
	}
	expiry, persistent := r.grant(&q)
	if persistent && r.overPersistent(old) {
		return &ConnectError{codeQuotaExceeded, "too many persistent sessions"}
	}
	if old != nil && (q.Clean || !old.Persistent()) {
		r.endSession(old)
		old = nil
	}
	c := old
	if c == nil {
		c = r.newClient(q.ID, persistent)
	}
	r.attach(c, &q, expiry, old != nil, ready)
	return nil
}

// grant works out how long the session lives after its connection.
func (r *Router) grant(q *ConnectRequest) (uint32, bool) {
	set := r.Settings()
	if q.Link.Version < message.V5 {
		if q.Clean {
			return 0, false
		}
		return set.Expiry3x, set.Expiry3x > 0
	}
	e := min(q.Expiry, set.MaxExpiry)
	return e, e > 0
}

func (r *Router) overPersistent(old *Client) bool {
	n := r.Settings().MaxPersistent
	return n > 0 && (old == nil || !old.Persistent()) && r.stats.PersistentSessions.Load() >= int64(n)
}

// belongs reports whether user may have the session. One that was made without a
// user name belongs to nobody.
func (c *Client) belongs(user string, has bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.head.HasUser || has && c.head.User == user
}

// takeOver closes the older connection of a session and waits until it has left.
func (r *Router) takeOver(ctx context.Context, c *Client, clean bool) error {
	c.mu.Lock()
	l := c.link
	if l != nil {
		c.clean = clean
	}
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	r.stats.Takeovers.Inc()
	l.End(0x8E, "session taken over")
	select {
	case <-l.Left:
		return nil
	case <-ctx.Done():
		return &ConnectError{0x88, "the older connection did not end in time"}
	}
}

func (r *Router) newClient(id message.ClientID, persistent bool) *Client {
	c := &Client{ID: id, r: r, sess: session.New(persistent, r.Settings().Queue)}
	c.out.Dropped, c.out.Acked = c.droppedEntry, nil
	r.stats.Sessions.Inc()
	if persistent {
		r.stats.PersistentSessions.Inc()
	}
	r.reg.put(c)
	return c
}

// attach makes the connection the session's and starts deliveries.
func (r *Router) attach(c *Client, q *ConnectRequest, expiry uint32, present bool, ready func(ConnectResult)) {
	l := q.Link
	l.client = c
	l.plain = l.MaxPacket == 0 && l.AliasMax == 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiry != nil {
		r.due.Remove(c.expiry)
		c.expiry = nil
	}
	c.cancelWillLocked()
	c.clean = false
	c.head = store.Session{ID: q.ID, User: q.User, HasUser: q.HasUser, Epoch: c.head.Epoch + 1, Version: l.Version, Expiry: expiry, Will: q.Will}
	if c.Persistent() {
		head := c.head
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
	}
	c.hook = l.Hook
	if present {
		c.judgeAgainLocked(l.Hook)
	}
	c.sess.Connected(l, l.Window)
	ready(ConnectResult{Present: present, Expiry: expiry, Client: c})
	c.link = l
	c.commitLocked(nil)
	c.live.Store(l)
	c.pumpLocked(nil)
}

// judgeAgainLocked drops stored subscriptions that today's rules refuse.
func (c *Client) judgeAgainLocked(h *hooks.Client) {
	for f, s := range c.subs {
		if c.r.hooks.Authorize(h, hooks.Request{Action: hooks.Subscribe, Topic: string(s.parsed.Filter), QoS: s.QoS}).Code == 0 {
			continue
		}
		delete(c.subs, f)
		if s.parsed.Group == "" {
			c.r.removed(c, s)
		} else {
			defer func() { go c.r.removed(c, s) }() // leave takes c.mu
		}
		if c.Persistent() {
			c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSubscription, Delete: true, Filter: f})
		}
	}
}

// DisconnectRequest says how a connection ended.
type DisconnectRequest struct {
	Will      bool   // the will is to be sent: no DISCONNECT 0x00 came
	HasExpiry bool   // MQTT 5 DISCONNECT with a Session Expiry Interval
	Expiry    uint32 // seconds
	Stopping  bool   // the server stops: wills and sessions are left as they are
}

// Disconnect ends a connection. It must be called once for each Connect.
func (r *Router) Disconnect(l *Link, q DisconnectRequest) {
	c := l.client
	c.mu.Lock()
	if c.link != l {
		c.mu.Unlock()
		close(l.Left)
		return
	}
	c.link = nil
	c.live.Store(nil)
	c.sess.Disconnected()
	if q.HasExpiry {
		c.head.Expiry = min(q.Expiry, r.Settings().MaxExpiry)
	}
	if !c.Persistent() {
		c.cursors = nil
	}
	woken := c.giveBackLocked(nil)
	ends := !c.Persistent() || c.head.Expiry == 0
	var send *store.Will
	if !q.Will {
		c.head.Will = nil
	} else if !q.Stopping {
		send = c.startWillLocked(ends || c.clean)
	}
	if !ends {
		c.startExpiryLocked()
	}
	c.commitLocked(nil)
	hook := c.hook
	c.mu.Unlock()
	if ends {
		r.endSession(c)
	}
	if send != nil {
		r.sendWill(c, hook, send)
	}
	wakeAll(woken)
	close(l.Left)
}

func (c *Client) startExpiryLocked() {
	if c.head.Expiry != NoExpiry {
		at := c.r.now().Add(time.Duration(c.head.Expiry) * time.Second)
		c.head.ExpiresAt = at.UnixNano()
		c.expiry = c.r.due.Add(at, func() { c.r.expire(c) })
	}
	if c.Persistent() {
		head := c.head
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
	}
}

// expire ends a session whose client did not come back in time. A will that
// still waits is sent now [MQTT-3.1.2-8].
func (r *Router) expire(c *Client) {
	c.mu.Lock()
	if c.link != nil || c.ended || c.expiry == nil {
		c.mu.Unlock()
		return
	}
	w := c.head.Will
	c.head.Will = nil
	c.mu.Unlock()
	r.stats.ExpiredSessions.Inc()
	r.endSession(c)
	if w != nil {
		r.sendWill(c, c.hook, w)
	}
	if r.has.ClientExpired {
		r.hooks.ClientExpired(c.hook)
	}
}

// endSession deletes a session and all that belongs to it.
func (r *Router) endSession(c *Client) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	subs := c.subs
	c.subs, c.cursors = nil, nil
	if c.expiry != nil {
		r.due.Remove(c.expiry)
		c.expiry = nil
	}
	w := c.head.Will
	waiting := c.cancelWillLocked()
	woken := c.giveBackLocked(nil)
	if c.Persistent() {
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindSession, Delete: true})
		r.stats.PersistentSessions.Dec()
	}
	r.stats.Sessions.Dec()
	r.reg.remove(c)
	c.commitLocked(nil)
	hook := c.hook
	c.mu.Unlock()
	for _, s := range subs {
		r.removed(c, s)
	}
	wakeAll(woken)
	if waiting && w != nil { // the session ended before the delay did [MQTT-3.1.3-9]
		r.sendWill(c, hook, w)
	}
}

// Restore loads what the store holds: retained messages, sessions and delayed
// messages. It must be done before the first client connects.
func (r *Router) Restore(ctx context.Context) error {
	if err := r.store.Retained(ctx, func(m *message.Message) bool {
		r.retained.mu.Lock()
		r.retained.putLocked(m)
		r.retained.mu.Unlock()
		return true
	}); err != nil {
		return fmt.Errorf("load retained messages: %w", err)
	}
	var ids []message.ClientID
	if err := r.store.Heads(ctx, func(h store.Session, _ []store.Subscription) bool {
		ids = append(ids, h.ID)
		return true
	}); err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	for _, id := range ids {
		if err := r.restoreSession(ctx, id); err != nil {
			return err
		}
	}
	return r.restoreDelayed(ctx)
}

func (r *Router) restoreSession(ctx context.Context, id message.ClientID) error {
	img, err := r.store.Load(ctx, id)
	if err != nil {
		return fmt.Errorf("load session %q: %w", id, err)
	}
	c := r.newClient(id, true)
	c.sess = session.Restore(img, r.Settings().Queue)
	c.hook = r.hooks.NewClient(hooks.Info{ID: string(id), User: img.Session.User, HasUser: img.Session.HasUser, Version: img.Session.Version})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = img.Session
	for _, s := range img.Subs {
		parsed, err := topic.Parse(s.Filter)
		if err != nil {
			r.log.Error("stored subscription is invalid", "client", id, "filter", s.Filter, "error", err)
			continue
		}
		if parsed.Exclusive {
			r.exclusive.take(string(parsed.Filter), c)
		}
		c.enterLocked(&subscription{s, parsed}, false)
	}
	c.out.Ops = nil
	c.restoreTimesLocked()
	return nil
}
