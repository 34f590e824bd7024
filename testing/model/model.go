package model

// Model is an instance with the rules in force. It is not safe for use by several
// goroutines.
type Model struct {
	in    Instance
	rules Rules

	cut     int    // states that a size of the model would not hold
	scratch []Step // of successors
}

// New is a model of an instance.
func New(in Instance, rules Rules) *Model { return &Model{in: in, rules: rules} }

func (m *Model) on(r Rule) bool { return m.rules.has(r) }

// initial is the state before the first step.
func (m *Model) initial() State {
	var s State
	for i := range processes {
		p := &s.P[i]
		if m.in.Join && i == processes-1 {
			s.Box[i].Owner = none
			p.Life = unborn
			continue
		}
		p.Life = running
		p.Epoch[i], p.Loaded[i] = 1, 1
		s.Box[i].Owner, s.Box[i].Epoch, s.Lease[i] = uint8(i), 1, 1
	}
	s.S.Tag = 1
	a := &s.P[0]
	a.S.Role, a.S.Tag = roleOwner, 1
	s.Pub = publisher{At: uint8(m.in.PublisherAt), Reconnects: uint8(m.in.Reconnects), Visited: 1 << m.in.PublisherAt}
	s.Client = client{At: 0, State: clientAnswered, Connects: uint8(m.in.Connects)}
	s.Crashes, s.Pauses = uint8(m.in.Crashes), uint8(m.in.Pauses)
	if !m.in.Subscribe {
		s.Sub = subAnswered
	} else if m.in.Remove { // another session of X has just given the filter up
		a.Removals = 1
		s.Routes[0], s.RouteLen = routeAdd<<4, 1
		for i := range processes {
			s.P[i].Applied = 1
		}
	}
	m.normalise(&s)
	return s
}

// table is the set of mailboxes for the one filter after n route changes.
func (m *Model) table(s *State, n uint8) uint8 {
	var t uint8
	if !m.in.Subscribe {
		t = 1 << 0
	}
	for _, r := range s.Routes[:n] {
		switch change, box := r>>4, r&15; change {
		case routeAdd:
			t |= 1 << box
		case routeRemove:
			t &^= 1 << box
		}
	}
	return t | uint8(m.in.Others)
}

func (m *Model) addRoute(s *State, change, box uint8) bool {
	if s.RouteLen == routeSize {
		m.cut++
		return false
	}
	s.Routes[s.RouteLen] = change<<4 | box
	s.RouteLen++
	return true
}

func (m *Model) xadd(s *State, box uint8, e item) bool {
	b := &s.Box[box]
	if b.Len == inboxSize {
		m.cut++
		return false
	}
	b.Inbox[b.Len] = e
	b.Len++
	return true
}

// number is the message of an id: at QoS 1 what is sent again has a new id.
func (m *Model) number(id uint8) uint8 {
	id &^= dupBit
	if m.in.QoS == 2 {
		return id - 1
	}
	return (id - 1) % uint8(m.in.Messages)
}

func (m *Model) idOf(number, generation uint8) uint8 {
	if m.in.QoS == 2 {
		return number + 1
	}
	return number + uint8(m.in.Messages)*generation + 1
}

// barrier reports whether every process with a lease has applied r.
func (s *State) barrier(r uint8) bool {
	for i := range processes {
		if s.Lease[i] == 1 && s.Report[i] < r {
			return false
		}
	}
	return true
}

// mayCommit is what Redis compares in every commit for S.
func (s *State) mayCommit(i int) bool {
	h := &s.P[i].S
	return s.S.Tag == h.Tag && s.S.Box == h.Box
}

// holds reports whether process i still is the owner of mailbox b, which it believes
// to be; holdsOwn is that of the mailbox it opened.
func (s *State) holds(i int, b uint8) bool { return s.Box[b].Epoch == s.P[i].Epoch[b] }
func (s *State) holdsOwn(i int) bool       { return s.holds(i, uint8(i)) }

// kill ends a process with its connections.
func (s *State) kill(i int) {
	s.P[i] = process{}
	s.closeClient(i)
	if s.Pub.At == uint8(i) {
		s.Pub.At = none
	}
}

func (s *State) closeClient(i int) {
	if s.Client.At == uint8(i) {
		s.Client.At, s.Client.State = none, clientAway
	}
}

// normalise writes reports as soon as they hold, for a later one only delays a
// barrier, and clears what means nothing, so that equal states look equal.
func (m *Model) normalise(s *State) {
	for i := range processes {
		p := &s.P[i]
		if p.Life != running {
			continue
		}
		r := p.Applied
		for b := range mailboxes {
			for _, e := range p.Out[b] {
				if e != 0 {
					r = min(r, e.high())
				}
			}
		}
		s.Report[i] = max(s.Report[i], r)
		if p.InFlight == 0 {
			p.Targets, p.Generation = 0, 0
		}
		if p.S.Role == roleNone {
			p.S = hosted{}
		}
	}
}
