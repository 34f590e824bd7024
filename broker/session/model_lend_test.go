package session

import (
	"slices"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// modelLoan is a run of messages that the model lent.
type modelLoan struct {
	us   []uid
	msgs []*message.Message
}

// Message implements Loan.
func (l *modelLoan) Message(i int) *message.Message { return l.msgs[i] }

// lend sends a run of QoS 1 that has no records yet.
func (w *world) lend() {
	n := 1 + w.src.next(3)
	if !w.persistent || !w.link.on || !w.m.Ready(n) {
		return
	}
	w.at("assign")
	l := &modelLoan{}
	w.m.Lend(l, n, w.now)
	w.link.maxSize = 0
	for range n {
		u, e := w.newMessage(false)
		e.QoS, e.Msg.QoS, w.msgs[u].qos = 1, 1, 1
		w.subject = u
		l.us, l.msgs = append(l.us, u), append(l.msgs, e.Msg)
		id := w.m.Assign(1)
		w.log("lend %d: id %d", u, id)
		frames, _ := w.AppendPublish(nil, &e, id, false, w.now)
		each(frames, func(f frame) { w.produced(f, false) })
		f := w.cur.flights[id]
		f.lent = true
		w.cur.flights[id] = f
		w.link.wire = append(w.link.wire, frames...)
	}
	w.lent = append(w.lent, l)
	w.collect()
}

func (w *world) recall() {
	w.at("recall")
	until := w.now - int64(w.src.next(3))
	w.log("recall what was sent until %d", until)
	w.m.Recall(&w.out, until)
	w.collect()
}

// unanswered is how many messages of a run are in flight.
func (w *world) unanswered(l *modelLoan) (n int) {
	for _, f := range w.cur.flights {
		if f.lent && slices.Contains(l.us, f.u) {
			n++
		}
	}
	return n
}

// inOrder checks that entries are recorded in the order of their Seq.
func (w *world) inOrder(ops []store.Op) {
	for i := range ops {
		if op := &ops[i]; op.Kind == store.KindEntry && !op.Delete {
			if op.Seq <= w.recorded {
				w.fail("%s: entry %d is recorded after %d", w.step, op.Seq, w.recorded)
			}
			w.recorded = op.Seq
		}
	}
}

// loans follows what became of runs that were lent, before the records are looked at.
func (w *world) loans(ops []store.Op) {
	written := map[uint64]bool{}
	for i := range ops {
		if op := &ops[i]; op.Kind == store.KindEntry && !op.Delete {
			written[op.Seq] = true
		}
	}
	for _, l := range w.out.Recorded {
		l := l.(*modelLoan)
		if w.unanswered(l) == 0 {
			w.fail("%s: the run of message %d has nothing to record", w.step, l.us[0])
		}
		for id, f := range w.cur.flights {
			for _, u := range l.us {
				if f.u != u {
					continue
				}
				if sl := w.s.win.at(id); sl == nil || !written[sl.entry.Seq] {
					w.fail("%s: message %d is told to be recorded and is not", w.step, u)
				}
				f.lent = false
				w.cur.flights[id] = f
			}
		}
		w.settleLoan(l)
	}
	for _, l := range w.out.Repaid {
		l := l.(*modelLoan)
		if n := w.unanswered(l); n > 0 {
			w.fail("%s: the run of message %d is told to be acknowledged, %d are not", w.step, l.us[0], n)
		}
		w.settleLoan(l)
	}
	w.out.Recorded, w.out.Repaid = nil, nil
	for _, l := range w.lent {
		if w.unanswered(l) == 0 {
			w.fail("%s: nobody was told that the run of message %d is acknowledged", w.step, l.us[0])
		}
	}
}

// settleLoan ends what is owed for a run; that happens once.
func (w *world) settleLoan(l *modelLoan) {
	for i := range w.lent {
		if w.lent[i] == l {
			w.lent = append(w.lent[:i:i], w.lent[i+1:]...)
			return
		}
	}
	w.fail("%s: the run of message %d is settled twice", w.step, l.us[0])
}

// loseLent is a crash: what was lent and not recorded is its publisher's again.
func (w *world) loseLent() {
	w.lent, w.recorded = nil, 0
	w.out.Recorded, w.out.Repaid = nil, nil
	for id, f := range w.cur.flights {
		if f.lent {
			delete(w.cur.flights, id)
			w.cur.ended[f.u] = "lost, and not promised"
		}
	}
}

// lentIn counts what of a state has no record.
func lentIn(s *state) (n int) {
	for _, f := range s.flights {
		if f.lent {
			n++
		}
	}
	return n
}

type careless struct{ *Session } // says that it recorded what it did not

func (f careless) Recall(o *Output, until int64) {
	was := len(o.Ops)
	f.Session.Recall(o, until)
	if len(o.Ops) > was {
		o.Ops = o.Ops[:was]
	}
}

type lenient struct{ *Session } // takes one acknowledgement for all of a run

func (f lenient) Puback(o *Output, id message.PacketID, code byte) (bool, error) {
	known, err := f.Session.Puback(o, id, code)
	if _, ok := f.Lent(); ok && len(o.Repaid) == 0 {
		o.Repaid = append(o.Repaid, f.lent.list[f.lent.head].of)
	}
	return known, err
}

type jumping struct{ *Session } // records of later messages are written before what was lent

func (f jumping) Enqueue(o *Output, e Entry) bool {
	was := f.lent
	f.lent = nil
	defer func() { f.lent = was }()
	return f.Session.Enqueue(o, e)
}

func TestModelFindsFaultsOfLoans(t *testing.T) {
	findFaults(t, map[string]func(*Session) machine{
		"recall without records":       func(s *Session) machine { return careless{s} },
		"a run is repaid by its first": func(s *Session) machine { return lenient{s} },
		"records out of order":         func(s *Session) machine { return jumping{s} },
	})
}
