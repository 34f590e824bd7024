package session

import (
	"cmp"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// slot is one packet identifier in use. An id of 0 marks a free slot. The entry
// has no message if Assign gave the identifier: nothing is ever sent again.
type slot struct {
	entry Entry
	id    message.PacketID
	phase store.Phase
	live  bool // counts against this connection's window
	lent  bool // its message is in a loan
}

// window holds the identifiers in use, in a ring indexed by identifier. The ring
// is kept at most half full, so the search for a free one is short.
type window struct {
	ring []slot
	used int // identifiers in use
	live int // of those, sent on this connection and unacknowledged
	last message.PacketID
}

const (
	minRing = 16
	maxRing = 1 << 16
)

func (w *window) at(id message.PacketID) *slot {
	if len(w.ring) == 0 || id == 0 {
		return nil
	}
	s := &w.ring[int(id)&(len(w.ring)-1)]
	if s.id != id {
		return nil
	}
	return s
}

// take gives the next free identifier a slot.
func (w *window) take() *slot {
	if 2*(w.used+1) > len(w.ring) && len(w.ring) < maxRing {
		w.grow(max(minRing, 2*len(w.ring)))
	}
	mask := len(w.ring) - 1
	for {
		w.last++
		if w.last == 0 {
			w.last = 1
		}
		if s := &w.ring[int(w.last)&mask]; s.id == 0 {
			s.id = w.last
			w.used++
			return s
		}
	}
}

// place puts a restored identifier back. It answers nil for one that is 0 or in use.
func (w *window) place(id message.PacketID) *slot {
	if id == 0 || w.at(id) != nil {
		return nil
	}
	n := max(minRing, len(w.ring))
	for {
		if n > len(w.ring) {
			w.grow(n)
		}
		s := &w.ring[int(id)&(len(w.ring)-1)]
		if s.id == 0 && (2*(w.used+1) <= len(w.ring) || len(w.ring) == maxRing) {
			s.id = id
			w.used++
			return s
		}
		n = 2 * len(w.ring)
	}
}

// trim makes the ring as small as what it holds allows.
func (w *window) trim() {
	if w.used == 0 {
		w.ring = nil
		return
	}
	n := minRing
	for n < 2*(w.used+1) {
		n *= 2
	}
	if n < len(w.ring) {
		w.grow(n)
	}
}

// grow gives the ring n slots or, should two identifiers collide, more. With
// maxRing slots each identifier has its own.
func (w *window) grow(n int) {
	for {
		ring := make([]slot, n)
		ok := true
		for i := range w.ring {
			if s := &w.ring[i]; s.id != 0 {
				d := &ring[int(s.id)&(n-1)]
				ok = ok && d.id == 0
				*d = *s
			}
		}
		if ok {
			w.ring = ring
			return
		}
		n *= 2
	}
}

func (w *window) free(s *slot) {
	if s.live {
		w.live--
	}
	w.used--
	*s = slot{}
}

// inOrder lists the identifiers in use in the order of their entries.
func (w *window) inOrder() []message.PacketID {
	ids := make([]message.PacketID, 0, w.used)
	for i := range w.ring {
		if w.ring[i].id != 0 {
			ids = append(ids, w.ring[i].id)
		}
	}
	slices.SortFunc(ids, func(a, b message.PacketID) int {
		return cmp.Compare(w.at(a).entry.Seq, w.at(b).entry.Seq)
	})
	return ids
}
