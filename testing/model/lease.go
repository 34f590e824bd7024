package model

// leaseSteps are those of a process whose lease has run out, or was taken again.
func (m *Model) leaseSteps(s *State, i int, list []Step) []Step {
	who := uint8(i)
	if s.Lease[i] == 0 {
		list = append(list, Step{Notice, who, 0})
		if m.in.Retake && s.Box[i].Owner == who && s.holdsOwn(i) {
			list = append(list, Step{Retake, who, 0})
		}
	}
	if s.P[i].Lapsed == 1 {
		list = append(list, Step{Reroute, who, 0})
	}
	return list
}

// notice is a process that finds its lease gone and leaves.
func (m *Model) notice(s *State, i int, _ uint8) { s.kill(i) }

// retake takes the lease again: nobody has taken the mailbox. Mailboxes adopted before
// may be others' now.
func (m *Model) retake(s *State, i int, _ uint8) {
	p := &s.P[i]
	s.Lease[i], p.Lapsed = 1, 1
	if !m.on(RetakeAll) {
		return
	}
	for b := range uint8(mailboxes) {
		if p.Epoch[b] == 0 || s.holds(i, b) {
			continue
		}
		if (p.S.Role == roleOwner || p.S.Role == roleLeaving) && p.S.Box == b {
			m.refuse(s, i)
		}
		p.Epoch[b], p.Loaded[b], p.Read[b] = 0, 0, 0
		p.Removals &^= 1 << b
	}
}

// reroute routes everything not acknowledged again, by the table of now.
func (m *Model) reroute(s *State, i int, _ uint8) bool {
	p := &s.P[i]
	p.Lapsed = 0
	p.Applied = s.RouteLen
	p.Out = [mailboxes][outSize]item{}
	for k := range uint8(m.in.Messages) {
		if p.InFlight>>k&1 == 1 && !m.routeAgain(s, i, m.idOf(k, p.Generation)) {
			return false
		}
	}
	p.Targets = m.table(s, p.Applied) | p.S.Role<<4
	return true
}

func (m *Model) routeAgain(s *State, i int, id uint8) bool {
	p := &s.P[i]
	h := &p.S
	t := m.table(s, p.Applied)
	for b := range mailboxes {
		if t>>b&1 == 0 || b == i {
			continue
		}
		if !p.enqueueOut(b, message(id, p.Applied)) {
			m.cut++
			return false
		}
		p.Appended |= 1 << m.number(id)
	}
	if h.Queue.local(id) || h.Waiting.local(id) {
		return true
	}
	own := h.Box == uint8(i)
	if h.Role == roleOwner && own && !m.enqueue(p, entry{ID: id}) {
		return false
	}
	if h.Role == roleWaiting && p.Move.Step >= moveRouted || h.Role == roleLeaving && own {
		return h.Waiting.push(entry{ID: id})
	}
	return true
}

// local reports whether the queue has id from a publisher of the process.
func (q *queue) local(id uint8) bool {
	for _, e := range q {
		if e.ID&^dupBit == id && e.Pos == 0 {
			return true
		}
	}
	return false
}

// adoptSteps are the mailboxes of others that process i may take.
func (m *Model) adoptSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	who := uint8(i)
	if s.Lease[i] == 0 {
		return list
	}
	for b := range uint8(mailboxes) {
		box := &s.Box[b]
		if box.Owner == none || box.Owner == who {
			continue
		}
		lapsed := s.Lease[box.Owner] == 0
		if !m.on(AdoptAtomic) { // the lease is read first, then owner and epoch are compared and set
			if lapsed && p.Want == 0 {
				list = append(list, Step{See, who, b})
			}
			lapsed = p.Want == b+1 && p.WantEpoch == box.Epoch
		}
		if lapsed {
			list = append(list, Step{Adopt, who, b})
		}
	}
	return list
}

func (m *Model) see(s *State, i int, b uint8) {
	s.P[i].Want, s.P[i].WantEpoch = b+1, s.Box[b].Epoch
}

// adopt takes mailbox b; its sessions are loaded in a later step.
func (m *Model) adopt(s *State, i int, b uint8) {
	p := &s.P[i]
	box := &s.Box[b]
	p.Want, p.WantEpoch = 0, 0
	box.Owner = uint8(i)
	box.Epoch++
	p.Epoch[b], p.Loaded[b], p.Read[b] = box.Epoch, 0, box.Trimmed
}
