package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// mail carries messages between mailboxes: those of QoS 1 and 2 through the inboxes, which
// are streams, those of QoS 0 through channels.
type mail struct {
	*link
	leases *leases
	term   time.Duration
	// applied says up to where the router has the route changes.
	applied *mark
	figures mailFigures

	// What does not go to the router. Both are set before anything is consumed, are called
	// in order from one goroutine a mailbox, and must not keep payload.
	control func(box message.MailboxID, at message.Position, payload []byte, done store.Committed)
	answer  func(box message.MailboxID, payload []byte)

	numbers atomic.Uint64 // of the batches of this process: none is given twice
	bytes   atomic.Int64  // that wait in outboxes
	parcels sync.Pool

	mu     sync.RWMutex
	boxes  map[message.MailboxID]*outbox
	sender string // as the inboxes know this process
	own    message.MailboxID
	ctx    context.Context
	cancel context.CancelFunc

	room sync.Mutex
	free chan struct{} // closed when there is room again

	reading sync.Mutex
	inboxes map[message.MailboxID]*consumer

	ends round
}

func newMail(l *link, le *leases, term time.Duration) *mail {
	m := &mail{
		link: l, leases: le, term: term, free: make(chan struct{}),
		control: func(_ message.MailboxID, _ message.Position, _ []byte, done store.Committed) { done.Committed(nil) },
		answer:  func(message.MailboxID, []byte) {},
		boxes:   make(map[message.MailboxID]*outbox), inboxes: make(map[message.MailboxID]*consumer),
	}
	m.ctx, m.cancel = context.WithCancel(l.ctx)
	m.parcels.New = func() any { return new(parcel) }
	m.ends.read = m.end
	return m
}

// from says as whose mail everything goes from now on. What is under way as another's is
// given up: it may arrive or not.
func (m *mail) from(own message.MailboxID) {
	m.mu.Lock()
	old := m.boxes
	cancel := m.cancel
	m.boxes = make(map[message.MailboxID]*outbox)
	m.own = own
	m.sender = m.leases.owner + "." + string(own)
	m.ctx, m.cancel = context.WithCancel(m.link.ctx)
	m.mu.Unlock()
	cancel()
	for _, o := range old {
		o.close(errBoxLost)
	}
}

// outbox is that for a mailbox.
func (m *mail) outbox(to message.MailboxID) *outbox {
	m.mu.RLock()
	o := m.boxes[to]
	m.mu.RUnlock()
	if o != nil {
		return o
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o = m.boxes[to]; o == nil {
		o = newOutbox(m, to)
		m.boxes[to] = o
	}
	return o
}

// drop forgets an outbox whose mailbox does not exist.
func (m *mail) drop(o *outbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boxes[o.to] == o {
		delete(m.boxes, o.to)
	}
}

// Append hands a bundle over for another mailbox's inbox; it is encoded before the call
// returns. Bundles for one mailbox keep their order. done is told nil when the bundle is in
// the inbox, or an error when the publisher must not be told so. It never blocks: see wait.
func (m *mail) Append(to message.MailboxID, b *message.Bundle, done store.Committed) {
	m.outbox(to).append(b, nil, done)
}

// send is Append for what is no message, in the same order.
func (m *mail) send(to message.MailboxID, payload []byte, done store.Committed) {
	m.outbox(to).append(nil, payload, done)
}

// Loose is Append for QoS 0: it may be lost, and nobody is told.
func (m *mail) Loose(to message.MailboxID, b *message.Bundle) { m.outbox(to).loosen(b, 0, nil) }

// reply sends what is no message and may be lost, at once.
func (m *mail) reply(to message.MailboxID, payload []byte) {
	m.outbox(to).loosen(nil, recordControl, payload)
}

// behindBytes is how much may wait in the outboxes before publishers do.
const behindBytes = 64 << 20

// behind reports that publishers should wait.
func (m *mail) behind() bool { return m.bytes.Load() > behindBytes }

// wait returns when the outboxes can take more, or the channel that gone answers is closed.
func (m *mail) wait(gone func() <-chan struct{}) {
	for m.behind() {
		m.room.Lock()
		free := m.free
		m.room.Unlock()
		if !m.behind() {
			return
		}
		select {
		case <-free:
		case <-gone():
			return
		case <-m.link.ctx.Done():
			return
		}
	}
}

// count adds to what waits in the outboxes.
func (m *mail) count(n int) {
	now := m.bytes.Add(int64(n))
	if n < 0 && now <= behindBytes && now-int64(n) > behindBytes {
		m.room.Lock()
		defer m.room.Unlock()
		close(m.free)
		m.free = make(chan struct{})
	}
}

// flush returns when everything that was handed over before the call is in its inbox, or
// given up: what an inbox does not take within a lease's term while Redis answers others
// must not keep them waiting.
func (m *mail) flush(ctx context.Context) {
	type due struct {
		o    *outbox
		last message.Position
	}
	var all []due
	m.mu.RLock()
	for _, o := range m.boxes {
		if last := o.last(); last > 0 {
			all = append(all, due{o, last})
		}
	}
	m.mu.RUnlock()
	if len(all) == 0 {
		return
	}
	tick := time.NewTicker(m.term / renewals)
	defer tick.Stop()
	quiet := 0 // ticks in a row at which Redis could be used
	for _, d := range all {
		done := d.o.settled.reached(d.last)
		for waits := true; waits; {
			select {
			case <-done:
				waits = false
			case <-tick.C:
				if quiet++; m.out.down.Load() {
					quiet = 0
				}
				if quiet >= renewals {
					d.o.giveUp()
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// end reads where the own inbox ends.
func (m *mail) end(ctx context.Context) (message.Position, error) {
	own := m.leases.mine()
	if own == "" {
		return 0, errBoxLost
	}
	return m.boxEnd(ctx, own)
}

func (m *mail) boxEnd(ctx context.Context, box message.MailboxID) (at message.Position, err error) {
	err = m.retry(ctx, "read the end of an inbox", func(ctx context.Context) error {
		n, err := m.client.HGet(ctx, m.keys.box(box, boxMeta), "pos").Uint64()
		at = message.Position(n)
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if errors.Is(err, goredis.Nil) {
		return 0, errBoxGone
	}
	return at, err
}

// CaughtUp waits until the own inbox has been handed over to the end that it has now. One
// read of the end serves all who asked before.
func (m *mail) CaughtUp(ctx context.Context) error {
	at, err := m.ends.ask(ctx, m.link)
	if err != nil {
		return err
	}
	c := m.consumer(m.leases.mine())
	if c == nil {
		return errBoxLost
	}
	return c.await(ctx, &c.handed, at)
}

// consumed waits until everything in a mailbox up to at has been done.
func (m *mail) consumed(ctx context.Context, box message.MailboxID, at message.Position) error {
	c := m.consumer(box)
	if c == nil {
		return errBoxLost
	}
	return c.await(ctx, &c.finished, at)
}

// empty waits until a mailbox has been consumed to the end that it has now.
func (m *mail) empty(ctx context.Context, box message.MailboxID) error {
	at, err := m.boxEnd(ctx, box)
	if err != nil {
		return err
	}
	return m.consumed(ctx, box, at)
}

func (m *mail) consumer(box message.MailboxID) *consumer {
	m.reading.Lock()
	defer m.reading.Unlock()
	return m.inboxes[box]
}

// round is one question that serves all who asked before it was put.
type round struct {
	read func(context.Context) (message.Position, error)

	mu      sync.Mutex
	asked   []chan<- endOf
	running bool
}

type endOf struct {
	at  message.Position
	err error
}

func (r *round) ask(ctx context.Context, l *link) (message.Position, error) {
	ch := make(chan endOf, 1) // takes the only answer, also when nobody waits any more
	r.mu.Lock()
	r.asked = append(r.asked, ch)
	start := !r.running
	r.running = true
	r.mu.Unlock()
	if start && !l.spawn(r.run) {
		r.take(endOf{err: store.ErrClosed})
	}
	select {
	case got := <-ch:
		return got.at, got.err
	case <-ctx.Done():
		return 0, fmt.Errorf("ask redis: %w", context.Cause(ctx))
	}
}

func (r *round) run(ctx context.Context) {
	for {
		r.mu.Lock()
		asked := r.asked
		r.asked = nil
		r.running = len(asked) > 0
		r.mu.Unlock()
		if len(asked) == 0 {
			return
		}
		at, err := r.read(ctx)
		for _, ch := range asked {
			ch <- endOf{at, err}
		}
	}
}

func (r *round) take(got endOf) {
	r.mu.Lock()
	asked := r.asked
	r.asked, r.running = nil, false
	r.mu.Unlock()
	for _, ch := range asked {
		ch <- got
	}
}
