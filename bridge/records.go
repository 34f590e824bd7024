package bridge

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// place is where a session lives: the mailbox, the mailbox's epoch, and the number of
// the last batch in its record.
type place struct {
	box   message.MailboxID
	epoch uint64
	n     uint64
}

// tag is how a session's record names its owner.
func (p place) tag() string { return string(p.box) + " " + strconv.FormatUint(p.epoch, 10) }

// sureness is what is known of whether something is there.
type sureness uint8

const (
	unsure sureness = iota
	absent
	present
)

// resident is a session, or a client id in use, of which this process is the owner. It
// belongs to the lock of records. What is said of the record is what it will be when
// everything that was encoded is written.
type resident struct {
	place
	tag     string
	fence   message.Epoch // batches with a lower one are those of a session that ended
	session sureness      // there is one
	fresh   bool          // nothing is known of the record; a first batch may make it
	member  bool          // it is in its mailbox's set
	keep    bool          // the client id stays in use when the session ends
	states  bool          // there may be some
	// bounded says that no entry with a Seq of unused or higher was ever written.
	bounded bool
	unused  uint64
	moved   time.Time // when the end of what is known was moved last
	pending int       // batches without an answer
}

// records is the store: what belongs to sessions and mailboxes, in Redis.
type records struct {
	*link
	own     message.MailboxID
	window  time.Duration // for which the id of a QoS 2 message is known
	clock   func() time.Time
	stats   *recordStats
	in      intake
	lease   time.Duration
	entries entries

	mu    sync.Mutex
	homes map[message.ClientID]*resident
	boxes map[message.MailboxID]uint64                      // epochs of the mailboxes that are this process's
	gone  map[message.MailboxID]map[message.ClientID]uint64 // by when they went, see entries
	n     uint64                                            // the last batch number
	// shardCount is over how many slots retained messages are spread.
	shardCount int

	steps   chan *group
	stopped chan struct{}
	once    sync.Once

	last sharedEntry // of collect
}

// newRecords starts the committer; close ends it.
func newRecords(l *link, own message.MailboxID, o *Options) *records {
	r := &records{
		link: l, own: own, window: o.DedupeWindow, clock: o.Now, stats: new(recordStats),
		homes: map[message.ClientID]*resident{}, boxes: map[message.MailboxID]uint64{},
		gone:  map[message.MailboxID]map[message.ClientID]uint64{},
		steps: make(chan *group), stopped: make(chan struct{}),
		lease: o.Lease, shardCount: retainedShards,
	}
	r.in.init()
	go r.collect()
	go r.send()
	return r
}

// hold says that a mailbox is this process's, with an epoch.
func (r *records) hold(box message.MailboxID, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boxes[box] = epoch
}

// lose says that a mailbox is another's: what is handed in for it, or for a session that
// lives there, is refused as fenced.
func (r *records) lose(box message.MailboxID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.boxes, box)
	delete(r.gone, box)
	for id, h := range r.homes {
		if h.box == box {
			delete(r.homes, id)
		}
	}
}

// place makes the session with id resident: its batches are committed as those of the
// owner p. The caller has it in the mailbox's set.
func (r *records) place(id message.ClientID, p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.homes[id]
	if h == nil {
		h = new(resident)
		r.homes[id] = h
	}
	pending := h.pending
	*h = resident{place: p, tag: p.tag(), member: true, states: true, pending: pending}
	r.n = max(r.n, p.n)
}

// arrive is place of a session that has just been read.
func (r *records) arrive(id message.ClientID, p place, l *loaded) {
	r.place(id, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.homes[id]; h != nil {
		h.learn(l)
	}
}

// placed is where a resident session lives.
func (r *records) placed(id message.ClientID) (place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.homes[id]
	if h == nil || h.fresh {
		return place{}, false
	}
	return h.place, true
}

// lives reports whether a client id is entered in a mailbox and stays so: it is resident
// there. What its last session leaves behind is waited for.
func (r *records) lives(ctx context.Context, id message.ClientID, box message.MailboxID) (bool, error) {
	r.mu.Lock()
	h := r.homes[id]
	ending := h != nil && h.fresh
	lives := h != nil && !h.fresh && h.box == box
	r.mu.Unlock()
	if ending {
		if err := r.idle(ctx, id); err != nil && (ctx.Err() != nil || errors.Is(err, store.ErrClosed)) {
			return false, err
		}
	}
	return lives, nil
}

// above has the numbers of batches go on behind one that a mailbox's records have.
func (r *records) above(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = max(r.n, n)
}

// inUse says whether the client id stays in use when its session ends: then its owner is
// left in the record.
func (r *records) inUse(id message.ClientID, keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.homes[id]; h != nil {
		h.keep = keep
	}
}

// drop ends the residence of a session. Batches that are on their way may still be
// committed; later ones are refused as fenced.
func (r *records) drop(id message.ClientID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.homes, id)
}

// answer is a callback that a channel waits for.
type answer chan error

// Committed implements store.Committed.
func (a answer) Committed(err error) { a <- err }

func (a answer) wait(ctx context.Context) error {
	select {
	case err := <-a:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush returns when all batches that were handed in before the call are answered.
func (r *records) flush(ctx context.Context) error {
	a := make(answer, 1)
	r.hand(work{done: a, flush: true})
	return a.wait(ctx)
}

// idle is flush for one session.
func (r *records) idle(ctx context.Context, id message.ClientID) error {
	a := make(answer, 1)
	r.hand(work{b: &store.Batch{Client: id}, done: a, idle: true})
	return a.wait(ctx)
}

// end waits for the batches that were handed in; while Redis is away, for closeWait.
func (r *records) end() {
	r.once.Do(r.in.close)
	<-r.stopped
}

// closeWait is how long the end of the bridge waits for a Redis that is away.
const closeWait = 3 * time.Second
