package router

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
)

// copied is a copy of a run for the sessions that it was lent to. It is reused when none
// of them owes records any more.
type copied struct {
	refs  atomic.Int32
	buf   []byte
	parts []cutAt
	name  string
	from  message.ClientID
	user  string
	first message.ID
	now   int64
}

// cutAt is where a message of a run ends in its copy: payload first, then properties.
type cutAt struct{ payload, props uint32 }

var keeps = sync.Pool{New: func() any { return new(copied) }}

// keep copies the run, once for all its targets.
func (u *run) keep() *copied {
	if u.kept != nil {
		return u.kept
	}
	k := keeps.Get().(*copied)
	k.refs.Store(1) // the run's own
	k.name, k.from, k.user, k.first, k.now = u.rt.name, u.p.id, u.p.user, u.name(), u.time()
	for i := range u.items {
		it := &u.items[i]
		k.buf = append(k.buf, it.payload...)
		n := len(k.buf)
		k.buf = message.AppendForwarded(k.buf, it.props)
		k.parts = append(k.parts, cutAt{uint32(n), uint32(len(k.buf))})
	}
	u.kept = k
	return k
}

func (k *copied) release() {
	if k.refs.Add(-1) > 0 {
		return
	}
	if cap(k.buf) > keepBlock {
		return
	}
	*k = copied{buf: k.buf[:0], parts: k.parts[:0]}
	keeps.Put(k)
}

// Message implements session.Loan.
func (k *copied) Message(i int) *message.Message {
	from := uint32(0)
	if i > 0 {
		from = k.parts[i-1].props
	}
	p := k.parts[i]
	buf := append([]byte(nil), k.buf[from:p.props]...)
	n := p.payload - from
	return &message.Message{
		ID: message.ID{Run: k.first.Run, Seq: k.first.Seq + uint64(i)}, Topic: k.name, Payload: buf[:n:n], Props: buf[n:],
		Publisher: k.from, User: k.user, Created: k.now, QoS: 1,
	}
}

// lot is what one session was lent of a run, and the publisher that waits for it.
type lot struct {
	*copied
	pend *Pending
}

var lots = sync.Pool{New: func() any { return new(lot) }}

// end lets go of the run's copy and answers who waits.
func (t *lot) end() *Pending {
	pend := t.pend
	t.release()
	*t = lot{}
	lots.Put(t)
	return pend
}

// lending is what is known of how soon a client acknowledges.
type lending struct {
	took  int64            // nanoseconds, a mean
	at    int64            // when probe was sent
	probe message.PacketID // whose acknowledgement is timed, or 0
	armed bool             // it is in the recaller's list
}

const (
	// quickFactor says which acknowledgements are quick, by Settings.Linger.
	quickFactor = 5
	// probeAge is when a probe is given up that was not answered.
	probeAge = int64(time.Second)
)

// lendsLocked reports whether the client may be sent messages whose records wait for
// its acknowledgement: that is expected soon, or no later than a commit would take.
func (c *Client) lendsLocked() bool {
	linger := int64(c.r.Settings().Linger)
	return linger > 0 && c.page.transit == nil && c.page.overlap == nil && c.lend.took <= max(quickFactor*linger, 2*c.r.commitTook.Load())
}

// patience is how long a record may wait.
func (c *Client) patience() int64 { return int64(c.r.Settings().Linger) + 2*c.lend.took }

// timeLocked begins to time the acknowledgement of what was just sent, unless one is
// being timed.
func (c *Client) timeLocked(id message.PacketID, now int64) {
	if c.lend.probe == 0 || now-c.lend.at > probeAge {
		c.lend.probe, c.lend.at = id, now
	}
}

// timedLocked takes the time that an acknowledgement took, or has not come in.
func (c *Client) timedLocked(took int64) { c.lend.took += (took - c.lend.took) / 4 }

// timeSentLocked times what left through the queue.
func (c *Client) timeSentLocked(before message.PacketID) {
	if id := c.sess.LastID(); id != before && c.Persistent() {
		c.timeLocked(id, c.r.since())
	}
}

// lendBlock sends as much of a run as the window has room for and lends the session
// the rest of the work: records are written if acknowledgements do not come soon.
func (c *Client) lendBlock(u *run, l *Link) int {
	n := min(u.n, c.sess.Free())
	if n == 0 {
		return 0
	}
	k := u.keep()
	k.refs.Add(1)
	t := lots.Get().(*lot)
	t.copied, t.pend = k, u.p.pending()
	t.pend.left.Add(1)
	now := c.r.since()
	c.sess.Lend(t, n, now)
	id := c.sendBlock(u, l, 1, n)
	c.timeLocked(id, now)
	c.armLocked(now)
	return n
}

// armLocked makes sure that what is lent is recalled in time.
func (c *Client) armLocked(at int64) {
	if !c.lend.armed {
		c.lend.armed = true
		c.r.recaller.add(c, at+c.patience())
	}
}

// recallOld records what was not acknowledged soon enough.
func (c *Client) recallOld() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lend.armed = false
	now := c.r.since()
	sent, _ := c.sess.Lent()
	c.sess.Recall(&c.out, now-c.patience())
	if len(c.out.Recorded) > 0 {
		c.timedLocked(now - sent)
		c.commitLocked(nil)
	}
	if at, ok := c.sess.Lent(); ok {
		c.armLocked(at)
	}
}

// recallLocked records all that is lent; the caller commits.
func (c *Client) recallLocked() {
	c.sess.Recall(&c.out, math.MaxInt64)
	c.lend.probe = 0
}

// repaidLocked answers those who waited for what was acknowledged.
func (c *Client) repaidLocked() {
	list := c.out.Repaid
	for i, t := range list {
		t.(*lot).end().done()
		list[i] = nil
	}
	c.out.Repaid = list[:0]
}

// recordedLocked answers who waits for the commit that takes the records of what was
// lent.
func (c *Client) recordedLocked() []*Pending {
	list := c.out.Recorded
	if len(list) == 0 {
		return nil
	}
	waits := make([]*Pending, len(list))
	for i, t := range list {
		waits[i], list[i] = t.(*lot).end(), nil
	}
	c.out.Recorded = list[:0]
	return waits
}

var _ session.Loan = (*lot)(nil)

// committedIn notes how long a commit took. Which of two that end at once counts does
// not matter.
func (r *Router) committedIn(took int64) {
	mean := r.commitTook.Load()
	r.commitTook.Store(mean + (took-mean)/8)
}
