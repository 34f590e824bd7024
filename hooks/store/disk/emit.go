package disk

import (
	"cmp"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/hooks/store"
)

// fewDeletions get tombstones, which give the space back by themselves; more are
// left to head and a range deletion.
const fewDeletions = 16

// When the keys below head are taken away.
const (
	trimEntries = 4096
	trimBytes   = 4 << 20
)

// stuckDeletions is how many tombstones above head make the lane look for where
// its entries really begin.
const stuckDeletions = 256

// emit adds what the touched sessions collected to the batch, one space after the
// other and in the order of the keys: the memtable takes neighbours much faster.
func (c *committer) emit() {
	slices.SortFunc(c.touched, func(a, b *session) int { return cmp.Compare(a.n, b.n) })
	for _, s := range c.touched {
		if s.has {
			c.emitDeletions(s)
			c.emitEntries(s)
		}
	}
	for _, s := range c.touched {
		if s.has {
			c.emitStates(s)
			c.trimFull(s)
		}
	}
	for _, s := range c.touched {
		t := s.t
		switch {
		case !s.has:
		case t.hard || t.queue.Messages != s.queue.Messages || t.queue.Bytes != s.queue.Bytes || t.queue.Asking != s.queue.Asking:
			c.putFigures(s)
		case t.queue != s.queue:
			s.dirty = true // only the highest Seq, of an entry that is gone
		}
	}
	c.writeBodies()
}

func (c *committer) putFigures(s *session) {
	c.key = appendPart(c.key[:0], s.n, partFigure)
	c.val = appendFigures(c.val[:0], &s.figures)
	c.set(c.key, c.val)
	s.dirty = false
}

// emitDeletions takes entries away that are on disk.
func (c *committer) emitDeletions(s *session) {
	t, l := s.t, &s.lane
	if len(t.dels) == 0 {
		return
	}
	t.hard = true
	slices.Sort(t.dels)
	t.dels = slices.Compact(t.dels)
	if l.shared > 0 {
		c.giveBack(s)
	}
	for i := 0; i < len(t.dels); {
		k := i + 1
		for k < len(t.dels) && t.dels[k] == t.dels[k-1]+1 {
			k++
		}
		l.kill(t.dels[i], t.dels[k-1]+1)
		i = k
	}
	few := len(t.dels) < fewDeletions
	for _, seq := range t.dels {
		switch {
		case few || seq >= l.head:
			c.bury(s, seq)
			if seq >= l.head {
				l.stuck++
			}
		default:
			l.garbage++
		}
	}
	l.garbageBytes += max(0, t.queue.Bytes-s.queue.Bytes)
	if l.stuck > stuckDeletions {
		c.unstick(s)
	}
}

// bury writes the tombstones of one entry.
func (c *committer) bury(s *session, seq uint64) {
	c.key = appendSeq(c.key[:0], spaceQueue, s.n, seq)
	c.delete(c.key)
	c.key[0] = spaceInflight
	c.delete(c.key)
}

// lower moves head back to seq, which is about to be written anew. What is left
// of entries below the old head must not come back with it.
func (c *committer) lower(s *session, seq uint64) {
	l := &s.lane
	c.trim(s)
	l.insert(span{seq + 1, l.head})
	l.head, l.trimmed = seq, min(l.trimmed, seq)
}

// trim takes away the keys below head.
func (c *committer) trim(s *session) {
	l := &s.lane
	for _, space := range [...]byte{spaceQueue, spaceInflight} {
		c.key = appendSeq(c.key[:0], space, s.n, l.trimmed)
		c.val = appendSeq(c.val[:0], space, s.n, l.head)
		c.deleteRange(c.key, c.val)
	}
	l.trimmed, l.garbage, l.garbageBytes = l.head, 0, 0
}

func (c *committer) trimFull(s *session) {
	l := &s.lane
	switch {
	case l.garbage == 0:
	case l.garbage >= trimEntries || l.garbageBytes >= trimBytes:
		c.trim(s)
	case !l.dusty:
		l.dusty = true
		c.dusty = append(c.dusty, dust{s, s.n, c.now})
	}
}

// giveBack counts the bodies that the deleted entries refer to. An entry that is
// not there refers to none.
func (c *committer) giveBack(s *session) {
	c.scan(spaceQueue, s.n, func(it *pebble.Iterator) {
		for _, seq := range s.t.dels {
			c.key = appendSeq(c.key[:0], spaceQueue, s.n, seq)
			if !it.SeekGE(c.key) {
				return
			}
			if keySeq(it.Key()) == seq {
				c.giveBody(it, &s.lane.shared)
			}
		}
	})
}

// giveBody gives back the body of the entry at it.
func (c *committer) giveBody(it *pebble.Iterator, left *uint64) {
	v, err := it.ValueAndErr()
	if err != nil {
		return // it.Error has it
	}
	body, err := sharedBody(v)
	switch {
	case err != nil:
		c.opts.Log.Error("stored entry is damaged; a message that it may refer to stays", "key", it.Key(), "error", err)
	case body != 0:
		c.bodies.change[body]--
		*left--
	}
}

// scan reads the keys of one space and session, as they were before the group. A
// damaged file costs what is not read, which is space; to stop everything for it
// would cost more.
func (c *committer) scan(space byte, n number, visit func(it *pebble.Iterator)) {
	it, err := c.eng.db.NewIter(&pebble.IterOptions{LowerBound: appendNumber(nil, space, n), UpperBound: appendNumber(nil, space, n+1)})
	if err == nil {
		visit(it)
		err = it.Close()
	}
	if err != nil {
		c.opts.Log.Error("store cannot be read", "error", err)
	}
}

// unstick looks for the first entry that is alive, by what is on disk and what the
// group deletes of it.
func (c *committer) unstick(s *session) {
	c.scan(spaceQueue, s.n, func(it *pebble.Iterator) {
		c.key = appendSeq(c.key[:0], spaceQueue, s.n, s.lane.head)
		first := s.lane.next
		if it.SeekGE(c.key) {
			first = min(first, keySeq(it.Key()))
		}
		if it.Error() == nil {
			s.lane.skip(first)
		}
	})
}

// emitEntries writes the entries that came and stayed.
func (c *committer) emitEntries(s *session) {
	t, l := s.t, &s.lane
	for i := range t.ents {
		e := &t.ents[i]
		if e.dead {
			continue
		}
		t.hard = true
		switch {
		case e.again && e.seq < l.head: // ents are in order, so it is the lowest
			c.lower(s, e.seq)
		case e.again:
			l.revive(e.seq)
		default:
			l.kill(l.next, e.seq) // numbers that were never written
			l.next = e.seq + 1
		}
		c.emitEntry(s, e)
	}
}

func (c *committer) emitEntry(s *session, e *ent) {
	entry := &e.op.Entry
	number := c.bodies.share(e.body, &c.next.bodies)
	v := appendEntry(c.val[:0], entry, number != 0)
	if number != 0 {
		s.lane.shared++
		v = appendShared(v, number, entry.Msg.Size())
	} else {
		v = appendMessage(v, entry.Msg)
	}
	c.val = v
	c.key = appendSeq(c.key[:0], spaceQueue, s.n, e.seq)
	c.set(c.key, v)
	if e.again && e.state == (store.State{}) {
		c.key[0] = spaceInflight
		c.delete(c.key)
	}
}

func (c *committer) putState(s *session, seq uint64, state store.State) {
	c.key = appendSeq(c.key[:0], spaceInflight, s.n, seq)
	if state == (store.State{}) {
		c.delete(c.key)
		return
	}
	c.val = appendState(c.val[:0], state)
	c.set(c.key, c.val)
}

// emitStates writes the states of the entries that came, and of those on disk.
func (c *committer) emitStates(s *session) {
	for i := range s.t.ents {
		if e := &s.t.ents[i]; !e.dead && e.state != (store.State{}) {
			c.putState(s, e.seq, e.state)
		}
	}
	for i := range s.t.states {
		e := &s.t.states[i]
		if e.dead || e.seq < s.lane.head {
			continue
		}
		s.t.hard = true
		c.putState(s, e.seq, e.state)
	}
}
