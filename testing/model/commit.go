package model

// ownerSteps are the commits of a process that believes to own S.
func (m *Model) ownerSteps(s *State, i int, list []Step) []Step {
	h := &s.P[i].S
	who := uint8(i)
	if h.Role != roleOwner && h.Role != roleLeaving {
		return list
	}
	if h.Queue[0].ID == 0 {
		if h.Role == roleLeaving {
			list = append(list, Step{MoveCommit, who, 0})
		}
		return list
	}
	list = append(list, Step{Commit, who, 0})
	if m.in.Elide && m.in.QoS == 1 && s.Client.At == who && s.Client.State == clientAnswered {
		list = append(list, Step{Elide, who, 0})
	}
	return list
}

// commit writes the first entry of the queue: into S's record, only if its tag is the
// owner's.
func (m *Model) commit(s *State, i int, _ uint8) (Violation, bool) {
	h := &s.P[i].S
	if !s.mayCommit(i) {
		m.refuse(s, i)
		return "", true
	}
	e := h.Queue[0]
	h.Queue.pop()
	s.S.Pos = max(s.S.Pos, e.Pos)
	h.Pos = max(h.Pos, e.Pos)
	if e.ID&dupBit != 0 {
		return "", true
	}
	if m.in.QoS == 2 {
		s.S.Seen |= 1 << m.number(e.ID)
	}
	return m.deliver(s, e.ID)
}

// elide is an entry that S's client acknowledged before it was written.
func (m *Model) elide(s *State, i int, _ uint8) (Violation, bool) {
	q := &s.P[i].S.Queue
	id := q[0].ID
	q.pop()
	return m.deliver(s, id)
}

// deliver is an entry that the subscriber will get, or has got.
func (m *Model) deliver(s *State, id uint8) (Violation, bool) {
	v, ok := s.Seen.deliver(id, m.number(id), m.number, m.in.QoS == 2)
	if !ok {
		m.cut++
	}
	return v, ok
}

// refuse is a commit whose tag is not the record's: S belongs to another.
func (m *Model) refuse(s *State, i int) {
	p := &s.P[i]
	h := &p.S
	failed := false
	for _, e := range h.Queue {
		if e.ID != 0 && e.Pos == 0 {
			failed = true
			p.InFlight &^= 1 << m.number(e.ID) // never acknowledged
		}
	}
	for _, e := range h.Waiting {
		if e.ID != 0 {
			failed = true
			p.InFlight &^= 1 << m.number(e.ID)
		}
	}
	if failed && m.on(FailClose) && s.Pub.At == uint8(i) {
		s.Pub.At = none
	}
	if h.Role == roleLeaving {
		p.Read[h.Box]++
	}
	h.Role = roleNone
	s.closeClient(i)
}

// moveCommit sets S's mailbox and owner tag to the target's, only if the claim is still
// the record's.
func (m *Model) moveCommit(s *State, i int, _ uint8) {
	p := &s.P[i]
	h := &p.S
	box := &s.Box[h.Box]
	if box.Trimmed > p.Read[h.Box] { // trimmed by another: it was dealt with
		h.Role = roleOwner
		return
	}
	if !s.mayCommit(i) {
		m.refuse(s, i)
		return
	}
	token := box.Inbox[p.Read[h.Box]].high()
	p.Read[h.Box]++
	held := h.Waiting
	h.Waiting = queue{}
	if m.on(Token) && s.S.Claim != token {
		h.Role = roleOwner
		for _, e := range held {
			if e.ID != 0 {
				m.enqueue(p, entry{ID: e.ID})
			}
		}
		return
	}
	m.give(s, i, token)
}

// give is the step that moves S by a claim.
func (m *Model) give(s *State, i int, token uint8) {
	p := &s.P[i]
	c := s.Claims[token]
	left := p.S.Box
	r := &s.S
	r.Box, r.Pos, r.Since, r.Done, r.Claim = c.Box, 0, c.Route, token, 0
	if m.on(OwnTag) {
		r.Tag = c.Epoch
	} else {
		r.Tag++
	}
	r.Overlap = p.S.Overlap
	p.S.Role = roleNone
	m.unroute(p, left)
	s.closeClient(i)
}

// unroute notes that mailbox b needs the route no more.
func (m *Model) unroute(p *process, b uint8) {
	if m.in.Remove && m.in.Others>>b&1 == 0 {
		p.Removals |= 1 << b
	}
}
