package session

import (
	"cmp"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

const everything = 1 << 20 // room for all that a history can produce

// run plays n steps, then lets everything come to its end.
func (w *world) run(n int) error {
	for range n {
		if w.err != nil {
			return w.err
		}
		w.one()
	}
	w.finish()
	return w.err
}

func (w *world) one() {
	switch k := w.src.next(44); {
	case k < 6:
		w.enqueue()
	case k < 9:
		w.push()
	case k < 12:
		w.fill(1 + w.src.next(4)*60)
	case k < 16:
		w.read(1 + w.src.next(3))
	case k < 20:
		w.acknowledge()
	case k < 23:
		if len(w.pending) > 0 {
			w.log("commit")
			w.commit()
		}
	case k < 24:
		for len(w.pending) > 0 {
			w.commit()
		}
		w.log("commit all")
	case k < 26:
		if w.link.on {
			w.disconnect()
		} else {
			w.connect(1+w.src.next(4), w.src.next(3)*45)
		}
	case k < 27:
		if w.src.next(6) == 0 {
			w.cleanStart()
		} else {
			w.crash()
		}
	case k < 28:
		w.stray()
	case k < 29:
		w.now += int64(w.src.next(3))
		w.log("time %d", w.now)
	case k < 31:
		w.inbound()
	case k < 38:
		w.page()
	case k < 39:
		w.load()
	case k < 42:
		w.lend()
	case k < 43:
		w.recall()
	default:
		if len(w.pending) == 0 {
			w.log("settled")
			w.m.Settled()
		}
		w.m.Trim()
	}
}

func (w *world) at(step string) {
	w.step = step
	w.subject, w.ackCode, w.unknown = 0, 0, 0
}

func (w *world) enqueue() {
	w.at("enqueue")
	u, e := w.newMessage(false)
	if e.QoS == 0 && w.link.on && len(w.cur.queue) == 0 {
		return // goes to the connection, past the session
	}
	w.subject = u
	w.log("enqueue %d QoS %d, %d bytes, expires %d", u, e.QoS, e.Msg.Size(), e.Msg.Expires)
	ok := w.m.Enqueue(&w.out, e)
	refused := w.cur.ended[u] != ""
	if !refused {
		w.cur.queue = append(w.cur.queue, u)
		w.bounded()
	}
	if end := refused && w.limits.Overflow == Disconnect; ok == end {
		w.fail("enqueue: answered %v", ok)
	}
	w.collect()
}

// bounded checks the queue's limits behind the message that was let in.
func (w *world) bounded() {
	n := len(w.cur.queue)
	if w.paged() && w.limits.Overflow == DropOldest {
		w.boundedByPage(n)
		w.debt = w.over()
		return
	}
	if l := w.limits.Messages; l > 0 && n > 1 && n-1-w.room() >= l {
		w.fail("enqueue: %d messages queued, the limit is %d", n, l)
	}
	if l := w.limits.Bytes; l > 0 && n > 1 && w.queueBytes() > l {
		w.fail("enqueue: %d bytes queued, the limit is %d", w.queueBytes(), l)
	}
}

// push sends a message of a shared group, or one that is not kept.
func (w *world) push() {
	if !w.link.on || len(w.cur.queue) > 0 || !w.m.Ready(1) {
		return
	}
	if w.room() < 1 {
		w.fail("ready without room")
	}
	if !w.persistent && w.src.next(2) == 1 {
		w.assign()
		return
	}
	w.at("push")
	u, e := w.newMessage(true)
	w.subject = u
	w.log("push %d QoS %d", u, e.QoS)
	w.m.Push(&w.out, e, w.now)
	w.collect()
}

func (w *world) assign() {
	w.at("assign")
	u, e := w.newMessage(false)
	if e.QoS == 0 {
		return
	}
	w.subject = u
	w.msgs[u].source = true // so that nothing expects it in a queue
	id := w.m.Assign(e.QoS)
	w.log("assign %d QoS %d: id %d", u, e.QoS, id)
	w.link.maxSize = 0
	frames, _ := w.AppendPublish(nil, &e, id, false, w.now)
	each(frames, func(f frame) { w.produced(f, false) })
	w.link.wire = append(w.link.wire, frames...)
	w.counts()
}

func (w *world) fill(room int) {
	w.at("fill")
	w.log("fill %d", room)
	drained := w.m.Fill(&w.out, w.now, room)
	made := len(w.out.Now) + len(w.out.After)
	w.collect()
	switch {
	case w.err != nil:
	case !w.link.on:
		if drained || made > 0 {
			w.fail("fill: sends without a connection")
		}
	case drained != (len(w.cur.queue) == 0 && w.waiting() == 0):
		w.fail("fill: answered %v with %d queued and %d to send again", drained, len(w.cur.queue), w.waiting())
	case !drained && made < room && w.live() < w.link.window && !w.inStore():
		w.fail("fill: stopped with %d of %d in the window and %d bytes of %d", w.live(), w.link.window, made, room)
	}
}

func (w *world) connect(window, maxSize int) {
	w.load()
	w.at("connect")
	w.link = link{n: w.link.n + 1, on: true, window: window, maxSize: maxSize, version: 4 + byte(w.src.next(2)), settled: len(w.pending) == 0}
	w.log("connect %d: version %d, window %d, maximum %d", w.link.n, w.link.version, window, maxSize)
	if w.link.settled {
		w.m.Settled()
	}
	for id, f := range w.cur.flights {
		f.live = false
		w.cur.flights[id] = f
	}
	w.m.Connected(w, window)
	w.counts()
}

func (w *world) disconnect() {
	w.at("disconnect")
	w.log("disconnect")
	w.read(w.src.next(4))
	w.m.Recall(&w.out, w.now)
	w.collect()
	w.link.on, w.link.wire = false, nil
	w.m.Disconnected()
	if w.src.next(2) == 1 {
		w.giveBack()
	}
	if !w.persistent {
		w.end()
	}
	w.collect()
}

// end ends the session, and with it all it had, and begins the client's next.
func (w *world) end() {
	w.begin()
	w.out.Ops, w.pending, w.lazy, w.debt, w.lent, w.recorded = nil, nil, false, false, nil, 0
	clear(w.holds)
	clear(w.delivered)
	w.lastFirst = [3]uid{}
	for u := range w.msgs {
		w.cur.ended[uid(u)] = "session ended"
		w.done.ended[uid(u)] = "session ended"
	}
}

// cleanStart replaces a session that is offline. A page of it may be under way.
func (w *world) cleanStart() {
	if !w.persistent || w.link.on {
		return
	}
	w.at("clean start")
	w.log("clean start")
	w.end()
	w.store.Commit(&store.Batch{Client: owner, Ops: []store.Op{
		{Kind: store.KindSession, Delete: true}, {Kind: store.KindSession, Session: &store.Session{ID: owner}},
	}}, ignore{})
	w.counts()
}

// giveBack takes what was sent of shared groups and not acknowledged.
func (w *world) giveBack() {
	var last uid
	w.m.Leave(&w.out, func(e *Entry) bool {
		u := e.Source.(uid)
		if e.QoS != 1 || u <= last {
			w.fail("leave: message %d of QoS %d after %d", u, e.QoS, last)
		}
		last = u
		if w.src.next(3) == 0 {
			return false
		}
		w.log("  gave back %d", u)
		w.land(u, "given back")
		return true
	})
}

// land ends the flight of a message.
func (w *world) land(u uid, how string) {
	for id, f := range w.cur.flights {
		if f.u == u {
			delete(w.cur.flights, id)
			if w.cur.ended[u] == "" {
				w.ends(u, how)
			}
			return
		}
	}
	w.fail("%s: message %d is not in flight", w.step, u)
}

// crash loses what is not committed, and the connection.
func (w *world) crash() {
	if !w.persistent {
		return
	}
	w.at("crash")
	w.log("crash, %d batches lost", len(w.pending))
	w.read(w.src.next(4))
	w.link.on, w.link.wire, w.pending = false, nil, nil
	for u := range w.cur.ended {
		w.revived[u] = w.revived[u] || w.done.ended[u] == ""
	}
	w.cur = w.done.clone()
	w.loseLent()
	w.cur.queue = w.storedQueue(w.cur)
	for i := range w.msgs {
		w.msgs[i].source = false
	}
	w.restore(w.image())
	w.counts()
	w.equivalent()
}

// equivalent compares a restored session with the model.
func (w *world) equivalent() {
	if w.lazy {
		return
	}
	s := w.s
	for id, f := range w.cur.flights {
		sl := s.win.at(id)
		if sl == nil || sl.phase != f.phase || sl.entry.QoS != w.msgs[f.u].qos {
			w.fail("restored id %d: %+v, want %+v", id, sl, f)
		}
	}
	for id := range w.cur.received {
		if !s.received.has(id) {
			w.fail("restored session does not know received id %d", id)
		}
	}
}

// finish ends a history: all is committed, a good connection comes, and
// everything is delivered and acknowledged.
func (w *world) finish() {
	w.log("finish")
	if w.link.on {
		w.disconnect()
	}
	w.settleDebts()
	w.connect(3, 0)
	for range 40 * (1 + len(w.msgs)) {
		if w.err != nil {
			return
		}
		if w.waiting()+w.live()+len(w.cur.queue)+len(w.link.wire)+len(w.link.owed)+len(w.pending) == 0 {
			break
		}
		w.fill(everything)
		for len(w.pending) > 0 {
			w.commit()
		}
		w.page()
		w.page()
		w.read(everything)
		w.acknowledge()
	}
	w.complete()
	w.disconnect()
}

// complete checks that nothing was lost.
func (w *world) complete() {
	if len(w.cur.queue)+len(w.cur.flights) > 0 {
		w.fail("finish: %d queued and %d in flight never end", len(w.cur.queue), len(w.cur.flights))
	}
	for u := uid(1); int(u) < len(w.msgs); u++ {
		how, n := w.cur.ended[u], w.delivered[u]
		if how == "acknowledged" && w.msgs[u].qos > 0 && n == 0 && w.persistent {
			w.fail("finish: message %d is acknowledged and was never delivered", u)
		}
	}
	if img := w.image(); w.persistent && len(img.Entries) > 0 {
		w.fail("finish: %d entries stay in the store", len(img.Entries))
	}
}

// idsInFlight lists identifiers in a fixed order.
func (w *world) idsInFlight() []message.PacketID {
	ids := make([]message.PacketID, 0, len(w.cur.flights))
	for id := range w.cur.flights {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b message.PacketID) int { return cmp.Compare(w.cur.flights[a].u, w.cur.flights[b].u) })
	return ids
}

// inbound plays a publisher: PUBLISH of QoS 2, again, refused, PUBREL.
func (w *world) inbound() {
	if !w.link.on {
		return
	}
	w.at("pubrel")
	id := message.PacketID(1 + w.src.next(4))
	known := w.cur.received[id]
	switch k := w.src.next(4); {
	case k < 2:
		w.step = "received"
		w.log("received %d", id)
		if fresh := w.m.Received(&w.out, id); fresh == known {
			w.fail("received id %d: new is %v", id, fresh)
		}
		if w.cur.received[id] = true; known {
			if img := w.image(); w.persistent && len(w.out.Ops) == 0 && !slices.Contains(img.Received, id) {
				w.fail("received: PUBREC %d again before the first one is committed", id)
			}
		}
	case k < 3:
		w.log("pubrel %d", id)
		delete(w.cur.received, id)
		if got := w.m.Pubrel(&w.out, w.link.version, id); got != known {
			w.fail("pubrel %d: known is %v", id, got)
		}
		var answer []frame
		each(append(slices.Clone(w.out.Now), w.out.After...), func(f frame) { answer = append(answer, f) })
		code := CodeSuccess
		if !known && w.link.version == message.V5 {
			code = CodeIDNotFound
		}
		if len(answer) != 1 || answer[0] != (frame{typ: 7, id: id, code: code}) {
			w.fail("pubrel %d: answered %+v, want code %#x", id, answer, code)
		}
	default:
		w.step = "unreceive"
		w.log("unreceive %d", id)
		delete(w.cur.received, id)
		w.m.Unreceive(&w.out, id)
	}
	w.collect()
}
