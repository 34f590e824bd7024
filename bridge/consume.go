package bridge

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
)

// consumer reads the inbox of a mailbox, in order, hands over what is in it, and trims
// what has been done.
//
// One goroutine reads and one trims; both end with the mailbox or the bridge.
type consumer struct {
	m     *mail
	in    Receiver
	box   message.MailboxID
	epoch uint64
	ctx   context.Context // ends when the mailbox is lost

	origin   origin
	doubt    bool // the last read failed
	another  bool // what was read is to be compared
	known    known
	taken    map[string]uint64 // what each sender of QoS 0 was told; of the ear
	read     string            // id of the last entry that was read; of the reader
	handed   mark              // all before has been handed over
	finished mark              // all before has been done
	slots    chan struct{}     // one for each entry under way; full, nothing is read
	done     chan struct{}     // one token: something can be trimmed
	many     chan struct{}     // one token: much can

	mu    sync.Mutex
	under []*entry // handed over and not trimmed, by position
	since int      // entries that were done since the last trim
}

// entry is a batch from an inbox that is under way.
type entry struct {
	c      *consumer
	at     message.Position
	left   atomic.Int64 // bundles that are not done, and one while they are handed over
	failed atomic.Bool
	over   bool // all are; guarded by consumer.mu
}

// Bounds of reading and trimming.
const (
	maxUnder  = 256 // entries under way; each has up to batchBytes or one bundle
	readCount = 64  // entries read at a time
	trimCount = 64  // entries done before a trim does not wait
	trimPause = 50 * time.Millisecond
)

// consume begins to deliver what comes for a mailbox that this process has. The mailbox's
// sessions are there already.
func (m *mail) consume(box message.MailboxID, in Receiver) error {
	ctx, epoch, ok := m.leases.epoch(box)
	if !ok {
		return errBoxLost
	}
	c := &consumer{
		m: m, in: in, box: box, epoch: epoch, ctx: ctx,
		origin: origin{link: m.link, key: m.keys.box(box, boxInbox)}, known: known{seed: maphash.MakeSeed()},
		taken: make(map[string]uint64), slots: make(chan struct{}, maxUnder), done: make(chan struct{}, 1), many: make(chan struct{}, 1),
	}
	if err := c.begin(); err != nil {
		return err
	}
	m.reading.Lock()
	m.inboxes[box] = c
	m.reading.Unlock()
	listener := m.newEar(m.keys.box(box, boxSignal), m.term/renewals, m.figures.Deaf.Inc, c.hear)
	m.spawn(func(context.Context) { listener.run(ctx) })
	m.spawn(func(context.Context) { c.trimAll() })
	m.spawn(func(context.Context) {
		c.run()
		m.reading.Lock()
		defer m.reading.Unlock()
		if m.inboxes[box] == c {
			delete(m.inboxes, box)
		}
	})
	return nil
}

// begin finds where the entries begin: what was before has been done.
func (c *consumer) begin() error {
	end, err := c.m.boxEnd(c.ctx, c.box)
	if err != nil {
		return err
	}
	var first []goredis.XMessage
	err = c.m.retry(c.ctx, "read the first entry of an inbox", func(ctx context.Context) (err error) {
		first, err = c.m.client.XRangeN(ctx, c.inbox(), "-", "+", 1).Result()
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if err != nil {
		return err
	}
	if len(first) > 0 {
		if at, err := position(first[0].ID); err == nil && at > 0 {
			end = at - 1
		} else {
			end = 0
		}
	}
	c.read = entryID(end)
	c.handed.reach(end)
	c.finished.reach(end)
	return nil
}

func (c *consumer) inbox() string { return c.m.keys.box(c.box, boxInbox) }

// await waits for a mark of this inbox, or for its end.
func (c *consumer) await(ctx context.Context, m *mark, at message.Position) error {
	select {
	case <-m.reached(at):
		return nil
	case <-c.ctx.Done():
		return errBoxLost
	case <-ctx.Done():
		return fmt.Errorf("wait for an inbox to be consumed: %w", context.Cause(ctx))
	}
}

// run reads until the mailbox is lost.
func (c *consumer) run() {
	for n := 0; c.ctx.Err() == nil; {
		err := c.once()
		c.doubt = err != nil
		if err == nil {
			n = 0
			continue
		}
		if c.ctx.Err() != nil {
			return
		}
		if isOutage(err) {
			c.m.out.failed("read an inbox", err)
		} else {
			c.m.complain("an inbox cannot be read", fmt.Errorf("mailbox %s: %w", c.box, err))
		}
		if c.m.out.pause(c.ctx, n) != nil {
			return
		}
		n++
	}
}

func (c *consumer) once() error {
	another, err := c.origin.changed(c.ctx, c.doubt)
	if err != nil {
		return err
	}
	c.another = c.another || another
	if c.another {
		if err := c.compare(c.ctx); err != nil {
			return err
		}
		c.another = false
	}
	ctx, cancel := context.WithTimeout(c.ctx, blockFor+readTimeout)
	defer cancel()
	read, err := c.m.reader.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{c.inbox(), c.read}, Count: readCount, Block: blockFor,
	}).Result()
	if errors.Is(err, goredis.Nil) {
		c.m.out.answered()
		return nil
	}
	if err != nil {
		return fmt.Errorf("read an inbox: %w", err)
	}
	c.m.out.answered()
	if len(read) != 1 {
		return nil
	}
	if err := c.follows(read[0].Messages); err != nil {
		return err
	}
	for i := range read[0].Messages {
		if err := c.take(&read[0].Messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// follows makes sure of the mailbox when entries are missing before those that were read:
// whoever has it since may have trimmed them, and what is behind them would come too early
// to clients that are still connected here.
func (c *consumer) follows(read []goredis.XMessage) error {
	if len(read) == 0 {
		return nil
	}
	if at, err := position(read[0].ID); err != nil || at <= c.handed.now()+1 {
		return nil //nolint:nilerr // take sees it, too
	}
	epoch, err := c.m.client.HGet(c.ctx, c.m.keys.box(c.box, boxMeta), "epoch").Uint64()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return fmt.Errorf("read the epoch of a mailbox: %w", err)
	}
	if epoch != c.epoch {
		c.m.leases.kick()
		return errBoxLost
	}
	return nil
}

// take hands over one entry.
func (c *consumer) take(x *goredis.XMessage) error {
	at, err := position(x.ID)
	if err != nil {
		c.aside(x.ID, textOf(x), err)
		c.read = x.ID
		return nil
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return errBoxLost
	}
	e := &entry{c: c, at: at}
	e.left.Store(1)
	c.mu.Lock()
	c.under = append(c.under, e)
	c.mu.Unlock()
	c.m.figures.Unfinished.Inc()
	data := textOf(x)
	err = walk([]byte(data), func(kind byte, payload []byte) error { return c.record(e, kind, payload) })
	if c.ctx.Err() != nil {
		return errBoxLost // the entry stays
	}
	if err != nil && !c.aside(x.ID, data, err) {
		e.failed.Store(true)
	}
	c.read = x.ID
	c.known.add(at, data)
	c.handed.reach(at)
	e.Committed(nil)
	return nil
}

func textOf(x *goredis.XMessage) string {
	s, _ := x.Values["b"].(string)
	return s
}

// record hands over one record of an entry. What it answers is that the record cannot be
// read.
func (c *consumer) record(e *entry, kind byte, payload []byte) error {
	switch kind {
	case recordControl:
		e.left.Add(1)
		c.m.control(c.box, e.at, payload, e)
		return nil
	case recordBundle:
	default:
		return errParcel
	}
	b, err := oneBundle(payload)
	if err != nil {
		return err
	}
	// By whatever table it was matched, what is done with it is by one as new.
	if err := c.routed(b.Matched); err != nil {
		return err
	}
	e.left.Add(1)
	c.in.Deliver(c.box, e.at, b, e)
	c.m.figures.Received.Inc()
	return nil
}

// routed waits until the router has the route changes up to a position. One that there will
// not be soon is no position.
func (c *consumer) routed(at message.Position) error {
	for {
		ctx, cancel := context.WithTimeout(c.ctx, 2*c.m.term)
		err := c.m.applied.wait(ctx, at)
		cancel()
		if err == nil || c.ctx.Err() != nil {
			return err
		}
		var end uint64
		err = c.m.retry(c.ctx, "read the end of the routes", func(ctx context.Context) (err error) {
			end, err = c.m.client.HGet(ctx, c.m.keys.meta(), "pos").Uint64()
			return err //nolint:wrapcheck // retry says what was attempted
		})
		if c.ctx.Err() != nil {
			return err
		}
		if uint64(at) > end {
			return errParcel
		}
	}
}

// Committed is told that a bundle is done. An error says that its effects are not in the
// store: the entry stays, for whoever has the mailbox next.
func (e *entry) Committed(err error) {
	if err != nil {
		e.failed.Store(true)
		if e.c.ctx.Err() == nil {
			e.c.m.figures.Held.Inc()
			e.c.m.leases.kick()
			e.c.m.complain("what an inbox brought was refused and stays there", fmt.Errorf("mailbox %s: %w", e.c.box, err))
		}
	}
	if e.left.Add(-1) == 0 {
		e.c.finish(e)
	}
}

// finish notes that an entry is done, and moves the mark below which all are.
func (c *consumer) finish(e *entry) {
	<-c.slots
	c.m.figures.Unfinished.Dec()
	c.mu.Lock()
	e.over = !e.failed.Load()
	n := 0
	for n < len(c.under) && c.under[n].over {
		n++
	}
	var low message.Position
	if n > 0 {
		low = c.under[n-1].at
		clear(c.under[:n])
		c.under = c.under[n:]
		c.since += n
	}
	much := c.since >= trimCount
	c.mu.Unlock()
	if n == 0 {
		return
	}
	c.finished.reach(low)
	poke(c.done)
	if much {
		poke(c.many)
	}
}

// poke leaves a token where one may be already.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one is waiting
	}
}
