package auth

import (
	"fmt"
	"net/netip"
	"testing"
)

// manyRules has n rules of the kinds that grow with an installation, and questions:
// about the user's own rule, rules by topic for everybody, and none at all.
func manyRules(t testing.TB, n int) (*Rules, map[string]Query) {
	specs := make([]RuleSpec, 0, n)
	specs = append(specs, deny("all", "secret/%u/#").with(func(s *RuleSpec) { s.Addresses = []string{"192.0.2.0/24"} }))
	for i := len(specs); i < n-1; i++ {
		s := allow("all", fmt.Sprintf("plant/%d/line/%d/#", i/100, i))
		switch i % 4 {
		case 0:
			s.Users = []string{fmt.Sprintf("u%d", i)}
		case 1:
			s.Groups = []string{fmt.Sprintf("g%d", i%50)}
		case 2:
			s.Effect = "deny"
		}
		specs = append(specs, s)
	}
	specs = append(specs, allow("all", "dev/%u/%c/#"))
	w := &Subject{User: "u4", HasUser: true, ClientID: "c", Groups: []string{"g1", "g2"}, Address: netip.MustParseAddr("10.0.0.1"), Listener: "tcp"}
	last := n - 5 - (n-5)%4 + 3
	return mustCompile(t, specs...), map[string]Query{
		"user":        {Subject: w, Topic: "plant/0/line/4/x"},
		"everybody":   {Subject: w, Topic: fmt.Sprintf("plant/%d/line/%d/x", last/100, last)},
		"placeholder": {Subject: w, Topic: "dev/u4/c/temperature"},
		"default":     {Subject: w, Topic: "other/a/b"},
		"filter":      {Subject: w, Topic: "dev/u4/c/#", Action: Subscribe},
		"wide filter": {Subject: w, Topic: "#", Action: Subscribe},
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{10, 10000} {
		r, asked := manyRules(b, n)
		for name, q := range asked {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.Judge(&q)
				}
			})
		}
	}
}

// BenchmarkCompile is what a reload costs: 10,000 rules, one of them for 100,000
// users.
func BenchmarkCompile(b *testing.B) {
	specs := make([]RuleSpec, 10000)
	for i := range specs {
		specs[i] = allow("all", fmt.Sprintf("plant/%d/line/%d/#", i/100, i))
	}
	for i := range 100000 {
		specs[0].Users = append(specs[0].Users, fmt.Sprintf("u%d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := Compile(specs, Covered); problems != nil {
			b.Fatal(problems)
		}
	}
}
