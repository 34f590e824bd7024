package disk

import (
	"cmp"
	"slices"

	"github.com/skeinmq/skein/hooks/store"
)

// touch is what the group under way does to the queue of one session: it is
// collected first, so that what comes and goes within the group is not written.
type touch struct {
	ents   []ent    // by Seq
	states []stored // of entries on disk, by Seq
	dels   []uint64 // entries on disk, in any order
	queue  store.Queue
	hard   bool // something of the session is written for certain
}

type ent struct {
	seq   uint64
	op    *store.Op
	state store.State
	body  int  // in committer.bodies
	dead  bool // deleted again
	again bool // an entry with this Seq may be on disk
}

type stored struct {
	seq   uint64
	state store.State
	dead  bool
}

func (c *committer) touch(s *session) *touch {
	if s.t != nil {
		return s.t
	}
	if n := len(c.touches); n > 0 {
		s.t, c.touches = c.touches[n-1], c.touches[:n-1]
	} else {
		s.t = new(touch)
	}
	s.t.queue = s.queue
	c.touched = append(c.touched, s)
	return s.t
}

func (c *committer) untouch(s *session) {
	t := s.t
	s.t = nil
	if cap(t.ents)+cap(t.dels) > 1<<16 {
		return
	}
	clear(t.ents)
	*t = touch{ents: t.ents[:0], states: t.states[:0], dels: t.dels[:0]}
	c.touches = append(c.touches, t)
}

// encode applies works to the batch and to the touched sessions.
func (c *committer) encode(works []work) {
	c.bodies.begin()
	for i := range works {
		w := &works[i]
		switch {
		case w.err != nil, w.void:
		case w.b.Client == "":
			for k := range w.b.Ops {
				c.nodeOp(&w.b.Ops[k])
			}
		case w.s != nil:
			c.apply(w.s, w.b)
		}
	}
}

// nodeOp writes a record of the node.
func (c *committer) nodeOp(op *store.Op) {
	var key []byte
	switch op.Kind {
	case store.KindRetained:
		key = appendRetained(c.key[:0], op.Filter)
	case store.KindDelayed:
		key = appendDelayed(c.key[:0], op.Seq)
	default:
		key = appendGroup(c.key[:0], op.Filter, op.Seq)
	}
	c.key = key
	if op.Delete {
		c.delete(key)
		return
	}
	if op.Kind == store.KindDelayed {
		c.val = appendDue(c.val[:0], op.At, op.Msg)
	} else {
		c.val = appendMessage(c.val[:0], op.Msg)
	}
	c.set(key, c.val)
}

// set and delete add to the batch in memory, which does not fail.
func (c *committer) set(key, val []byte) { _ = c.batch.Set(key, val, nil) }

func (c *committer) delete(key []byte) { _ = c.batch.Delete(key, nil) }

func (c *committer) deleteRange(from, to []byte) { _ = c.batch.DeleteRange(from, to, nil) }

// apply applies a batch of a session.
func (c *committer) apply(s *session, b *store.Batch) {
	ops := b.Ops
	t := c.touch(s)
	last, begins, _ := heads(ops)
	if last >= 0 {
		c.end(s)
		if !begins {
			last = len(ops) - 1
		}
		c.nodeOps(ops[:last+1])
		ops = ops[last+1:]
		if !begins {
			return
		}
	}
	if !s.has {
		if !begins {
			c.nodeOps(ops)
			return
		}
		c.beginSession(s)
	}
	if e := epochAfter(b); e != s.figures.epoch {
		s.figures.epoch, t.hard = e, true
	}
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case store.KindEntry:
			if op.Delete {
				c.deleteEntry(s, op.Seq)
			} else {
				c.putEntry(s, op)
			}
		case store.KindState:
			t.setState(&s.lane, op)
		case store.KindGroupEntry, store.KindDelayed: // the session takes it over; what became of an entry
			c.nodeOp(op)
		default:
			t.hard = true
			c.recordOp(s, op)
		}
	}
	if s.queue != b.Queue {
		s.queue = b.Queue
		c.total(s)
	}
}

// nodeOps writes the records of the node among operations of a session that ends.
func (c *committer) nodeOps(ops []store.Op) {
	for i := range ops {
		if k := ops[i].Kind; k == store.KindGroupEntry || k == store.KindDelayed {
			c.nodeOp(&ops[i])
		}
	}
}

// beginSession gives a session that is new its number.
func (c *committer) beginSession(s *session) {
	c.next.sessions++
	s.n, s.has, s.figures, s.counted = number(c.next.sessions), true, figures{}, store.Queue{}
	s.t.hard = true
	c.key = appendClient(c.key[:0], s.id)
	c.val = appendNumber(c.val[:0], valueVersion, s.n)
	c.set(c.key, c.val)
}

// end takes away what says that s is there; the rest goes by and by.
func (c *committer) end(s *session) {
	if !s.has {
		return
	}
	for i := range s.t.ents {
		if e := &s.t.ents[i]; !e.dead {
			c.bodies.drop(e.body)
		}
	}
	t := s.t
	clear(t.ents)
	t.ents, t.states, t.dels, t.hard = t.ents[:0], t.states[:0], t.dels[:0], false
	c.key = appendClient(c.key[:0], s.id)
	c.delete(c.key)
	c.key = appendPart(c.key[:0], s.n, partHead)
	c.delete(c.key)
	d := doomed{n: s.n, from: s.lane.head, shared: s.lane.shared}
	c.key = appendNumber(c.key[:0], spaceDoomed, s.n)
	c.val = appendDoomed(c.val[:0], &d)
	c.set(c.key, c.val)
	c.dooms = append(c.dooms, d)
	s.has, s.dirty, s.figures = false, false, figures{}
	c.total(s)
}

// recordOp writes a record that is not of the queue.
func (c *committer) recordOp(s *session, op *store.Op) {
	switch op.Kind {
	case store.KindSession:
		c.key = appendPart(c.key[:0], s.n, partHead)
		c.val = appendHead(c.val[:0], op.Session)
	case store.KindSubscription:
		c.key = append(appendPart(c.key[:0], s.n, partSub), op.Filter...)
		if !op.Delete {
			c.val = appendSub(c.val[:0], op.Sub)
		}
	case store.KindCursor:
		c.key = append(appendPart(c.key[:0], s.n, partCursor), op.Filter...)
		if !op.Delete {
			c.val = appendCursor(c.val[:0], op.Cursor)
		}
	case store.KindReceived:
		c.key, c.val = appendReceived(c.key[:0], s.n, op.ID), append(c.val[:0], valueVersion)
	}
	if op.Delete {
		c.delete(c.key)
		return
	}
	c.set(c.key, c.val)
}

func (t *touch) find(seq uint64) (int, bool) {
	n := len(t.ents)
	if n == 0 || t.ents[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(t.ents, seq, func(e ent, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

func (t *touch) findState(seq uint64) (int, bool) {
	n := len(t.states)
	if n == 0 || t.states[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(t.states, seq, func(e stored, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

func (c *committer) putEntry(s *session, op *store.Op) {
	t := s.t
	i, ok := t.find(op.Seq)
	e := ent{seq: op.Seq, op: op, body: c.bodies.use(op.Entry.Msg), again: op.Seq < s.lane.next}
	if ok {
		if !t.ents[i].dead {
			c.bodies.drop(t.ents[i].body)
		}
		t.ents[i] = e
		return
	}
	if e.again && op.Seq >= s.lane.head { // what is below is dead already
		t.drop(op.Seq)
	}
	if i == len(t.ents) {
		t.ents = append(t.ents, e)
		return
	}
	t.ents = slices.Insert(t.ents, i, e)
}

// drop deletes an entry that is on disk, or was.
func (t *touch) drop(seq uint64) {
	t.dels = append(t.dels, seq)
	if i, ok := t.findState(seq); ok {
		t.states[i].dead = true
	}
}

func (c *committer) deleteEntry(s *session, seq uint64) {
	t := s.t
	if i, ok := t.find(seq); ok {
		if e := &t.ents[i]; !e.dead {
			e.dead = true
			c.bodies.drop(e.body)
			c.elided++
		}
		return
	}
	if seq >= s.lane.head && seq < s.lane.next {
		t.drop(seq)
	}
}

// setState: one of an entry that is not there is nothing.
func (t *touch) setState(l *lane, op *store.Op) {
	if i, ok := t.find(op.Seq); ok {
		t.ents[i].state = op.State
		return
	}
	if op.Seq < l.head || op.Seq >= l.next {
		return
	}
	e := stored{seq: op.Seq, state: op.State}
	i, ok := t.findState(op.Seq)
	switch {
	case ok && t.states[i].dead:
	case ok:
		t.states[i] = e
	default:
		t.states = slices.Insert(t.states, i, e)
	}
}

// total keeps the store's figures of all queues.
func (c *committer) total(s *session) {
	c.messages.Add(int64(s.queue.Messages - s.counted.Messages))
	c.bytes.Add(s.queue.Bytes - s.counted.Bytes)
	s.counted = s.queue
}
