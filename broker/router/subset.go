package router

import (
	"iter"
	"maps"
	"slices"
)

// fewSubs is how many subscriptions a client has before a map finds them: most have
// one or two, and a map takes 250 bytes.
const fewSubs = 8

// subset is a client's subscriptions by the filter as the client spelled it. The zero
// value is empty.
type subset struct {
	few  []*subscription
	many map[string]*subscription // instead of few, once there are more
}

func (s *subset) len() int { return len(s.few) + len(s.many) }

// get returns nil for a filter that is not there.
func (s *subset) get(filter string) *subscription {
	if i := s.index(filter); i >= 0 {
		return s.few[i]
	}
	return s.many[filter]
}

func (s *subset) index(filter string) int {
	return slices.IndexFunc(s.few, func(o *subscription) bool { return o.Filter == filter })
}

// put adds a subscription, in the place of one with the same filter.
func (s *subset) put(sub *subscription) {
	switch i := s.index(sub.Filter); {
	case i >= 0:
		s.few[i] = sub
	case s.many != nil:
		s.many[sub.Filter] = sub
	case len(s.few) < fewSubs:
		s.few = append(s.few, sub)
	default:
		s.many = make(map[string]*subscription, 2*fewSubs)
		for _, o := range s.few {
			s.many[o.Filter] = o
		}
		s.few = nil
		s.many[sub.Filter] = sub
	}
}

func (s *subset) remove(filter string) {
	if i := s.index(filter); i >= 0 {
		s.few = slices.Delete(s.few, i, i+1)
		return
	}
	delete(s.many, filter)
}

// all visits a copy: the set may change meanwhile.
func (s *subset) all() iter.Seq[*subscription] {
	return slices.Values(append(slices.Clone(s.few), slices.Collect(maps.Values(s.many))...))
}
