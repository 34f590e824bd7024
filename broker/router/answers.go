package router

import "github.com/skeinmq/skein/broker/message"

// answers are those of sessions and groups that were asked whether they know a message, by
// who may not wait for them later. The zero value has none.
type answers struct {
	sessions map[*Client]bool
	groups   map[*Group]bool

	askSessions []*Client
	askGroups   []*Group
}

// wanted notes who was not asked yet, and reports whether there is anybody.
func (a *answers) wanted(targets []target, groups []*Group) bool {
	a.askSessions, a.askGroups = nil, nil
	for i := range targets {
		if _, asked := a.sessions[targets[i].c]; !asked && targets[i].qos == 2 {
			a.askSessions = append(a.askSessions, targets[i].c)
		}
	}
	for _, g := range groups {
		if _, asked := a.groups[g]; !asked {
			a.askGroups = append(a.askGroups, g)
		}
	}
	return len(a.askSessions)+len(a.askGroups) > 0
}

// ask asks those that wanted noted. It may wait for the store.
func (a *answers) ask(id message.ID) {
	if a.sessions == nil {
		a.sessions, a.groups = map[*Client]bool{}, map[*Group]bool{}
	}
	for _, c := range a.askSessions {
		a.sessions[c] = c.knows(id)
	}
	for _, g := range a.askGroups {
		a.groups[g] = g.given(id)
	}
}

// session reports whether a session knows a message. Of nil it is asked now.
func (a *answers) session(c *Client, id message.ID) bool {
	if a == nil {
		return c.knows(id)
	}
	return a.sessions[c]
}

// group is session for a group.
func (a *answers) group(g *Group, id message.ID) bool {
	if a == nil {
		return g.given(id)
	}
	return a.groups[g]
}

// given reports whether the group was given a message, or has handed it on.
func (g *Group) given(id message.ID) bool {
	return g.box.passed.has(g.key, id) || g.box.knows(g.r, g.key, g, id)
}
