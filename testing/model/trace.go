package model

import (
	"fmt"
	"strings"
)

// Trace tells a result's steps one a line, and what clients have seen in the end.
func Trace(in Instance, rules Rules, trace []Step) string {
	m := New(in, rules)
	s := m.initial()
	var b strings.Builder
	for n, x := range trace {
		before := s
		if _, ok := m.take(&s, x); !ok {
			fmt.Fprintf(&b, "%3d  %s is not possible here\n", n+1, x.Kind)
			break
		}
		fmt.Fprintf(&b, "%3d  %s\n", n+1, m.describe(x, &before, &s))
	}
	fmt.Fprintf(&b, "     S got:%s; acknowledged:%s; S is in %c, tag %d\n", m.got(&s), m.acked(&s), 'X'+s.S.Box, s.S.Tag)
	return b.String()
}

func (m *Model) got(s *State) string {
	text := ""
	for _, id := range s.Seen.Log[:s.Seen.Len] {
		text += fmt.Sprintf(" m%d", m.number(id)+1)
	}
	return text
}

func (m *Model) acked(s *State) string {
	text := ""
	for k := range uint8(m.in.Messages) {
		if s.Seen.acked(k) {
			text += fmt.Sprintf(" m%d", k+1)
		}
	}
	return text
}

func (m *Model) itemText(e item) string {
	switch e.kind() {
	case itemPrepare:
		return fmt.Sprintf("prepare#%d", e.high())
	case itemMove:
		return fmt.Sprintf("move#%d", e.high())
	}
	return fmt.Sprintf("m%d (id %d, matched at %d)", m.number(e.id())+1, e.id(), e.high())
}

// ids tells the entries of a queue: L is from a publisher of the process.
func (m *Model) ids(q queue) string {
	var list []string
	for _, e := range q {
		switch {
		case e.ID == 0:
		case e.Pos == 0:
			list = append(list, fmt.Sprintf("m%d L", m.number(e.ID)+1))
		default:
			list = append(list, fmt.Sprintf("m%d @%d", m.number(e.ID)+1, e.Pos))
		}
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// details tell more of a step than its kind; b is the state before it, a the one after.
var details = [kinds]func(m *Model, x Step, b, a *State) string{
	Publish: func(m *Model, x Step, b, a *State) string {
		p := &a.P[x.Who]
		return fmt.Sprintf("m%d; table %03b; uncommitted %s, waiting %s", a.Pub.Next, m.table(b, b.P[x.Who].Applied), m.ids(p.S.Queue), m.ids(p.S.Waiting))
	},
	Append: func(m *Model, x Step, b, _ *State) string {
		return fmt.Sprintf("%s to inbox %c", m.itemText(b.P[x.Who].Out[x.Arg][0]), 'X'+x.Arg)
	},
	Ack: func(m *Model, x Step, b, a *State) string {
		return fmt.Sprintf("m%d; lease %d; acknowledged:%s", x.Arg+1, b.Lease[x.Who], m.acked(a))
	},
	Apply: func(_ *Model, x Step, _, a *State) string { return fmt.Sprint(a.P[x.Who].Applied) },
	Consume: func(m *Model, x Step, b, a *State) string {
		p, box := &b.P[x.Who], &b.Box[x.Arg]
		if p.Read[x.Arg] < box.Trimmed {
			return fmt.Sprintf("%c: entries up to %d are gone", 'X'+x.Arg, box.Trimmed)
		}
		h := &a.P[x.Who].S
		return fmt.Sprintf("%s from %c at %d; uncommitted %s, waiting %s", m.itemText(box.Inbox[p.Read[x.Arg]]), 'X'+x.Arg, p.Read[x.Arg]+1, m.ids(h.Queue), m.ids(h.Waiting))
	},
	Trim: func(_ *Model, x Step, _, a *State) string {
		return fmt.Sprintf("%c up to %d", 'X'+x.Arg, a.Box[x.Arg].Trimmed)
	},
	Commit: func(m *Model, x Step, _, a *State) string {
		if a.P[x.Who].S.Role == roleNone {
			return "refused"
		}
		return "S has" + m.got(a)
	},
	Elide: func(m *Model, _ Step, _, a *State) string { return "S has" + m.got(a) },
	MoveCommit: func(_ *Model, _ Step, _, a *State) string {
		return fmt.Sprintf("S is in %c, tag %d", 'X'+a.S.Box, a.S.Tag)
	},
	AddRoute: func(_ *Model, x Step, _, a *State) string {
		return fmt.Sprintf("change %d is +%c; S waits here from now on", a.RouteLen, 'X'+x.Who)
	},
	Finish: func(m *Model, x Step, _, a *State) string {
		return "uncommitted " + m.ids(a.P[x.Who].S.Queue)
	},
	Prepare: onBox, SendMove: onBox, Adopt: onBox, Load: onBox, RemoveRoute: onBox, See: onBox,
}

func onBox(_ *Model, x Step, _, _ *State) string { return string(rune('X' + x.Arg)) }

func (m *Model) describe(x Step, before, after *State) string {
	text := fmt.Sprintf("%c: %s", 'A'+x.Who, x.Kind)
	if f := details[x.Kind]; f != nil {
		text += " " + f(m, x, before, after)
	}
	return text
}
