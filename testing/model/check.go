package model

import "fmt"

// Violation tells which promise is broken, by its letter, and how; "" is none.
type Violation string

// Outcome is what clients have seen. It judges what was delivered; a second driver
// keeps one too.
type Outcome struct {
	Log    [logSize]uint8 // the ids that S's subscriber gets, in order
	Len    uint8
	Acked  uint8 // messages acknowledged to the publisher, a bit each
	After  uint8 // messages accepted after SUBACK
	Failed uint8 // a process has crashed or paused
}

func (o *Outcome) acked(number uint8) bool { return o.Acked>>number&1 == 1 }

// deliver is the message with an id that reaches the subscriber. It reports false when
// the log is full.
func (o *Outcome) deliver(id, number uint8, numberOf func(id uint8) uint8, qos2 bool) (Violation, bool) {
	if o.Len == logSize {
		return "", false
	}
	var v Violation
	first := true
	for _, other := range o.Log[:o.Len] {
		same := numberOf(other) == number
		first = first && !same
		switch {
		case qos2 && same:
			v = Violation(fmt.Sprintf("D: QoS 2 message m%d came twice", number+1))
		case !qos2 && other == id && o.Failed == 0:
			v = Violation(fmt.Sprintf("D: one reception of m%d came twice by the move, nothing failed", number+1))
		}
	}
	if first {
		for _, other := range o.Log[:o.Len] {
			if n := numberOf(other); n > number {
				v = Violation(fmt.Sprintf("O: m%d came before m%d", n+1, number+1))
			}
		}
	}
	o.Log[o.Len] = id
	o.Len++
	return v, true
}

// lost is a message of n that was acknowledged, and accepted after SUBACK if there was
// one, and did not come.
func (o *Outcome) lost(n int, subscribe bool, numberOf func(id uint8) uint8) Violation {
	for k := range uint8(n) {
		if !o.acked(k) || subscribe && o.After>>k&1 == 0 || o.has(k, numberOf) {
			continue
		}
		if subscribe {
			return Violation(fmt.Sprintf("W: m%d was accepted after SUBACK, acknowledged and lost", k+1))
		}
		return Violation(fmt.Sprintf("L: acknowledged m%d is lost", k+1))
	}
	return ""
}

func (o *Outcome) has(number uint8, numberOf func(id uint8) uint8) bool {
	for _, id := range o.Log[:o.Len] {
		if numberOf(id) == number {
			return true
		}
	}
	return false
}

// oneOwner is E.
func (s *State) oneOwner() Violation {
	n := 0
	for i := range processes {
		role := s.P[i].S.Role
		if (role == roleOwner || role == roleLeaving) && s.mayCommit(i) {
			n++
		}
	}
	if n > 1 {
		return "E: two processes could commit for S"
	}
	return ""
}

// quiet judges a state in which nothing more happens by itself.
func (m *Model) quiet(s *State) Violation {
	if !s.alive() {
		return ""
	}
	if s.Client.State == clientWaits {
		return "T: the client waits for CONNACK and nothing will happen"
	}
	if m.in.Subscribe && s.Sub == subRouted && s.Client.At != none {
		return "T: SUBACK never comes"
	}
	return s.Seen.lost(m.in.Messages, m.in.Subscribe, m.number)
}

// alive reports whether a process is left that can do anything.
func (s *State) alive() bool {
	for i := range processes {
		if s.P[i].Life == running && s.Lease[i] == 1 {
			return true
		}
	}
	return false
}
