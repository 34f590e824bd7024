package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var (
	stepLeaseOpen    = step("lease_open")
	stepLeaseRenew   = step("lease_renew")
	stepLeaseRetake  = step("lease_retake")
	stepLeaseTake    = step("lease_take")
	stepLeaseRelease = step("lease_release")
	stepLeaseRemove  = step("lease_remove")
	stepBoxOpen      = step("box_open")
	stepBoxTake      = step("box_take")
)

// lease is a mailbox that this process has.
type lease struct {
	box   message.MailboxID
	epoch uint64
	// orderly says that the process before gave it free.
	orderly bool
	ctx     context.Context // ends when the mailbox is lost
	lose    context.CancelFunc

	// guarded by leases.mu
	generation uint64
	end        message.Position // end of the route changes when this generation began
	joined     bool             // end is known of the first one
}

// tenure is what the leases tell of the mailboxes that come and go. All run in a goroutine
// of their own, and none is nil.
type tenure struct {
	// adopt takes over a mailbox whose process is gone. It returns when the mailbox is
	// served; after an error the lease is given to somebody else.
	adopt func(ctx context.Context, box message.MailboxID, epoch uint64) error
	// gone is told that an adopted mailbox is another's.
	gone func(box message.MailboxID)
	// lost is told that the own mailbox is another's. Nothing is confirmed until there is
	// a new one.
	lost func(box message.MailboxID)
}

// leases keeps the leases of a process's mailboxes, and takes those that have run out.
//
// A lease says who tries; the epochs say who can. Nothing here trusts a clock for more
// than that: whoever acts on a lease that has run out writes so into its row, and the
// row's own process finds that before it confirms anything.
type leases struct {
	*link
	tenure tenure
	owner  string // this process
	term   time.Duration
	beat   time.Duration // between two renewals
	kicked chan struct{} // one token; a kick in vain is harmless

	mu       sync.Mutex
	own      *lease // nil before open and after a loss
	adopted  map[message.MailboxID]*lease
	taking   map[message.MailboxID]bool
	contact  time.Time // last renewal that was answered
	careful  time.Time // until then no foreign lease is taken or ended
	changed  chan struct{}
	asking   []asking
	checking bool
	taker    bool // leases of others are taken
	left     bool // all were given free, and stay so

	offset atomic.Int64 // Redis' clock less the own, nanoseconds
}

type asking struct {
	matched message.Position
	done    store.Committed
}

func newLeases(l *link, term time.Duration, t tenure) *leases {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return &leases{
		link: l, tenure: t, term: term, beat: term / renewals, owner: base64.RawURLEncoding.EncodeToString(id[:]),
		kicked: make(chan struct{}, 1), changed: make(chan struct{}),
		adopted: make(map[message.MailboxID]*lease), taking: make(map[message.MailboxID]bool),
	}
}

// Errors of mailboxes.
var (
	errBoxLost  = fmt.Errorf("bridge: the mailbox is another process's: %w", store.ErrFenced)
	errBoxGone  = errors.New("bridge: the mailbox does not exist")
	errTooStale = errors.New("bridge: routed by a table that others no longer waited for")
)

// open makes a mailbox of this process's own. A crash in between leaves a lease without an
// inbox, which whoever takes it removes.
func (l *leases) open(ctx context.Context, box message.MailboxID) error {
	own := &lease{box: box, epoch: 1, generation: 1}
	own.ctx, own.lose = context.WithCancel(l.ctx)
	v, err := l.step(ctx, stepLeaseOpen, []string{l.keys.leases()}, string(box), l.owner, l.term.Milliseconds())
	if err == nil && v == int64(0) {
		err = errBoxLost
	}
	if err == nil {
		_, err = l.step(ctx, stepBoxOpen, []string{l.keys.box(box, boxInbox), l.keys.box(box, boxMeta)})
	}
	if err != nil {
		own.lose()
		return fmt.Errorf("open a mailbox: %w", err)
	}
	l.mu.Lock()
	l.own = own
	now := time.Now()
	l.contact, l.careful = now, now.Add(l.care())
	l.mu.Unlock()
	l.tell()
	return nil
}

// since says where the route changes ended when the own lease was new: whatever is routed
// by an older table is not confirmed. Only the first call for a mailbox counts.
func (l *leases) since(end message.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own != nil && !l.own.joined {
		l.own.end, l.own.joined = max(l.own.end, end), true
	}
}

// care is how long after an outage the leases of others are left alone: they too have to
// find out that Redis is back.
func (l *leases) care() time.Duration { return min(l.term, pauseMax+pauseMax/4) }

// mayEnd reports whether leases that have run out may be acted upon.
func (l *leases) mayEnd() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return now.After(l.careful) && now.Sub(l.contact) < l.term/2
}

// mine is the own mailbox; empty while there is none.
func (l *leases) mine() message.MailboxID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return ""
	}
	return l.own.box
}

// epoch is the epoch of a mailbox that this process has, with a context that ends when it
// has it no longer.
func (l *leases) epoch(box message.MailboxID) (context.Context, uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.heldLocked(box); h != nil {
		return h.ctx, h.epoch, true
	}
	return nil, 0, false
}

func (l *leases) heldLocked(box message.MailboxID) *lease {
	if l.own != nil && l.own.box == box {
		return l.own
	}
	return l.adopted[box]
}

// count is how many mailboxes this process has.
func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.adopted)
	if l.own != nil {
		n++
	}
	return n
}

// clock is Redis' time.
func (l *leases) clock() time.Time { return time.Now().Add(time.Duration(l.offset.Load())) }

// age is how long ago the leases were renewed.
func (l *leases) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.contact.IsZero() {
		return 0
	}
	return time.Since(l.contact)
}

// kick has the leases looked at now: something said that one may be gone.
func (l *leases) kick() {
	select {
	case l.kicked <- struct{}{}:
	default: // one is waiting
	}
}

// tell wakes who waits for a change of a lease.
func (l *leases) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// remove takes a mailbox from what all share, after its own keys were deleted.
func (l *leases) remove(ctx context.Context, box message.MailboxID) error {
	_, epoch, ok := l.epoch(box)
	if !ok {
		return errBoxLost
	}
	v, err := l.step(ctx, stepLeaseRemove, []string{l.keys.leases(), l.keys.reports(), l.keys.set(box)}, string(box), l.owner, epoch)
	if err != nil {
		return fmt.Errorf("remove a mailbox: %w", err)
	}
	l.forget(box)
	if v == int64(0) {
		return errBoxLost
	}
	return nil
}

// forget ends a lease in memory.
func (l *leases) forget(box message.MailboxID) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heldLocked(box)
	if h == nil {
		return nil
	}
	h.lose()
	if h == l.own {
		l.own = nil
	} else {
		delete(l.adopted, box)
	}
	return h
}

// take says whether mailboxes of others are taken over from now on.
func (l *leases) take(yes bool) {
	l.mu.Lock()
	l.taker = yes
	l.mu.Unlock()
	if yes {
		l.kick()
	}
}

// release gives all leases to whoever wants them. They are not renewed any more.
func (l *leases) release(ctx context.Context) error {
	l.take(false)
	args := []any{l.publish(), l.owner}
	l.mu.Lock()
	l.left = true
	for _, h := range l.heldsLocked() {
		args = append(args, string(h.box), h.epoch)
	}
	l.mu.Unlock()
	if len(args) == 2 {
		return nil
	}
	_, err := l.step(ctx, stepLeaseRelease, []string{l.keys.leases(), l.keys.signals()}, args...)
	return err
}

func (l *leases) heldsLocked() []*lease {
	all := make([]*lease, 0, len(l.adopted)+1)
	if l.own != nil {
		all = append(all, l.own)
	}
	for _, h := range l.adopted {
		all = append(all, h)
	}
	return all
}

// wasReleased reports whether the process before gave a mailbox free, in order.
func (l *leases) wasReleased(box message.MailboxID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heldLocked(box)
	return h != nil && h.orderly
}
