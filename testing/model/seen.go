package model

import "hash/maphash"

// seen is a set of states, kept as 64-bit fingerprints: at 10^8 states the chance that
// a collision hid one is below one in a thousand.
type seen struct {
	seed maphash.Seed
	slot []uint64 // open addressing; 0 is free
	n    int
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed(), slot: make([]uint64, 1<<14)} }

func (f *seen) fingerprint(s *State) uint64 {
	return max(maphash.Comparable(f.seed, *s), 1)
}

// add reports whether the state is new.
func (f *seen) add(s *State) bool { return f.addPrint(f.fingerprint(s)) }

func (f *seen) addPrint(h uint64) bool {
	if f.n*10 >= len(f.slot)*7 {
		f.grow()
	}
	if !f.put(h) {
		return false
	}
	f.n++
	return true
}

func (f *seen) grow() {
	old := f.slot
	f.slot = make([]uint64, 2*len(old))
	for _, h := range old {
		if h != 0 {
			f.put(h)
		}
	}
}

func (f *seen) put(h uint64) bool {
	mask := uint64(len(f.slot) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch f.slot[i] {
		case 0:
			f.slot[i] = h
			return true
		case h:
			return false
		}
	}
}
