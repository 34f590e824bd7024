package bridge

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// A group is as large as this, unless what must be written as one is larger: Redis does
// nothing else while it works on it.
const (
	maxGroupParts = 1000
	maxGroupBytes = 512 << 10
)

// group is what one step writes: a part for each session and mailbox.
type group struct {
	parts []*part
	bytes int
	works int
	count int    // parts
	flush []work // answered when all before and in the group is

	sessions map[message.ClientID]*part
	nodes    map[message.MailboxID]*part
}

func newGroup() *group {
	return &group{sessions: map[message.ClientID]*part{}, nodes: map[message.MailboxID]*part{}}
}

// part is what a group writes of one owner: all its batches as one.
type part struct {
	id    message.ClientID  // empty: of a mailbox alone
	box   message.MailboxID // of the node's records
	h     *resident         // nil for a mailbox
	works []work
	fold  fold
	// sole says that Redis decides whether there is a session: no batch that begins one
	// may be added.
	sole   bool
	joined bool // written as one with the others that are

	n      uint64
	first  []*enc
	wrote  int   // how many of first
	after  *enc  // in a Redis Cluster: what is a mailbox's, when the first are done
	home   place // of the session
	joins  bool  // it comes to its mailbox's set
	leaves bool  // it goes
	grows  bool  // it takes more room in Redis than it gives back
	err    error
	state  progress
}

// progress is how far the writing of a part got.
type progress uint8

const (
	stateWaits progress = iota
	stateHalf           // first is written
	stateDone
)

// collect is the goroutine that makes groups of what came in. It is a group ahead of
// send: that one is encoded while the one before it is on its way.
func (r *records) collect() {
	defer close(r.steps)
	var spare []work
	for {
		works, closing := r.in.take(spare)
		r.sort(works)
		clear(works)
		spare = works[:0]
		if len(works) > 0 {
			continue
		}
		if closing {
			return
		}
		<-r.in.wake
	}
}

// sort puts works into groups and hands these over.
func (r *records) sort(works []work) {
	g := newGroup()
	for i := range works {
		w := &works[i]
		if w.flush {
			g.flush = append(g.flush, *w)
			continue
		}
		apart := i == 0 || w.join == 0 || w.join != works[i-1].join
		if full := g.bytes >= maxGroupBytes || len(g.parts) >= maxGroupParts; full && (apart || r.clustered) {
			r.pass(g)
			g = newGroup()
		}
		if !r.add(g, w) {
			r.pass(g)
			g = newGroup()
			r.add(g, w)
		}
	}
	r.pass(g)
}

// pass encodes a group and hands it to send.
func (r *records) pass(g *group) {
	if len(g.parts) == 0 && len(g.flush) == 0 {
		return
	}
	r.mu.Lock()
	for _, p := range g.parts {
		r.encodeLocked(p)
	}
	r.mu.Unlock()
	g.sessions, g.nodes, g.count = nil, nil, len(g.parts)
	r.steps <- g
}

// add puts a work into a group, and reports false if it must come in a later one.
func (r *records) add(g *group, w *work) bool {
	if w.b.Client == "" {
		r.addNode(g, w)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := w.b.Client
	h := r.homes[id]
	if h == nil {
		h = &resident{fresh: true}
		r.bringHomeLocked(h)
		if !w.idle {
			r.homes[id] = h
		}
	}
	p := g.sessions[id]
	if p != nil && (p.h != h || (p.sole || p.fold.ends && h.box != r.own) && begins(w.b)) {
		return false
	}
	if p == nil {
		p = &part{id: id, h: h}
		g.sessions[id] = p
		g.parts = append(g.parts, p)
	}
	r.admitLocked(p, w)
	p.joined = p.joined || w.join != 0
	p.works = append(p.works, *w)
	h.pending++
	g.works++
	g.bytes += int(w.size)
	return true
}

// bringHomeLocked makes the own mailbox the one in which a session will begin.
func (r *records) bringHomeLocked(h *resident) {
	h.box, h.epoch = r.own, r.boxes[r.own]
	h.tag = h.place.tag()
}

func begins(b *store.Batch) bool {
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == store.KindSession && !op.Delete {
			return true
		}
	}
	return false
}

// admitLocked decides whether a work passes by what is known here, and adds what it
// writes to the part.
func (r *records) admitLocked(p *part, w *work) {
	h, b := p.h, w.b
	if w.idle {
		return
	}
	if w.err = b.Check(); w.err != nil {
		return
	}
	last := -1
	any := false
	for i := range b.Ops {
		if b.Ops[i].Kind == store.KindSession {
			any, last = true, i
		}
	}
	switch {
	case b.Epoch < h.fence:
		w.err = store.ErrFenced
		return
	case h.session == absent && !any && len(b.Ops) > 0:
		w.err = store.ErrNotFound
		return
	case h.session == unsure && !any && len(b.Ops) > 0:
		p.sole = true
	}
	p.fold.add(b, h, r.boxOf(b))
	switch {
	case any && b.Ops[last].Delete:
		h.session, h.fence = absent, 0
	case any:
		h.session = present
	}
	if h.session != absent {
		h.fence = fenceAfter(b, h.fence)
	}
}

// fenceAfter is the lowest epoch that passes after b.
func fenceAfter(b *store.Batch, e message.Epoch) message.Epoch {
	e = max(e, b.Epoch)
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == store.KindSession && !op.Delete {
			e = max(e, op.Session.Epoch)
		}
	}
	return e
}

func (r *records) boxOf(b *store.Batch) message.MailboxID {
	if b.Box == "" {
		return r.own
	}
	return b.Box
}

// addNode adds a batch of the node's own records.
func (r *records) addNode(g *group, w *work) {
	box := r.boxOf(w.b)
	p := g.nodes[box]
	if p == nil {
		p = &part{box: box}
		g.nodes[box] = p
		g.parts = append(g.parts, p)
	}
	if w.err = w.b.Check(); w.err == nil {
		p.fold.addNode(w.b, box)
	}
	p.joined = p.joined || w.join != 0
	p.works = append(p.works, *w)
	g.works++
	g.bytes += int(w.size)
}
