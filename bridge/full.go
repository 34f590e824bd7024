package bridge

import "github.com/skeinmq/skein/broker/message"

// splitFull writes, while Redis has no memory left, the parts of a group that need none
// and holds the others.
func (s *sender) splitFull(g *group) {
	rest := &group{}
	var small []*part
	joined := s.joinedWaits(g.parts)
	for _, p := range g.parts {
		if s.waits(p) || p.joined && joined {
			rest.parts = append(rest.parts, p)
			if p.id != "" {
				s.heldOf[p.id]++
			}
			continue
		}
		small = append(small, p)
	}
	if len(rest.parts) > 0 {
		s.held = append(s.held, rest)
	}
	s.push(small, stepFull)
}

func (s *sender) waits(p *part) bool {
	return p.grows || p.id == "" && s.heldNode() || p.id != "" && s.heldOf[p.id] > 0
}

// joinedWaits reports whether one of the parts that are written as one waits.
func (s *sender) joinedWaits(parts []*part) bool {
	if s.clustered {
		return false
	}
	for _, p := range parts {
		if p.joined && s.waits(p) {
			return true
		}
	}
	return false
}

// heldNode reports whether records of a mailbox wait.
func (s *sender) heldNode() bool {
	for _, g := range s.held {
		for _, p := range g.parts {
			if p.id == "" {
				return true
			}
		}
	}
	return false
}

// retryHeld tries whether Redis has memory again.
func (s *sender) retryHeld() {
	for len(s.held) > 0 {
		g := s.held[0]
		of := make([]message.ClientID, len(g.parts))
		for i, p := range g.parts {
			of[i] = p.id
		}
		g.parts = s.push(g.parts, stepCommit)
		for _, id := range of {
			if s.heldOf[id]--; s.heldOf[id] <= 0 {
				delete(s.heldOf, id)
			}
		}
		for _, p := range g.parts {
			if p.id != "" {
				s.heldOf[p.id]++
			}
		}
		if len(g.parts) > 0 {
			if s.ctx.Err() != nil {
				s.abandon(g.parts)
				g.parts = nil
			} else {
				return
			}
		}
		s.held = s.held[1:]
	}
	s.flushed()
}
