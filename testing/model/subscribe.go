package model

// subscribeSteps are route changes beside those of a move: removals, a new
// subscription, and the empty one that lets the overlap set be forgotten.
func (m *Model) subscribeSteps(s *State, i int, list []Step) []Step {
	p := &s.P[i]
	who := uint8(i)
	for b := range uint8(mailboxes) {
		if p.Removals>>b&1 == 1 {
			list = append(list, Step{RemoveRoute, who, b})
		}
	}
	if p.S.Role != roleOwner {
		return list
	}
	if m.in.Subscribe && s.Client.At == who {
		if s.Sub == subNone && s.Client.State == clientAnswered {
			list = append(list, Step{SubRoute, who, 0})
		}
		if s.Sub == subRouted && s.barrier(s.SubRoute) {
			list = append(list, Step{Suback, who, 0})
		}
	}
	if m.in.Forget && !p.S.Loaded.empty() && m.mayForget(s, i) {
		list = append(list, Step{Forget, who, p.S.Forget})
	}
	return list
}

// removeRoute removes the route of mailbox b; Redis compares its epoch.
func (m *Model) removeRoute(s *State, i int, b uint8) bool {
	p := &s.P[i]
	p.Removals &^= 1 << b
	if m.on(RouteFence) && !s.holds(i, b) {
		return true
	}
	return m.addRoute(s, routeRemove, b)
}

func (m *Model) subRoute(s *State, i int, _ uint8) bool {
	p := &s.P[i]
	if m.on(RouteOrder) {
		p.Removals &^= 1 << p.S.Box
	}
	if !m.addRoute(s, routeAdd, p.S.Box) {
		return false
	}
	s.Sub, s.SubRoute = subRouted, s.RouteLen
	return true
}

func (m *Model) suback(s *State, _ int, _ uint8) { s.Sub = subAnswered }

// The steps of forgetting the overlap set.
const (
	forgetRoute   = iota // append an empty route change
	forgetBarrier        // it has passed its barrier
	forgetRead           // the inbox is consumed to the end read then
)

func (m *Model) mayForget(s *State, i int) bool {
	p := &s.P[i]
	switch p.S.Forget {
	case forgetBarrier:
		return s.barrier(p.S.ForgetR)
	case forgetRead:
		return p.Read[p.S.Box] >= p.S.ForgetR && s.mayCommit(i)
	}
	return true
}

func (m *Model) forget(s *State, i int, step uint8) bool {
	h := &s.P[i].S
	switch step {
	case forgetRoute:
		if !m.addRoute(s, routeEmpty, 0) {
			return false
		}
		h.Forget, h.ForgetR = forgetBarrier, s.RouteLen
	case forgetBarrier:
		h.Forget, h.ForgetR = forgetRead, s.Box[h.Box].Len
	case forgetRead:
		h.Forget, h.ForgetR, h.Loaded, s.S.Overlap = forgetRoute, 0, idSet{}, idSet{}
	}
	return true
}
