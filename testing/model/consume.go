package model

// boxSteps are loading, consuming and trimming the mailboxes that process i believes
// to hold.
func (m *Model) boxSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	who := uint8(i)
	for b := range uint8(mailboxes) {
		box := &s.Box[b]
		if p.Epoch[b] == 0 {
			continue
		}
		if p.Loaded[b] == 0 {
			list = append(list, Step{Load, who, b})
			continue
		}
		leaving := p.S.Role == roleLeaving && p.S.Box == b
		if p.Read[b] < box.Len && !leaving {
			list = append(list, Step{Consume, who, b})
		}
		if trimTo(p, b) > box.Trimmed && (!m.on(TrimFence) || s.holds(i, b)) {
			list = append(list, Step{Trim, who, b})
		}
	}
	return list
}

// trimTo is up to where all effects of mailbox b are in the store, as p knows it.
func trimTo(p *process, b uint8) uint8 {
	t := p.Read[b]
	if p.S.Box != b {
		return t
	}
	var q *queue
	switch p.S.Role {
	case roleOwner, roleLeaving:
		q = &p.S.Queue
	case roleWaiting:
		q = &p.S.Waiting
	default:
		return t
	}
	for _, e := range q {
		if e.ID != 0 && e.Pos != 0 {
			t = min(t, e.Pos-1)
		}
	}
	return t
}

func (m *Model) trim(s *State, i int, b uint8) {
	box := &s.Box[b]
	t := trimTo(&s.P[i], b)
	for j := box.Trimmed; j < t; j++ {
		box.Inbox[j] = itemGone
	}
	box.Trimmed = t
}

// consume handles the next entry of mailbox b.
func (m *Model) consume(s *State, i int, b uint8) bool {
	p := &s.P[i]
	box := &s.Box[b]
	if p.Read[b] < box.Trimmed {
		p.Read[b] = box.Trimmed // another has trimmed: the read starts there
		return true
	}
	e := box.Inbox[p.Read[b]]
	owner := p.S.Role == roleOwner && p.S.Box == b
	if e.kind() >= itemPrepare && m.on(Meet) && s.S.Box == b && !owner {
		return m.loadToMeet(s, i, b)
	}
	switch e.kind() {
	case itemPrepare:
		if owner {
			p.S.Noting = 1
		}
		s.Prepared |= 1 << e.high()
	case itemMove:
		if owner {
			p.S.Role = roleLeaving
			return true // the position goes on with the commit
		}
	default:
		if !m.receive(s, i, b, e) {
			return false
		}
	}
	p.Read[b]++
	return true
}

// loadToMeet loads S, which lives in b by its record, before what is addressed to it
// is read.
func (m *Model) loadToMeet(s *State, i int, b uint8) bool {
	p := &s.P[i]
	if p.S.Role != roleNone || p.Move.Step != moveNone {
		return false
	}
	m.load(s, i, b)
	return p.S.Role == roleOwner
}

// receive is a message from mailbox b.
func (m *Model) receive(s *State, i int, b uint8, e item) bool {
	p := &s.P[i]
	h := &p.S
	pos := p.Read[b] + 1
	switch {
	case h.Role == roleOwner && h.Box == b:
		return m.receiveOwned(s, p, e, pos)
	case h.Role == roleWaiting && int(b) == i && p.Move.Step >= moveRouted:
		if m.on(Tag) && e.high() < p.Move.Route {
			return true // it is in the old mailbox
		}
		return h.Waiting.push(entry{ID: e.id(), Pos: pos})
	}
	return true
}

func (m *Model) receiveOwned(s *State, p *process, e item, pos uint8) bool {
	h := &p.S
	known := pos <= h.Pos
	early := m.on(Tag) && e.high() < h.Since
	if !known && early {
		return true
	}
	if known || m.on(KeepOverlap) && h.Loaded.has(e.id()) {
		if h.Noting == 1 {
			h.Overlap.add(e.id())
		}
		return true
	}
	if m.in.Subscribe && s.Sub == subNone {
		return true
	}
	return m.enqueue(p, entry{ID: e.id(), Pos: pos})
}

// enqueue is a message for S at its owner, to be committed.
func (m *Model) enqueue(p *process, e entry) bool {
	h := &p.S
	if h.Noting == 1 {
		h.Overlap.add(e.ID)
	}
	if m.in.QoS == 1 {
		return h.Queue.push(e)
	}
	bit := uint8(1) << m.number(e.ID)
	if !m.on(Seen) {
		if p.Known&bit != 0 {
			return true
		}
		p.Known |= bit
		return h.Queue.push(e)
	}
	if h.Seen&bit == 0 {
		h.Seen |= bit
		return h.Queue.push(e)
	}
	if m.on(DupWait) && m.queued(&h.Queue, e.ID) {
		e.ID |= dupBit // the first copy is not committed: this one counts as applied with it
		return h.Queue.push(e)
	}
	return true
}

func (m *Model) queued(q *queue, id uint8) bool {
	for _, e := range q {
		if e.ID != 0 && m.number(e.ID) == m.number(id) {
			return true
		}
	}
	return false
}
