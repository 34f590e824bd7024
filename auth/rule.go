package auth

import (
	"net/netip"
	"slices"
	"strings"
)

// actions is a set of what a rule is about. A rule for subscriptions is also one
// for what they deliver.
type actions byte

const (
	onPublish actions = 1 << iota
	onSubscribe
)

func (a Action) set() actions {
	if a == Publish {
		return onPublish
	}
	return onSubscribe
}

// rule is a compiled rule.
type rule struct {
	text    string // where it stands and what it says
	filters []filter
	who     conditions
	message message
	acts    actions
	allow   bool
}

// relation is how a filter of the rule and the topic of a question must stand to
// each other: an allow rule must cover a filter, a deny rule need only share a
// topic with it.
func (k *rule) relation(a Action) relation {
	switch {
	case a != Subscribe:
		return matches
	case k.allow:
		return covers
	}
	return overlaps
}

// ternary is yes, no or either.
type ternary byte

const (
	either ternary = iota
	yes
	no
)

func ternaryOf(b *bool) ternary {
	switch {
	case b == nil:
		return either
	case *b:
		return yes
	}
	return no
}

func (t ternary) takes(b bool) bool { return t == either || b == (t == yes) }

const maxQoS = 2

// message is what a rule asks of a message.
type message struct {
	minQoS, maxQoS byte
	retain         ternary
}

// limits reports whether it asks anything.
func (m *message) limits() bool { return m.minQoS > 0 || m.maxQoS < maxQoS || m.retain != either }

// takes reports whether the rule is about the message of q. A subscription stands
// for deliveries at every QoS up to its own: an allow rule must be about all of
// them, a deny rule about one.
func (m *message) takes(q *Query, allow bool) bool {
	switch {
	case q.Action == Subscribe && allow:
		return m.minQoS == 0 && q.QoS <= m.maxQoS
	case q.Action == Subscribe:
		return m.minQoS <= q.QoS
	}
	return m.minQoS <= q.QoS && q.QoS <= m.maxQoS && (q.Action != Publish || m.retain.takes(q.Retain))
}

// conditions are whom a rule is about: all that are set must hold. Lists are
// sorted; nil is no condition.
type conditions struct {
	users, clients, groups []string
	cns, dns, sans         []string
	listeners              []string
	nets                   []netip.Prefix
	anonymous              ternary
	// dangerous asks for a user name or client id with + or #.
	dangerous bool
}

// condition names one of the conditions; the zero value none.
type condition byte

const (
	noCondition condition = iota
	byUser
	byClient
	byGroup
	byCN
	byDN
	bySAN
	byListener
	byAddress
	byAnonymous
	byDanger
	numConditions
)

// unmet returns the first condition that does not hold, or noCondition. What is
// not known of a partial subject holds for deny rules only.
func (c *conditions) unmet(w *Subject, allow bool) condition {
	switch {
	case c.users != nil && (!w.HasUser || !has(c.users, w.User)):
		return byUser
	case !c.anonymous.takes(!w.HasUser):
		return byAnonymous
	case c.clients != nil && !has(c.clients, w.ClientID):
		return byClient
	case c.groups != nil && !hasAny(c.groups, w.Groups):
		return byGroup
	case c.dangerous && !dangerous(w):
		return byDanger
	case w.Partial && !allow:
		return noCondition
	}
	return c.unmetLink(w)
}

// unmetLink looks at the conditions on how the client is connected.
func (c *conditions) unmetLink(w *Subject) condition {
	switch known := !w.Partial; {
	case c.cns != nil && (!known || !has(c.cns, w.Certificate.CN)):
		return byCN
	case c.dns != nil && (!known || !has(c.dns, w.Certificate.DN)):
		return byDN
	case c.sans != nil && (!known || !hasAny(c.sans, w.Certificate.SANs)):
		return bySAN
	case c.listeners != nil && (!known || !has(c.listeners, w.Listener)):
		return byListener
	case c.nets != nil && (!known || !inside(c.nets, w.Address)):
		return byAddress
	}
	return noCondition
}

func has(sorted []string, s string) bool {
	_, ok := slices.BinarySearch(sorted, s)
	return ok
}

func hasAny(sorted, some []string) bool {
	for _, s := range some {
		if has(sorted, s) {
			return true
		}
	}
	return false
}

// inside reports whether one of the networks has the address. One network has an
// address however it is spelled: ::ffff:10.0.0.1 is 10.0.0.1, and a zone is a
// matter of this machine.
func inside(nets []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// dangerous reports whether a name could be taken for a wildcard.
func dangerous(w *Subject) bool {
	return w.HasUser && strings.ContainsAny(w.User, "+#") || strings.ContainsAny(w.ClientID, "+#")
}
