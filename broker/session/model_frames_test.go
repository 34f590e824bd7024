package session

import (
	"encoding/binary"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// frame is a packet as the model reads it.
type frame struct {
	typ, qos byte
	dup      bool
	id       message.PacketID
	u        uid
	code     byte
}

// parse reads the first packet of b and answers the rest.
func parse(b []byte) (frame, []byte) {
	f := frame{typ: b[0] >> 4}
	body, rest := b[2:2+int(b[1])], b[2+int(b[1]):]
	if f.typ != 3 {
		f.id = message.PacketID(binary.BigEndian.Uint16(body))
		if len(body) > 2 {
			f.code = body[2]
		}
		return f, rest
	}
	f.qos, f.dup = b[0]>>1&3, b[0]&8 != 0
	body = body[3:] // topic
	if f.qos > 0 {
		f.id = message.PacketID(binary.BigEndian.Uint16(body))
		body = body[2:]
	}
	f.u = uid(binary.BigEndian.Uint32(body))
	return f, rest
}

func each(b []byte, do func(frame)) {
	for len(b) > 0 {
		var f frame
		f, b = parse(b)
		do(f)
	}
}

// produced follows a frame that the session made.
func (w *world) produced(f frame, after bool) {
	switch {
	case f.typ == 3 && f.qos == 0:
		w.dequeue(f)
		w.ends(f.u, "sent")
		if f.dup || after {
			w.fail("%s: QoS 0 with DUP or delayed [MQTT-3.3.1-2]", w.step)
		}
	case f.typ == 3 && f.dup:
		w.sentAgain(f)
	case f.typ == 3:
		w.sentNew(f)
	case f.typ == 6:
		w.pubrel(f)
	case f.typ == 7 && w.step != "pubrel":
		w.fail("%s: PUBCOMP for nothing", w.step)
	}
}

// dequeue takes a message that is sent for the first time from the queue, in
// which it must be the first of its QoS.
func (w *world) dequeue(f frame) {
	if w.step == "push" || w.step == "assign" {
		if f.u != w.subject {
			w.fail("%s: message %d was sent, not %d", w.step, f.u, w.subject)
		}
		return
	}
	for i, u := range w.cur.queue {
		if u == f.u {
			w.cur.queue = append(w.cur.queue[:i:i], w.cur.queue[i+1:]...)
			return
		}
		if w.msgs[u].qos == f.qos {
			w.fail("%s: message %d overtakes %d [MQTT-4.6.0-5]", w.step, f.u, u)
			return
		}
	}
	w.fail("%s: message %d is sent and was not queued", w.step, f.u)
}

func (w *world) sentNew(f frame) {
	w.dequeue(f)
	w.link.fresh = true
	if was, ok := w.cur.flights[f.id]; ok || f.id == 0 {
		w.fail("%s: id %d is given to %d and belongs to %d [MQTT-2.2.1-4]", w.step, f.id, f.u, was.u)
	}
	for id, was := range w.cur.flights {
		// QoS 2 that waits for earlier commits may be overtaken by QoS 1.
		if !was.live && (w.link.settled || f.qos == 2 || w.msgs[was.u].qos == 1) {
			w.fail("%s: message %d leaves before %d, which was in flight with id %d [MQTT-4.4.0-1]", w.step, f.u, was.u, id)
		}
	}
	if f.qos != w.msgs[f.u].qos {
		w.fail("%s: message %d at QoS %d", w.step, f.u, f.qos)
	}
	if e := w.msgs[f.u].expires; e != 0 && e <= w.now && w.step == "fill" {
		w.fail("%s: message %d has expired [MQTT-3.3.2-5]", w.step, f.u)
	}
	w.cur.flights[f.id] = flight{u: f.u, phase: store.Sent, conn: w.link.n, live: true}
	w.ordered(f)
}

func (w *world) sentAgain(f frame) {
	was, ok := w.cur.flights[f.id]
	switch {
	case !ok || was.u != f.u:
		w.fail("%s: PUBLISH with DUP has id %d and message %d, in flight is %d", w.step, f.id, f.u, was.u)
	case was.phase != store.Sent:
		w.fail("%s: PUBLISH %d again after PUBREL [MQTT-4.3.3-6]", w.step, f.id)
	case was.live || was.conn == w.link.n:
		w.fail("%s: PUBLISH %d twice on one connection [MQTT-4.4.0-1]", w.step, f.id)
	}
	w.again(f.u)
	was.live = true
	w.cur.flights[f.id] = was
	w.ordered(f)
}

// ordered checks the order of PUBLISH packets and the window.
func (w *world) ordered(f frame) {
	if f.u <= w.link.lastPub[f.qos] {
		w.fail("%s: message %d after %d at QoS %d [MQTT-4.6.0-1]", w.step, f.u, w.link.lastPub[f.qos], f.qos)
	}
	w.link.lastPub[f.qos] = f.u
	if w.live() > w.link.window {
		w.fail("%s: %d unacknowledged, the window is %d [MQTT-3.3.4-9]", w.step, w.live(), w.link.window)
	}
}

// again checks the order of what Fill sends again.
func (w *world) again(u uid) {
	if w.step != "fill" || !w.link.settled {
		return
	}
	if u <= w.link.lastSent || w.link.fresh {
		w.fail("%s: message %d is sent again after %d", w.step, u, w.link.lastSent)
	}
	w.link.lastSent = u
}

func (w *world) pubrel(f frame) {
	was, ok := w.cur.flights[f.id]
	if !ok {
		if w.step != "pubrec" || f.id != w.unknown || w.link.version == message.V5 && f.code != CodeIDNotFound {
			w.fail("%s: PUBREL %d for nothing", w.step, f.id)
		}
		return
	}
	if was.phase != store.Released {
		w.fail("%s: PUBREL %d without PUBREC", w.step, f.id)
	}
	if w.step == "fill" && w.cur.ended[was.u] == "" { // otherwise it closes a message that was too large
		if was.live {
			w.fail("%s: PUBREL %d twice on one connection", w.step, f.id)
		}
		w.again(was.u)
	}
	was.live = true
	w.cur.flights[f.id] = was
}

// dropped takes a report.
func (w *world) dropped(e *Entry, why Drop) {
	if e.Msg == nil {
		if why != DropRefused {
			w.fail("%s: drop %d of an entry without a message", w.step, why)
		}
		w.ends(w.subject, "refused")
		return
	}
	u := uid(binary.BigEndian.Uint32(e.Msg.Payload))
	w.log("  dropped %d for %d", u, why)
	m := &w.msgs[u]
	switch why {
	case DropQueueFull:
		w.droppedFull(u)
	case DropExpired:
		if w.step != "fill" || m.expires == 0 || m.expires > w.now {
			w.fail("%s: message %d reported as expired", w.step, u)
		}
		w.unqueue(u)
	case DropTooLarge:
		w.droppedLarge(u, m)
	case DropRefused:
		if w.ackCode < firstFailure || u != w.subject {
			w.fail("%s: message %d reported as refused", w.step, u)
		}
	}
	w.ends(u, "dropped")
}

func (w *world) droppedFull(u uid) {
	if w.step == "paged" {
		w.droppedPaged(u)
		return
	}
	size := w.msgs[w.subject].bytes
	full := w.limits.Messages > 0 && len(w.cur.queue)-w.room() >= w.limits.Messages
	full = full && len(w.cur.queue) > 0
	big := w.limits.Bytes > 0 && w.queueBytes()+size > w.limits.Bytes
	passes := len(w.cur.queue) == 0 && w.room() > 0
	if w.step != "enqueue" || passes || !full && !big {
		w.fail("%s: message %d dropped from a queue that is not full", w.step, u)
	}
	if u == w.subject {
		lower := w.msgs[u].qos == 0 && len(w.cur.queue) > 0 && w.msgs[w.cur.queue[0]].qos > 0
		if w.limits.Overflow == DropOldest && !lower && !w.mayRefuse(u) && (w.limits.Bytes == 0 || size <= w.limits.Bytes) {
			w.fail("%s: the newest message %d was dropped", w.step, u)
		}
		return
	}
	if w.limits.Overflow != DropOldest || len(w.cur.queue) == 0 || w.cur.queue[0] != u {
		w.fail("%s: message %d was dropped, not the oldest", w.step, u)
	}
	if w.msgs[w.subject].qos == 0 && w.msgs[u].qos > 0 {
		w.fail("%s: QoS 0 took the place of message %d", w.step, u)
	}
	w.unqueue(u)
}

func (w *world) droppedLarge(u uid, m *msg) {
	if w.link.maxSize == 0 || m.size <= w.link.maxSize {
		w.fail("%s: message %d of %d bytes reported as too large", w.step, u, m.size)
	}
	if w.step == "push" {
		return
	}
	for id, f := range w.cur.flights {
		if f.u != u {
			continue
		}
		if f.live || f.phase != store.Sent {
			w.fail("%s: message %d was sent and is dropped as too large", w.step, u)
		}
		if m.qos == 2 { // closed by a PUBREL
			f.phase, f.live = store.Released, true
			w.cur.flights[id] = f
		} else {
			delete(w.cur.flights, id)
		}
		return
	}
	w.unqueue(u)
}

func (w *world) unqueue(u uid) {
	for i := range w.cur.queue {
		if w.cur.queue[i] == u {
			w.cur.queue = append(w.cur.queue[:i:i], w.cur.queue[i+1:]...)
			return
		}
	}
	w.fail("%s: message %d dropped and was not queued", w.step, u)
}
