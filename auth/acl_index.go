package auth

import "strings"

// index finds the first rule that decides without looking at all of them. It has
// two steps, by whom a rule is about and by topic, and both let more through than
// match: each candidate is judged in full by search.try.
//
// A rule is in the buckets of one of its conditions, the first of users, clients,
// groups, and, for allow rules, certificate fields; the others are in general. Deny
// rules are not found by certificate: for a partial subject they must match.
type index struct {
	by        [bySAN + 1]map[string]*bucket
	anonymous bucket // rules for clients without user name
	general   bucket
}

// bucket has rules, those that allow apart: a filter that is subscribed to is
// compared in another way with each kind.
type bucket struct{ allow, deny side }

// side has the filters of rules of one kind, in the rules' order. While they are
// few they are just tried.
type side struct {
	refs []ref
	tree *node // of all refs, nil while they are few
}

// few filters are compared as quickly one by one.
const few = 8

// ref is a filter of a rule.
type ref struct{ rule, filter int32 }

// node has filters with the same levels so far, placeholders as what they can stand
// for. Walks take each node once at most, so no topic costs more than the filters
// there are. They take no notice of names that begin with $.
type node struct {
	next map[string]*node
	plus *node
	ends []ref // the filters end here
	hash []ref // the filters end with # behind here
	low  int32 // the lowest rule here and below
}

// add puts rule i into the index. Rules are added in their order.
func (x *index) add(i int32, k *rule) {
	kind, keys := x.keys(k)
	switch {
	case kind != noCondition:
		if x.by[kind] == nil {
			x.by[kind] = make(map[string]*bucket, len(keys))
		}
		for _, key := range keys {
			b := x.by[kind][key]
			if b == nil {
				b = &bucket{}
				x.by[kind][key] = b
			}
			b.add(i, k)
		}
	case k.who.anonymous == yes:
		x.anonymous.add(i, k)
	default:
		x.general.add(i, k)
	}
}

func (x *index) keys(k *rule) (condition, []string) {
	c := &k.who
	switch {
	case c.users != nil:
		return byUser, c.users
	case c.clients != nil:
		return byClient, c.clients
	case c.groups != nil:
		return byGroup, c.groups
	case !k.allow:
		return noCondition, nil
	case c.cns != nil:
		return byCN, c.cns
	case c.dns != nil:
		return byDN, c.dns
	case c.sans != nil:
		return bySAN, c.sans
	}
	return noCondition, nil
}

func (b *bucket) add(i int32, k *rule) {
	s := &b.deny
	if k.allow {
		s = &b.allow
	}
	for j := range k.filters {
		s.refs = append(s.refs, ref{i, int32(j)})
	}
}

// plant makes the trees, once all rules have been added.
func (x *index) plant(rules []rule) {
	x.general.plant(rules)
	x.anonymous.plant(rules)
	for _, m := range x.by {
		for _, b := range m {
			b.plant(rules)
		}
	}
}

func (b *bucket) plant(rules []rule) {
	b.allow.plant(rules)
	b.deny.plant(rules)
}

func (s *side) plant(rules []rule) {
	if len(s.refs) <= few {
		return
	}
	s.tree = &node{low: s.refs[0].rule}
	for _, r := range s.refs {
		k := &rules[r.rule]
		s.tree.add(r, &k.filters[r.filter], k.allow)
	}
	s.refs = nil
}

// add puts a filter into the tree. A placeholder of an allow rule stands for one
// level, that of a deny rule for everything from there on.
func (n *node) add(r ref, f *filter, allow bool) {
	for i := range f.levels {
		switch l := &f.levels[i]; {
		case l.kind == levelHash, l.kind == levelTemplate && !allow:
			n.hash = append(n.hash, r)
			return
		case l.kind == levelLiteral:
			n = n.below(l.text, r.rule)
		default:
			if n.plus == nil {
				n.plus = &node{low: r.rule}
			}
			n = n.plus
		}
	}
	if f.open {
		n.hash = append(n.hash, r)
		return
	}
	n.ends = append(n.ends, r)
}

func (n *node) below(name string, rule int32) *node {
	if n.next == nil {
		n.next = make(map[string]*node)
	}
	m := n.next[name]
	if m == nil {
		m = &node{low: rule}
		n.next[name] = m
	}
	return m
}

// search looks for the first rule that decides a question.
type search struct {
	rules *Rules
	q     *Query
	best  int32 // the first rule that was found to decide, or the number of rules
	held  int32 // the first that only QoS or retain flag kept from it
}

func (s *search) run() {
	x, w := &s.rules.index, s.q.Subject
	if w.HasUser {
		s.look(x.by[byUser][w.User])
	} else {
		s.look(&x.anonymous)
	}
	s.look(x.by[byClient][w.ClientID])
	for _, g := range w.Groups {
		s.look(x.by[byGroup][g])
	}
	s.look(x.by[byCN][w.Certificate.CN])
	s.look(x.by[byDN][w.Certificate.DN])
	for _, n := range w.Certificate.SANs {
		s.look(x.by[bySAN][n])
	}
	s.look(&x.general)
}

func (s *search) look(b *bucket) {
	if b == nil {
		return
	}
	for _, side := range [...]*side{&b.allow, &b.deny} {
		s.try(side.refs)
		if side.tree != nil {
			s.walk(side.tree, side == &b.allow)
		}
	}
}

func (s *search) walk(n *node, allow bool) {
	switch {
	case s.q.Action != Subscribe:
		s.matching(n, s.q.Topic, true)
	case allow:
		s.covering(n, s.q.Topic, true)
	default:
		s.overlapping(n, s.q.Topic, true)
	}
}

// try judges candidates, which are in the rules' order.
func (s *search) try(refs []ref) {
	for _, r := range refs {
		if r.rule >= s.best {
			return
		}
		k := &s.rules.list[r.rule]
		switch {
		case k.acts&s.q.Action.set() == 0,
			!k.filters[r.filter].relates(k.relation(s.q.Action), s.q.Subject, k.allow, s.q.Topic),
			k.who.unmet(s.q.Subject, k.allow) != noCondition:
		case k.message.takes(s.q, k.allow):
			s.best = r.rule
		default:
			s.held = min(s.held, r.rule)
		}
	}
}

// matching walks to filters that match a name.
func (s *search) matching(n *node, rest string, more bool) {
	if n == nil || n.low >= s.best {
		return
	}
	s.try(n.hash)
	if !more {
		s.try(n.ends)
		return
	}
	name, rest, more := strings.Cut(rest, "/")
	s.matching(n.next[name], rest, more)
	s.matching(n.plus, rest, more)
}

// covering walks to filters that match all that a filter matches.
func (s *search) covering(n *node, rest string, more bool) {
	if n == nil || n.low >= s.best {
		return
	}
	s.try(n.hash)
	if !more {
		s.try(n.ends)
		return
	}
	name, rest, more := strings.Cut(rest, "/")
	if name == "#" {
		return
	}
	s.covering(n.next[name], rest, more)
	s.covering(n.plus, rest, more)
}

// overlapping walks to filters that share a name with a filter.
func (s *search) overlapping(n *node, rest string, more bool) {
	if n == nil || n.low >= s.best {
		return
	}
	s.try(n.hash)
	if !more {
		s.try(n.ends)
		return
	}
	name, rest, more := strings.Cut(rest, "/")
	switch name {
	case "#":
		s.all(n)
	case "+":
		for _, m := range n.next {
			s.overlapping(m, rest, more)
		}
		s.overlapping(n.plus, rest, more)
	default:
		s.overlapping(n.next[name], rest, more)
		s.overlapping(n.plus, rest, more)
	}
}

// all tries everything at a node and below.
func (s *search) all(n *node) {
	if n == nil || n.low >= s.best {
		return
	}
	s.try(n.ends)
	s.try(n.hash)
	s.all(n.plus)
	for _, m := range n.next {
		s.all(m)
	}
}
