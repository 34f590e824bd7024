package router

// streamMark is a place in a stream that somebody wants to hear of.
type streamMark struct {
	at   int // of Stream.passed
	done func(written bool)
}

// Written implements Sink: written is what Sent was told of.
func (s *Stream) Written(done func(written bool)) {
	s.mu.Lock()
	ended, empty := s.end != nil, s.bytes == 0
	if !ended && !empty {
		s.marks = append(s.marks, streamMark{s.passed + s.bytes, done})
	}
	s.mu.Unlock()
	if ended || empty {
		done(!ended)
	}
}

// passedLocked takes those out who want to hear of the next size bytes.
func (s *Stream) passedLocked(size int) []streamMark {
	s.passed += size
	n := 0
	for n < len(s.marks) && s.marks[n].at <= s.passed {
		n++
	}
	list := s.marks[:n:n]
	if s.marks = s.marks[n:]; len(s.marks) == 0 {
		s.marks = nil
	}
	return list
}

func tellMarks(list []streamMark, written bool) {
	for i := range list {
		list[i].done(written)
	}
}
