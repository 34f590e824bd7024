package session

import (
	"errors"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// read lets the client take up to n packets from the wire.
func (w *world) read(n int) {
	for ; n > 0 && len(w.link.wire) > 0; n-- {
		var f frame
		f, w.link.wire = parse(w.link.wire)
		w.log("client gets %+v", f)
		switch {
		case f.typ == 3 && f.qos == 1:
			w.deliver(f)
			w.owe(4, f.id)
		case f.typ == 3 && f.qos == 2:
			w.deliver2(f)
			w.owe(5, f.id)
		case f.typ == 6:
			delete(w.holds, f.id)
			w.owe(7, f.id)
		}
	}
}

func (w *world) owe(typ byte, id message.PacketID) { w.link.owed = append(w.link.owed, ack{typ, id}) }

func (w *world) deliver(f frame) {
	w.delivered[f.u]++
	if w.delivered[f.u] > 1 {
		return
	}
	if w.revived[f.u] {
		return
	}
	if f.u <= w.lastFirst[f.qos] {
		w.fail("client: message %d comes after %d [MQTT-4.6.0-5]", f.u, w.lastFirst[f.qos])
	}
	w.lastFirst[f.qos] = f.u
}

// deliver2 is the receiver's side of exactly once: a known identifier is the same
// message again.
func (w *world) deliver2(f frame) {
	if u, ok := w.holds[f.id]; ok {
		if u != f.u {
			w.fail("client: id %d still is message %d and comes with %d", f.id, u, f.u)
		}
		return
	}
	w.holds[f.id] = f.u
	if w.deliver(f); w.delivered[f.u] > 1 {
		w.fail("client: message %d is delivered twice at QoS 2", f.u)
	}
}

// acknowledge sends acknowledgements that the client owes, sometimes a refusal.
func (w *world) acknowledge() {
	for n := 1 + w.src.next(3); n > 0 && w.link.on && len(w.link.owed) > 0 && w.err == nil; n-- {
		a := w.link.owed[0]
		w.link.owed = w.link.owed[1:]
		w.link.given = append(w.link.given, a)
		code := CodeSuccess
		f := w.cur.flights[a.id]
		if w.link.version == message.V5 && a.typ != 7 && f.phase == store.Sent && w.src.next(12) == 11 {
			code = 0x97
		}
		w.give(a, code)
		if code != 0 && a.typ == 5 {
			delete(w.holds, a.id) // the flow has ended for both, and the client has not got it
			w.delivered[f.u]--
		}
	}
}

// stray sends what a client may send out of turn: acknowledgements given before,
// for messages of an earlier connection, for no message, of the wrong flow.
func (w *world) stray() {
	if !w.link.on {
		return
	}
	ids := w.idsInFlight()
	switch k := w.src.next(4); {
	case k == 0 && len(w.link.given) > 0:
		w.give(w.link.given[w.src.next(len(w.link.given))], 0)
	case k == 1:
		w.give(ack{[]byte{4, 5, 7}[w.src.next(3)], message.PacketID(40000 + w.src.next(3))}, 0)
	case k == 2 && len(ids) > 0:
		w.wrong(ids[w.src.next(len(ids))])
	case k == 3 && len(ids) > 0:
		w.early(ids[w.src.next(len(ids))])
	}
}

// early acknowledges what an earlier connection delivered.
func (w *world) early(id message.PacketID) {
	f := w.cur.flights[id]
	switch {
	case f.live || w.delivered[f.u] == 0:
	case w.msgs[f.u].qos == 1:
		w.give(ack{4, id}, 0)
	case f.phase == store.Sent && w.holds[id] == f.u:
		w.give(ack{5, id}, 0)
	}
}

func (w *world) wrong(id message.PacketID) {
	f := w.cur.flights[id]
	typ := byte(5)
	if w.msgs[f.u].qos == 2 {
		if typ = 4; f.phase == store.Sent && w.src.next(2) == 1 {
			typ = 7
		}
	}
	w.give(ack{typ, id}, 0)
}

// give hands an acknowledgement to the session and follows what must come of it.
func (w *world) give(a ack, code byte) {
	f, used := w.cur.flights[a.id]
	w.at(map[byte]string{4: "puback", 5: "pubrec", 7: "pubcomp"}[a.typ])
	w.log("%s %d code %#x", w.step, a.id, code)
	w.subject, w.ackCode = f.u, code
	fits := false
	if used {
		switch a.typ {
		case 4:
			fits = w.msgs[f.u].qos == 1
		case 5:
			fits = w.msgs[f.u].qos == 2
		case 7:
			fits = f.phase == store.Released
		}
	} else {
		w.unknown = a.id
	}
	if fits {
		w.acked(a, f, code)
	}
	var known bool
	var err error
	switch a.typ {
	case 4:
		known, err = w.m.Puback(&w.out, a.id, code)
	case 5:
		known, err = w.m.Pubrec(&w.out, w.link.version, a.id, code)
	case 7:
		known, err = w.m.Pubcomp(&w.out, a.id)
	}
	if known != used || errors.Is(err, ErrWrongFlow) != (used && !fits) {
		w.fail("%s %d: answered %v, %v; in use is %v, fits is %v", w.step, a.id, known, err, used, fits)
	}
	w.answered(a, code, used && fits)
	w.collect()
	if used && fits && code >= firstFailure && w.cur.ended[f.u] == "" {
		w.fail("%s: message %d was refused and not reported", w.step, f.u)
	}
}

// acked moves the model on. A refusal is reported by the session.
func (w *world) acked(a ack, f flight, code byte) {
	if a.typ == 5 && code < firstFailure {
		f.phase = store.Released
		w.cur.flights[a.id] = f
		return
	}
	delete(w.cur.flights, a.id)
	if code < firstFailure && w.cur.ended[f.u] == "" {
		w.ends(f.u, "acknowledged")
	}
}

// answered checks that PUBREC, and nothing else, is answered by one PUBREL.
func (w *world) answered(a ack, code byte, _ bool) {
	n := 0
	each(append(append([]byte(nil), w.out.Now...), w.out.After...), func(f frame) {
		if n++; f.typ != 6 || f.id != a.id {
			w.fail("%s %d: answered %+v", w.step, a.id, f)
		}
	})
	f, used := w.cur.flights[a.id]
	want := 0
	if a.typ == 5 && code < firstFailure && (!used || f.phase == store.Released) {
		want = 1
	}
	if n != want {
		w.fail("%s %d: %d answers, want %d", w.step, a.id, n, want)
	}
}
