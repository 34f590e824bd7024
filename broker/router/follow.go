package router

import (
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/broker/message"
)

// follows watch messages until everybody whom they were given to has acknowledged
// them. They know messages by their ids, so that one which left memory and came back
// from the store is still the same. While nobody waits nothing is looked
// up. A message is told of its targets by what they are: a *Client for a session, a
// *Group for a shared group.
type follows struct {
	waiting atomic.Int32 // in byID

	mu   sync.Mutex
	byID map[message.ID]*follow
}

// follow is what is known of one message.
type follow struct {
	id   message.ID
	done chan struct{} // closed when all targets are through

	mu        sync.Mutex
	pending   map[any]struct{} // targets that have it
	routing   bool             // there may be more targets
	matched   int
	delivered int
	dropped   int
}

// begin begins to watch a message; forget must follow.
func (s *follows) begin(id message.ID) *follow {
	f := &follow{id: id, done: make(chan struct{}), pending: map[any]struct{}{}, routing: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[message.ID]*follow{}
	}
	s.byID[id] = f
	s.waiting.Add(1)
	return f
}

// forget ends that, whatever is still pending.
func (s *follows) forget(f *follow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, f.id)
	s.waiting.Add(-1)
}

// watched reports whether anybody waits.
func (s *follows) watched() bool { return s.waiting.Load() > 0 }

// delivered notes that a target has acknowledged a message, or was sent it at QoS 0.
func (s *follows) delivered(m *message.Message, target any) { s.through(m, target, true) }

// dropped notes that a target will not get a message.
func (s *follows) dropped(m *message.Message, target any) { s.through(m, target, false) }

func (s *follows) through(m *message.Message, target any, delivered bool) {
	if m == nil || !s.watched() {
		return
	}
	s.mu.Lock()
	f := s.byID[m.ID]
	s.mu.Unlock()
	if f != nil {
		f.through(target, delivered)
	}
}

// gone notes that a target has ended with all that it had.
func (s *follows) gone(target any) {
	if !s.watched() {
		return
	}
	s.mu.Lock()
	list := make([]*follow, 0, len(s.byID))
	for _, f := range s.byID {
		list = append(list, f)
	}
	s.mu.Unlock()
	for _, f := range list {
		f.through(target, false)
	}
}

// expect names the targets, before any of them is given the message.
func (f *follow) expect(targets []target, groups []*Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range targets {
		f.pending[targets[i].c] = struct{}{}
	}
	for _, g := range groups {
		f.pending[g] = struct{}{}
	}
	f.matched += len(targets) + len(groups)
}

// routed says that all targets are known and have been given the message.
func (f *follow) routed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routing = false
	f.closeLocked()
}

// through takes a target off the list; one that is not on it has been told before.
func (f *follow) through(target any, delivered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.pending[target]; !ok {
		return
	}
	delete(f.pending, target)
	if delivered {
		f.delivered++
	} else {
		f.dropped++
	}
	f.closeLocked()
}

func (f *follow) closeLocked() {
	if !f.routing && len(f.pending) == 0 {
		select {
		case <-f.done:
		default:
			close(f.done)
		}
	}
}

// fill copies the counts.
func (f *follow) fill(o *Posted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.Matched, o.Delivered, o.Dropped, o.Pending = f.matched, f.delivered, f.dropped, len(f.pending)
}
