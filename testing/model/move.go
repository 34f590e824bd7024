package model

// moveSteps are those of a process to which S's client came.
func (m *Model) moveSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	who := uint8(i)
	mv := &p.Move
	if mv.Step == moveNone {
		if s.Client.At == who && s.Client.State == clientWaits && p.S.Role != roleLeaving {
			list = append(list, Step{Claim, who, 0})
		}
		return list
	}
	moved := s.S.Box == who && s.S.Done == mv.Claim
	switch mv.Step {
	case moveClaimed:
		list = append(list, Step{Prepare, who, mv.From})
	case movePrepared:
		list = m.routeSteps(s, i, list)
	case moveRouted:
		if s.barrier(mv.Route) {
			list = append(list, Step{SendMove, who, mv.From})
		}
	case moveSent:
		if moved {
			list = append(list, Step{Finish, who, 0})
		}
	}
	if s.S.Claim != mv.Claim && s.S.Done != mv.Claim {
		return append(list, Step{Superseded, who, 0})
	}
	if s.Client.At != who && !moved {
		list = append(list, Step{Abort, who, 0})
	}
	return list
}

func (m *Model) routeSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	if m.on(PrepAck) && s.Prepared>>p.Move.Claim&1 == 0 {
		return list
	}
	if m.on(Incoming) && !s.holdsOwn(i) {
		return append(list, Step{Abort, uint8(i), 1}) // the set refuses: its mailbox has another owner
	}
	return append(list, Step{AddRoute, uint8(i), 0})
}

// claim resumes S in place, loads it, or claims it from where it lives.
func (m *Model) claim(s *State, i int, _ uint8) bool {
	p := &s.P[i]
	switch {
	case p.S.Role == roleOwner:
		m.resumeInPlace(s, i)
		return true
	case p.S.Role != roleNone:
		return false
	case p.Epoch[s.S.Box] != 0: // it lives in a mailbox held here, but is not loaded
		if p.Loaded[s.S.Box] == 0 {
			return false
		}
		before := *s
		m.load(s, i, s.S.Box)
		return *s != before
	case s.ClaimLen == claimSize-1:
		m.cut++
		return false
	}
	s.ClaimLen++
	token := s.ClaimLen
	s.S.Claim = token
	s.Claims[token] = claim{Box: uint8(i), Epoch: p.Epoch[i]}
	p.Move = moving{Step: moveClaimed, Claim: token, From: s.S.Box}
	return true
}

func (m *Model) resumeInPlace(s *State, i int) {
	if m.on(Token) {
		if !s.mayCommit(i) {
			m.refuse(s, i)
			return
		}
		s.S.Claim = 0
	}
	s.Client.State = clientAnswered
}

func (m *Model) prepare(s *State, i int, from uint8) bool {
	mv := &s.P[i].Move
	mv.Step = movePrepared
	return m.xadd(s, from, control(itemPrepare, mv.Claim))
}

// addMoveRoute enters S in the set of the process's own mailbox and adds its route.
func (m *Model) addMoveRoute(s *State, i int, _ uint8) bool {
	p := &s.P[i]
	if m.on(RouteOrder) {
		p.Removals &^= 1 << i
	}
	if !m.addRoute(s, routeAdd, uint8(i)) {
		return false
	}
	p.Move.Step, p.Move.Route = moveRouted, s.RouteLen
	p.S.Role, p.S.Box = roleWaiting, uint8(i)
	s.Claims[p.Move.Claim].Route = s.RouteLen
	if m.on(Incoming) {
		s.Box[i].Coming = p.Move.Claim
	}
	return true
}

func (m *Model) sendMove(s *State, i int, from uint8) bool {
	mv := &s.P[i].Move
	mv.Step = moveSent
	return m.xadd(s, from, control(itemMove, mv.Claim))
}

// abort gives up a move that nobody wants, or that is refused (arg 1).
func (m *Model) abort(s *State, i int, refused uint8) {
	if refused == 1 {
		s.kill(i)
		return
	}
	if m.on(Token) && s.S.Claim == s.P[i].Move.Claim {
		s.S.Claim = 0
	}
	m.dropMove(s, i, 0)
}

func (m *Model) dropMove(s *State, i int, _ uint8) {
	p := &s.P[i]
	if p.Move.Step >= moveRouted {
		m.unroute(p, uint8(i))
	}
	if p.S.Role == roleWaiting {
		p.S.Role = roleNone
	}
	if s.Box[i].Coming == p.Move.Claim && s.holdsOwn(i) {
		s.Box[i].Coming = 0
	}
	p.S.Waiting = queue{}
	p.Move = moving{}
}

// finish loads S, which has moved here, with what waited for it, and answers.
func (m *Model) finish(s *State, i int, _ uint8) bool {
	p := &s.P[i]
	if m.on(OwnTag) && s.S.Tag != p.Epoch[i] {
		s.kill(i) // its mailbox has another owner
		return true
	}
	waiting := p.S.Waiting
	p.own(s, uint8(i))
	p.S.Waiting = queue{}
	if s.holdsOwn(i) {
		s.Box[i].Coming = 0
	}
	p.Move = moving{}
	for _, e := range waiting {
		if e.ID != 0 && !s.S.Overlap.has(e.ID) && !m.enqueue(p, e) {
			return false
		}
	}
	if s.Client.At == uint8(i) {
		s.Client.State = clientAnswered
	}
	return true
}

// own takes S over from its record.
func (p *process) own(s *State, box uint8) {
	h := &p.S
	h.Role, h.Box, h.Tag, h.Pos, h.Since, h.Seen = roleOwner, box, s.S.Tag, s.S.Pos, s.S.Since, s.S.Seen
	h.Loaded = s.S.Overlap
	h.Noting, h.Overlap = 0, idSet{}
	h.Forget, h.ForgetR = 0, 0
}

// load takes over the sessions of mailbox b: S if it lives there; a claim for one on
// its way there dies with the process that made it.
func (m *Model) load(s *State, i int, b uint8) {
	p := &s.P[i]
	p.Loaded[b] = 1
	if c := s.Box[b].Coming; m.on(Incoming) && c != 0 {
		if s.S.Claim == c {
			s.S.Claim = 0
		}
		s.Box[b].Coming = 0
	}
	if s.S.Box != b || !m.raise(s, p, b) {
		return
	}
	if p.Move.Step != moveNone {
		m.supersede(s, i)
	}
	p.own(s, b)
}

// raise makes the tag of S that of mailbox b's owner.
func (m *Model) raise(s *State, p *process, b uint8) bool {
	switch {
	case m.on(OwnTag) && s.S.Tag > p.Epoch[b]:
		return false
	case m.on(OwnTag):
		s.S.Tag = p.Epoch[b]
	case m.on(Bump):
		s.S.Tag++
	}
	return true
}

// supersede ends a move of S to the process that now has S itself.
func (m *Model) supersede(s *State, i int) {
	p := &s.P[i]
	if m.on(Token) && s.S.Claim == p.Move.Claim {
		s.S.Claim = 0
	}
	p.Move = moving{}
	p.S.Waiting = queue{}
	if s.holdsOwn(i) {
		s.Box[i].Coming = 0
	}
}
