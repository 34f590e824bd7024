package topic

import (
	"slices"
	"sort"
)

// block is a node of a B+ tree. In a leaf, names are the names and vals their
// values; elsewhere names are the first name below each of kids. They are names
// that are in the tree, so that a deleted one is not kept in memory.
type block[V any] struct {
	names []string
	vals  []V
	kids  []*block[V] // nil in a leaf
}

const (
	// maxBlock is how many names a block holds.
	maxBlock = 64
	// mergeBelow is how many two neighbours hold together when they become one.
	// Less than maxBlock, so that changes to and fro do not split and merge.
	mergeBelow = maxBlock * 3 / 4
)

func (b *block[V]) leaf() bool { return b.kids == nil }

// kid is the index of the child where a name belongs.
func (b *block[V]) kid(name string) int {
	i, found := slices.BinarySearch(b.names, name)
	if found || i == 0 {
		return i
	}
	return i - 1
}

func (b *block[V]) get(name string) (v V, ok bool) {
	for !b.leaf() {
		b = b.kids[b.kid(name)]
	}
	if i, found := slices.BinarySearch(b.names, name); found {
		return b.vals[i], true
	}
	return v, false
}

// set adds a name or replaces its value. The caller splits b if it is too long then.
func (b *block[V]) set(name string, v V) (added bool) {
	if b.leaf() {
		i, found := slices.BinarySearch(b.names, name)
		if found {
			b.vals[i] = v
			return false
		}
		b.names = slices.Insert(b.names, i, name)
		b.vals = slices.Insert(b.vals, i, v)
		return true
	}
	i := b.kid(name)
	k := b.kids[i]
	added = k.set(name, v)
	b.names[i] = k.names[0]
	if len(k.names) > maxBlock {
		right := k.split()
		b.names = slices.Insert(b.names, i+1, right.names[0])
		b.kids = slices.Insert(b.kids, i+1, right)
	}
	return added
}

// split moves the upper half of b to a new block.
func (b *block[V]) split() *block[V] {
	half := len(b.names) / 2
	right := &block[V]{names: upper(&b.names, half)}
	if b.leaf() {
		right.vals = upper(&b.vals, half)
	} else {
		right.kids = upper(&b.kids, half)
	}
	return right
}

// upper cuts a list at half and returns the rest in a list that has room to grow.
func upper[T any](list *[]T, half int) []T {
	rest := (*list)[half:]
	right := append(make([]T, 0, maxBlock+1), rest...)
	clear(rest)
	*list = (*list)[:half]
	return right
}

// remove takes a name out. The caller removes b if it is empty then.
func (b *block[V]) remove(name string) (removed bool) {
	if b.leaf() {
		i, found := slices.BinarySearch(b.names, name)
		if found {
			b.names = slices.Delete(b.names, i, i+1)
			b.vals = slices.Delete(b.vals, i, i+1)
		}
		return found
	}
	i := b.kid(name)
	k := b.kids[i]
	if !k.remove(name) {
		return false
	}
	if len(k.names) == 0 {
		b.names = slices.Delete(b.names, i, i+1)
		b.kids = slices.Delete(b.kids, i, i+1)
		return true
	}
	b.names[i] = k.names[0]
	if !b.merge(i) {
		b.merge(i - 1)
	}
	return true
}

// merge makes the children i and i+1 one if they are small.
func (b *block[V]) merge(i int) bool {
	if i < 0 || i+1 >= len(b.kids) {
		return false
	}
	left, right := b.kids[i], b.kids[i+1]
	if len(left.names)+len(right.names) > mergeBelow {
		return false
	}
	left.names = append(left.names, right.names...)
	left.vals = append(left.vals, right.vals...)
	left.kids = append(left.kids, right.kids...)
	b.names = slices.Delete(b.names, i+1, i+2)
	b.kids = slices.Delete(b.kids, i+1, i+2)
	return true
}

// step is the child, or in a leaf the name, that a cursor is at; the index may be
// one past the last for a moment, see settle.
type step[V any] struct {
	block *block[V]
	at    int
}

// cursor is a place in a tree that does not change meanwhile: the way from the
// root to a name of a leaf. It has no steps behind the last name.
type cursor[V any] struct {
	root *block[V]
	path []step[V]
}

// maxDepth is what a path takes without allocating. Blocks have about 40 names.
const maxDepth = 12

func (c *cursor[V]) valid() bool { return len(c.path) > 0 }

func (c *cursor[V]) leaf() *step[V] { return &c.path[len(c.path)-1] }

// seek goes to the first name for which before answers false; it answers true up
// to some name and false from there.
func (c *cursor[V]) seek(before func(string) bool) {
	c.path = c.path[:0]
	for b := c.root; ; {
		i := sort.Search(len(b.names), func(i int) bool { return !before(b.names[i]) })
		if b.leaf() {
			c.path = append(c.path, step[V]{b, i})
			break
		}
		i = max(i-1, 0) // the name may be among those below the child before
		c.path = append(c.path, step[V]{b, i})
		b = b.kids[i]
	}
	c.settle()
}

// settle goes on to the next leaf when the names of this one are used up.
func (c *cursor[V]) settle() {
	for c.valid() && c.leaf().at >= len(c.leaf().block.names) {
		c.path = c.path[:len(c.path)-1]
		if c.valid() {
			c.leaf().at++
		}
	}
	for c.valid() && !c.leaf().block.leaf() {
		s := c.leaf()
		c.path = append(c.path, step[V]{block: s.block.kids[s.at]})
	}
}

func (c *cursor[V]) next() {
	c.leaf().at++
	c.settle()
}
