package topic

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a/+/#", "$share/g/a", "$exclusive/a", "$share//", "a#", "\x00", "\xff", "$delayed/5/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nameErr := ValidName(s)
		if ValidNameBytes([]byte(s)) != (nameErr == nil) {
			t.Errorf("ValidNameBytes(%q) differs from ValidName: %v", s, nameErr)
		}
		if _, rest, ok, err := ParseDelayed(s); ok && err == nil && nameErr == nil && ValidName(rest) != nil {
			t.Errorf("ParseDelayed(%q) made the name %q", s, rest)
		}
		p, err := Parse(s)
		if err != nil {
			if p != (Parsed{}) {
				t.Errorf("Parse(%q) = %v beside %v", s, p, err)
			}
			return
		}
		spelled := string(p.Filter)
		if p.Group != "" {
			spelled = "$share/" + p.Group + "/" + spelled
		}
		if p.Exclusive {
			spelled = "$exclusive/" + spelled
		}
		if spelled != s {
			t.Errorf("Parse(%q) = %v", s, p)
		}
		if again, err := Parse(string(p.Filter)); err != nil || again != (Parsed{Filter: p.Filter}) {
			t.Errorf("the filter %q of %q is %v, %v by itself", p.Filter, s, again, err)
		}
		if !Covers(p.Filter, p.Filter) {
			t.Errorf("%q does not cover itself", p.Filter)
		}
		if !strings.ContainsAny(string(p.Filter), "+#") && !Matches(p.Filter, string(p.Filter)) {
			t.Errorf("%q does not match itself", p.Filter)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, c := range matchTable {
		f.Add(string(c.filter), "+/#", c.name, "a/b")
	}
	f.Fuzz(func(t *testing.T, s, other, name, otherName string) {
		p, err := Parse(s)
		q, otherErr := Parse(other)
		if err != nil || otherErr != nil || ValidName(name) != nil || ValidName(otherName) != nil {
			t.Skip()
		}
		tree := New[int, int]()
		tree.Subscribe(p.Filter, 1, 1)
		tree.Subscribe(q.Filter, 2, 2)
		names := NewNames[int]()
		names.Set(name, 1)
		names.Set(otherName, 1)
		for _, n := range []string{name, otherName} {
			want := ""
			for k, filter := range []Filter{p.Filter, q.Filter} {
				if modelMatches(filter, n) {
					want += string(rune('1' + k))
				}
				if Matches(filter, n) != modelMatches(filter, n) {
					t.Errorf("Matches(%q, %q) = %v", filter, n, Matches(filter, n))
				}
				found := false
				names.Match(filter, "", func(got string, _ int) bool { found = found || got == n; return true })
				if found != modelMatches(filter, n) {
					t.Errorf("names %q, %q: %q finds %q: %v", name, otherName, filter, n, found)
				}
			}
			got := ""
			tree.Match(n, func(_ Filter, k int, _ *int) { got += string(rune('0' + k)) })
			if got != want && got != reversed(want) {
				t.Errorf("tree of %q, %q: %q finds %q, want %q", p.Filter, q.Filter, n, got, want)
			}
			if Covers(p.Filter, q.Filter) && strings.Contains(want, "2") && !strings.Contains(want, "1") {
				t.Errorf("Covers(%q, %q), but not for %q", p.Filter, q.Filter, n)
			}
		}
		if !tree.Unsubscribe(p.Filter, 1) || !tree.Unsubscribe(q.Filter, 2) {
			t.Error("a subscription was gone")
		}
		checkEmpty(t, tree)
	})
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
