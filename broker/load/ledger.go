package load

import (
	"encoding/binary"
	"sync"
)

// The payload begins with two words, little-endian, as far as it is long enough: the
// publisher's number and the message's place in its order, and the time it was sent
// in nanoseconds since 1970, or 0 when its latency is not looked at.
const (
	orderSize = 8
	stampSize = 16
	seqBits   = 40
	seqMask   = 1<<seqBits - 1

	// MinVerified is the smallest payload whose order, loss and duplicates are seen.
	MinVerified = orderSize
	// MinTimed is the smallest payload whose latency is measured.
	MinTimed = stampSize
)

func putOrder(payload []byte, publisher int, seq uint64) {
	binary.LittleEndian.PutUint64(payload, uint64(publisher)<<seqBits|seq&seqMask)
}

func readOrder(payload []byte) (publisher int, seq uint64) {
	w := binary.LittleEndian.Uint64(payload)
	return int(w >> seqBits), w & seqMask
}

// verdict is what a subscriber finds about one message.
type verdict byte

const (
	inOrder   verdict = iota // the one expected, or one after a gap
	overtaken                // a later one came first
	repeated                 // it came before
)

// maxMissing bounds what a stream remembers. A message missing beyond it that comes
// late after all is taken for a repeated one.
const maxMissing = 1 << 16

// stream is what one subscriber has had from one publisher.
type stream struct {
	next    uint64              // the lowest number that nothing is known of
	missing map[uint64]struct{} // below next and not seen; nil until one is
}

// mark notes that a message has come.
func (s *stream) mark(seq uint64) verdict {
	if seq == s.next {
		s.next++
		return inOrder
	}
	return s.markOther(seq)
}

func (s *stream) markOther(seq uint64) verdict {
	if seq > s.next {
		if s.missing == nil {
			s.missing = make(map[uint64]struct{})
		}
		for m := s.next; m < seq && len(s.missing) < maxMissing; m++ {
			s.missing[m] = struct{}{}
		}
		s.next = seq + 1
		return inOrder
	}
	if _, ok := s.missing[seq]; ok {
		delete(s.missing, seq)
		return overtaken
	}
	return repeated
}

// group is what all members of a shared subscription together have had: each message
// is for one of them, so only together they see one that is lost or comes twice.
type group struct {
	mu      sync.Mutex
	streams []stream // by publisher; guarded by mu
}

func newGroup(publishers int) *group { return &group{streams: make([]stream, publishers)} }

// member is the part of a shared group that one subscriber needs alone.
type member struct {
	group *group
	notes []note  // what came since the last commit
	last  []int64 // highest number of each publisher, -1 before the first
}

// note is one message, by its publisher and its place there.
type note struct {
	publisher int
	seq       uint64
}

func (g *group) member() *member {
	m := &member{group: g, last: make([]int64, len(g.streams))}
	for i := range m.last {
		m.last[i] = -1
	}
	return m
}

// commit marks what has come, once for a batch, and calls found for each. The order
// that is promised is that of each member.
func (m *member) commit(found func(publisher int, v verdict)) {
	if len(m.notes) == 0 {
		return
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	for _, n := range m.notes {
		v := m.group.streams[n.publisher].mark(n.seq)
		if v != repeated {
			v = inOrder
			if int64(n.seq) < m.last[n.publisher] {
				v = overtaken
			}
			m.last[n.publisher] = max(m.last[n.publisher], int64(n.seq))
		}
		found(n.publisher, v)
	}
	m.notes = m.notes[:0]
}
