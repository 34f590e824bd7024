package auth

import (
	"net/netip"
	"slices"
	"strings"
)

// The naive twin of the engine: it loops over the specs, splits strings, and knows
// what filters match only by trying all names of a small universe.

// universe has the names of up to three levels that matter for a subject, as no
// filter has more: levels of filters, with its names in place, and z, which is in no
// rule. The empty name, which nobody can use, is among them: + and /# match it.
func universe(w *Subject) []string {
	letters := []string{"a", "b", "", "$x", "z"}
	for _, l := range []string{"a" + w.User, "$" + w.ClientID, w.User + w.ClientID, w.User, w.ClientID} {
		if !strings.ContainsAny(l, "+#/") && !slices.Contains(letters, l) {
			letters = append(letters, l)
		}
	}
	all := letters
	level := letters
	for range 2 {
		var next []string
		for _, l := range letters {
			for _, rest := range level {
				next = append(next, l+"/"+rest)
			}
		}
		level = next
		all = slices.Concat(all, next)
	}
	return all
}

func naiveMatch(filter, name string) bool {
	if strings.HasPrefix(name, "$") && wildcardFirst(filter) {
		return false
	}
	return naiveLevels(strings.Split(filter, "/"), strings.Split(name, "/"))
}

func naiveLevels(f, n []string) bool {
	switch {
	case len(f) == 0:
		return len(n) == 0
	case f[0] == "#":
		return true
	case len(n) == 0:
		return false
	}
	return (f[0] == "+" || f[0] == n[0]) && naiveLevels(f[1:], n[1:])
}

// naiveSet is what a topic of a rule matches, for a subject.
func naiveSet(topic string, w *Subject, allow bool) func(name string) bool {
	groups := []string{""}
	if strings.Contains(topic, "%g") {
		groups = w.Groups
	}
	var parts []func(string) bool
	for _, g := range groups {
		parts = append(parts, naiveFilled(topic, w, g, allow))
	}
	return func(name string) bool {
		return slices.ContainsFunc(parts, func(p func(string) bool) bool { return p(name) })
	}
}

func naiveFilled(topic string, w *Subject, group string, allow bool) func(string) bool {
	user := w.User
	if !w.HasUser {
		user = ""
	}
	values := map[string]string{"%u": user, "%c": w.ClientID, "%g": group}
	var done []string
	for i, l := range strings.Split(topic, "/") {
		for hole, v := range values {
			bad := v == "" || strings.ContainsAny(v, "+#/\x00") || i == 0 && strings.HasPrefix(l, hole) && strings.HasPrefix(v, "$")
			switch {
			case !strings.Contains(l, hole) || !bad:
			case allow:
				return func(string) bool { return false }
			case i == 0:
				return func(string) bool { return true }
			default:
				return func(n string) bool { return naiveMatch(strings.Join(append(done, "#"), "/"), n) }
			}
		}
		for hole, v := range values {
			l = strings.ReplaceAll(l, hole, v)
		}
		done = append(done, l)
	}
	return func(n string) bool { return naiveMatch(strings.Join(done, "/"), n) }
}

func naiveWho(s *RuleSpec, w *Subject) bool {
	deny := s.Effect == "deny"
	one := func(list []string, v string, known bool) bool {
		return list == nil || known && slices.Contains(list, v)
	}
	any := func(list, vs []string) bool {
		return list == nil || slices.ContainsFunc(vs, func(v string) bool { return slices.Contains(list, v) })
	}
	link := w.Partial && deny || !w.Partial &&
		one(s.CertCN, w.Certificate.CN, true) && one(s.CertDN, w.Certificate.DN, true) && any(s.CertSAN, w.Certificate.SANs) &&
		one(s.Listeners, w.Listener, true) && naiveAddress(s.Addresses, w.Address)
	if w.Partial && !deny {
		link = s.CertCN == nil && s.CertDN == nil && s.CertSAN == nil && s.Listeners == nil && s.Addresses == nil
	}
	return link && one(s.Users, w.User, w.HasUser) && one(s.Clients, w.ClientID, true) && any(s.Groups, w.Groups) &&
		(s.Anonymous == nil || *s.Anonymous == !w.HasUser)
}

func naiveAddress(nets []string, a netip.Addr) bool {
	return nets == nil || slices.ContainsFunc(nets, func(n string) bool {
		return netip.MustParsePrefix(n).Contains(a)
	})
}

func naiveMessage(s *RuleSpec, q *Query) bool {
	lo, hi := 0, 2
	if s.MinQoS != nil {
		lo = *s.MinQoS
	}
	if s.MaxQoS != nil {
		hi = *s.MaxQoS
	}
	if q.Action != Subscribe {
		return lo <= int(q.QoS) && int(q.QoS) <= hi && (q.Action != Publish || s.Retain == nil || *s.Retain == q.Retain)
	}
	in := 0
	for i := range int(q.QoS) + 1 {
		if lo <= i && i <= hi {
			in++
		}
	}
	return s.Effect == "deny" && in > 0 || s.Effect == "allow" && in == int(q.QoS)+1
}

// naiveTopic reports whether the rule is about the topic, name or filter.
func naiveTopic(s *RuleSpec, q *Query, names []string) bool {
	return slices.ContainsFunc(s.Topics, func(t string) bool {
		set := naiveSet(t, q.Subject, s.Effect == "allow")
		if q.Action != Subscribe {
			return set(q.Topic)
		}
		covered, shared := true, false
		for _, n := range names {
			if naiveMatch(q.Topic, n) {
				in := set(n)
				covered, shared = covered && in, shared || in
			}
		}
		return s.Effect == "allow" && covered || s.Effect == "deny" && shared
	})
}

// naiveJudge returns the index of the rule that decides, or the number of rules.
func naiveJudge(specs []RuleSpec, q *Query) (index int, allowed, perMessage bool) {
	names := universe(q.Subject)
	for i := range specs {
		s := &specs[i]
		action := "subscribe"
		if q.Action == Publish {
			action = "publish"
		}
		if s.Action != action && s.Action != "all" || !naiveWho(s, q.Subject) || !naiveTopic(s, q, names) {
			continue
		}
		perMessage = perMessage || s.MinQoS != nil && *s.MinQoS > 0 || s.MaxQoS != nil && *s.MaxQoS < 2 || s.Retain != nil
		if naiveMessage(s, q) {
			return i, s.Effect == "allow", perMessage
		}
	}
	return len(specs), len(specs) == 0, perMessage
}
