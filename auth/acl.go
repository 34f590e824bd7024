package auth

import (
	"net/netip"
)

// Action is what a client wants to do.
type Action byte

// Actions of a Query.
const (
	Publish   Action = iota // send a message to a topic, also its will
	Subscribe               // subscribe to a topic filter
	Deliver                 // get a message of a topic
)

// String names the action as in logs.
func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Deliver:
		return "deliver"
	}
	return "unknown"
}

// Certificate is what rules see of a client certificate. Without one it is zero,
// and no rule that asks for a field of it matches.
type Certificate struct {
	CN, DN string
	SANs   []string
}

// Subject is what rules see of a client. It is read only, so one serves a
// connection for its life.
type Subject struct {
	// User is the user name, valid with HasUser: an empty name is a name.
	User     string
	ClientID string
	// Listener is the name of the listener that took the connection.
	Listener    string
	Certificate Certificate
	Groups      []string
	// Address is where the client connects from, invalid when it has none (a Unix
	// socket).
	Address netip.Addr
	HasUser bool
	// Partial says that the address, the listener and the certificate are not known
	// any more, as for the will of a session that was read from a store. Allow rules
	// that ask for one of them do not match then, deny rules do.
	Partial bool
}

// Query is one question to [Rules]. Topic is a valid topic name, for Subscribe a
// valid filter, without $share/, $exclusive/ or $delayed/ prefix: rules judge what
// stands behind these.
type Query struct {
	Subject *Subject
	Topic   string
	Action  Action
	// QoS is that of the PUBLISH, the one a SUBSCRIBE asks for, and for Deliver the
	// one of the delivery: the lower of the message's and the subscription's.
	QoS byte
	// Retain is the retain flag of the PUBLISH. It means nothing for other actions.
	Retain bool
}

// Verdict is the answer to a [Query].
type Verdict struct {
	// Rule names what decided, for logs: where the rule stands, and its text.
	Rule    string
	Allowed bool
	// PerMessage says that the answer depends on QoS or retain flag, so that it holds
	// for this message alone. Otherwise it holds for the same subject, action and
	// topic as long as the rules do.
	PerMessage bool
}

// Default reports whether no rule decided, so that it was denied.
func (v *Verdict) Default() bool { return v.Rule == ruleDefault }

// SubscribeMode is how subscriptions are judged.
type SubscribeMode byte

// Subscribe modes.
const (
	// Covered refuses a filter unless rules allow everything it can match: an allow
	// rule must cover it before any deny rule shares a topic with it. Two allow rules
	// are not put together, so a filter that only their union covers is refused.
	// Deliveries need no judging while the rules hold that a subscription was judged by.
	Covered SubscribeMode = iota
	// Filtered accepts every filter; each delivery must be judged.
	Filtered
)

// What a Verdict names when no rule decided.
const (
	ruleNone     = "no rules"
	ruleDefault  = "default: no rule allows it"
	ruleFiltered = "subscriptions are accepted, each delivery is judged"
	ruleNoTopic  = "no topic"
)

// Rules are compiled rules, in order: the first that matches decides, and what no
// rule matches is denied. They are immutable and safe for concurrent use; a reload
// makes new ones.
//
// In the topics of rules %u is the user name, %c the client id and %g each of the
// groups in turn. What takes the place of one was chosen by somebody else than the
// author of the rule, so it stands there only if it is plain: not empty, without
// + # / and U+0000, and without a $ where the topic begins. With a value that is not
// plain,
//
//   - an allow rule matches nothing: a name never widens what is allowed;
//   - a deny rule matches whatever any value could have made of it, which is
//     everything below the levels in front of the placeholder: a name never escapes
//     what is denied.
//
// A client without user name has no plain value for %u. A client without groups
// has nothing that a rule with %g could be about: neither kind of rule matches.
type Rules struct {
	list  []rule
	index index
	mode  SubscribeMode
	// closed rules deny by default also when there are none.
	closed bool
}

// Empty reports whether there are no rules, so that it is the caller's to decide:
// [Rules.Judge] allows everything.
func (r *Rules) Empty() bool { return len(r.list) == 0 && !r.closed }

// Len returns the number of rules.
func (r *Rules) Len() int { return len(r.list) }

// Mode returns how subscriptions are judged.
func (r *Rules) Mode() SubscribeMode { return r.mode }

// Judge answers a question. It does not allocate.
func (r *Rules) Judge(q *Query) Verdict {
	if v, done := r.before(q); done {
		return v
	}
	s := search{rules: r, q: q, best: int32(len(r.list)), held: int32(len(r.list))}
	s.run()
	return r.verdict(s.best, s.held)
}

// before answers what needs no rule.
func (r *Rules) before(q *Query) (v Verdict, done bool) {
	switch {
	case q.Topic == "":
		return Verdict{Rule: ruleNoTopic}, true
	case r.Empty():
		return Verdict{Rule: ruleNone, Allowed: true}, true
	case q.Action == Subscribe && r.mode == Filtered:
		return Verdict{Rule: ruleFiltered, Allowed: true}, true
	}
	return Verdict{}, false
}

// verdict is the answer when rule best decides and held is the first that only the
// QoS or the retain flag kept from deciding. Neither is the number of rules.
func (r *Rules) verdict(best, held int32) Verdict {
	if int(best) == len(r.list) {
		return Verdict{Rule: ruleDefault, PerMessage: held < best}
	}
	k := &r.list[best]
	return Verdict{Rule: k.text, Allowed: k.allow, PerMessage: held < best || k.message.limits()}
}
