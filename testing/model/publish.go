package model

// publishSteps are a publish, its appends and its acknowledgement at process i.
func (m *Model) publishSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	who := uint8(i)
	if s.Pub.At == who && int(s.Pub.Next) < m.in.Messages {
		list = append(list, Step{Publish, who, 0})
	}
	for b := range mailboxes {
		if p.Out[b][0] != 0 {
			list = append(list, Step{Append, who, uint8(b)})
		}
	}
	if k, ok := m.ackable(s, i); ok {
		list = append(list, Step{Ack, who, k})
	}
	if p.Applied < s.RouteLen {
		list = append(list, Step{Apply, who, 0})
	}
	return list
}

func (m *Model) apply(s *State, i int, _ uint8) { s.P[i].Applied++ }

// publish routes the publisher's next message by the table of process i.
func (m *Model) publish(s *State, i int, _ uint8) bool {
	pub := &s.Pub
	for int(pub.Next) < m.in.Messages && s.Seen.acked(pub.Next) {
		pub.Next++
	}
	p := &s.P[i]
	if int(pub.Next) == m.in.Messages || pub.WaitFor > p.Read[i] || !m.drained(s, p) {
		return false
	}
	number := pub.Next
	pub.Next++
	p.Generation = pub.Generation
	if m.in.Subscribe && s.Sub == subAnswered {
		s.Seen.After |= 1 << number
	}
	p.InFlight |= 1 << number
	p.Appended &^= 1 << number
	id := m.idOf(number, pub.Generation)
	return m.send(s, i, id) && m.match(s, i, id)
}

// drained reports whether the targets may be used: they are those of the publish
// before, or that is done.
func (m *Model) drained(s *State, p *process) bool {
	if !m.on(Drain) {
		return true
	}
	targets := m.table(s, p.Applied) | p.S.Role<<4
	if p.InFlight != 0 && p.Targets != targets {
		return false
	}
	p.Targets = targets
	return true
}

// send puts a message into the outboxes of its targets, but the process's own mailbox.
func (m *Model) send(s *State, i int, id uint8) bool {
	p := &s.P[i]
	t := m.table(s, p.Applied)
	for b := range mailboxes {
		if t>>b&1 == 0 || b == i {
			continue
		}
		if p.Epoch[b] != 0 && !m.on(Order) {
			continue // adopted: matched here
		}
		if !p.enqueueOut(b, message(id, p.Applied)) {
			return false
		}
		p.Appended |= 1 << m.number(id)
	}
	return true
}

func (p *process) enqueueOut(b int, e item) bool {
	for j := range p.Out[b] {
		if p.Out[b][j] == 0 {
			p.Out[b][j] = e
			return true
		}
	}
	return false // full: the publish waits
}

// match is the process's own mailbox.
func (m *Model) match(s *State, i int, id uint8) bool {
	p := &s.P[i]
	h := &p.S
	own := h.Box == uint8(i)
	subscribed := !m.in.Subscribe || s.Sub != subNone
	if h.Role == roleOwner && (own || !m.on(Order)) && subscribed && !m.enqueue(p, entry{ID: id}) {
		return false
	}
	// While move is being committed: acknowledged only when its outcome is known.
	if h.Role == roleLeaving && own && m.on(HoldLeave) && !h.Waiting.push(entry{ID: id}) {
		return false
	}
	if h.Role == roleWaiting && p.Move.Step >= moveRouted && (!m.on(Tag) || p.Applied >= p.Move.Route) {
		return h.Waiting.push(entry{ID: id})
	}
	return true
}

func (m *Model) append(s *State, i int, b uint8) bool {
	out := &s.P[i].Out[b]
	e := out[0]
	copy(out[:], out[1:])
	out[outSize-1] = 0
	return m.xadd(s, b, e)
}

// ackable is the oldest publish without an acknowledgement, if nothing of it is
// pending.
func (m *Model) ackable(s *State, i int) (uint8, bool) {
	p := &s.P[i]
	if p.InFlight == 0 || m.on(LeaseGen) && p.Lapsed == 1 {
		return 0, false
	}
	k := uint8(0)
	for p.InFlight>>k&1 == 0 {
		k++
	}
	return k, !m.pending(p, k)
}

// pending reports whether publish k still waits for an append or a commit here.
func (m *Model) pending(p *process, k uint8) bool {
	for b := range mailboxes {
		for _, e := range p.Out[b] {
			if e != 0 && m.number(e.id()) == k {
				return true
			}
		}
	}
	if m.waitsIn(&p.S.Queue, k) {
		return true
	}
	return (m.on(HoldLocal) || p.S.Role == roleLeaving) && m.waitsIn(&p.S.Waiting, k)
}

func (m *Model) waitsIn(q *queue, k uint8) bool {
	for _, e := range q {
		if e.ID != 0 && e.Pos == 0 && m.number(e.ID) == k {
			return true
		}
	}
	return false
}

// ack looks at the lease, then acknowledges.
func (m *Model) ack(s *State, i int, k uint8) {
	p := &s.P[i]
	appended := p.Appended>>k&1 == 1
	p.InFlight &^= 1 << k
	switch {
	case s.Lease[i] == 0 && (m.on(CheckAll) || appended):
		s.kill(i)
	case s.Pub.At == uint8(i):
		s.Seen.Acked |= 1 << k
	}
}
