package bridge

import (
	"cmp"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// fold is what remains of many operations on one owner's records: the last word on each.
type fold struct {
	wipe bool // everything that was there goes first
	ends bool // afterwards there is no session
	head *store.Session
	any  bool // something has to be written

	ents     []ent // by seq
	subs     lasts
	received lasts
	cursors  lasts
	ids      []message.ID // of QoS 2 entries

	queue store.Queue
	at    message.Position

	box      message.MailboxID // of groups and delayed
	groups   lasts
	delayed  lasts
	retained []*store.Op
}

// ent is what remains of the operations on one entry.
type ent struct {
	seq   uint64
	entry *store.Entry // written
	state *store.State
	gone  bool // deleted, and it may be in Redis
	stray bool // only its state is written
}

// lasts are the last operations on records of one kind, in the order of the first ones.
type lasts struct {
	list  []lastOp
	index map[recordName]int // nil as long as there are few
}

type lastOp struct {
	recordName
	op *store.Op
}

// recordName is what tells records of one kind apart.
type recordName struct {
	text string
	num  uint64
}

const fewLasts = 16

// sets reports whether a record is written.
func (l *lasts) sets() bool {
	for i := range l.list {
		if !l.list[i].op.Delete {
			return true
		}
	}
	return false
}

func (l *lasts) put(n recordName, op *store.Op) {
	if l.index == nil {
		for i := range l.list {
			if l.list[i].recordName == n {
				l.list[i].op = op
				return
			}
		}
	} else if i, ok := l.index[n]; ok {
		l.list[i].op = op
		return
	}
	l.list = append(l.list, lastOp{n, op})
	if l.index != nil {
		l.index[n] = len(l.list) - 1
	} else if len(l.list) > fewLasts {
		l.index = make(map[recordName]int, 2*len(l.list))
		for i := range l.list {
			l.index[l.list[i].recordName] = i
		}
	}
}

// add takes in a batch of the session of h.
func (f *fold) add(b *store.Batch, h *resident, box message.MailboxID) {
	if len(b.Ops) > 0 {
		f.any = true
	}
	f.queue = b.Queue
	f.at = max(f.at, b.At)
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case store.KindSession:
			f.session(op)
		case store.KindSubscription:
			f.subs.put(recordName{text: op.Filter}, op)
		case store.KindEntry:
			f.entry(op, h)
		case store.KindState:
			f.state(op)
		case store.KindReceived:
			f.received.put(recordName{num: uint64(op.ID)}, op)
		case store.KindCursor:
			f.cursors.put(recordName{text: op.Filter}, op)
		default:
			f.node(op, box)
		}
	}
}

// addNode takes in a batch of the records of a mailbox.
func (f *fold) addNode(b *store.Batch, box message.MailboxID) {
	for i := range b.Ops {
		f.any = true
		f.node(&b.Ops[i], box)
	}
}

func (f *fold) node(op *store.Op, box message.MailboxID) {
	switch op.Kind {
	case store.KindRetained:
		f.retained = append(f.retained, op)
	case store.KindDelayed:
		f.box = box
		f.delayed.put(recordName{num: op.Seq}, op)
	case store.KindGroupEntry:
		f.box = box
		f.groups.put(recordName{op.Filter, op.Seq}, op)
	}
}

func (f *fold) session(op *store.Op) {
	if !op.Delete {
		f.head, f.ends = op.Session, false
		return
	}
	f.wipe, f.ends, f.head, f.at = true, true, nil, 0
	f.ents, f.subs, f.received, f.cursors, f.ids = nil, lasts{}, lasts{}, lasts{}, nil
}

// onlyQueue reports whether nothing but a session's queue and window changes.
func (f *fold) onlyQueue() bool {
	return f.head == nil && !f.wipe && len(f.subs.list)+len(f.received.list)+len(f.cursors.list) == 0
}

// find is the entry with a number, which it makes.
func (f *fold) find(seq uint64) (e *ent, made bool) {
	n := len(f.ents)
	if n == 0 || f.ents[n-1].seq < seq {
		f.ents = append(f.ents, ent{seq: seq})
		return &f.ents[n], true
	}
	i, found := slices.BinarySearchFunc(f.ents, seq, func(e ent, seq uint64) int { return cmp.Compare(e.seq, seq) })
	if !found {
		f.ents = slices.Insert(f.ents, i, ent{seq: seq})
	}
	return &f.ents[i], !found
}

// entry: one that is deleted before it was written is not written.
func (f *fold) entry(op *store.Op, h *resident) {
	e, _ := f.find(op.Seq)
	if !op.Delete {
		*e = ent{seq: op.Seq, entry: &op.Entry}
		if op.Entry.QoS == 2 {
			f.ids = append(f.ids, op.Entry.Msg.ID)
		}
		return
	}
	*e = ent{seq: op.Seq, gone: !f.wipe && (!h.bounded || op.Seq < h.unused)}
}

func (f *fold) state(op *store.Op) {
	e, made := f.find(op.Seq)
	switch {
	case made:
		e.stray, e.state = true, &op.State
	case e.entry != nil || e.stray:
		e.state = &op.State
	}
}
