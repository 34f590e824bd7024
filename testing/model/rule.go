package model

import (
	"fmt"
	"strings"
)

// Rule is one that the protocol cannot do without.
type Rule uint8

// The rules, each with what it says. The design tells them in prose.
const (
	PrepAck     Rule = iota // routes are added only after the old owner answered "prepared"
	Tag                     // entries carry the position at which they were matched
	KeepOverlap             // the overlap set stays with the session
	Token                   // a claim is a token in the record; a move commits only with it
	HoldLeave               // publishes at the old owner wait for the outcome of the move's commit
	Meet                    // who meets prepare or move for a session of the mailbox loads it first
	Incoming                // a mailbox's set names sessions on their way to it
	HoldLocal               // a publish at the new owner waits until the waiting entry is committed
	Order                   // a publisher waits for the process's own inbox; adopted mailboxes are appended to
	Drain                   // other targets only after what is pending for the old ones is done
	Seen                    // known ids of QoS 2 are part of the subscriber's record
	DupWait                 // an ignored duplicate counts as applied with its first copy
	OwnTag                  // the session's epoch is (mailbox, mailbox epoch), and is never lowered
	Bump                    // taking a session raises its epoch by one; of use only without OwnTag
	TrimFence               // trim compares the mailbox epoch
	RouteFence              // route changes compare the mailbox epoch
	RouteOrder              // one ordered writer of routes a mailbox; an add cancels a removal
	CheckAll                // the lease is looked at before every acknowledgement
	FailClose               // a failed publish closes its connection
	LeaseFirst              // a newcomer takes its lease before it reads the routes' end
	NoRevive                // renewal never revives a lease that has run out
	LeaseGen                // an acknowledgement needs the lease generation of its routing
	RetakeAll               // who takes its lease again forgets mailboxes that others took
	AdoptAtomic             // finding the lease run out and taking the mailbox are one step
	ruleCount
)

var ruleNames = [ruleCount]string{
	PrepAck: "prepAck", Tag: "tag", KeepOverlap: "keepOverlap", Token: "token", HoldLeave: "holdLeave",
	Meet: "meet", Incoming: "incoming", HoldLocal: "holdLocal", Order: "order", Drain: "drain", Seen: "seen",
	DupWait: "dupWait", OwnTag: "ownTag", Bump: "bump", TrimFence: "trimFence", RouteFence: "routeFence",
	RouteOrder: "routeOrder", CheckAll: "checkAll", FailClose: "failClose", LeaseFirst: "leaseFirst",
	NoRevive: "noRevive", LeaseGen: "leaseGen", RetakeAll: "retakeAll", AdoptAtomic: "adoptAtomic",
}

// String is the rule's name.
func (r Rule) String() string { return ruleNames[r] }

// Rules are those in force.
type Rules uint32

// AllRules is the protocol.
const AllRules Rules = 1<<ruleCount - 1

// Without is the protocol with rules left out.
func (r Rules) Without(off ...Rule) Rules {
	for _, o := range off {
		r &^= 1 << o
	}
	return r
}

func (r Rules) has(x Rule) bool { return r>>x&1 == 1 }

// Off lists the rules left out, by name.
func (r Rules) Off() []string {
	var names []string
	for x := range ruleCount {
		if !r.has(x) {
			names = append(names, x.String())
		}
	}
	return names
}

// ParseRules reads names separated by commas.
func ParseRules(s string) ([]Rule, error) {
	var list []Rule
	for name := range strings.SplitSeq(s, ",") {
		if name == "" {
			continue
		}
		r, ok := ruleOf(name)
		if !ok {
			return nil, fmt.Errorf("no rule is called %q; there are %s", name, strings.Join(ruleNames[:], " "))
		}
		list = append(list, r)
	}
	return list, nil
}

func ruleOf(name string) (Rule, bool) {
	for r, n := range ruleNames {
		if n == name {
			return Rule(r), true
		}
	}
	return 0, false
}
