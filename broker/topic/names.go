package topic

import "slices"

// NameTree is an index of topic names: of a value by name. It is not safe for
// concurrent use. Make one with [NewNames].
type NameTree[V any] struct {
	root *block[V]
	size int
}

// NewNames makes an empty tree.
func NewNames[V any]() *NameTree[V] { return &NameTree[V]{root: &block[V]{}} }

// Len is the number of names.
func (t *NameTree[V]) Len() int { return t.size }

// Get returns the value of a name; ok tells whether it is there.
func (t *NameTree[V]) Get(name string) (v V, ok bool) { return t.root.get(name) }

// Set adds a name or replaces its value.
func (t *NameTree[V]) Set(name string, v V) {
	if t.root.set(name, v) {
		t.size++
	}
	if len(t.root.names) > maxBlock {
		left := t.root
		right := left.split()
		t.root = &block[V]{names: []string{left.names[0], right.names[0]}, kids: []*block[V]{left, right}}
	}
}

// Delete removes a name, if it is there.
func (t *NameTree[V]) Delete(name string) {
	if !t.root.remove(name) {
		return
	}
	t.size--
	for !t.root.leaf() && len(t.root.kids) <= 1 {
		if len(t.root.kids) == 0 {
			t.root = &block[V]{}
			return
		}
		t.root = t.root.kids[0]
	}
}

// Match visits the names that a filter matches, in the order of their bytes, until
// visit answers false. It starts behind after, which need not be a name that is
// there; the empty string is before all names. visit must not change the tree.
//
// To start takes time logarithmic in the number of names, times the levels of the
// filter. After that every name costs its bytes at most; names are skipped where
// no match can be: whatever lies behind a level that the filter does not want.
func (t *NameTree[V]) Match(f Filter, after string, visit func(name string, v V) bool) {
	var path [maxDepth]step[V]
	c := cursor[V]{root: t.root, path: path[:0]}
	c.seek(func(name string) bool { return name <= after })
	for c.valid() {
		s := c.leaf()
		name := s.block.names[s.at]
		switch found := judge(f, name); found.verdict {
		case hit:
			if !visit(name, s.block.vals[s.at]) {
				return
			}
			c.next()
		case miss:
			c.next()
		case seek:
			c.forward(found.to)
		case end:
			return
		}
	}
}

// forward goes to the first name that is not before b, which lies ahead. Often
// that is in the same leaf.
func (c *cursor[V]) forward(b bound) {
	s := c.leaf()
	if ahead := s.block.names[s.at:]; !b.after(ahead[len(ahead)-1]) {
		i, _ := slices.BinarySearchFunc(ahead, b, func(name string, b bound) int {
			if b.after(name) {
				return -1
			}
			return 1
		})
		s.at += i
		return
	}
	c.seek(b.after)
}
