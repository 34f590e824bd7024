package auth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/topic"
)

// dice makes things of bytes; without bytes it makes the first of all choices.
type dice struct {
	data []byte
	rare int // one in how many conditions is set
}

func (d *dice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	v := int(d.data[0]) % n
	d.data = d.data[1:]
	return v
}

func (d *dice) pick(of ...string) string { return of[d.roll(len(of))] }

// some returns nil or up to two of the values.
func (d *dice) some(of ...string) []string {
	switch d.roll(max(d.rare, 2)) {
	case 1:
		return []string{d.pick(of...)}
	case 2:
		return []string{d.pick(of...), d.pick(of...)}
	}
	return nil
}

func (d *dice) filter(levels ...string) string {
	var out []string
	for range 1 + d.roll(3) {
		out = append(out, d.pick(levels...))
	}
	if d.roll(3) == 1 {
		out[len(out)-1] = "#"
	}
	if s := strings.Join(out, "/"); s != "" {
		return s
	}
	return "a"
}

func ptr[T any](v T) *T { return &v }

func (d *dice) spec() RuleSpec {
	s := RuleSpec{
		Effect: d.pick("allow", "deny"), Action: d.pick("all", "publish", "subscribe"),
		Users: d.some("a", "b", ""), Clients: d.some("a", "a/b"), Groups: d.some("a", "b"),
		CertCN: d.some("a", "b"), CertDN: d.some("a", "b"), CertSAN: d.some("a", "b"), Listeners: d.some("a", "b"),
		Addresses: d.some("10.0.0.0/8", "10.1.0.0/16", "::1/128"),
	}
	for range 1 + d.roll(3) {
		s.Topics = append(s.Topics, d.filter("a", "b", "+", "", "$x", "%u", "%c", "%g", "a%u", "$%c", "%u%c"))
	}
	switch d.roll(8) {
	case 1:
		s.MaxQoS = ptr(d.roll(3))
	case 2:
		s.MinQoS = ptr(d.roll(3))
	case 3:
		s.Action, s.Retain = "publish", ptr(d.roll(2) == 0)
	case 4:
		s.Anonymous = ptr(s.Users == nil && d.roll(2) == 0)
	}
	return s
}

func (d *dice) subject() *Subject {
	names := []string{"a", "b", "", "a/b", "+", "$x", "#", "ab"}
	w := &Subject{
		User: d.pick(names...), HasUser: d.roll(4) != 1, ClientID: d.pick(names...), Listener: d.pick("a", "b", ""),
		Certificate: Certificate{CN: d.pick("", "a", "b"), DN: d.pick("", "a", "b"), SANs: d.some("a", "b", "c")},
		Partial:     d.roll(8) == 1,
	}
	for range d.roll(3) {
		w.Groups = append(w.Groups, d.pick("a", "b", "c/d", "+"))
	}
	if d.roll(4) != 1 {
		w.Address = netip.MustParseAddr(d.pick("10.0.0.1", "10.1.0.1", "::1", "192.0.2.1"))
	}
	return w
}

func (d *dice) query(w *Subject) *Query {
	q := &Query{Subject: w, Action: Action(d.roll(3)), QoS: byte(d.roll(3)), Retain: d.roll(2) == 1}
	if q.Action == Subscribe {
		q.Topic = d.filter("a", "b", "+", "", "$x")
	} else {
		names := universe(w)
		q.Topic = names[(d.roll(256)*256+d.roll(256))%len(names)]
	}
	if q.Topic == "" {
		q.Topic = "/"
	}
	return q
}

// compare asks one question of the engine, of Explain and of the twin.
func compare(t *testing.T, r *Rules, specs []RuleSpec, q *Query) Verdict {
	t.Helper()
	v := r.Judge(q)
	i, allowed, perMessage := naiveJudge(specs, q)
	want := Verdict{Rule: ruleDefault, Allowed: allowed, PerMessage: perMessage}
	switch {
	case len(specs) == 0:
		want.Rule = ruleNone
	case i < len(specs):
		want.Rule = r.list[i].text
	}
	if v != want {
		t.Fatalf("Judge = %+v, want %+v\n%s", v, want, r.Explain(q))
	}
	if e := r.Explain(q); e.Verdict != v || e.String() == "" {
		t.Fatalf("Explain = %+v, Judge = %+v\n%s", e.Verdict, v, e)
	}
	return v
}

// sound checks that a subscription that was accepted gets nothing that is denied.
func sound(t *testing.T, r *Rules, q *Query) {
	t.Helper()
	for _, n := range universe(q.Subject) {
		if n == "" || !naiveMatch(q.Topic, n) {
			continue
		}
		for qos := range q.QoS + 1 {
			d := *q
			d.Action, d.Topic, d.QoS = Deliver, n, qos
			if v := r.Judge(&d); !v.Allowed {
				t.Fatalf("%s is allowed but QoS %d of %q is not: %s", q.describe(), qos, n, v.Rule)
			}
		}
	}
}

func tryRules(t *testing.T, data []byte) {
	t.Helper()
	d := &dice{data: data}
	d.rare = 4 << d.roll(4)
	specs := make([]RuleSpec, d.roll(80)) // enough for trees
	for i := range specs {
		specs[i] = d.spec()
	}
	r, problems := Compile(specs, Covered)
	if problems != nil {
		t.Fatal(problems)
	}
	for range 12 {
		q := d.query(d.subject())
		if v := compare(t, r, specs, q); v.Allowed && q.Action == Subscribe {
			sound(t, r, q)
		}
	}
}

func FuzzRules(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed, 2000))
	}
	f.Fuzz(tryRules)
}

func randomBytes(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestRulesAgainstTwin is the fuzz target with random bytes, so that it runs always.
func TestRulesAgainstTwin(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { tryRules(t, randomBytes(seed, 3000)) })
	}
}

func FuzzCompile(f *testing.F) {
	f.Add("allow", "all", "a/%u/#", "a", "10.0.0.0/8", 1, "a/b")
	f.Add("deny", "publish", "%g%", "", "::ffff:10.0.0.1", -1, "#")
	f.Add("", "", "+/#", "\xff", "fe80::1%eth0", 3, "")
	f.Fuzz(func(t *testing.T, effect, action, filter, name, address string, qos int, asked string) {
		spec := RuleSpec{Effect: effect, Action: action, Topics: []string{filter}, MaxQoS: &qos, Clients: []string{name}, Addresses: []string{address}}
		r, problems := Compile([]RuleSpec{spec}, Covered)
		if (r == nil) != (len(problems) > 0) {
			t.Fatalf("rules %v and problems %v", r, problems)
		}
		for _, p := range problems {
			if p.Where != "rule 1" || p.What == "" || strings.ContainsAny(p.String(), "\n\x00") {
				t.Errorf("problem %q", p)
			}
		}
		if r == nil {
			return
		}
		for a := range Action(3) {
			q := &Query{Subject: &Subject{ClientID: name, User: asked, HasUser: true}, Action: a, Topic: asked}
			if v := r.Judge(q); v != r.Explain(q).Verdict {
				t.Errorf("Judge = %+v\n%s", v, r.Explain(q))
			}
		}
	})
}

// FuzzFilter compares filters with those of broker/topic.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"a/+/#", "+/#", "#", "$x/#", "+/a", "/", "a#", "%u/a", "a", "a/b/#"} {
		f.Add(s, "a/b/c")
		f.Add(s, "+/#")
		f.Add(s, "#")
		f.Add(s, "a/#")
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		fl, err := compileFilter(s, 0)
		p, parseErr := topic.Parse(s)
		if parseErr == nil && string(p.Filter) == s && err != nil || parseErr != nil && err == nil && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) }) {
			t.Fatalf("%q: %v here, %v there", s, err, parseErr)
		}
		q, otherErr := topic.Parse(other)
		if err != nil || parseErr != nil || string(p.Filter) != s || otherErr != nil || string(q.Filter) != other {
			return
		}
		w := &Subject{}
		if got := fl.relates(covers, w, true, other); got != topic.Covers(p.Filter, q.Filter) {
			t.Errorf("%q covers %q: %v here", s, other, got)
		}
		if topic.ValidName(other) == nil && fl.relates(matches, w, true, other) != topic.Matches(p.Filter, other) {
			t.Errorf("%q matches %q: %v there", s, other, topic.Matches(p.Filter, other))
		}
		back, err := compileFilter(other, 0)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fl.relates(overlaps, w, false, other), back.relates(overlaps, w, false, s); a != b {
			t.Errorf("%q overlaps %q: %v and %v", s, other, a, b)
		}
	})
}
