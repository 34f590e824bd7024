package router

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// Client is a session and, while it has one, its connection.
type Client struct {
	ID message.ClientID
	r  *Router

	live     atomic.Pointer[Link] // same as link, for QoS 0
	page     *paging              // nil for a session that is not persistent
	inflight atomic.Int32         // as of the last step, for least_inflight

	mu        sync.Mutex
	link      *Link
	sess      *session.Session
	out       session.Output
	subs      subset
	rare      *rare // nil while there is nothing in it
	head      store.Session
	expiry    *due.Item
	willDue   *due.Item
	hook      *hooks.Client // the identity of the last connection, for its will
	lend      lending
	counted   counts // what of this session is in the node's totals
	drops     *[stats.NumDropReasons]uint32
	ended     bool
	recorded  bool // the store has a head of it: it is persistent, or has a will
	unclaimed bool // nobody but this process knows of it: it came while the store was away
	unloaded  bool // restored: what it has in flight is still in the store alone
	ghost     bool // a clean session that ended with the process: only its will is left
	clean     bool // the connect that takes over asks for a clean start
	operator  bool // an operator ends the session
	tells     bool // out.Ops has records that tell of outcomes
	told      bool // it ended, and what its queue had been asked has been told
}

// rare is what few clients have.
type rare struct {
	cursors []*cursor // walks through the retained messages, in the order of their SUBSCRIBEs
	begun   []*cursor // those of a SUBSCRIBE that is not answered yet
	walked  *walked   // nil but for a while after a walk
	members []*member // of shared groups
	leaving *Link     // a connection that Disconnect has not finished with
	sent    []sent    // until the output has been let go
	box     *box      // that the session lives in; nil is the own one
}

var nothingRare = &rare{}

// rareLocked is for reading.
func (c *Client) rareLocked() *rare {
	if c.rare == nil {
		return nothingRare
	}
	return c.rare
}

// makeRareLocked is for writing.
func (c *Client) makeRareLocked() *rare {
	if c.rare == nil {
		c.rare = &rare{}
	}
	return c.rare
}

// tidyRareLocked lets go of it when there is nothing in it.
func (c *Client) tidyRareLocked() {
	if h := c.rare; h != nil && len(h.cursors)+len(h.begun)+len(h.members)+len(h.sent) == 0 && h.leaving == nil && h.box == nil && h.walked == nil {
		c.rare = nil
	}
}

// counts are a session's part in the totals of the node.
type counts struct {
	inflight, queued int32 // a session has fewer than 2^31 of each
	bytes            int64
}

// Persistent reports whether the session outlives its connection.
func (c *Client) Persistent() bool { return c.sess.Persistent() }

// identity is who the client's connection is, or its last one was.
func (c *Client) identity() *hooks.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hook
}

// mayRead asks the rules about one delivery to the client.
func (r *Router) mayRead(h *hooks.Client, topic string, qos byte, retain bool) bool {
	return r.hooks.Authorize(h, hooks.Request{Action: hooks.Deliver, Topic: topic, QoS: qos, Retain: retain}).Code == codeSuccess
}

// commitLocked hands the records that the last step produced to the store; the
// frames that wait for them leave when they are durable. pend, if any, is told
// too. c.mu is held, so the batches of a session are in order.
func (c *Client) commitLocked(pend *Pending) {
	o := &c.out
	if len(o.Repaid) > 0 {
		c.repaidLocked()
	}
	if len(o.Ops) == 0 {
		if len(o.After) > 0 {
			c.appendLocked(o.After)
			o.After = o.After[:0]
		}
		return
	}
	d := &commitDone{c: c, link: c.link, frames: o.After, pend: pend, r: c.r, also: c.recordedLocked(), at: c.r.since()}
	if pend != nil {
		pend.left.Add(1)
	}
	b := c.batchLocked(o.Ops)
	b.Linger = len(o.After) == 0 && c.lingersLocked(o.Ops)
	if c.tells {
		d.told, c.tells = o.Ops, false
	}
	o.Ops, o.After = nil, nil
	if c.page != nil {
		c.page.issued++
	}
	c.r.commit(b, d)
}

// batchLocked is a batch of the client's records.
func (c *Client) batchLocked(ops []store.Op) *store.Batch {
	b := &store.Batch{Client: c.ID, Epoch: c.head.Epoch, Ops: ops, Queue: c.sess.Figures()}
	if c.page != nil {
		b.At = c.page.at
	}
	return b
}

// lingersLocked reports whether the store may wait a moment with a batch: all in it
// are QoS 1 deliveries to a client that is keeping up, or their ends.
func (c *Client) lingersLocked(ops []store.Op) bool {
	if c.link == nil || !c.sess.Ready(0) {
		return false
	}
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case store.KindEntry:
			if !op.Delete && op.Entry.QoS != 1 {
				return false
			}
		case store.KindState:
			if op.State.Phase != store.Sent {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (c *Client) appendLocked(frames []byte) {
	if c.link != nil {
		c.link.Out.End(append(c.link.Out.Begin(), frames...))
	}
}

// commitDone releases what waits for a commit.
type commitDone struct {
	r      *Router
	c      *Client // nil for the node's own records
	link   *Link
	frames []byte
	pend   *Pending
	also   []*Pending // who waits for records that were put off
	at     int64      // when a client's was handed over
	b      *store.Batch
	told   []store.Op // among them are some that tell of outcomes
}

// Committed implements store.Committed. A refused commit closes the connection:
// nothing that it promised leaves.
func (d *commitDone) Committed(err error) {
	if d.c != nil {
		d.c.committed()
		d.r.committedIn(d.r.since() - d.at)
	}
	if err != nil {
		d.refused(err)
		return
	}
	if len(d.frames) > 0 && d.link != nil {
		d.link.Out.End(append(d.link.Out.Begin(), d.frames...))
	}
	d.r.settleAll(d.told)
	if d.pend != nil {
		d.pend.done()
	}
	for _, p := range d.also {
		p.done()
	}
}

// refused ends the connection whose session could not be committed. A session that
// is gone, or another's, is nothing that a publisher was promised, unless it is the
// publisher's own: its received identifiers are.
func (d *commitDone) refused(err error) {
	if lost(err) {
		d.r.untold(d.told)
	}
	gone := errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound)
	if !gone {
		d.r.refusals.log(d.r, err)
		d.owe(err)
	}
	if d.link != nil {
		d.link.End(codeUnavailable, "commit refused")
	}
	if d.pend != nil {
		d.refuse(d.pend, gone)
	}
	for _, p := range d.also {
		d.refuse(p, gone)
	}
}

func (d *commitDone) refuse(p *Pending, gone bool) {
	if gone && d.c != nil && d.c != p.from {
		p.done()
		return
	}
	p.fail()
}

// refusals logs refused commits: all of them fail alike, so one line a minute does.
type refusals struct {
	mu    sync.Mutex
	last  time.Time
	since int
}

const refusalLog = time.Minute

func (f *refusals) log(r *Router, err error) {
	f.mu.Lock()
	f.since++
	now := r.now()
	n := f.since
	say := f.last.IsZero() || now.Sub(f.last) >= refusalLog
	if say {
		f.last, f.since = now, 0
	}
	f.mu.Unlock()
	if say {
		r.log.Error("store refuses commits: publishes are not acknowledged", "refused", n, "error", err)
	}
}

// accountLocked brings the node's totals up to date with the session.
func (c *Client) accountLocked() {
	queued, inflight, bytes := c.sess.Counts()
	was := c.counted
	now := counts{int32(inflight), int32(queued), bytes}
	c.counted = now
	c.r.stats.Queues(int64(now.inflight-was.inflight), int64(now.queued-was.queued), bytes-was.bytes)
	if now.inflight != was.inflight {
		c.inflight.Store(now.inflight)
	}
}

// droppedEntry is the session's report of an undelivered entry. c.mu is held.
func (c *Client) droppedEntry(e *session.Entry, why session.Drop) {
	reason := [...]stats.DropReason{
		session.DropQueueFull: stats.DropQueueFull, session.DropExpired: stats.DropExpired,
		session.DropTooLarge: stats.DropTooLarge, session.DropRefused: stats.DropRefused,
	}[why]
	c.dropLocked(reason, 1)
	c.traceLocked(e.Msg, DecidedDropped, reason.String())
	c.r.follows.dropped(e.Msg, c.targetOf(e))
	o := dropped(reason)
	if why == session.DropRefused {
		o.code = c.out.Code
	}
	c.endedEntry(e, o)
	if e.Msg != nil {
		c.r.events.dropped(c.hook, e.Msg)
	}
}

// drop counts messages that were not delivered to the client.
func (c *Client) drop(why stats.DropReason, n int) {
	c.mu.Lock()
	c.dropLocked(why, n)
	c.mu.Unlock()
}

func (c *Client) dropLocked(why stats.DropReason, n int) {
	if c.drops == nil {
		c.drops = new([stats.NumDropReasons]uint32)
	}
	c.drops[why] += uint32(n)
	c.r.stats.Drop(why, uint64(n))
}
