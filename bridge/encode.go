package bridge

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Flags of a part's header, as in record_commit.lua.
const (
	partCreate = 1 << iota // the record may be missing
	partWipe
	partEnds
	partLive // it has a head
	partNode
	partBox
	partRetain
)

// Kinds of groups of arguments, as in record_commit.lua.
const (
	groupUnqueue = iota + 1
	groupUnstate
	groupEntries
	groupStates
	groupStrays // states of which it is not known whether they have an entry
	groupUnfilter
	groupFilters
	groupUnreceive
	groupReceived
	groupUnwalk
	groupWalks
	groupKnown
	groupHead
	groupUnwait
	groupWait
	groupUndelay
	groupDelay
)

// maxGroupArgs bounds the arguments of one command; Lua unpacks them on its stack. It is
// even: values come with their names.
const maxGroupArgs = 1000

// enc is one part of record_commit.lua.
type enc struct {
	of     *part
	key    string
	tag    string
	header []byte
	args   []any
	buf    []byte // values
	size   int
	flags  byte
	n      uint64
}

// sharedEntry is the last entry that was encoded: one message goes to many sessions.
type sharedEntry struct {
	msg    *message.Message
	qos    byte
	retain bool
	ids    []uint32
	value  []byte
}

func (s *sharedEntry) entry(e *store.Entry) []byte {
	if s.msg != e.Msg || s.qos != e.QoS || s.retain != e.Retain || !slices.Equal(s.ids, e.SubIDs) {
		room := 64 + len(e.SubIDs)*5 + e.Msg.Size() + len(e.Msg.Publisher) + len(e.Msg.User)
		*s = sharedEntry{e.Msg, e.QoS, e.Retain, e.SubIDs, appendEntry(make([]byte, 0, room), e)}
	}
	return s.value
}

// encodeLocked writes a part down. Afterwards nothing more may be added.
func (r *records) encodeLocked(p *part) {
	f := &p.fold
	if !f.any {
		return
	}
	r.n++
	p.n = r.n
	if p.h != nil {
		r.encodeSessionLocked(p)
		if r.clustered && f.box != "" {
			p.after = r.encodeBoxLocked(p, p.enc(partNode)).finish()
		}
		return
	}
	if f.box != "" {
		p.first = append(p.first, r.encodeBoxLocked(p, p.enc(partNode)).finish())
		p.grows = p.grows || f.groups.sets() || f.delayed.sets()
	}
	for n, ops := range r.byShard(f.retained) {
		p.first = append(p.first, r.encodeRetained(p, n, ops).finish())
		p.grows = true
	}
}

func (p *part) enc(flags byte) *enc {
	return &enc{of: p, header: make([]byte, 13, 32), args: make([]any, 0, 12), flags: flags, n: p.n}
}

// finish completes the header.
func (e *enc) finish() *enc {
	binary.LittleEndian.PutUint64(e.header, e.n)
	binary.LittleEndian.PutUint32(e.header[8:], uint32(len(e.args)))
	e.header[12] = e.flags
	return e
}

func (r *records) encodeSessionLocked(p *part) {
	f, h, e := &p.fold, p.h, p.enc(0)
	h.n = p.n
	p.home = h.place
	e.key, e.tag = r.keys.session(p.id)+sessionHead, h.tag
	if h.fresh {
		e.flags |= partCreate
	}
	if f.wipe {
		e.flags |= partWipe
		h.states, h.bounded, h.unused = false, true, 0
	}
	if f.head != nil {
		e.flags |= partLive
		p.joins = !h.member
		h.member = true
	}
	boxed := f.box != "" && !r.clustered
	if boxed {
		e.args = r.appendBoxLocked(e.args, f.box)
		e.flags |= partBox
	}
	switch {
	case !f.ends:
		if h.fresh && f.head != nil {
			h.bounded, h.fresh = true, false // if there is a record, this part is refused
		}
		q := p.encodeEntries(e, h, &r.last)
		if e.flags == 0 && f.onlyQueue() && len(f.ids) < 256 && q.short() {
			p.first = append(p.first, r.encodeShort(e, &q, f, h))
			return
		}
		e.encodeQueue(&q)
		r.encodeOthers(p, e)
		e.encodeHead(f, h)
	case h.keep:
		e.flags |= partEnds
		e.group(groupHead, []any{fieldOwner, h.tag})
		h.fresh = false
	default:
		e.flags |= partEnds
		p.leaves = h.member
		h.fresh, h.member = true, false
		r.bringHomeLocked(h) // a new session begins here, wherever the old one lived
	}
	if boxed {
		r.encodeBoxLocked(p, e)
	}
	p.first = append(p.first, e.finish())
}

// queueArgs are what changes in queue and window.
type queueArgs struct {
	gone, ungone, entries, states, strays []any
}

// short reports whether it fits the header of a part that changes nothing else.
func (q *queueArgs) short() bool {
	return len(q.strays) == 0 && max(len(q.gone), len(q.entries)/2, len(q.states)/2) < 256
}

// encodeEntries writes what changes in queue and window.
func (p *part) encodeEntries(e *enc, h *resident, shared *sharedEntry) (q queueArgs) {
	for i := range p.fold.ents {
		t := &p.fold.ents[i]
		switch {
		case t.gone:
			q.gone = append(q.gone, e.seq(t.seq))
		case t.entry != nil:
			q.entries = append(q.entries, e.seq(t.seq), e.keep(shared.entry(t.entry)))
			if t.state != nil {
				q.states = append(q.states, e.seq(t.seq), e.value(appendState(e.buf, *t.state)))
			}
			h.unused = max(h.unused, t.seq+1)
		case t.stray && !h.bounded:
			q.strays = append(q.strays, e.seq(t.seq), e.value(appendState(e.buf, *t.state)))
		case t.stray && t.seq < h.unused:
			q.states = append(q.states, e.seq(t.seq), e.value(appendState(e.buf, *t.state)))
		}
	}
	if h.states {
		q.ungone = q.gone
	}
	h.states = h.states || len(q.states)+len(q.strays) > 0
	p.grows = p.grows || len(q.entries) > 0
	return q
}

func (e *enc) encodeQueue(q *queueArgs) {
	e.group(groupUnqueue, q.gone)
	e.group(groupUnstate, q.ungone)
	e.group(groupEntries, q.entries)
	e.group(groupStates, q.states)
	e.group(groupStrays, q.strays)
}

// encodeShort writes a part that changes a queue and nothing else.
func (r *records) encodeShort(e *enc, q *queueArgs, f *fold, h *resident) *enc {
	e.header = append(e.header[:0], byte(len(q.gone)), byte(len(q.ungone)), byte(len(q.entries)/2), byte(len(q.states)/2), byte(len(f.ids)), 0)
	g := figures{n: e.n, queue: f.queue, fence: h.fence}
	e.args = append(e.args, e.value(appendFigures(e.buf, &g)))
	e.args = append(append(append(append(e.args, q.gone...), q.ungone...), q.entries...), q.states...)
	e.args = append(e.args, r.encodeKnown(e, h, f.ids)...)
	if f.at != 0 {
		e.header[5] = 1
		e.args = append(e.args, strconv.FormatUint(uint64(f.at), 10))
	}
	return e
}

// encodeOthers writes subscriptions, received identifiers, walks and known messages.
func (r *records) encodeOthers(p *part, e *enc) {
	f := &p.fold
	p.grows = p.grows || f.head != nil || f.subs.sets() || f.received.sets() || len(f.ids) > 0
	e.lasts(&f.subs, groupUnfilter, groupFilters, func(l *lastOp) (any, []byte) {
		if l.op.Delete {
			return l.text, nil
		}
		return l.text, appendSub(e.buf, l.op.Sub)
	})
	e.lasts(&f.received, groupUnreceive, groupReceived, func(l *lastOp) (any, []byte) {
		id := strconv.FormatUint(l.num, 10)
		if l.op.Delete {
			return id, nil
		}
		return id, appendReceived(e.buf, l.op.Msg)
	})
	e.lasts(&f.cursors, groupUnwalk, groupWalks, func(l *lastOp) (any, []byte) {
		if l.op.Delete {
			return l.text, nil
		}
		return l.text, appendCursor(e.buf, l.op.Cursor)
	})
	for ids := range slices.Chunk(f.ids, maxGroupArgs/4) {
		e.group(groupKnown, r.encodeKnown(e, p.h, ids))
	}
}

// encodeKnown writes ids of messages by the time, and whether the end of what is known has
// to be moved.
func (r *records) encodeKnown(e *enc, h *resident, ids []message.ID) []any {
	if len(ids) == 0 {
		return nil
	}
	now := r.clock()
	args := make([]any, 0, 2*len(ids)+1)
	for _, id := range ids {
		args = append(args, now.Unix(), e.value(appendID(e.buf, id)))
	}
	move := ""
	if now.Sub(h.moved) > r.window/2 {
		h.moved, move = now, "x"
	}
	return append(args, move)
}

// encodeHead writes what every batch writes.
func (e *enc) encodeHead(f *fold, h *resident) {
	g := figures{n: e.n, queue: f.queue, fence: h.fence}
	args := []any{fieldFigures, e.value(appendFigures(e.buf, &g))}
	if f.at != 0 {
		args = append(args, fieldAt, strconv.FormatUint(uint64(f.at), 10))
	}
	if f.head != nil {
		args = append(args, fieldHead, e.value(appendHead(e.buf, f.head)))
		if e.flags&(partCreate|partWipe) != 0 {
			args = append(args, fieldOwner, h.tag)
		}
	}
	e.group(groupHead, args)
}

// encodeBoxLocked writes what belongs to a mailbox. In a Redis Cluster it is a step of its
// own, after that of the session.
func (r *records) encodeBoxLocked(p *part, e *enc) *enc {
	f := &p.fold
	if e.key == "" {
		e.key = r.keys.box(f.box, boxMeta)
		e.args = r.appendBoxLocked(e.args, f.box)
		e.flags |= partBox
	}
	e.lasts(&f.groups, groupUnwait, groupWait, func(l *lastOp) (any, []byte) {
		field := strconv.FormatUint(l.num, 10) + " " + l.text
		if l.op.Delete {
			return field, nil
		}
		return field, appendMessage(e.buf, l.op.Msg)
	})
	e.lasts(&f.delayed, groupUndelay, groupDelay, func(l *lastOp) (any, []byte) {
		field := strconv.FormatUint(l.num, 10)
		if l.op.Delete {
			return field, nil
		}
		return field, appendDue(e.buf, l.op.At, l.op.Msg)
	})
	return e
}

func (r *records) appendBoxLocked(args []any, box message.MailboxID) []any {
	return append(args, r.keys.box(box, ""), strconv.FormatUint(r.boxes[box], 10))
}

// lasts writes the records of one kind: those that go and those that are set.
func (e *enc) lasts(l *lasts, del, set byte, encode func(*lastOp) (any, []byte)) {
	var gone, sets []any
	for i := range l.list {
		name, v := encode(&l.list[i])
		if v == nil {
			gone = append(gone, name)
			continue
		}
		sets = append(sets, name, e.value(v))
	}
	e.group(del, gone)
	e.group(set, sets)
}

// seq is the id of an entry.
func (e *enc) seq(seq uint64) any {
	return e.value(append(strconv.AppendUint(e.buf, seq, 10), "-1"...))
}

// value takes what was appended to the part's buffer.
func (e *enc) value(grown []byte) []byte {
	n := len(e.buf)
	e.buf = grown
	e.size += len(grown) - n
	return grown[n:len(grown):len(grown)]
}

func (e *enc) keep(v []byte) []byte {
	e.size += len(v)
	return v
}

func (e *enc) group(kind byte, args []any) {
	for len(args) > 0 {
		n := min(len(args), maxGroupArgs)
		e.header = append(e.header, kind, byte(n), byte(n>>8))
		e.args = append(e.args, args[:n]...)
		args = args[n:]
	}
}
