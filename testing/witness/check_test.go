package witness

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// story builds a history, one moment after the other.
type story struct{ *Recorder }

// passes lets time pass.
func (s *story) passes(d time.Duration) { s.begun = s.begun.Add(-d) }

func (s *story) message(m Message) int {
	if m.Publisher == "" {
		m.Publisher = "p"
	}
	if m.Topic == "" {
		m.Topic = "data/t"
	}
	return s.sent(m)
}

// done is a message that was acknowledged.
func (s *story) done(qos byte) int {
	n := s.message(Message{QoS: qos})
	s.acked(n)
	return n
}

func (s *story) subscriber(client string, qos byte) {
	s.subscribed(Subscription{Client: client, QoS: qos, Filter: "data/#"})
}

func (s *story) members(qos byte, clients ...string) {
	for _, c := range clients {
		s.Changes(c, true)
		s.subscribed(Subscription{Client: c, Group: "g", QoS: qos, Filter: "data/#"})
	}
	s.Changes("p", true)
}

func (s *story) got(client string, messages ...int) { s.gotOn(1, client, messages...) }

func (s *story) gotOn(conn int, client string, messages ...int) {
	for _, n := range messages {
		s.arrived(client, conn, s.h.Messages[n].Topic, payload(n, 0))
	}
}

// will is one that a client with a will was promised.
func (s *story) will() int {
	n := s.message(Message{Kind: KindWill, QoS: 2, Topic: "will/w", Publisher: "w"})
	s.acked(n)
	return n
}

func (s *story) watcher() { s.subscribed(Subscription{Client: "s", QoS: 2, Filter: "will/#"}) }

func (s *story) keep(value int) { s.retained("retained/t", value, s.moment()) }

func (s *story) retain() int {
	n := s.message(Message{QoS: 1, Retain: true, Topic: "retained/t"})
	s.acked(n)
	return n
}

// TestCheckFinds has a history for every fault.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		want Rule
		tell func(s *story)
	}{
		"nothing arrives": {Lost, func(s *story) {
			s.subscriber("s", 1)
			s.done(1)
		}},
		"one in the middle is lost": {Lost, func(s *story) {
			s.subscriber("s", 2)
			a, _, b := s.done(2), s.done(2), s.done(2)
			s.got("s", a, b)
		}},
		"one of two subscribers does not get it": {Lost, func(s *story) {
			s.subscriber("s", 1)
			s.subscriber("other", 1)
			s.got("s", s.done(1))
		}},
		"a gap before the end of a session": {Lost, func(s *story) {
			s.subscriber("s", 1)
			_, b := s.done(1), s.done(1)
			s.got("s", b)
			s.ends("s")
		}},
		"no member of a group gets it": {Lost, func(s *story) {
			s.members(1, "a", "b")
			a, _, b := s.done(1), s.done(1), s.done(1)
			s.got("a", a)
			s.got("b", b)
		}},
		"a delayed message is lost": {Lost, func(s *story) {
			s.subscriber("s", 1)
			s.acked(s.message(Message{Kind: KindDelayed, QoS: 1}))
		}},
		"QoS 2 twice": {Doubled, func(s *story) {
			s.subscriber("s", 2)
			n := s.done(2)
			s.gotOn(1, "s", n)
			s.gotOn(2, "s", n)
		}},
		"QoS 2 to two members": {GroupDoubled, func(s *story) {
			s.members(2, "a", "b")
			n := s.done(2)
			s.got("a", n)
			s.got("b", n)
		}},
		"a delayed message twice": {Doubled, func(s *story) {
			s.subscriber("s", 2)
			n := s.message(Message{Kind: KindDelayed, QoS: 2})
			s.acked(n)
			s.got("s", n, n)
		}},
		"the second before the first": {Reordered, func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(1), s.done(1)
			s.got("s", b, a)
		}},
		"redelivery turned around": {Reordered, func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(2), s.done(2)
			s.gotOn(1, "s", a, b)
			s.gotOn(2, "s", b, a)
		}},
		"routed again to a subscription with QoS 1 of one node": {Reordered, func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(2), s.done(2)
			s.got("s", a, b, a, b)
		}},
		"a member gets them turned around": {Reordered, func(s *story) {
			s.members(1, "a", "b")
			a, b := s.done(1), s.done(1)
			s.got("b", b, a)
		}},
		"an old retained message": {WrongRetained, func(s *story) {
			old := s.retain()
			s.retain()
			s.keep(old)
		}},
		"no retained message": {WrongRetained, func(s *story) {
			s.retain()
			s.keep(-1)
		}},
		"a retained message of another topic": {WrongRetained, func(s *story) {
			s.retain()
			s.keep(s.done(1))
		}},
		"a member gets them turned around when all has settled": {Reordered, func(s *story) {
			s.Settles(time.Second)
			s.members(1, "a", "b")
			s.passes(time.Minute)
			a, b := s.done(1), s.done(1)
			s.got("b", b, a)
		}},
		"a will is missing": {MissingWill, func(s *story) {
			s.watcher()
			s.will()
		}},
		"a will comes twice": {DoubledWill, func(s *story) {
			s.watcher()
			w := s.will()
			s.got("s", w, w)
		}},
		"a will that may come does so twice": {DoubledWill, func(s *story) {
			s.watcher()
			w := s.will()
			s.loosen(w)
			s.got("s", w, w)
		}},
		"there is no session": {SessionLost, func(s *story) {
			s.connected(Connected{Client: "s", Known: true})
		}},
		"before its time": {Early, func(s *story) {
			s.subscriber("s", 1)
			n := s.message(Message{Kind: KindDelayed, QoS: 1, Delay: time.Hour})
			s.acked(n)
			s.got("s", n)
		}},
		"another topic": {Foreign, func(s *story) {
			s.subscriber("s", 1)
			s.arrived("s", 1, "data/other", payload(s.done(1), 0))
		}},
		"not a message": {Foreign, func(s *story) {
			s.subscriber("s", 1)
			s.arrived("s", 1, "data/t", "nonsense")
		}},
		"a message that was not sent": {Foreign, func(s *story) {
			s.subscriber("s", 1)
			s.arrived("s", 1, "data/t", payload(7, 0))
		}},
		"no acknowledgement": {Unanswered, func(s *story) { s.message(Message{QoS: 1}) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{NewRecorder()}
			c.tell(s)
			faults := Check(s.History())
			if len(faults) == 0 || slices.ContainsFunc(faults, func(f Fault) bool { return f.Rule != c.want }) {
				t.Errorf("got %v, want %s alone", faults, c.want)
			}
			if !strings.Contains(Summary(faults), string(c.want)) {
				t.Errorf("the summary does not name it: %s", Summary(faults))
			}
		})
	}
}

// TestCheckAllows has what looks like a fault and is none.
func TestCheckAllows(t *testing.T) {
	for name, tell := range map[string]func(s *story){
		"all arrive in order": func(s *story) {
			s.subscriber("s", 2)
			s.subscriber("other", 1)
			a, b := s.done(1), s.done(2)
			s.got("s", a, b)
			s.got("other", a, b)
		},
		"sent before the subscription": func(s *story) {
			s.done(1)
			s.subscriber("s", 1)
		},
		"not subscribed to": func(s *story) {
			s.subscriber("s", 1)
			s.acked(s.message(Message{QoS: 1, Topic: "other/t"}))
		},
		"routed again to a subscription with QoS 1": func(s *story) {
			s.Settles(time.Second)
			s.subscriber("s", 1)
			a, b := s.done(2), s.done(2)
			s.got("s", a, b, a, b)
		},
		"QoS 1 twice": func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(1), s.done(1)
			s.got("s", a, b, a, b)
		},
		"QoS 2 twice to a subscription with QoS 1": func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(2), s.done(2)
			s.gotOn(1, "s", a, b)
			s.gotOn(2, "s", a, b)
		},
		"QoS 1 and 2 are two streams": func(s *story) {
			s.subscriber("s", 2)
			a, b := s.done(1), s.done(2)
			s.got("s", b, a)
		},
		"two publishers are two streams": func(s *story) {
			s.subscriber("s", 1)
			a, b := s.done(1), s.message(Message{QoS: 1, Publisher: "q"})
			s.acked(b)
			s.got("s", b, a)
		},
		"the session ended before they came": func(s *story) {
			s.subscriber("s", 1)
			a := s.done(1)
			s.done(1)
			s.got("s", a)
			s.ends("s")
		},
		"retained at SUBSCRIBE, then those before it are sent again": func(s *story) {
			a, b := s.retain(), s.retain()
			s.subscribed(Subscription{Client: "s", QoS: 1, Filter: "retained/#"})
			s.got("s", b, a, b)
		},
		"sent again behind what came after SUBSCRIBE": func(s *story) {
			a := s.done(1)
			s.subscriber("s", 1)
			b := s.done(1)
			s.got("s", b, a, b)
		},
		"SUBACK was lost": func(s *story) {
			s.subscriber("s", 1)
			s.got("s", s.retain())
		},
		"a member left": func(s *story) {
			s.members(1, "a", "b")
			a, b := s.done(1), s.done(1)
			s.got("b", b)
			s.Changes("a", false)
			s.got("b", a)
		},
		"a member is away, nobody knows since when": func(s *story) {
			s.members(1, "a", "b")
			s.Changes("a", false)
			a, b := s.done(1), s.done(1)
			s.got("b", b, a)
		},
		"a member came back to another node, not all know": func(s *story) {
			s.Settles(time.Minute)
			s.members(1, "a", "b")
			s.Changes("a", false)
			s.Changes("a", true)
			a, b := s.done(1), s.done(1)
			s.got("b", b, a)
		},
		"the node ended": func(s *story) {
			s.members(1, "a", "b")
			s.Changes("", false)
			a, b := s.done(1), s.done(1)
			s.got("b", b, a)
		},
		"a later retained message": func(s *story) {
			s.retain()
			n := s.message(Message{QoS: 1, Retain: true, Topic: "retained/t"})
			s.keep(n)
			s.acked(n)
		},
		"acknowledged while it was asked for": func(s *story) {
			old, n := s.retain(), s.message(Message{QoS: 1, Retain: true, Topic: "retained/t"})
			asked := s.moment()
			s.acked(n)
			s.retained("retained/t", old, asked)
		},
		"a will once": func(s *story) {
			s.watcher()
			s.got("s", s.will())
		},
		"a client with a will came back": func(s *story) {
			s.watcher()
			s.loosen(s.will())
		},
		"a will whose CONNACK was lost": func(s *story) {
			s.watcher()
			s.loosen(s.message(Message{Kind: KindWill, QoS: 2, Topic: "will/w"}))
		},
		"a session that is new, and one that is there": func(s *story) {
			s.connected(Connected{Client: "s"})
			s.connected(Connected{Client: "s", Known: true, Present: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{NewRecorder()}
			tell(s)
			if faults := Check(s.History()); len(faults) > 0 {
				t.Errorf("got %v", faults)
			}
		})
	}
}
