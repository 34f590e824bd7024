package router

import (
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/broker/message"
)

// repeats are QoS 2 messages that were routed again in a cluster, because it was not known
// whether all targets had them. Their first copy may still come, from a process that was
// slow: then it is looked at like a repetition.
type repeats struct {
	n atomic.Int32 // so that who asks for nothing takes no lock

	mu    sync.Mutex
	ids   map[message.ID]struct{}
	order []message.ID // oldest first
}

// maxRepeats bounds the memory; the oldest are forgotten.
const maxRepeats = 1 << 16

func (s *repeats) add(id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[message.ID]struct{}{}
	}
	if _, known := s.ids[id]; known {
		return
	}
	if len(s.order) == maxRepeats {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
	s.ids[id] = struct{}{}
	s.order = append(s.order, id)
	s.n.Store(int32(len(s.order)))
}

// has reports whether one of the n messages from first on was repeated.
func (s *repeats) has(first message.ID, n int) bool {
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if _, known := s.ids[message.ID{Run: first.Run, Seq: first.Seq + uint64(i)}]; known {
			return true
		}
	}
	return false
}
