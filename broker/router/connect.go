package router

import (
	"context"
	"fmt"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
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
	Will    *Will
	Link    *Link

	unclaimed bool // in a cluster whose store is away: the client id is claimed later
}

// ConnectResult is what CONNACK tells of the session.
type ConnectResult struct {
	Present bool
	Expiry  uint32 // granted, seconds
}

// ConnectError is a refused connect with its MQTT 5 reason code.
type ConnectError struct {
	Code byte
	Why  string
}

func (e *ConnectError) Error() string { return fmt.Sprintf("%s (0x%02X)", e.Why, e.Code) }

// Connect gives a connection its session: a new one, or the stored one, taken
// over from an older connection if there is one [MQTT-3.1.4-3]. ready encodes the
// CONNACK; it is appended to the output once the session is committed and before
// anything is delivered [MQTT-3.2.0-1]. The error is a *ConnectError. After
// success Disconnect must be called.
func (r *Router) Connect(ctx context.Context, q ConnectRequest, ready func(dst []byte, res ConnectResult) []byte) error {
	leave, err := r.reg.gates.enter(ctx, q.ID)
	if err != nil {
		return &ConnectError{codeUnavailable, "another connect of this client id is under way"}
	}
	defer leave()
	cl, err := r.claim(ctx, &q)
	if err != nil {
		return err
	}
	err = r.connect(ctx, q, ready)
	if err == nil && q.unclaimed {
		r.claimLater(q.Link, q)
	}
	if err != nil && r.peers != nil && !cl.Found && r.reg.get(q.ID) == nil {
		r.cluster.Release(q.ID)
	}
	return err
}

// connect is Connect once the client id is this process's.
func (r *Router) connect(ctx context.Context, q ConnectRequest, ready func([]byte, ConnectResult) []byte) error {
	old, epoch, err := r.displace(ctx, &q)
	if err != nil {
		return err
	}
	expiry, persistent := r.grant(&q)
	if persistent && r.overPersistent(old) {
		return &ConnectError{codeQuotaExceeded, "session.max_persistent"}
	}
	if !r.users.add(q.User, ofConnections, r.Settings().MaxUserConnections) {
		return &ConnectError{codeQuotaExceeded, "limits.connections_per_user"}
	}
	if err := r.enter(ctx, q, old, epoch, expiry, persistent, ready); err != nil {
		r.users.remove(q.User, ofConnections, 1)
		return err
	}
	return nil
}

// enter gives a connection that may come in the session that outlived another, or a new
// one.
func (r *Router) enter(ctx context.Context, q ConnectRequest, old *Client, epoch message.Epoch, expiry uint32, persistent bool,
	ready func([]byte, ConnectResult) []byte,
) error {
	if old != nil && (q.Clean || !old.Persistent()) {
		r.endSession(old)
		old = nil
	}
	c := old
	if c == nil {
		if persistent && !r.users.add(q.User, ofSessions, r.Settings().MaxPerUser) {
			return &ConnectError{codeQuotaExceeded, "session.max_per_user"}
		}
		c = r.newClient(q.ID, persistent)
		c.head.Epoch = epoch // a late commit of the old session must not pass as one of the new
	}
	return r.attach(ctx, c, &q, ConnectResult{Present: old != nil, Expiry: expiry}, ready)
}

// displace closes an older connection of the client id and answers the session
// that outlived it, if any, and the epoch of the last one.
func (r *Router) displace(ctx context.Context, q *ConnectRequest) (*Client, message.Epoch, error) {
	old := r.reg.get(q.ID)
	if old == nil {
		return nil, 0, nil
	}
	if !old.belongs(q.User, q.HasUser) {
		return nil, 0, &ConnectError{codeIDInvalid, "client id belongs to another user"}
	}
	if err := r.takeOver(ctx, old, q.Clean); err != nil {
		return nil, 0, err
	}
	epoch := old.lay()
	if r.reg.get(q.ID) != old {
		return nil, epoch, nil // it ended with its connection
	}
	return old, epoch, nil
}

// lay answers the session's epoch. The client is back: a will that only waited for
// that, since the process ended, is not sent.
func (c *Client) lay() message.Epoch {
	c.mu.Lock()
	ghost := c.ghost
	epoch := c.head.Epoch
	if ghost {
		c.cancelWillLocked()
		c.head.Will = nil
	}
	c.mu.Unlock()
	if ghost {
		c.r.endSession(c)
	}
	return epoch
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
// user name belongs to nobody, and all do with Settings.AnyUser.
func (c *Client) belongs(user string, has bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.head.HasUser || has && c.head.User == user || c.r.Settings().AnyUser
}

// takeOver closes the older connection of a session and waits until it has left.
func (r *Router) takeOver(ctx context.Context, c *Client, clean bool) error {
	c.mu.Lock()
	l := c.link
	if l == nil {
		l = c.rareLocked().leaving
	}
	if l == nil {
		c.mu.Unlock()
		return nil
	}
	c.clean = clean
	if l.left == nil {
		l.left = make(chan struct{})
	}
	left := l.left
	c.mu.Unlock()
	r.stats.Takeovers.Inc()
	l.End(codeTakenOver, "session taken over")
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return &ConnectError{codeUnavailable, "the older connection did not end in time"}
	}
}

func (r *Router) newClient(id message.ClientID, persistent bool) *Client {
	c := &Client{ID: id, r: r, sess: session.New(persistent, r.Settings().Queue)}
	c.out.Dropped, c.out.Acked = c.droppedEntry, c.ackedEntry
	r.stats.Sessions.Inc()
	if persistent {
		c.page = &paging{}
		r.stats.PersistentSessions.Inc()
	}
	r.reg.put(c)
	return c
}

// attach makes the connection the session's and starts deliveries. Until the
// session's head is committed it is offline: what comes meanwhile is queued. The
// gate of the client id keeps other connects away.
func (r *Router) attach(ctx context.Context, c *Client, q *ConnectRequest, res ConnectResult, ready func([]byte, ConnectResult) []byte) error {
	l := q.Link
	l.client, l.user = c, q.User
	l.plain = l.MaxPacket == 0 && l.AliasMax == 0 && l.stream == nil
	l.since = r.now().UnixNano()
	if err := c.load(ctx); err != nil {
		return &ConnectError{codeUnavailable, err.Error()}
	}
	r.store.Begin() // what rules of now take from the session may go to groups
	c.mu.Lock()
	c.stopClocksLocked()
	c.clean = false
	if res.Present && r.has.ACL && !r.sameRules(c.hook, l.Hook) {
		r.IdentityChanged()
	}
	c.hook = l.Hook
	if res.Present && c.head.User != q.User { // it was nobody's, or sessions are anybody's
		r.users.remove(c.head.User, ofSessions, 1)
		r.users.add(q.User, ofSessions, 0)
		n := c.subs.len()
		r.users.remove(c.head.User, ofSubscriptions, n)
		r.users.addAll(q.User, ofSubscriptions, n, 0)
	}
	c.head = store.Session{
		ID: q.ID, User: q.User, HasUser: q.HasUser, Epoch: c.head.Epoch + 1, Version: l.Version, Expiry: res.Expiry, Will: q.Will,
	}
	var woken []*Group
	if res.Present {
		woken = c.judgeAgainLocked(l.Hook)
	}
	c.repayLocked()
	committed := c.commitHeadLocked(!res.Present, q.unclaimed)
	c.mu.Unlock()
	r.store.End()
	wakeAll(woken)
	if err := committed.wait(ctx); err != nil {
		r.abandon(c)
		return &ConnectError{codeUnavailable, "session could not be stored: " + err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.Out.End(ready(l.Out.Begin(), res))
	c.sess.Settled()
	c.sess.Connected(l, l.Window)
	c.link = l
	c.live.Store(l)
	c.announceOnlineLocked()
	c.pumpLocked(nil)
	return nil
}

// nameWillLocked gives a will the id that it is sent with by whoever sends it.
func (c *Client) nameWillLocked() {
	w := c.head.Will
	if w == nil || c.r.peers == nil || w.Message.ID.Seq != 0 {
		return
	}
	named, m := *w, *w.Message
	m.ID = c.r.nextID()
	named.Message = &m
	c.head.Will = &named
}

// announceOnlineLocked tells the other instances how many members are connected of the
// groups that the client is in.
func (c *Client) announceOnlineLocked() {
	if c.r.peers == nil {
		return
	}
	for _, m := range c.rareLocked().members {
		m.g.announce()
	}
}

func (g *Group) announce() {
	g.r.cluster.Online(g.box.id, sharePrefix+g.key.record(), g.online())
}

// sameRules reports whether two connections of a client are certainly judged alike.
func (r *Router) sameRules(a, b *hooks.Client) bool {
	x, y := a.Identity(), b.Identity()
	return x.Same(&y) && len(x.Groups)+len(y.Groups) == 0 && x.Rules == nil && y.Rules == nil && (!r.hooks.Judges() || a.Alike(b))
}

// commitHeadLocked commits the session's head with what else was recorded.
func (c *Client) commitHeadLocked(fresh, unclaimed bool) commitWait {
	w := make(commitWait, 1)
	c.unclaimed = unclaimed
	c.recorded = !unclaimed && (c.Persistent() || c.head.Will != nil && c.r.Settings().Durable || c.r.peers != nil)
	c.nameWillLocked()
	if !c.recorded {
		w <- nil
		return w
	}
	head := c.head
	ops := append(c.out.Ops, store.Op{Kind: store.KindSession, Session: &head})
	if fresh && c.r.peers == nil { // the end of the one before may have been refused
		ops = slices.Insert(ops, 0, store.Op{Kind: store.KindSession, Delete: true})
	}
	c.out.Ops = nil
	c.commitAndWaitLocked(ops, w)
	return w
}

// abandon takes back an attach whose commit failed: the connection goes, the
// session is left to its expiry.
func (r *Router) abandon(c *Client) {
	c.mu.Lock()
	ends := !c.Persistent() || c.head.Expiry == 0
	c.head.Will = nil
	if !ends {
		c.startExpiryLocked()
		c.recordHeadLocked()
		c.commitLocked(nil)
	}
	c.mu.Unlock()
	if ends {
		r.endSession(c)
	}
}

// judgeAgainLocked drops stored subscriptions that today's rules refuse.
func (c *Client) judgeAgainLocked(h *hooks.Client) []*Group {
	var woken []*Group
	for s := range c.subs.all() {
		q := hooks.Request{Action: hooks.Subscribe, Topic: string(s.parsed.Filter), QoS: s.QoS, Again: true}
		if d := c.r.hooks.Authorize(h, q); d.Code == 0 {
			continue
		}
		c.r.log.Info("stored subscription is no longer allowed", "client", string(c.ID), "filter", s.Filter)
		woken = append(woken, c.removeLocked(s)...)
	}
	return woken
}
