package auth

import (
	"fmt"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		rules []RuleSpec
		q     Query
		want  string
	}{
		{nil, Query{Subject: people["nobody"], Topic: "a"}, `publish "a" QoS 0 by nobody, client "c0", address 192.0.2.7, listener tcp
allowed by     no rules
`},
		{[]RuleSpec{allow("all", "a")}, Query{Subject: people["ann"], Topic: "b/c", QoS: 1, Retain: true}, `publish "b/c" QoS 1 retain by user "ann", client "c1", groups staff, admins, listener tls, certificate "ann"
  no match  rule 1: allow all a
            a does not match the topic
denied by     default: no rule allows it
`},
		{[]RuleSpec{
			allow("publish", "#"),
			allow("all", "#").with(func(s *RuleSpec) { s.Users = []string{"ann"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.Clients = []string{"x"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.Groups = []string{"x"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.CertCN = []string{"x"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.Listeners = []string{"x"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.Addresses = []string{"::1"} }),
			allow("all", "#").with(func(s *RuleSpec) { s.Anonymous = ptr(true) }),
			allow("subscribe", "b/+", "c"),
			allow("subscribe", "x", "y"),
			allow("subscribe", "#").with(func(s *RuleSpec) { s.MaxQoS = ptr(1) }),
			deny("subscribe", "b/%u/x"),
			allow("all", "#"),
		}, Query{Subject: people["bob"], Action: Subscribe, Topic: "b/#", QoS: 2}, `subscribe "b/#" QoS 2 by user "bob", client "c2", groups staff, address 10.1.2.3, listener tcp
  no match  rule 1: allow publish #
            it is not about subscribing
  no match  rule 2: allow all #; users ann
            it is for other users
  no match  rule 3: allow all #; clients x
            it is for other client ids
  no match  rule 4: allow all #; groups x
            it is for other groups
  no match  rule 5: allow all #; cert_cn x
            it is for other client certificates
  no match  rule 6: allow all #; listeners x
            it is for other listeners
  no match  rule 7: allow all #; addresses ::1
            it is for other addresses
  no match  rule 8: allow all #; anonymous true
            it is for clients without user name
  no match  rule 9: allow subscribe b/+, c
            b/+ is only a part of the filter; rules are not put together
  no match  rule 10: allow subscribe x, y
            x, y shares no topic with the filter
  no match  rule 11: allow subscribe #; max_qos 1
            it is not about messages with QoS 0 to 2: it is for QoS 0 to 1
denied by     rule 12: deny subscribe b/%u/x
            b/%u/x shares topics with the filter
            other messages to this topic may be judged otherwise
`},
		{[]RuleSpec{
			allow("publish", "b/%u/x"), allow("publish", "b").with(func(s *RuleSpec) { s.Retain = ptr(true) }),
			allow("publish", "b").with(func(s *RuleSpec) { s.MinQoS = ptr(2) }), deny("publish", "%g/x", "b/%c"),
		}, Query{Subject: people["evil"], Topic: "b"}, `publish "b" QoS 0 by user "+", client "a/#", groups #, address fe80::1%eth0, listener tcp
  no match  rule 1: allow publish b/%u/x
            b/%u/x has a placeholder whose value is missing, empty, or has + # / or a $ in front: it matches nothing
  no match  rule 2: allow publish b; retain true
            it is not about messages with no retain flag
  no match  rule 3: allow publish b; min_qos 2
            it is not about messages with QoS 0: it is for QoS 2 to 2
denied by     rule 4: deny publish %g/x, b/%c
            %g/x matches the topic, as a name has no place in it: any value could stand there
            other messages to this topic may be judged otherwise
`},
		{[]RuleSpec{
			allow("all", "#").with(func(s *RuleSpec) { s.Listeners = []string{"tls"} }), allow("all", "#").with(func(s *RuleSpec) { s.Anonymous = ptr(true) }),
			deny("all", "%g").with(func(s *RuleSpec) { s.Groups = []string{"staff"} }), allow("subscribe", "a", "+"),
		}, Query{Subject: people["stored"], Action: Deliver, Topic: "a", QoS: 1}, `deliver "a" QoS 1 by user "bob", client "c2", groups staff
  no match  rule 1: allow all #; listeners tls
            how the client is connected is not known any more, so no allow rule that asks matches
  no match  rule 2: allow all #; anonymous true
            it is for clients without user name
  no match  rule 3: deny all %g; groups staff
            %g does not match the topic
allowed by     rule 4: allow subscribe a, +
            a matches the topic
`},
	} {
		r := mustCompile(t, tc.rules...)
		if got := r.Explain(&tc.q).String(); got != tc.want {
			t.Errorf("%s\nwant\n%s", got, tc.want)
		}
	}
}

// An explanation is bounded; what is about the client comes first.
func TestExplainBounded(t *testing.T) {
	var specs []RuleSpec
	for i := range 1000 {
		s := allow("all", fmt.Sprintf("t/%d", i))
		if i%2 == 0 {
			s.Users = []string{"x"}
		}
		specs = append(specs, s)
	}
	e := mustCompile(t, specs...).Explain(&Query{Subject: people["bob"], Topic: "t/999"})
	if len(e.Steps) != 64 || e.Omitted != 999-64 || e.Steps[1].Rule != "rule 4: allow all t/3" || e.Verdict.Rule != "rule 1000: allow all t/999" {
		t.Errorf("%d steps, %d omitted, the second %v, by %s", len(e.Steps), e.Omitted, e.Steps[1], e.Verdict.Rule)
	}
	if s := e.String(); !strings.Contains(s, "  no match  935 more rules\n") || len(s) > 20000 {
		t.Errorf("%d bytes: %s", len(s), s)
	}
}
