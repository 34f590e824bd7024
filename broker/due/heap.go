package due

// entry holds the time beside the pointer: comparing two entries touches the
// items themselves only when the times are equal.
type entry struct {
	at   int64 // nanoseconds since 1970
	item *Item
}

func (e entry) before(o entry) bool {
	return e.at < o.at || e.at == o.at && e.item.seq < o.item.seq
}

// heap is a 4-ary min-heap that tells each item its place. Half as deep as a
// binary one, and the four children share a cache line.
type heap []entry

const arity = 4

// minShrink is the capacity below which memory is not given back.
const minShrink = 1024

func (h heap) set(i int, e entry) {
	h[i] = e
	e.item.index = i
}

func (h *heap) push(e entry) {
	*h = append(*h, e)
	h.up(len(*h)-1, e)
}

// remove takes the entry at i out; its item is not pending afterwards.
func (h *heap) remove(i int) {
	old := *h
	old[i].item.index = notPending
	n := len(old) - 1
	last := old[n]
	old[n] = entry{}
	*h = old[:n]
	if i < n {
		h.fix(i, last)
	}
	h.shrink()
}

// move gives the entry at i another time.
func (h heap) move(i int, at int64) {
	h.fix(i, entry{at: at, item: h[i].item})
}

// fix puts e at i or where it belongs from there.
func (h heap) fix(i int, e entry) {
	if i > 0 && e.before(h[(i-1)/arity]) {
		h.up(i, e)
		return
	}
	h.down(i, e)
}

func (h heap) up(i int, e entry) {
	for i > 0 {
		parent := (i - 1) / arity
		if !e.before(h[parent]) {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, e)
}

func (h heap) down(i int, e entry) {
	for {
		first := i*arity + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+arity, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(e) {
			break
		}
		h.set(i, h[least])
		i = least
	}
	h.set(i, e)
}

// shrink gives memory back after a peak. Halving at a quarter leaves room in
// both directions, so the copies are paid for by the removals between them.
func (h *heap) shrink() {
	if c := cap(*h); c >= minShrink && len(*h) < c/4 {
		*h = append(make(heap, 0, c/2), *h...)
	}
}
