package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
)

// The model is a second, slow and obvious account of one session: lists and maps.
// It drives a machine with whatever a source of bytes asks for, follows every
// frame, record and report that comes out, and stops at the first thing that may
// not be. The client at the other end is honest: it forgets nothing, acknowledges
// what it got, and now and then repeats itself.

// machine is what the model drives: a Session, or one with a fault put in front.
type machine interface {
	Connected(enc Encoder, max int)
	Disconnected()
	Settled()
	Trim()
	Enqueue(o *Output, e Entry) bool
	Fill(o *Output, now int64, room int) bool
	Push(o *Output, e Entry, now int64)
	Window(n int) bool
	Ready(n int) bool
	Assign(qos byte) message.PacketID
	Lend(l Loan, n int, now int64)
	Recall(o *Output, until int64)
	Puback(o *Output, id message.PacketID, code byte) (bool, error)
	Pubrec(o *Output, version byte, id message.PacketID, code byte) (bool, error)
	Pubcomp(o *Output, id message.PacketID) (bool, error)
	Received(o *Output, id message.PacketID) bool
	Unreceive(o *Output, id message.PacketID)
	Pubrel(o *Output, version byte, id message.PacketID) bool
	Leave(o *Output, take func(*Entry) bool)
	Counts() (queued, inflight int, bytes int64)
	Figures() store.Queue
	WantsPage() (Page, bool)
	Paged(o *Output, p Page, entries []store.Entry)
	Load(img *store.Image)
}

// uid numbers the messages of a history in the order in which they came.
type uid uint32

type msg struct {
	qos     byte
	size    int // of the frame
	bytes   int64
	expires int64
	source  bool
}

// flight is a message with an identifier.
type flight struct {
	u     uid
	phase store.Phase
	conn  int  // connection of its first PUBLISH
	live  bool // sent on the present connection
	lent  bool // it has no record
}

// state is what a session has to know; it is copied for each batch, so that a
// crash can go back to the last committed one.
type state struct {
	queue    []uid
	flights  map[message.PacketID]flight
	received map[message.PacketID]bool
	ended    map[uid]string // how a message ended
}

func (s *state) clone() *state {
	return &state{slices.Clone(s.queue), maps.Clone(s.flights), maps.Clone(s.received), maps.Clone(s.ended)}
}

func newState() *state {
	return &state{flights: map[message.PacketID]flight{}, received: map[message.PacketID]bool{}, ended: map[uid]string{}}
}

// batch is what was handed to the store and is not yet committed.
type batch struct {
	ops   []store.Op
	queue store.Queue
	after []byte
	conn  int
	snap  *state
}

// link is the present connection.
type link struct {
	n        int // counts connections; 0 is none
	on       bool
	window   int
	maxSize  int
	version  byte
	settled  bool // everything was committed when it began
	wire     []byte
	lastPub  [3]uid // last PUBLISH, by QoS
	lastSent uid    // last one sent again
	fresh    bool   // something new was sent
	owed     []ack
	given    []ack
}

type ack struct {
	typ byte // 4 PUBACK, 5 PUBREC, 7 PUBCOMP
	id  message.PacketID
}

// world is one history.
type world struct {
	src        source
	persistent bool
	limits     Limits
	wrap       func(*Session) machine

	m        machine
	s        *Session // what m is made of
	reading  reading
	debt     bool // a message came above a limit, and the oldest has to go
	lent     []*modelLoan
	recorded uint64 // highest Seq of an entry that was recorded
	lazy     bool   // m is restored from its figures and not loaded yet
	out      Output
	store    *memory.Store
	pending  []batch
	now      int64
	trace    []string
	err      error

	msgs []msg // by uid
	cur  *state
	done *state // committed
	link link

	holds     map[message.PacketID]uid // QoS 2 messages at the client, before their PUBREL
	delivered map[uid]int
	lastFirst [3]uid       // order of first deliveries
	revived   map[uid]bool // ended, and a crash undid it

	step    string // the operation under way, for what may be dropped
	subject uid    // the message it is about
	ackCode byte
	unknown message.PacketID // identifier that was answered as not known
}

const owner = "client"

// source gives the choices of a history; it answers 0 for ever when it ends.
type source interface{ next(n int) int }

func newWorld(src source, wrap func(*Session) machine) *world {
	w := &world{src: src, wrap: wrap, store: memory.New(), holds: map[message.PacketID]uid{}, delivered: map[uid]int{}, revived: map[uid]bool{}, msgs: make([]msg, 1), now: 1}
	w.persistent = src.next(5) > 0
	w.limits = w.anyLimits()
	w.out.Dropped = w.dropped
	w.begin()
	w.store.Commit(&store.Batch{Client: owner, Ops: []store.Op{{Kind: store.KindSession, Session: &store.Session{ID: owner}}}}, ignore{})
	return w
}

// begin starts an empty session, now and then close to the end of the identifiers.
func (w *world) begin() {
	s := New(w.persistent, w.limits)
	if w.src.next(2) == 1 {
		s.win.last = 65533
	}
	w.m, w.s, w.cur, w.done = w.wrap(s), s, newState(), newState()
}

type ignore struct{}

func (ignore) Committed(error) {}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
	}
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// AppendPublish implements Encoder: 3.1.1 frames of at most 127 bytes.
func (w *world) AppendPublish(dst []byte, e *Entry, id message.PacketID, dup bool, now int64) ([]byte, bool) {
	f := message.Form{Version: message.V311, QoS: e.QoS, Retain: e.Retain, Dup: dup, Now: now}
	if w.link.maxSize > 0 && f.Len(e.Msg) > w.link.maxSize {
		return dst, false
	}
	return f.Append(dst, e.Msg, id), true
}

// newMessage makes the next message of the history.
func (w *world) newMessage(source bool) (uid, Entry) {
	qos := []byte{1, 2, 1, 2, 0}[w.src.next(5)]
	pad := []int{0, 10, 30, 60}[w.src.next(4)]
	m := &message.Message{Topic: "t", Payload: make([]byte, 4+pad), QoS: qos}
	if w.src.next(4) == 3 {
		m.Expires = w.now + int64(w.src.next(4))
	}
	u := uid(len(w.msgs))
	binary.BigEndian.PutUint32(m.Payload, uint32(u))
	e := Entry{Entry: store.Entry{Msg: m, QoS: qos}}
	if source {
		e.Source = u
	}
	f := message.Form{Version: message.V311, QoS: qos}
	w.msgs = append(w.msgs, msg{qos: qos, size: f.Len(m), bytes: int64(m.Size()), expires: m.Expires, source: source})
	return u, e
}

// ends notes how a message ended; it may end once.
func (w *world) ends(u uid, how string) {
	if was, ok := w.cur.ended[u]; ok {
		w.fail("message %d ended twice: %s, %s", u, was, how)
	}
	w.cur.ended[u] = how
}

func (w *world) queueBytes() int64 { return w.bytesOf(w.cur.queue) }

func (w *world) bytesOf(us []uid) (n int64) {
	for _, u := range us {
		n += w.msgs[u].bytes
	}
	return n
}

// live counts what this connection was sent and has not acknowledged.
func (w *world) live() (n int) {
	for _, f := range w.cur.flights {
		if f.live {
			n++
		}
	}
	return n
}

// waiting counts what was in flight and has not been sent again.
func (w *world) waiting() int { return len(w.cur.flights) - w.live() }

// room is how many new messages the window takes.
func (w *world) room() int {
	if !w.link.on || w.waiting() > 0 {
		return 0
	}
	return max(0, w.link.window-w.live())
}

// image is what is committed.
func (w *world) image() *store.Image {
	img, err := w.store.Load(context.Background(), owner)
	if err != nil {
		w.fail("load: %v", err)
		return &store.Image{}
	}
	return img
}

// committedPhase answers the committed phase of an identifier, or Queued.
func committedPhase(img *store.Image, id message.PacketID) store.Phase {
	for i := range img.Entries {
		if img.Entries[i].State.ID == id {
			return img.Entries[i].State.Phase
		}
	}
	return store.Queued
}

// collect takes in what a step produced.
func (w *world) collect() {
	now, after, ops := w.out.Now, w.out.After, w.out.Ops
	w.out.Now, w.out.After, w.out.Ops = nil, nil, nil
	each(now, func(f frame) { w.produced(f, false) })
	each(after, func(f frame) { w.produced(f, true) })
	w.loans(ops)
	w.inOrder(ops)
	if !w.persistent && (len(ops) > 0 || len(after) > 0) {
		w.fail("%s: records of a session that is not persistent", w.step)
	}
	w.leave(now)
	if len(ops) == 0 {
		w.leave(after)
	} else {
		w.pending = append(w.pending, batch{ops: ops, queue: w.m.Figures(), after: after, conn: w.link.n, snap: w.cur.clone()})
	}
	w.counts()
}

// leave puts frames on the wire. None of them may promise what is not committed.
func (w *world) leave(frames []byte) {
	if len(frames) == 0 {
		return
	}
	if !w.link.on {
		w.fail("%s: frames without a connection", w.step)
	}
	if w.persistent {
		img := w.image()
		each(frames, func(f frame) { w.promises(img, f) })
	}
	w.link.wire = append(w.link.wire, frames...)
}

func (w *world) promises(img *store.Image, f frame) {
	switch {
	case f.typ == 3 && f.qos == 2 && committedPhase(img, f.id) == store.Queued:
		w.fail("%s: PUBLISH of QoS 2 leaves before its identifier %d is committed", w.step, f.id)
	case f.typ == 6 && f.id != w.unknown && committedPhase(img, f.id) != store.Released:
		w.fail("%s: PUBREL %d leaves before it is committed", w.step, f.id)
	case f.typ == 7 && slices.Contains(img.Received, f.id):
		w.fail("%s: PUBCOMP %d leaves before it is committed", w.step, f.id)
	}
}

// counts compares the session's own numbers.
func (w *world) counts() {
	q, n, b := w.m.Counts()
	flights := len(w.cur.flights)
	if w.lazy {
		flights = 0
	}
	if q != len(w.cur.queue) || n != flights || b != w.queueBytes() {
		w.fail("%s: counts are %d queued, %d in flight, %d bytes; want %d, %d, %d", w.step, q, n, b, len(w.cur.queue), flights, w.queueBytes())
	}
	w.inMemory()
}

// commit makes the oldest batch durable and lets its frames go.
func (w *world) commit() {
	b := w.pending[0]
	w.pending = w.pending[1:]
	w.store.Commit(&store.Batch{Client: owner, Ops: b.ops, Queue: b.queue}, ignore{})
	w.done = b.snap
	w.sameAs(w.image(), w.done)
	if b.conn == w.link.n && w.link.on {
		w.leave(b.after)
	}
}

// storedQueue is the part of a queue that a store has: QoS 0 is lost with the process.
func (w *world) storedQueue(s *state) []uid {
	return slices.DeleteFunc(slices.Clone(s.queue), func(u uid) bool { return w.msgs[u].qos == 0 })
}

// sameAs compares what is stored with what should be.
func (w *world) sameAs(img *store.Image, want *state) {
	n, queue := 0, w.storedQueue(want)
	if img.Queue.Messages != len(queue) || img.Queue.Bytes != w.bytesOf(queue) {
		w.fail("%s: stored figures are %+v, want %d messages of %d bytes", w.step, img.Queue, len(queue), w.bytesOf(queue))
	}
	for i := range img.Entries {
		e := &img.Entries[i]
		u := uid(binary.BigEndian.Uint32(e.Msg.Payload))
		if e.State.Phase == store.Queued {
			if n >= len(queue) || queue[n] != u {
				w.fail("%s: stored queue has message %d, want %v from %d", w.step, u, queue, n)
				return
			}
			n++
		} else if f := want.flights[e.State.ID]; f.u != u || f.phase != e.State.Phase {
			w.fail("%s: stored message %d has id %d in phase %d, want message %d in phase %d", w.step, u, e.State.ID, e.State.Phase, f.u, f.phase)
		}
	}
	if n != len(queue) || len(img.Entries) != n+len(want.flights)-lentIn(want) || len(img.Received) != len(want.received) {
		w.fail("%s: stored are %d entries and %d received ids, want %d and %d", w.step, len(img.Entries), len(img.Received), len(queue)+len(want.flights)-lentIn(want), len(want.received))
	}
	for _, id := range img.Received {
		if !want.received[id] {
			w.fail("%s: received id %d is stored", w.step, id)
		}
	}
}
