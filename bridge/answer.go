package bridge

import (
	"errors"

	"github.com/skeinmq/skein/hooks/store"
)

// answer tells who waits for parts, and what is known of their sessions.
func (s *sender) answer(parts []*part) {
	if len(parts) == 0 {
		return
	}
	s.mu.Lock()
	for _, p := range parts {
		if p.h != nil {
			s.learnLocked(p)
		}
	}
	s.mu.Unlock()
	for _, p := range parts {
		for i := range p.works {
			w := &p.works[i]
			if w.err == nil {
				w.err = p.err
			}
			s.in.answer(w)
		}
	}
}

// learnLocked notes what the outcome of a part says of its session.
func (s *sender) learnLocked(p *part) {
	h := p.h
	h.pending -= len(p.works)
	mine := s.homes[p.id] == h
	switch {
	case p.err == nil && p.leaves, errors.Is(p.err, store.ErrFenced) && p.fold.head != nil && h.member:
		s.goneLocked(p.home.box, p.id, s.entries.next())
	case p.err == nil && p.sole && h.session == unsure:
		h.session = present
	case errors.Is(p.err, store.ErrNotFound) && h.session == unsure:
		h.session = absent
	}
	if p.err != nil && !errors.Is(p.err, store.ErrNotFound) && !errors.Is(p.err, store.ErrFenced) {
		s.stats.refused(s.log, p.err)
	}
	switch {
	case !mine:
	case errors.Is(p.err, store.ErrFenced):
		delete(s.homes, p.id)
	case h.fresh && h.session != present && h.pending == 0:
		delete(s.homes, p.id)
	}
}
