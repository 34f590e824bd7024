package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// committer writes. Everything here belongs to its goroutine.
type committer struct {
	*Store
	guard    guard
	sessions map[message.ClientID]*session
	given    given // limits on disk
	next     given // numbers to give out

	now   time.Time
	round uint64 // counts groups
	spare []work

	ready       []work
	joinedReady bool // some of ready belong together
	lingering   []waiting
	joined      map[uint64][]*session // who holds batches of a period
	hot         []uint64              // periods that must be written
	spareHeld   []*held
	elided      int

	batch   *pebble.Batch
	touched []*session
	touches []*touch // spare ones
	bodies  bodies
	dooms   []doomed // sessions of the group under way that ended
	doomed  []doomed // those before, being taken away
	dusty   []dust   // lanes with garbage

	key, val []byte // scratch
	unsynced bool
	syncAt   time.Time
	tick     time.Time
	// compactAt is when the engine may begin to compact; zero when it does.
	compactAt time.Time
	broke     error // why the group under way could not be written
	retry     time.Duration
	retryAt   time.Time
}

// run is the committer's goroutine. It ends when the store is closed and all that
// was handed in is answered.
func (c *committer) run() {
	defer close(c.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		works, closing := c.in.take(c.spare)
		c.now = c.opts.Now()
		c.tend()
		c.sort(works)
		clear(works)
		c.spare = works[:0]
		c.releaseOld(closing)
		wrote := c.commitReady()
		if closing && len(works) == 0 && len(c.ready) == 0 {
			c.finish()
			return
		}
		if cleaned := c.clean(); wrote || cleaned || closing {
			continue
		}
		timer.Reset(c.pause())
		select {
		case <-c.in.wake:
		case <-timer.C:
		case <-c.brokenNow():
		}
	}
}

// pause is how long there is nothing to do unless something comes in.
func (c *committer) pause() time.Duration {
	d := c.tick.Sub(c.now)
	if len(c.lingering) > 0 {
		d = min(d, c.lingering[0].at.Sub(c.now))
	}
	if c.unsynced {
		d = min(d, c.syncAt.Sub(c.now))
	}
	if c.eng == nil {
		d = min(d, c.retryAt.Sub(c.now))
	}
	return max(d, 0)
}

func (c *committer) brokenNow() <-chan struct{} {
	if c.eng == nil {
		return nil
	}
	return c.eng.broken
}

// tend does what is due by time.
func (c *committer) tend() {
	if c.eng == nil {
		if !c.now.Before(c.retryAt) {
			c.reopen()
		}
	} else {
		select {
		case <-c.eng.broken:
			c.breakDown(c.eng.err)
		default:
		}
	}
	if !c.now.Before(c.tick) {
		c.tick = c.now.Add(time.Second)
		c.guard.look(c.now)
		if c.eng != nil && !c.compactAt.IsZero() && !c.now.Before(c.compactAt) {
			c.eng.scheduler.start()
			c.compactAt = time.Time{}
		}
	}
	if c.unsynced && c.eng != nil && !c.now.Before(c.syncAt) {
		c.unsynced = false
		if err := c.eng.apply(nil, pebble.Sync); err != nil {
			c.breakDown(err)
		}
	}
}

// The size at which a group is full, if what came in is larger.
const (
	maxGroupWorks = 8192
	maxGroupBytes = 16 << 20
)

// commitReady writes the ready works, in groups, and answers them.
func (c *committer) commitReady() bool {
	if len(c.ready) == 0 {
		return false
	}
	all := c.ready
	for len(all) > 0 {
		n := len(all)
		if !c.joinedReady {
			n = groupLen(all)
		}
		c.commit(all[:n])
		all = all[n:]
	}
	clear(c.ready)
	c.ready, c.joinedReady = c.ready[:0], false
	if err := c.broke; err != nil { // now that those before what lingers are answered
		c.broke = nil
		c.breakDown(err)
	}
	return true
}

// groupLen is how many works make a group.
func groupLen(works []work) int {
	bytes := 0
	var last *message.Message
	for i := range works {
		if i >= maxGroupWorks || bytes > maxGroupBytes {
			return i
		}
		ops := works[i].b.Ops
		for k := range ops {
			if m := ops[k].Entry.Msg; m != nil && m != last {
				bytes += m.Size()
				last = m
			}
		}
	}
	return len(works)
}

// commit writes one group.
func (c *committer) commit(works []work) {
	start := c.opts.Now()
	var err error
	var synced time.Duration
	size := 0
	if c.broke != nil || c.eng == nil {
		err = ErrBroken
	} else {
		c.encode(works)
		if c.emit(); !c.batch.Empty() {
			size = c.batch.Len()
			opts, begun := c.durably(), c.opts.Now()
			err = c.write(opts)
			if opts.Sync {
				synced = max(c.opts.Now().Sub(begun), 1)
			}
		}
	}
	c.round++
	if err == nil {
		c.forgetEnded()
	}
	for i := range works {
		w := &works[i]
		if w.err == nil {
			w.err = err
		}
		c.in.answer(w)
	}
	if err != nil {
		if c.broke == nil {
			c.broke = err
		}
		return
	}
	c.opts.Observe(Commit{Batches: len(works), Bytes: size, Elided: c.elided, Took: c.opts.Now().Sub(start), Synced: synced})
	c.elided = 0
}

func (c *committer) durably() *pebble.WriteOptions {
	if c.opts.Sync == SyncAlways {
		return pebble.Sync
	}
	if !c.unsynced {
		c.unsynced, c.syncAt = true, c.now.Add(c.opts.SyncInterval)
	}
	return pebble.NoSync
}

// write writes the batch. Nobody reads what is written and not durable yet.
func (c *committer) write(opts *pebble.WriteOptions) error {
	c.reserve()
	c.guard.wrote(c.batch.Len())
	c.view.Lock()
	defer c.view.Unlock()
	if err := c.eng.apply(c.batch, opts); err != nil {
		c.batch = nil // the engine has it
		return err
	}
	if c.batch.Len() > maxGroupBytes {
		_ = c.batch.Close() // so that one large group is not kept for good
		c.batch = c.eng.db.NewBatch()
	} else {
		c.batch.Reset()
	}
	return nil
}

// forgetEnded drops the sessions that ended in the group that was written.
func (c *committer) forgetEnded() {
	for _, s := range c.touched {
		c.untouch(s)
		if !s.has && !s.exists && s.held == nil {
			delete(c.sessions, s.id)
		}
	}
	clear(c.touched)
	c.touched = c.touched[:0]
	c.doomed = append(c.doomed, c.dooms...)
	c.dooms = c.dooms[:0]
}

// finish writes what was put off and closes the engine.
func (c *committer) finish() {
	if c.eng == nil {
		return
	}
	for _, s := range c.sessions {
		if s.dirty && s.has {
			c.putFigures(s)
		}
	}
	var err error
	if !c.batch.Empty() {
		err = c.write(pebble.Sync)
	} else if c.unsynced {
		err = c.eng.apply(nil, pebble.Sync)
	}
	if err == nil {
		_ = c.batch.Close() // it goes back to a pool
	}
	c.view.Lock()
	eng := c.eng
	c.eng = nil
	c.view.Unlock()
	if err != nil {
		c.failure = err
		eng.abandon()
		return
	}
	c.failure = eng.close()
}

var _ store.Store = (*Store)(nil)
