package auth

import (
	"slices"
	"strings"
	"testing"
)

func TestRuleProblems(t *testing.T) {
	for _, tc := range []struct {
		what string
		spec RuleSpec
		want []string
	}{
		{"nothing set", RuleSpec{}, []string{`rule 2: action "" is not publish, subscribe or all`, "rule 2: it has no topics", `rule 2: effect "" is not allow or deny`}},
		{"effect", RuleSpec{Source: "c.yaml:7", Effect: "permit", Action: "all", Topics: []string{"a"}}, []string{`c.yaml:7: effect "permit" is not allow or deny`}},
		{"action", allow("write", "a"), []string{`rule 2: action "write" is not publish, subscribe or all`}},
		{"filters", allow("all", "a#", "+a", "", "a/#/b", "\xff", "a\x00", "ok"), []string{
			`rule 2: topic "a#": # is not alone in the last level`, `rule 2: topic "+a": + is not alone in its level`, `rule 2: topic "": it is empty`,
			`rule 2: topic "a/#/b": # is not alone in the last level`, `rule 2: topic "\xff": it is not well-formed UTF-8`, `rule 2: topic "a\x00": it contains U+0000`,
		}},
		{"long filter", allow("all", strings.Repeat("ä", 40000)), []string{`rule 2: topic "` + strings.Repeat("ä", 50) + `…": it is longer than 65,535 bytes`}},
		{"prefixes", allow("all", "$share/g/a", "$exclusive/a", "$delayed/5/a", "$share", "$sharex/a"), []string{
			`rule 2: topic "$share/g/a": rules judge the topic behind $share/`, `rule 2: topic "$exclusive/a": rules judge the topic behind $exclusive/`,
			`rule 2: topic "$delayed/5/a": rules judge the topic behind $delayed/`,
		}},
		{"qos", allow("all", "a").with(func(s *RuleSpec) { s.MinQoS, s.MaxQoS = ptr(3), ptr(-1) }), []string{"rule 2: min_qos 3 is not 0, 1 or 2", "rule 2: max_qos -1 is not 0, 1 or 2"}},
		{"qos range", allow("all", "a").with(func(s *RuleSpec) { s.MinQoS, s.MaxQoS = ptr(2), ptr(1) }), []string{"rule 2: min_qos 2 is above max_qos 1"}},
		{"retain", allow("all", "a").with(func(s *RuleSpec) { s.Retain = ptr(true) }), []string{"rule 2: retain is for rules whose action is publish"}},
		{"empty lists", allow("all", "a").with(func(s *RuleSpec) { s.Users, s.Clients, s.Addresses = []string{}, []string{}, []string{} }), []string{
			"rule 2: users is empty: leave it out for everybody", "rule 2: clients is empty: leave it out for everybody", "rule 2: addresses is empty: leave it out for everybody",
		}},
		{"empty names", allow("all", "a").with(func(s *RuleSpec) {
			s.Clients, s.Groups, s.CertCN, s.CertDN, s.CertSAN, s.Listeners = []string{""}, []string{"x", ""}, []string{""}, []string{""}, []string{""}, []string{""}
		}), []string{
			"rule 2: clients[0] is empty", "rule 2: groups[1] is empty", "rule 2: cert_cn[0] is empty", "rule 2: cert_dn[0] is empty", "rule 2: cert_san[0] is empty", "rule 2: listeners[0] is empty",
		}},
		{"addresses", allow("all", "a").with(func(s *RuleSpec) {
			s.Addresses = []string{"localhost", "10.0.0.1/8", "fe80::1%eth0", "::ffff:0.0.0.0/90", "10.0.0.0/33", "::1"}
		}), []string{
			`rule 2: addresses[0] "localhost" is not an address or a network such as 10.0.0.0/8`, `rule 2: addresses[1] "10.0.0.1/8" has bits set behind its prefix: write 10.0.0.0/8`,
			`rule 2: addresses[2] "fe80::1%eth0" is not an address or a network such as 10.0.0.0/8`, `rule 2: addresses[3] "::ffff:0.0.0.0/90" has bits set behind its prefix: write ::ffc0:0:0/90`,
			`rule 2: addresses[4] "10.0.0.0/33" is not an address or a network such as 10.0.0.0/8`,
		}},
		{"users and nobody", allow("all", "a").with(func(s *RuleSpec) { s.Users, s.Anonymous = []string{"a"}, ptr(true) }), []string{"rule 2: users and anonymous: true are never both so"}},
	} {
		r, problems := Compile([]RuleSpec{allow("all", "fine"), tc.spec}, Covered)
		got := make([]string, len(problems))
		for i, p := range problems {
			got[i] = p.String()
		}
		if r != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tc.what, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

func TestProblemsOfAllRules(t *testing.T) {
	_, problems := Compile([]RuleSpec{allow("x", "a"), allow("all", "a"), allow("y", "a")}, Covered)
	if len(problems) != 2 || problems[0].Where != "rule 1" || problems[1].Where != "rule 3" {
		t.Error(problems)
	}
}

func TestRuleText(t *testing.T) {
	s := allow("publish", "a", "b/+", "c", "d", "e", "f").with(func(s *RuleSpec) {
		s.Source = "c.yaml:3"
		s.Users, s.Clients, s.Groups, s.Addresses = []string{"ann", ""}, []string{"c"}, []string{"g"}, []string{"::1"}
		s.CertCN, s.CertDN, s.CertSAN, s.Listeners = []string{"n"}, []string{"CN=n"}, []string{"s"}, []string{"tls"}
		s.Anonymous, s.MinQoS, s.MaxQoS, s.Retain = ptr(false), ptr(0), ptr(1), ptr(true)
	})
	want := `c.yaml:3: allow publish a, b/+, c, d, 2 more; users ann, ""; clients c; groups g; addresses ::1; cert_cn n; cert_dn CN=n; cert_san s; listeners tls; anonymous false; min_qos 0; max_qos 1; retain true`
	if got := mustCompile(t, s).list[0].text; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestCompileCopies: specs may be changed after they have been compiled.
func TestCompileCopies(t *testing.T) {
	s := allow("all", "a").with(func(s *RuleSpec) { s.Users = []string{"bob", "ann"} })
	r := mustCompile(t, s)
	if s.Users[0] != "bob" {
		t.Error("the spec was sorted")
	}
	s.Users[0], s.Users[1], s.Topics[0] = "x", "y", "z"
	ask(t, r, &Query{Subject: people["bob"], Topic: "a"}, true)
}

func TestCompileLevel(t *testing.T) {
	for s, want := range map[string][]part{
		"%u": {{hole: holeUser}}, "a%cb": {{text: "a"}, {hole: holeClient}, {text: "b"}}, "%u%g": {{hole: holeUser}, {hole: holeGroup}},
		"%": nil, "%%": nil, "%x": nil, "%%u": {{text: "%"}, {hole: holeUser}}, "u%": nil, "%u%": {{hole: holeUser}, {text: "%"}},
	} {
		if got := compileLevel(s, holeUser|holeClient|holeGroup).parts; !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
	if got := compileLevel("%u%c", holeClient).parts; !slices.Equal(got, []part{{text: "%u"}, {hole: holeClient}}) {
		t.Errorf("an unknown placeholder: %v", got)
	}
}
