package disk

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// session is what the committer knows of a session. It owns all of it.
type session struct {
	id message.ClientID

	// As admitted: what will be when everything before the next batch is written.
	exists bool
	epoch  message.Epoch
	unused uint64 // no entry with this Seq or a higher one was admitted
	held   *held  // batches that linger
	listed bool   // it is in the committer's list of those that hold
	round  uint64 // the round in which it last had a ready batch

	// As written, the group under way included.
	n     number
	has   bool // it has a head
	dirty bool // figures are not on disk as they are here
	figures
	counted store.Queue // its part in the store's totals
	t       *touch      // its part of the group under way
}

// heads looks through the operations on the session itself.
func heads(ops []store.Op) (lastEnd int, begins bool, any bool) {
	lastEnd = -1
	for i := range ops {
		if ops[i].Kind != store.KindSession {
			continue
		}
		any = true
		if begins = !ops[i].Delete; !begins {
			lastEnd = i
		}
	}
	return lastEnd, begins, any
}

// epochAfter is the fence after b.
func epochAfter(b *store.Batch) message.Epoch {
	e := b.Epoch
	for i := range b.Ops {
		switch op := &b.Ops[i]; {
		case op.Kind != store.KindSession:
		case op.Delete:
			e = 0
		default:
			e = max(e, op.Session.Epoch)
		}
	}
	return e
}

// admit decides whether w passes, by everything that was admitted before it.
func (c *committer) admit(w *work) {
	if w.err = w.b.Check(); w.err != nil {
		return
	}
	if c.eng == nil {
		w.err = ErrBroken
		return
	}
	s := c.sessions[w.b.Client]
	w.s = s
	if w.err = c.guard.admit(w.b, s != nil && s.exists); w.err != nil || w.b.Client == "" {
		return
	}
	last, begins, any := heads(w.b.Ops)
	if s == nil {
		if !any && len(w.b.Ops) > 0 {
			w.err = store.ErrNotFound
			return
		}
		if !begins {
			return // there is nothing to delete
		}
		s = &session{id: w.b.Client}
		c.sessions[s.id], w.s = s, s
	}
	switch {
	case !s.exists && !any && len(w.b.Ops) > 0:
		w.err = store.ErrNotFound
	case w.b.Epoch < s.epoch:
		w.err = store.ErrFenced
	default:
		if any {
			s.exists = begins
		}
		if s.exists {
			s.epoch = epochAfter(w.b)
		} else {
			s.epoch = 0
		}
		if last >= 0 {
			s.unused = 0
		}
	}
}

// use notes the entries of a batch that was admitted.
func (s *session) use(b *store.Batch) {
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == store.KindEntry && !op.Delete && op.Seq >= s.unused {
			s.unused = op.Seq + 1
		}
	}
}
