package model

// What befalls processes and clients.

func (m *Model) crash(s *State, i int, _ uint8) {
	s.Crashes--
	s.Seen.Failed = 1
	s.kill(i)
}

func (m *Model) pause(s *State, i int, _ uint8) {
	s.Pauses--
	s.Seen.Failed = 1
	s.P[i].Life = paused
}

func (m *Model) resume(s *State, i int, _ uint8) {
	s.P[i].Life = running
	if !m.on(NoRevive) && s.Lease[i] == 0 && s.Box[i].Owner == uint8(i) {
		s.Lease[i] = 1
	}
}

func (m *Model) expire(s *State, i int, _ uint8) { s.Lease[i] = 0 }

// connect is S's client that comes to process i.
func (m *Model) connect(s *State, i int, _ uint8) {
	s.Client.Connects--
	s.Client.At, s.Client.State = uint8(i), clientWaits
}

func (m *Model) leave(s *State, _ int, _ uint8) { s.Client.At, s.Client.State = none, clientAway }

// reconnect is the publisher that comes to process i and sends again what was not
// acknowledged.
func (m *Model) reconnect(s *State, i int, _ uint8) {
	p := &s.Pub
	p.Reconnects--
	p.At, p.Next = uint8(i), 0
	p.Generation++
	p.Visited |= 1 << i
	if m.on(Order) {
		p.WaitFor = s.Box[i].Len
	}
}

// join is a process that was not there: lease, then the stream's end, then the sets;
// without the rule the lease comes last.
func (m *Model) join(s *State, i int, _ uint8) {
	p := &s.P[i]
	lease := func() { s.Lease[i], s.Box[i].Owner, s.Box[i].Epoch = 1, uint8(i), 1 }
	read := func() { p.Applied = s.RouteLen }
	steps := [2]func(){lease, read}
	if !m.on(LeaseFirst) {
		steps = [2]func(){read, lease}
	}
	steps[p.Join]()
	p.Join++
	if p.Join == uint8(len(steps)) {
		p.Join, p.Life, p.Epoch[i], p.Loaded[i] = 0, running, 1, 1
	}
}
