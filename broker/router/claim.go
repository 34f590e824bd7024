package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// claim brings the session of a client id here, wherever it is. The gate of the client
// id is held. After an error nothing has changed, but for an older connection that may
// have been closed.
func (r *Router) claim(ctx context.Context, q *ConnectRequest) (store.Claim, error) {
	if r.peers == nil {
		return store.Claim{}, nil
	}
	_, persistent := r.grant(q)
	// A will of QoS 1 or 2 is a promise that another instance keeps when this one ends.
	clean := !persistent && q.Clean && (q.Will == nil || q.Will.Message.QoS == 0)
	if clean && r.cluster.Away() {
		q.unclaimed = true
		return store.Claim{}, nil
	}
	trying, cancel := ctx, func() {}
	if clean { // it is served without the store, too
		trying, cancel = context.WithTimeout(ctx, cleanClaim)
	}
	defer cancel()
	var coming *Client
	cl, err := r.cluster.Claim(trying, r.claimant(q), func(h *store.Head) { coming = r.expect(h) })
	switch {
	case err != nil && clean && ctx.Err() == nil && r.cluster.Away():
		if q.unclaimed = true; coming != nil {
			r.unexpect(coming, true)
		}
		return store.Claim{}, nil
	case errors.Is(err, store.ErrOtherUser):
		err = &ConnectError{codeIDInvalid, err.Error()}
	case err != nil && !errors.Is(err, store.ErrClosed):
		err = &ConnectError{codeUnavailable, err.Error()}
	case err != nil:
		err = errors.Join(&ConnectError{codeUnavailable, "the instance stops"}, err)
	case cl.Moved:
		err = r.arrive(coming, &cl)
	case cl.Found:
		err = r.stay(ctx, q.ID, &cl)
	default:
		if old := r.reg.get(q.ID); old != nil { // its records are gone, or another's
			r.forget(old)
		}
	}
	if err != nil && coming != nil {
		r.unexpect(coming, !errors.Is(err, store.ErrClosed))
	}
	return cl, err
}

// cleanClaim is how long a clean client waits for a store that is going away.
const cleanClaim = 4 * time.Second

// claimLater makes a clean client the owner of its id that connected while the store was
// away: until then a connection elsewhere does not close this one. It ends with the
// connection.
func (r *Router) claimLater(l *Link, q ConnectRequest) {
	r.events.apart(func() {
		ctx, cancel := l.context()
		defer cancel()
		for r.cluster.Away() {
			select {
			case <-ctx.Done():
				return
			default:
			}
			if !r.pause() {
				return
			}
		}
		leave, err := r.reg.gates.enter(ctx, q.ID)
		if err != nil {
			return
		}
		defer leave()
		c := l.client
		c.mu.Lock()
		gone := c.link != l
		c.mu.Unlock()
		if gone {
			return
		}
		cl, err := r.cluster.Claim(ctx, r.claimant(&q), func(*store.Head) {})
		if err != nil || cl.Found { // there is a session that this client did not want to know of
			l.End(codeTakenOver, "the client id is in use on another instance")
			return
		}
		c.mu.Lock()
		if c.link != l { // it has left meanwhile, and with it the session
			c.mu.Unlock()
			r.cluster.Release(q.ID)
			return
		}
		committed := c.commitHeadLocked(true, false)
		c.mu.Unlock()
		if committed.wait(ctx) != nil {
			l.End(codeUnavailable, "session could not be stored")
		}
	})
}

// claimant is who connects.
func (r *Router) claimant(q *ConnectRequest) *store.Claimant {
	return &store.Claimant{ID: q.ID, User: q.User, HasUser: q.HasUser, AnyUser: r.Settings().AnyUser}
}

// expect makes a session known that is on its way here: what is published for it is kept
// until it has arrived, or does not come.
func (r *Router) expect(h *store.Head) *Client {
	c := r.newClient(h.Session.ID, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hook = r.identityOf(&h.Session)
	c.head, c.recorded, c.unloaded = h.Session, true, true
	c.page.transit = &transit{keep: true}
	c.restoreSubsLocked(h.Subs)
	r.users.add(c.head.User, ofSessions, 0)
	return c
}

// unexpect forgets a session that does not come. What was kept for it reaches it where
// it is; if it is not sure where that is, the publishers are not told that it does.
func (r *Router) unexpect(c *Client, sure bool) {
	c.mu.Lock()
	t := c.page.transit
	c.page.transit = nil
	c.mu.Unlock()
	r.forget(c)
	switch {
	case t == nil:
	case sure:
		t.drop()
	default:
		t.fail()
	}
}

// arrive fills a session that has come with what is stored of it, and gives it what was
// kept. It is the session's from then on, whether its client stays or not.
func (r *Router) arrive(c *Client, cl *store.Claim) error {
	if c == nil {
		return errors.New("session arrived that was not expected")
	}
	img := cl.Image
	c.lockAsked()
	t := c.page.transit
	c.page.transit, c.page.at, c.page.since, c.page.overlap = nil, 0, cl.Since, overlapOf(cl.Overlap)
	c.head.Will, c.head.ExpiresAt = img.Session.Will, img.Session.ExpiresAt
	c.takeImageLocked(img)
	c.restoreTimesLocked(0)
	c.takeKeptLocked(t)
	c.mu.Unlock()
	r.finishStored(c, img.Unrouted)
	return nil
}

// takeImageLocked makes a session what was stored of it.
func (c *Client) takeImageLocked(img *store.Image) {
	c.sess = session.RestoreHead(img.Queue, c.r.Settings().Queue)
	c.sess.Load(img)
	c.resumeWalksLocked(img.Cursors)
	c.unloaded = false
	c.accountLocked()
}

// stay makes sure of a session that lives here: it is not moved away, if that was being
// prepared, and it is known.
func (r *Router) stay(ctx context.Context, id message.ClientID, cl *store.Claim) error {
	if c := r.reg.get(id); c != nil {
		c.remain()
		return nil
	}
	return r.remember(ctx, id, cl.Box)
}

// remain ends a move that somebody else wanted.
func (c *Client) remain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.page == nil || c.page.transit == nil {
		return
	}
	t := c.page.transit
	c.page.transit = nil
	if t.merge {
		c.leaveOwnLocked()
		t.drop()
		t.kept = t.late
	}
	c.takeKeptLocked(t)
}

// remember makes a session known that is stored in a mailbox of this process.
func (r *Router) remember(ctx context.Context, id message.ClientID, box message.MailboxID) error {
	f := r.adopted.feed(box)
	if f == nil {
		return &ConnectError{codeUnavailable, "mailbox of the session was lost"}
	}
	img, err := r.store.Load(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // nothing was ever committed of it
	case err != nil:
		return &ConnectError{codeUnavailable, fmt.Sprintf("load session: %v", err)}
	}
	r.restoreHeadIn(f.p.box, &store.Head{Session: img.Session, Queue: img.Queue, Subs: img.Subs}, 0)
	return nil
}

// identityOf is who a stored session belongs to, as far as that is stored.
func (r *Router) identityOf(s *store.Session) *hooks.Client {
	return r.hooks.NewClient(hooks.Info{ID: string(s.ID), User: s.User, HasUser: s.HasUser, Version: s.Version})
}

// Prepare makes a session of this process ready to move: its connection is closed, and
// everything that it has is committed. From then on it is noted what it is given. An
// error that is store.ErrNotFound says that it is not, or no longer, here.
//
// wanted is asked once no connect of the client is under way here, which may have been
// waited for: a claim that was replaced meanwhile closes nothing.
func (r *Router) Prepare(ctx context.Context, box message.MailboxID, id message.ClientID, token string, wanted func(context.Context) bool) error {
	leave, err := r.reg.gates.enter(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for a connect of the client: %w", err)
	}
	defer leave()
	if !wanted(ctx) {
		return store.ErrNotFound
	}
	c, err := r.here(ctx, box, id)
	if err != nil {
		return err
	}
	away := c.away()
	if err := r.takeOver(ctx, c, false); err != nil {
		return err
	}
	if r.reg.get(id) != c || c.page == nil {
		return store.ErrNotFound // it ended with its connection
	}
	if err := c.sent(ctx); err != nil { // else they could come behind those that are routed again elsewhere
		return err
	}
	if err := c.flush(ctx, away); err != nil {
		return err
	}
	c.remain() // another move that was being prepared
	c.mu.Lock()
	c.page.transit = &transit{token: token}
	c.mu.Unlock()
	return nil
}

// here is a session of this process, loaded if it was not.
func (r *Router) here(ctx context.Context, box message.MailboxID, id message.ClientID) (*Client, error) {
	if r.reg.get(id) == nil {
		if err := r.remember(ctx, id, box); err != nil {
			return nil, err
		}
	}
	if c := r.reg.get(id); c != nil {
		return c, nil
	}
	return nil, store.ErrNotFound
}

// away reports that nobody is connected.
func (c *Client) away() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == nil && c.rareLocked().leaving == nil
}

// flush waits until everything that the session has recorded is committed. An error says
// that something was refused; of a session that was away, and so only got messages, whoever
// published them is told, and there need be none.
func (c *Client) flush(ctx context.Context, away bool) error {
	w := make(commitWait, 1)
	c.mu.Lock()
	ops := []store.Op{touch}
	if away && c.page.debts.list.Load() == nil {
		ops = nil
	}
	c.commitLocked(nil)
	c.r.store.Commit(c.batchLocked(ops), w)
	c.mu.Unlock()
	if err := w.wait(ctx); err != nil {
		return fmt.Errorf("commit session: %w", err)
	}
	return nil
}

// touch is a record that changes nothing: a batch of it is answered after those before,
// and refused to who is not the session's owner any more.
var touch = store.Op{Kind: store.KindReceived, Delete: true}

// MoveOrdered is told, in the order of its mailbox's inbox, that a session is to leave:
// what comes for it from now on is kept until Move knows whether it has gone.
func (r *Router) MoveOrdered(id message.ClientID, token string) {
	c := r.reg.get(id)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orderedLocked(token)
}

// orderedLocked keeps what comes for a session that is to leave. One whose move was
// prepared by a process that is gone was connected nowhere since.
func (c *Client) orderedLocked(token string) *transit {
	if c.page == nil || c.link != nil {
		return nil
	}
	if c.page.transit == nil {
		c.page.transit = &transit{token: token}
	}
	if c.page.transit.token != token {
		return nil
	}
	c.page.transit.keep = true
	return c.page.transit
}

// Move hands a session over. step moves its record, if the claim is still wanted, and is
// given the ids of what the session got here although it was matched at since or later.
// It reports false when the session stays.
func (r *Router) Move(ctx context.Context, id message.ClientID, token string, since message.Position, step func(context.Context, []message.ID) (bool, error)) (bool, error) {
	leave, err := r.reg.gates.enter(ctx, id)
	if err != nil {
		return false, fmt.Errorf("wait for a connect of the client: %w", err)
	}
	defer leave()
	c := r.reg.get(id)
	if c == nil {
		return false, nil
	}
	overlap, ok := c.leaving(token, since)
	if !ok {
		return false, nil
	}
	if err := c.flush(ctx, true); err != nil { // Prepare has closed its connection
		c.remain()
		return false, err
	}
	moved, err := step(ctx, overlap)
	if err != nil || !moved {
		c.remain()
		return false, err
	}
	r.unexpect(c, true)
	return true, nil
}

// leaving answers what a session that was prepared got that was matched at since or later.
func (c *Client) leaving(token string, since message.Position) ([]message.ID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.orderedLocked(token)
	if t == nil {
		return nil, false
	}
	var ids []message.ID
	for _, n := range t.noted {
		if n.matched >= since {
			ids = append(ids, n.id)
		}
	}
	return ids, true
}

// CloseElsewhere closes the connection of a client id that has connected to another
// process, and waits until it has left.
func (r *Router) CloseElsewhere(ctx context.Context, id message.ClientID) error {
	leave, err := r.reg.gates.enter(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for a connect of the client: %w", err)
	}
	defer leave()
	c := r.reg.get(id)
	if c == nil {
		return nil
	}
	if err := r.takeOver(ctx, c, false); err != nil {
		return err
	}
	return nil
}

// Settled forgets what a session's move left behind: nothing that was matched before
// can come any more.
func (r *Router) Settled(id message.ClientID, since message.Position) {
	c := r.reg.get(id)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.page != nil && c.page.since == since {
		c.page.overlap = nil
	}
}
