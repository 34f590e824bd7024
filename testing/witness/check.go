package witness

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Fault is what a history shows to be wrong.
type Fault struct {
	Rule Rule
	Text string
}

func (f Fault) String() string { return string(f.Rule) + ": " + f.Text }

// Rule names what was broken.
type Rule string

// The rules.
const (
	Lost          Rule = "lost"             // P1: acknowledged, and a subscription that was there before did not get it
	Doubled       Rule = "doubled"          // P2: exactly once
	GroupDoubled  Rule = "doubled in group" // the same, for a group: one of its members
	Reordered     Rule = "reordered"        // P3
	WrongRetained Rule = "wrong retained"   // P6: older than what was acknowledged before, or none, or not sent yet
	MissingWill   Rule = "missing will"     // the connection was cut, the client stayed away
	DoubledWill   Rule = "doubled will"     // to a subscription with QoS 2
	SessionLost   Rule = "session lost"     // CONNACK says that there is none
	Early         Rule = "early"            // a delayed message before its time
	Foreign       Rule = "foreign"          // nobody sent it, or not there
	Unanswered    Rule = "not acknowledged" // the publisher never got an answer
)

// Check compares every acknowledgement with every arrival. The history must be that of
// clients which had the time to receive all that is waiting for them.
func Check(h *History) []Fault {
	c := &checker{h: h}
	c.sessions()
	c.unanswered()
	targets := c.targets()
	c.arrivals(targets)
	for _, t := range targets {
		c.missing(t)
		c.doubled(t)
		if t.group {
			c.groupOrder(t)
		} else {
			c.order(t)
		}
	}
	c.retained()
	return c.faults
}

type checker struct {
	h      *History
	faults []Fault
}

func (c *checker) fault(r Rule, format string, args ...any) {
	c.faults = append(c.faults, Fault{r, fmt.Sprintf(format, args...)})
}

// target is what gets a message once: all that one client subscribed to, or a group.
type target struct {
	name  string
	group bool
	subs  []*Subscription
	got   []Arrival
	count map[int]int // arrivals by message
}

// targets puts subscriptions together. A client is either a member of a group or not.
func (c *checker) targets() map[string]*target {
	ts := make(map[string]*target)
	for i := range c.h.Subscriptions {
		s := &c.h.Subscriptions[i]
		name, group := "client "+s.Client, s.Group != ""
		if group {
			name = "group " + s.Group
		}
		t := ts[name]
		if t == nil {
			t = &target{name: name, group: group, count: make(map[int]int)}
			ts[name] = t
		}
		t.subs = append(t.subs, s)
	}
	return ts
}

// arrivals gives each one to its target and judges what can be said of it alone.
func (c *checker) arrivals(targets map[string]*target) {
	of := make(map[string]*target)
	for _, t := range targets {
		for _, s := range t.subs {
			of[s.Client] = t
		}
	}
	for _, a := range c.h.Arrivals {
		if a.Message < 0 {
			c.fault(Foreign, "client %s got at %d on %s what nobody sent", a.Client, a.At, a.Topic)
			continue
		}
		m := &c.h.Messages[a.Message]
		t := of[a.Client]
		switch {
		case a.Topic != m.Topic:
			c.fault(Foreign, "client %s got on %s at %d: %v", a.Client, a.Topic, a.At, m)
		case t != nil && t.match(m) == nil: // of a subscription whose SUBACK was lost
			continue
		case a.AtTime < m.SentAt+m.Delay:
			c.fault(Early, "client %s got after %v of %v: %v", a.Client, a.AtTime-m.SentAt, m.Delay, m)
		}
		if t != nil { // else its SUBACK was never read
			t.got = append(t.got, a)
			t.count[a.Message]++
		}
	}
}

// match is the oldest subscription that a message belongs to.
func (t *target) match(m *Message) *Subscription {
	for _, s := range t.subs {
		prefix, wild := strings.CutSuffix(s.Filter, "#")
		if s.Filter == m.Topic || wild && strings.HasPrefix(m.Topic, prefix) {
			return s
		}
	}
	return nil
}

// ended reports whether nobody is left that could get what is waiting.
func (t *target) ended() bool {
	for _, s := range t.subs {
		if s.Ended == 0 {
			return false
		}
	}
	return true
}

// missing finds what was acknowledged and did not arrive. A session that has ended is
// owed what is older than something it had of the same stream.
func (c *checker) missing(t *target) {
	ended := t.ended()
	last, arrived := make(map[stream]Moment), Moment(0)
	for _, a := range t.got {
		arrived = a.At
		s := streamOf(&c.h.Messages[a.Message])
		last[s] = max(last[s], c.h.Messages[a.Message].Sent)
	}
	for i := range c.h.Messages {
		m := &c.h.Messages[i]
		if m.Acked == 0 || m.Loose || t.count[i] > 0 {
			continue
		}
		s := t.match(m)
		if s == nil || m.Sent < s.Since || ended && (m.Kind != KindData || m.Sent > last[streamOf(m)]) {
			continue
		}
		if m.Kind == KindWill {
			c.fault(MissingWill, "%s, subscribed at %d, did not get: %v", t.name, s.Since, m)
		} else {
			c.fault(Lost, "%s, subscribed at %d, with its last arrival at %d, did not get: number %d, %v", t.name, s.Since, arrived, i, m)
		}
	}
}

// doubled finds what came twice on a way that has QoS 2 from end to end. The
// publisher's session is persistent, and so are those of subscriptions here.
func (c *checker) doubled(t *target) {
	for i, n := range t.count {
		m := &c.h.Messages[i]
		if n < 2 || m.QoS < 2 || t.qos(m) < 2 {
			continue
		}
		var at []Moment
		for _, a := range t.got {
			if a.Message == i {
				at = append(at, a.At)
			}
		}
		rule := Doubled
		switch {
		case m.Kind == KindWill:
			rule = DoubledWill
		case t.group:
			rule = GroupDoubled
		}
		c.fault(rule, "%s got at %d: number %d, %v", t.name, at, i, m)
	}
}

// qos is the lowest that a message may have been granted.
func (t *target) qos(m *Message) byte {
	q := byte(2)
	for _, s := range t.subs {
		if (&target{subs: []*Subscription{s}}).match(m) != nil {
			q = min(q, s.QoS)
		}
	}
	return q
}

// stream is within what order is kept.
type stream struct {
	publisher, topic string
	qos              byte
}

func streamOf(m *Message) stream { return stream{m.Publisher, m.Topic, m.QoS} }

// order: first arrivals come in the order of sending; what a publisher cannot have
// sent again (QoS 2) does so on each connection, unless nodes may do that for it, and
// the subscription has QoS 1.
func (c *checker) order(t *target) {
	type onConn struct {
		stream
		conn int
	}
	seen := make(map[int]bool)
	first, within := make(map[stream]int), make(map[onConn]int)
	for _, a := range t.got {
		m := &c.h.Messages[a.Message]
		if m.Kind != KindData || (m.QoS == 1 || c.h.Settle > 0) && m.Sent < t.match(m).Since {
			continue // or it may be sent again, behind a later one that came when it was new
		}
		s := streamOf(m)
		if last, ok := first[s]; !seen[a.Message] && ok && last > a.Message {
			c.reordered(t, a, last)
		}
		if !seen[a.Message] {
			first[s] = a.Message
		}
		seen[a.Message] = true
		if m.QoS == 2 && (c.h.Settle == 0 || t.qos(m) == 2) {
			k := onConn{s, a.Conn}
			if last, ok := within[k]; ok && last > a.Message && first[s] != a.Message {
				c.reordered(t, a, last)
			}
			within[k] = a.Message
		}
	}
}

func (c *checker) reordered(t *target, a Arrival, last int) {
	c.fault(Reordered, "%s got at %d, behind number %d: number %d, %v", t.name, a.At, last, a.Message, &c.h.Messages[a.Message])
}

// groupOrder judges each member for messages that were sent and arrived while all were
// there and no publisher came back: others may have been handed over, or sent again.
func (c *checker) groupOrder(t *target) {
	calm := c.calm(t)
	period := func(at Moment) int { return sort.Search(len(calm), func(i int) bool { return calm[i].from > at }) - 1 }
	type key struct {
		stream
		client string
		period int
	}
	last := make(map[key]int)
	for _, a := range t.got {
		m := &c.h.Messages[a.Message]
		k := key{streamOf(m), a.Client, period(a.At)}
		if m.Kind != KindData || k.period < 0 || period(m.Sent) != k.period || !calm[k.period].calm || m.SentAt < calm[k.period].settled {
			continue
		}
		if n, ok := last[k]; ok && n > a.Message {
			c.reordered(t, a, n)
		}
		last[k] = a.Message
	}
}

// period is the time until the next one.
type period struct {
	from    Moment
	calm    bool
	settled time.Duration // when all nodes know how it began
}

// calm divides the history into periods. A member that has gone is seen to have gone
// only later, and nobody can tell when: until all are back none is calm.
func (c *checker) calm(t *target) []period {
	members, publishers := make(map[string]bool), make(map[string]bool)
	joined := Moment(0) // the last of the members
	for _, s := range t.subs {
		members[s.Client] = false
		joined = max(joined, s.Since)
	}
	for _, a := range t.got {
		publishers[c.h.Messages[a.Message].Publisher] = true
	}
	ps := []period{}
	online := 0
	for _, ch := range c.h.Changes {
		was, member := members[ch.Client]
		switch {
		case ch.Client == "":
			for m := range members {
				members[m] = false
			}
			online = 0
		case member && ch.Online != was:
			members[ch.Client] = ch.Online
			online += map[bool]int{true: 1, false: -1}[ch.Online]
		case !publishers[ch.Client]:
			continue
		}
		ps = append(ps, period{ch.At, online == len(members) && ch.At > joined, ch.AtTime + c.h.Settle})
	}
	return ps
}

// retained: a new subscription sees what was acknowledged before it, or a later one.
// Each topic has one writer.
func (c *checker) retained() {
	byTopic := make(map[string][]int)
	for i := range c.h.Messages {
		if m := &c.h.Messages[i]; m.Retain {
			byTopic[m.Topic] = append(byTopic[m.Topic], i)
		}
	}
	for _, r := range c.h.Retained {
		least := -1
		for _, i := range byTopic[r.Topic] {
			if m := &c.h.Messages[i]; m.Acked > 0 && m.Acked < r.Asked {
				least = max(least, i)
			}
		}
		switch {
		case r.Message < least:
			c.fault(WrongRetained, "%s at %d: number %d instead of %d, %v", r.Topic, r.At, r.Message, least, &c.h.Messages[least])
		case r.Message >= 0 && (c.h.Messages[r.Message].Topic != r.Topic || c.h.Messages[r.Message].Sent > r.At):
			c.fault(WrongRetained, "%s at %d: got %v", r.Topic, r.At, &c.h.Messages[r.Message])
		}
	}
}

func (c *checker) sessions() {
	for _, s := range c.h.Connected {
		if s.Known && !s.Present {
			c.fault(SessionLost, "client %s", s.Client)
		}
	}
}

func (c *checker) unanswered() {
	for i := range c.h.Messages {
		if m := &c.h.Messages[i]; m.Acked == 0 && !m.Loose {
			c.fault(Unanswered, "number %d, %v", i, m)
		}
	}
}

// complete reports whether nothing is waited for any more.
func complete(faults []Fault) bool {
	for _, f := range faults {
		switch f.Rule {
		case Lost, MissingWill, Unanswered:
			return false
		}
	}
	return true
}

// Summary counts faults by rule and shows the first of each.
func Summary(faults []Fault) string {
	const show = 5
	var b strings.Builder
	count := make(map[Rule]int)
	for _, f := range faults {
		if count[f.Rule]++; count[f.Rule] <= show {
			fmt.Fprintf(&b, "%v\n", f)
		}
	}
	for r, n := range count {
		fmt.Fprintf(&b, "%s: %d in all\n", r, n)
	}
	return b.String()
}
