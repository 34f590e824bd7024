package session

import (
	"slices"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// The faults are machines with one rule broken each. A model that does not find
// them would prove nothing about the machine without.

type noPhase struct{ *Session } // PUBREL leaves without its record

func (f noPhase) Pubrec(o *Output, version byte, id message.PacketID, code byte) (bool, error) {
	known, err := f.Session.Pubrec(o, version, id, code)
	o.Now, o.After = append(o.Now, o.After...), nil
	return known, err
}

type noDelete struct{ *Session } // an acknowledged entry stays in the store

func (f noDelete) Puback(o *Output, id message.PacketID, code byte) (bool, error) {
	known, err := f.Session.Puback(o, id, code)
	o.Ops = slices.DeleteFunc(o.Ops, func(op store.Op) bool { return op.Delete })
	return known, err
}

type backwards struct{ *Session } // redelivery in the wrong order

func (f backwards) Connected(enc Encoder, max int) {
	f.Session.Connected(enc, max)
	slices.Reverse(f.redeliver)
}

type forgetful struct{ *Session } // nothing is sent again

func (f forgetful) Connected(enc Encoder, max int) {
	f.Session.Connected(enc, max)
	f.redeliver = nil
}

type wide struct{ *Session } // one more than the window

func (f wide) Connected(enc Encoder, max int) { f.Session.Connected(enc, max+1) }

type early struct{ *Session } // QoS 2 leaves before the commit

func (f early) Fill(o *Output, now int64, room int) bool {
	drained := f.Session.Fill(o, now, room)
	o.Now, o.After = append(o.Now, o.After...), nil
	return drained
}

type trusting struct{ *Session } // takes for committed what is not

func (f trusting) Connected(enc Encoder, max int) {
	f.Settled()
	f.Session.Connected(enc, max)
}

type reuser struct{ *Session } // an identifier is free before PUBCOMP

func (f reuser) Pubrec(o *Output, version byte, id message.PacketID, code byte) (bool, error) {
	known, err := f.Session.Pubrec(o, version, id, code)
	if sl := f.win.at(id); sl != nil && err == nil {
		f.win.last = id - 1
		f.win.free(sl)
	}
	return known, err
}

type reissuer struct{ *Session } // gives an identifier out again

func (f reissuer) Enqueue(o *Output, e Entry) bool {
	for i := range f.win.ring {
		if sl := &f.win.ring[i]; sl.phase == store.Released {
			f.win.last = sl.id - 1
			sl.id = 0
			break
		}
	}
	return f.Session.Enqueue(o, e)
}

type noDup struct{ *Session } // redelivery without DUP

func (f noDup) Connected(enc Encoder, max int) { f.Session.Connected(plainEncoder{enc}, max) }

type plainEncoder struct{ Encoder }

func (p plainEncoder) AppendPublish(dst []byte, e *Entry, id message.PacketID, _ bool, now int64) ([]byte, bool) {
	return p.Encoder.AppendPublish(dst, e, id, false, now)
}

type silent struct{ *Session } // drops without a word

func (f silent) Enqueue(o *Output, e Entry) bool {
	was := o.Dropped
	o.Dropped = nil
	defer func() { o.Dropped = was }()
	return f.Session.Enqueue(o, e)
}

type twice struct{ *Session } // reports drops twice

func (f twice) Fill(o *Output, now int64, room int) bool {
	was := o.Dropped
	o.Dropped = func(e *Entry, why Drop) { was(e, why); was(e, why) }
	defer func() { o.Dropped = was }()
	return f.Session.Fill(o, now, room)
}

type unbounded struct{ *Session } // the queue has no limit

func (f unbounded) Enqueue(o *Output, e Entry) bool {
	f.limits = Limits{}
	return f.Session.Enqueue(o, e)
}

type quick struct{ *Session } // expires what was begun

func (f quick) Connected(enc Encoder, max int) {
	f.Session.Connected(enc, max)
	for _, id := range f.redeliver {
		if sl := f.win.at(id); sl.entry.Msg != nil && sl.entry.Msg.Expires != 0 && sl.phase == store.Sent {
			f.win.free(sl)
		}
	}
}

type hasty struct{ *Session } // frees the identifier of a QoS 2 message that is too large

func (f hasty) Fill(o *Output, now int64, room int) bool {
	was := o.Dropped
	o.Dropped = func(e *Entry, why Drop) {
		was(e, why)
		if why == DropTooLarge && e.QoS == 2 {
			e.QoS = 1
		}
	}
	defer func() { o.Dropped = was }()
	return f.Session.Fill(o, now, room)
}

type rude struct{ *Session } // PUBCOMP for what is not known leaves before the first one

func (f rude) Pubrel(o *Output, version byte, id message.PacketID) bool {
	known := f.Session.Pubrel(o, version, id)
	if !known {
		o.Now, o.After, o.Ops = append(o.Now, o.After...), nil, nil
	}
	return known
}

type amnesic struct{ *Session } // forgets the record of a received identifier

func (f amnesic) Received(o *Output, id message.PacketID) bool {
	fresh := f.Session.Received(o, id)
	o.Ops = nil
	return fresh
}

type impatient struct{ *Session } // PUBREC again does not wait

func (f impatient) Received(o *Output, id message.PacketID) bool {
	fresh := f.Session.Received(o, id)
	if !fresh {
		o.Ops = nil
	}
	return fresh
}

type shuffled struct{ *Session } // the queue is not first in, first out

func (f shuffled) Enqueue(o *Output, e Entry) bool {
	ok := f.Session.Enqueue(o, e)
	if q := &f.queue; q.n > 1 {
		a, b := q.at(q.n-1), q.at(q.n-2)
		*a, *b = *b, *a
	}
	return ok
}

type greedy struct{ *Session } // drops what is in flight

func (f greedy) Enqueue(o *Output, e Entry) bool {
	if ids := f.win.inOrder(); len(ids) > 2 {
		sl := f.win.at(ids[0])
		f.forget(o, &sl.entry)
		f.win.free(sl)
	}
	return f.Session.Enqueue(o, e)
}

func TestModelFindsFaults(t *testing.T) {
	findFaults(t, map[string]func(*Session) machine{
		"PUBREL without record":            func(s *Session) machine { return noPhase{s} },
		"PUBACK without record":            func(s *Session) machine { return noDelete{s} },
		"redelivery backwards":             func(s *Session) machine { return backwards{s} },
		"no redelivery":                    func(s *Session) machine { return forgetful{s} },
		"window too wide":                  func(s *Session) machine { return wide{s} },
		"QoS 2 before commit":              func(s *Session) machine { return early{s} },
		"redelivery before commit":         func(s *Session) machine { return trusting{s} },
		"identifier free before PUBCOMP":   func(s *Session) machine { return reuser{s} },
		"identifier given out again":       func(s *Session) machine { return reissuer{s} },
		"no DUP":                           func(s *Session) machine { return noDup{s} },
		"silent drop":                      func(s *Session) machine { return silent{s} },
		"drop reported twice":              func(s *Session) machine { return twice{s} },
		"queue without limit":              func(s *Session) machine { return unbounded{s} },
		"in flight expires":                func(s *Session) machine { return quick{s} },
		"too large without PUBREL":         func(s *Session) machine { return hasty{s} },
		"PUBCOMP before commit":            func(s *Session) machine { return rude{s} },
		"received id without record":       func(s *Session) machine { return amnesic{s} },
		"PUBREC again before commit":       func(s *Session) machine { return impatient{s} },
		"queue out of order":               func(s *Session) machine { return shuffled{s} },
		"overflow takes what is in flight": func(s *Session) machine { return greedy{s} },
	})
}

func findFaults(t *testing.T, faults map[string]func(*Session) machine) {
	for name, wrap := range faults {
		t.Run(name, func(t *testing.T) {
			for i := range 20000 {
				if err := history(uint64(i), i, wrap); err != nil {
					t.Logf("found by history %d: %.200s", i, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}
