package disk

import (
	"cmp"
	"slices"
	"time"

	"github.com/skeinmq/skein/hooks/store"
)

// held are the batches of a session that linger, in the order of their Commit.
// The first ones leave it when nothing of them is left to write, all of them when
// one must be written.
type held struct {
	works []work
	at    []time.Time // when each came
	first int         // the number of works[0], counted from when the lane began to hold
	ents  []heldEntry // by Seq
}

type heldEntry struct {
	seq  uint64
	work int
	dead bool
}

// maxHeld is the number of batches of one session that may linger.
const maxHeld = 4096

// lingers reports whether b may wait: it says so and has only entries of QoS 1, or
// it only takes entries away, which nobody waits for.
func lingers(b *store.Batch) bool {
	if len(b.Ops) == 0 {
		return false
	}
	only := true
	for i := range b.Ops {
		switch op := &b.Ops[i]; {
		case op.Kind == store.KindEntry && op.Delete:
		case op.Kind == store.KindEntry && op.Entry.QoS < 2, op.Kind == store.KindState && op.State.Phase < store.Released:
			only = false
		default:
			return false
		}
	}
	return b.Linger || only
}

func (h *held) find(seq uint64) (*heldEntry, bool) {
	if n := len(h.ents); n == 0 || h.ents[n-1].seq < seq {
		return nil, false
	}
	i, ok := slices.BinarySearchFunc(h.ents, seq, func(e heldEntry, seq uint64) int { return cmp.Compare(e.seq, seq) })
	if !ok {
		return nil, false
	}
	return &h.ents[i], true
}

// absorbs reports whether b changes nothing but entries that are held: then none
// of it has to be written unless they are.
func (h *held) absorbs(b *store.Batch) bool {
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Kind != store.KindState && (op.Kind != store.KindEntry || !op.Delete) {
			return false
		}
		if _, ok := h.find(op.Seq); !ok {
			return false
		}
	}
	return len(b.Ops) > 0
}

// add takes w in. Only entries of which nothing can be on disk are known in here.
func (h *held) add(w *work, now time.Time) {
	at := h.first + len(h.works)
	h.works, h.at = append(h.works, *w), append(h.at, now)
	if w.err != nil {
		return
	}
	me := &h.works[len(h.works)-1]
	for i := range w.b.Ops {
		op := &w.b.Ops[i]
		e, ok := h.find(op.Seq)
		switch {
		case ok && op.Kind == store.KindEntry && op.Delete:
			if !e.dead {
				e.dead = true
				h.works[e.work-h.first].open--
			}
		case ok && op.Kind == store.KindState:
		case !ok && op.Kind == store.KindEntry && !op.Delete && op.Seq >= w.s.unused:
			w.s.unused = op.Seq + 1
			h.ents = append(h.ents, heldEntry{seq: op.Seq, work: at})
			me.open++
		default:
			me.open++ // it concerns what is on disk
		}
	}
}

// pop takes the first work off.
func (h *held) pop() {
	h.works, h.at, h.first = h.works[1:], h.at[1:], h.first+1
	n := 0
	for n < len(h.ents) && h.ents[n].work < h.first {
		n++
	}
	h.ents = h.ents[n:]
}

// sort admits works and puts each where it waits: with the ready ones or held.
func (c *committer) sort(works []work) {
	for i := range works {
		w := &works[i]
		c.admit(w)
		s := w.s
		switch {
		case s == nil:
			c.append(w)
		case c.opts.Linger > 0 && (w.err == nil && lingers(w.b) || s.held != nil && (w.err != nil || s.held.absorbs(w.b))):
			c.hold(s, w)
		default:
			c.release(s)
			c.append(w)
			s.use(w.b)
			if w.err == nil && w.join != 0 {
				c.hot = append(c.hot, w.join)
			}
		}
	}
	c.releaseHot()
}

func (c *committer) append(w *work) {
	c.ready = append(c.ready, *w)
	if w.s != nil {
		w.s.round = c.round
	} else if w.err == nil && w.join != 0 {
		c.hot = append(c.hot, w.join)
	}
	if w.join != 0 {
		c.joinedReady = true
	}
}

func (c *committer) hold(s *session, w *work) {
	if s.held == nil {
		s.held = c.newHeld()
		c.list(s, c.now.Add(c.opts.Linger))
	}
	s.held.add(w, c.now)
	if w.join != 0 {
		c.joined[w.join] = append(c.joined[w.join], s)
	}
	c.settle(s)
	if s.held != nil && len(s.held.works) >= maxHeld {
		c.release(s)
	}
}

// settle answers the first batches of s of which nothing is left to write.
func (c *committer) settle(s *session) {
	h := s.held
	for len(h.works) > 0 && h.works[0].open == 0 {
		w := h.works[0]
		h.pop()
		if w.err == nil {
			c.elided += countEntries(w.b)
			if q := w.b.Queue; q != s.queue {
				s.queue, s.dirty = q, true
				c.total(s)
			}
		}
		if s.round == c.round { // others before it are not answered yet
			w.void = true
			c.append(&w)
			continue
		}
		c.in.answer(&w)
	}
	if len(h.works) == 0 {
		c.freeHeld(s)
	}
}

func countEntries(b *store.Batch) int {
	n := 0
	for i := range b.Ops {
		if b.Ops[i].Kind == store.KindEntry && !b.Ops[i].Delete {
			n++
		}
	}
	return n
}

// release moves what s holds to the ready works.
func (c *committer) release(s *session) {
	if s.held == nil {
		return
	}
	for i := range s.held.works {
		w := &s.held.works[i]
		c.append(w)
		if w.join != 0 {
			c.hot = append(c.hot, w.join)
		}
	}
	c.freeHeld(s)
}

// releaseHot releases all that came between the same Begin and End as something
// that is about to be written.
func (c *committer) releaseHot() {
	for len(c.hot) > 0 {
		join := c.hot[len(c.hot)-1]
		c.hot = c.hot[:len(c.hot)-1]
		all := c.joined[join]
		delete(c.joined, join)
		for _, s := range all {
			if s.held != nil && slices.ContainsFunc(s.held.works, func(w work) bool { return w.join == join }) {
				c.release(s)
			}
		}
	}
}

// waiting is a session that holds batches, and when it is looked at again.
type waiting struct {
	s  *session
	at time.Time
}

// releaseOld releases what has waited long enough, or all of it.
func (c *committer) releaseOld(all bool) {
	for len(c.lingering) > 0 {
		w := c.lingering[0]
		if !all && w.at.After(c.now) {
			break
		}
		c.lingering = c.lingering[1:]
		if w.s.listed = false; w.s.held == nil {
			continue
		}
		if due := w.s.held.at[0].Add(c.opts.Linger); !all && due.After(c.now) {
			c.list(w.s, due)
			continue
		}
		c.release(w.s)
	}
	c.releaseHot()
	c.forgetJoins()
}

// list has s looked at again; the list stays in order enough if a later one may
// be before it.
func (c *committer) list(s *session, at time.Time) {
	if !s.listed {
		s.listed = true
		c.lingering = append(c.lingering, waiting{s, at})
	}
}

// forgetJoins drops the periods of which nothing is held any more.
func (c *committer) forgetJoins() {
	for join, all := range c.joined {
		if !slices.ContainsFunc(all, func(s *session) bool { return s.held != nil && s.held.works[0].join <= join }) {
			delete(c.joined, join)
		}
	}
}

func (c *committer) newHeld() *held {
	if n := len(c.spareHeld); n > 0 {
		h := c.spareHeld[n-1]
		c.spareHeld = c.spareHeld[:n-1]
		return h
	}
	return new(held)
}

func (c *committer) freeHeld(s *session) {
	h := s.held
	clear(h.works)
	*h = held{works: h.works[:0], at: h.at[:0], ents: h.ents[:0]}
	if len(c.spareHeld) < 1024 {
		c.spareHeld = append(c.spareHeld, h)
	}
	s.held = nil
}
