package topic

// entry is one subscriber of a filter.
type entry[K comparable, V any] struct {
	key K
	val V
}

// subs are the subscribers of one filter, none if the filter is empty. A single
// one, by far the most common, lies inline; more are a list in no order, with an
// index of the keys when it is long.
type subs[K comparable, V any] struct {
	filter Filter
	one    entry[K, V]
	more   *crowd[K, V] // two or more; one is unused then
}

// crowd are the subscribers of a filter that has several. The list is what a
// match reads, so a fan-out goes through memory in order.
type crowd[K comparable, V any] struct {
	list  []entry[K, V]
	index map[K]int32 // nil for a short list
}

const (
	maxScan = 16 // up to here a key is looked for in the list
	// shrinkBelow is the fraction of a peak below which memory is given back. The
	// copy is paid for by the removals before it.
	shrinkBelow = 8
)

func (s *subs[K, V]) empty() bool { return s.filter == "" }

// put adds or replaces a subscriber. f is the filter that s belongs to.
func (s *subs[K, V]) put(f Filter, k K, v V) (replaced bool) {
	switch {
	case s.empty():
		s.filter, s.one = f, entry[K, V]{k, v}
		return false
	case s.more != nil:
		return s.more.put(k, v)
	case s.one.key == k:
		s.one.val = v
		return true
	}
	s.more = &crowd[K, V]{list: []entry[K, V]{s.one, {k, v}}}
	s.one = entry[K, V]{}
	return false
}

// remove takes a subscriber out and reports whether there was one.
func (s *subs[K, V]) remove(k K) bool {
	if s.more != nil {
		if !s.more.remove(k) {
			return false
		}
		if len(s.more.list) == 1 {
			s.one, s.more = s.more.list[0], nil
		}
		return true
	}
	if s.empty() || s.one.key != k {
		return false
	}
	*s = subs[K, V]{}
	return true
}

func (s *subs[K, V]) visit(visit func(Filter, K, *V)) {
	if s.more == nil {
		if !s.empty() {
			visit(s.filter, s.one.key, &s.one.val)
		}
		return
	}
	for i := range s.more.list {
		e := &s.more.list[i]
		visit(s.filter, e.key, &e.val)
	}
}

func (c *crowd[K, V]) find(k K) int {
	if c.index != nil {
		if i, ok := c.index[k]; ok {
			return int(i)
		}
		return -1
	}
	for i := range c.list {
		if c.list[i].key == k {
			return i
		}
	}
	return -1
}

func (c *crowd[K, V]) put(k K, v V) (replaced bool) {
	if i := c.find(k); i >= 0 {
		c.list[i].val = v
		return true
	}
	c.list = append(c.list, entry[K, V]{k, v})
	switch {
	case c.index != nil:
		c.index[k] = int32(len(c.list) - 1)
	case len(c.list) > maxScan:
		c.reindex()
	}
	return false
}

func (c *crowd[K, V]) remove(k K) bool {
	i := c.find(k)
	if i < 0 {
		return false
	}
	last := len(c.list) - 1
	if c.index != nil {
		delete(c.index, k)
		if i != last {
			c.index[c.list[last].key] = int32(i)
		}
	}
	c.list[i] = c.list[last]
	c.list[last] = entry[K, V]{}
	c.list = c.list[:last]
	c.shrink()
	return true
}

func (c *crowd[K, V]) reindex() {
	c.index = make(map[K]int32, len(c.list))
	for i := range c.list {
		c.index[c.list[i].key] = int32(i)
	}
}

func (c *crowd[K, V]) shrink() {
	n := len(c.list)
	if n <= maxScan/2 {
		c.index = nil
	}
	if n >= cap(c.list)/shrinkBelow {
		return
	}
	c.list = append(make([]entry[K, V], 0, 2*n), c.list...)
	if c.index != nil {
		c.reindex()
	}
}
