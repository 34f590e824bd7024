package auth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func mustCompile(t testing.TB, specs ...RuleSpec) *Rules {
	t.Helper()
	r, problems := Compile(specs, Covered)
	if problems != nil {
		t.Fatal(problems)
	}
	return r
}

func ask(t *testing.T, r *Rules, q *Query, allowed bool) {
	t.Helper()
	if v := r.Judge(q); v.Allowed != allowed {
		t.Errorf("want %v\n%s", allowed, r.Explain(q))
	}
}

func TestNoRules(t *testing.T) {
	r := mustCompile(t)
	if !r.Empty() || r.Len() != 0 || r.Mode() != Covered {
		t.Errorf("Empty = %v, Len = %d, Mode = %v", r.Empty(), r.Len(), r.Mode())
	}
	if v := r.Judge(&Query{Subject: &Subject{}, Topic: "a"}); v != (Verdict{Rule: "no rules", Allowed: true}) {
		t.Errorf("Judge = %+v", v)
	}
	if v := r.Judge(&Query{Subject: &Subject{}}); v != (Verdict{Rule: "no topic"}) {
		t.Errorf("without topic: %+v", v)
	}
	if mosquitto := mustParse(t, ""); mosquitto.Empty() {
		t.Error("mosquitto's file without lines allows everything")
	}
}

// people of the table.
var people = map[string]*Subject{
	"nobody": {ClientID: "c0", Listener: "tcp", Address: netip.MustParseAddr("192.0.2.7")},
	"ann":    {User: "ann", HasUser: true, ClientID: "c1", Groups: []string{"staff", "admins"}, Listener: "tls", Certificate: Certificate{CN: "ann", DN: "CN=ann,O=x", SANs: []string{"ann@x", "ann.x"}}},
	"bob":    {User: "bob", HasUser: true, ClientID: "c2", Groups: []string{"staff"}, Listener: "tcp", Address: netip.MustParseAddr("::ffff:10.1.2.3")},
	"evil":   {User: "+", HasUser: true, ClientID: "a/#", Groups: []string{"#"}, Listener: "tcp", Address: netip.MustParseAddr("fe80::1%eth0")},
	"empty":  {HasUser: true, ClientID: "c3"},
	"dollar": {User: "$SYS", HasUser: true, ClientID: "$SYS"},
	"stored": {User: "bob", HasUser: true, ClientID: "c2", Groups: []string{"staff"}, Partial: true},
}

// allow and deny make a rule of topics; with changes it.
func allow(action string, topics ...string) RuleSpec {
	return RuleSpec{Effect: "allow", Action: action, Topics: topics}
}

func deny(action string, topics ...string) RuleSpec {
	return RuleSpec{Effect: "deny", Action: action, Topics: topics}
}

func (s RuleSpec) with(change func(*RuleSpec)) RuleSpec {
	change(&s)
	return s
}

// TestTable: per rule set, who may do what. The question is "p topic", "s filter" or
// "d topic", at QoS 1; those who are not named may not.
func TestTable(t *testing.T) {
	everybody := "nobody ann bob evil empty dollar stored"
	for name, tc := range map[string]struct {
		rules []RuleSpec
		may   map[string]string
	}{
		"actions": {
			[]RuleSpec{allow("publish", "p/#"), allow("subscribe", "s/#"), allow("all", "x/#")},
			map[string]string{
				"p p/a": everybody, "s p/a": "", "d p/a": "", "p s/a": "", "s s/a": everybody, "d s/a": everybody,
				"p x/a": everybody, "s x/a": everybody, "d x/a": everybody, "p y": "",
			},
		},
		"first match": {
			[]RuleSpec{allow("all", "a/b"), deny("all", "a/#"), allow("all", "#"), deny("all", "z")},
			map[string]string{"p a/b": everybody, "p a/c": "", "p a": "", "p z": everybody, "p $SYS/a": "", "s a/b": everybody, "s a/+": "", "s +/b": "", "s z": everybody, "s +": "", "s b/#": everybody},
		},
		"users": {
			[]RuleSpec{allow("all", "a").with(func(s *RuleSpec) { s.Users = []string{"bob", "ann"} }), allow("all", "b").with(func(s *RuleSpec) { s.Users = []string{""} })},
			map[string]string{"p a": "ann bob stored", "p b": "empty"},
		},
		"anonymous": {
			[]RuleSpec{allow("all", "a").with(func(s *RuleSpec) { s.Anonymous = ptr(true) }), allow("all", "b").with(func(s *RuleSpec) { s.Anonymous = ptr(false) })},
			map[string]string{"p a": "nobody", "p b": "ann bob evil empty dollar stored"},
		},
		"clients and groups": {
			[]RuleSpec{allow("all", "a").with(func(s *RuleSpec) { s.Clients = []string{"c1", "c0"} }), allow("all", "b").with(func(s *RuleSpec) { s.Groups = []string{"admins", "none"} }), allow("all", "c").with(func(s *RuleSpec) { s.Groups, s.Clients = []string{"staff"}, []string{"c2"} })},
			map[string]string{"p a": "nobody ann", "p b": "ann", "p c": "bob stored"},
		},
		"addresses": {
			[]RuleSpec{allow("all", "a").with(func(s *RuleSpec) { s.Addresses = []string{"10.0.0.0/8"} }), allow("all", "b").with(func(s *RuleSpec) { s.Addresses = []string{"::ffff:10.0.0.0/104", "fe80::1"} }), allow("all", "c").with(func(s *RuleSpec) { s.Addresses = []string{"::/0"} }), deny("all", "d").with(func(s *RuleSpec) { s.Addresses = []string{"192.0.2.0/24"} }), allow("all", "d")},
			map[string]string{"p a": "bob", "p b": "bob evil", "p c": "evil", "p d": "ann bob evil empty dollar"},
		},
		"certificates and listeners": {
			[]RuleSpec{
				allow("all", "a").with(func(s *RuleSpec) { s.CertCN = []string{"ann"} }), allow("all", "b").with(func(s *RuleSpec) { s.CertDN = []string{"CN=ann,O=x"} }),
				allow("all", "c").with(func(s *RuleSpec) { s.CertSAN = []string{"ann.x"} }), allow("all", "d").with(func(s *RuleSpec) { s.Listeners = []string{"tls"} }),
				deny("all", "e").with(func(s *RuleSpec) { s.CertCN, s.Users = []string{"ann"}, []string{"ann", "bob"} }), deny("all", "e").with(func(s *RuleSpec) { s.Listeners = []string{"tcp"} }), allow("all", "e"),
			},
			map[string]string{"p a": "ann", "p b": "ann", "p c": "ann", "p d": "ann", "p e": "empty dollar"},
		},
		"placeholders never widen": {
			[]RuleSpec{allow("all", "u/%u/#", "c/%c", "g/%g/x", "%u/own", "%c/#", "p-%u/%u%c")},
			map[string]string{
				"p u/ann/a": "ann", "p u/+/a": "", "p u/x/a": "", "p u//a": "", "p c/c2": "bob stored", "p c/a/b": "", "p c/a/#": "",
				"p g/staff/x": "ann bob stored", "p g/#/x": "", "p bob/own": "bob stored", "p $SYS/own": "", "p $SYS/a": "", "p c0/a": "nobody",
				"s u/+/#": "", "s u/bob/#": "bob stored", "s u/ann/b/+": "ann", "s #": "", "p p-bob/bobc2": "bob stored", "p p-bob/bob": "", "p u/$SYS/a": "dollar",
			},
		},
		"placeholders never let through": {
			[]RuleSpec{deny("all", "u/%u/x", "g/a/%g"), deny("subscribe", "c/%c/x"), allow("all", "#"), allow("all", "$SYS/#")},
			map[string]string{
				"p u/bob/x": "ann dollar", "p u/ann/x": "bob stored dollar", "p u/q/x": "ann bob stored dollar", "p u/bob/y": "ann bob stored dollar", "p v": everybody,
				"s u/+/y": "ann bob stored dollar", "s u/bob/#": "ann dollar", "s u/+/x": "",
				"p g/a/staff": "nobody empty dollar", "p g/a/q": "nobody ann bob empty dollar stored", "p c/a/x": everybody, "d c/a/x": "nobody ann bob empty dollar stored", "p $SYS/a": everybody,
			},
		},
		"a placeholder in front": {
			[]RuleSpec{deny("all", "%u/x"), allow("all", "#", "$SYS/#")},
			map[string]string{"p bob/x": "ann", "p q": "ann bob stored", "p $SYS/x": "ann bob stored"},
		},
		"coverage": {
			[]RuleSpec{allow("all", "a/+", "b/#"), deny("all", "b/c/#"), allow("all", "c/d"), allow("all", "c/+"), deny("all", "+/x"), allow("all", "d/#", "$q/#"), deny("all", "e"), allow("all", "e/#")},
			map[string]string{
				"s a/b": everybody, "s a/+": everybody, "s a/#": "", "s a": "", "s b/#": everybody, "s b": everybody, "s b/c/d": everybody,
				"s c/+": everybody, "s c/#": "", "s +/+": "", "s #": "", "s d/#": "", "s d/y/#": everybody, "s d/+/y": everybody, "s $q/+": everybody, "s $q/x": everybody, "s e/#": "", "s e/y/#": everybody, "s +/q": "",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustCompile(t, tc.rules...)
			for question, may := range tc.may {
				for who, w := range people {
					action, topic, _ := strings.Cut(question, " ")
					q := &Query{Subject: w, Action: map[string]Action{"p": Publish, "s": Subscribe, "d": Deliver}[action], Topic: topic, QoS: 1}
					if allowed := strings.Contains(" "+may+" ", " "+who+" "); r.Judge(q).Allowed != allowed {
						t.Errorf("%s, %s: want %v\n%s", who, question, allowed, r.Explain(q))
					}
				}
			}
		})
	}
}

// TestLimits: QoS and retain flag, and whether the answer may be kept.
func TestLimits(t *testing.T) {
	r := mustCompile(t,
		allow("publish", "r").with(func(s *RuleSpec) { s.Retain = ptr(false) }),
		deny("publish", "n").with(func(s *RuleSpec) { s.Retain = ptr(true) }),
		allow("all", "q").with(func(s *RuleSpec) { s.MaxQoS = ptr(1) }),
		deny("all", "m").with(func(s *RuleSpec) { s.MinQoS = ptr(2) }),
		allow("all", "n", "m", "all"),
		deny("all", "later").with(func(s *RuleSpec) { s.Clients, s.MinQoS = []string{"c"}, ptr(2) }),
		allow("all", "later"),
		deny("all", "later").with(func(s *RuleSpec) { s.Groups, s.MinQoS = []string{"g"}, ptr(2) }),
		allow("all", "part").with(func(s *RuleSpec) { s.MinQoS = ptr(1) }),
		allow("all", "whole").with(func(s *RuleSpec) { s.MinQoS, s.MaxQoS = ptr(0), ptr(2) }),
	)
	for _, tc := range []struct {
		action              Action
		topic               string
		qos                 byte
		retain              bool
		allowed, perMessage bool
	}{
		{Publish, "r", 0, false, true, true}, {Publish, "r", 0, true, false, true},
		{Publish, "n", 0, false, true, true}, {Publish, "n", 0, true, false, true}, {Deliver, "n", 0, true, true, false},
		{Publish, "q", 1, true, true, true}, {Publish, "q", 2, false, false, true}, {Deliver, "q", 2, false, false, true}, {Subscribe, "q", 1, false, true, true}, {Subscribe, "q", 2, false, false, true},
		{Publish, "m", 1, false, true, true}, {Publish, "m", 2, false, false, true}, {Subscribe, "m", 1, false, true, true}, {Subscribe, "m", 2, false, false, true},
		{Publish, "part", 0, false, false, true}, {Publish, "part", 1, false, true, true}, {Subscribe, "part", 1, false, false, true}, {Deliver, "part", 2, false, true, true},
		{Publish, "later", 1, false, true, true},
		{Publish, "all", 2, true, true, false}, {Publish, "none", 2, true, false, false}, {Publish, "whole", 2, true, true, false},
	} {
		q := &Query{Subject: &Subject{ClientID: "c", Groups: []string{"g"}}, Action: tc.action, Topic: tc.topic, QoS: tc.qos, Retain: tc.retain}
		if v := r.Judge(q); v.Allowed != tc.allowed || v.PerMessage != tc.perMessage {
			t.Errorf("%+v: %+v\n%s", tc, v, r.Explain(q))
		}
	}
}

func TestFiltered(t *testing.T) {
	r, problems := Compile([]RuleSpec{allow("all", "a/b")}, Filtered)
	if problems != nil || r.Mode() != Filtered {
		t.Fatal(problems)
	}
	if v := r.Judge(&Query{Subject: &Subject{}, Action: Subscribe, Topic: "#"}); v != (Verdict{Rule: "subscriptions are accepted, each delivery is judged", Allowed: true}) {
		t.Errorf("Judge = %+v", v)
	}
	ask(t, r, &Query{Subject: &Subject{}, Action: Deliver, Topic: "a/c"}, false)
}

// TestSameMeaning: +/# is #.
func TestSameMeaning(t *testing.T) {
	for _, rule := range []string{"#", "+/#"} {
		r := mustCompile(t, allow("all", rule))
		for f, allowed := range map[string]bool{"#": true, "+/#": true, "+": true, "a": true, "$a": false, "$a/#": false} {
			ask(t, r, &Query{Subject: &Subject{}, Action: Subscribe, Topic: f}, allowed)
		}
	}
}

func TestActionString(t *testing.T) {
	if s := fmt.Sprint(Publish, Subscribe, Deliver, Action(9)); s != "publish subscribe deliver unknown" {
		t.Error(s)
	}
}

func TestJudgeDoesNotAllocate(t *testing.T) {
	r, asked := manyRules(t, 2000)
	for _, q := range asked {
		if n := testing.AllocsPerRun(100, func() { r.Judge(&q) }); n != 0 {
			t.Errorf("%s: %v allocations", q.describe(), n)
		}
	}
}
