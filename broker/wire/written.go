package wire

// marks are the places in the output that somebody wants to hear of.
type marks struct {
	written int64 // bytes, since there are marks
	list    []mark
}

type mark struct {
	at   int64 // of written
	done func(written bool)
}

// Written calls done once when all that was appended before has been written to the
// socket, or with false when it never will be: the output was closed or a write failed.
// It may be called at once, on the flusher or by who closes the output, also with locks
// held: it must take none of which that could be one.
func (o *Output) Written(done func(written bool)) {
	o.mu.Lock()
	size := o.size.Load()
	ended := o.closed || o.last // what came after Last was dropped
	if !ended && size > 0 {
		if o.marks == nil {
			o.marks = &marks{}
		}
		o.marks.list = append(o.marks.list, mark{o.marks.written + size, done})
		o.mu.Unlock()
		return
	}
	o.mu.Unlock()
	done(!ended)
}

// passed tells those whose bytes are written.
func (o *Output) passed() {
	o.mu.Lock()
	m := o.marks
	if m == nil {
		o.mu.Unlock()
		return
	}
	n := 0
	for n < len(m.list) && m.list[n].at <= m.written {
		n++
	}
	list := m.list[:n:n]
	if m.list = m.list[n:]; len(m.list) == 0 {
		o.marks = nil
	}
	o.mu.Unlock()
	for i := range list {
		list[i].done(true)
	}
}

// unwrittenLocked tells those whose bytes will not be written.
func (o *Output) unwrittenLocked() {
	if o.marks == nil {
		return
	}
	list := o.marks.list
	o.marks = nil
	for i := range list {
		list[i].done(false)
	}
}
