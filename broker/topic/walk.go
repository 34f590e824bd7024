package topic

// inlineLevels is how many levels and branches a match keeps on the goroutine's
// stack; more are allocated.
const inlineLevels = 128

// levels are the levels of one topic name: where each ends, found once for all
// the parts of the tree and all their branches.
type levels struct {
	name string
	ends []int32
}

// split finds the levels of name and keeps them in buf if it is long enough.
func split(name string, buf []int32) levels {
	ends := buf[:0]
	for i := 0; i < len(name); i++ {
		if name[i] == '/' {
			ends = append(ends, int32(i))
		}
	}
	return levels{name, append(ends, int32(len(name)))}
}

func (l *levels) count() int { return len(l.ends) }

func (l *levels) at(i int) string {
	start := int32(0)
	if i > 0 {
		start = l.ends[i-1] + 1
	}
	return l.name[start:l.ends[i]]
}

// prefix is the first n levels, with the / between them.
func (l *levels) prefix(n int) string { return l.name[:l.ends[n-1]] }

// branch is a node whose label is to be compared with the name from a level on.
type branch[K comparable, V any] struct {
	node  *node[K, V]
	level int
}

// match visits the subscribers under the root n whose filters match. Each node is
// reached at most once, as its depth tells the level of the name; the stack holds
// at most one branch more than the name has levels. It is a list of its own and
// returned by what fills it, as the compiler then leaves it where the caller has it.
func (n *node[K, V]) match(l *levels, stack []branch[K, V], visit func(Filter, K, *V)) {
	stack = n.kids.branches(stack[:0], l, 0, visit)
	for len(stack) > 0 {
		b := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		next, ok := l.follow(b.node.label, b.level)
		if !ok {
			continue
		}
		if next == l.count() {
			b.node.subs.visit(visit)
		}
		stack = b.node.kids.branches(stack, l, next, visit)
	}
}

// follow compares a label with the name from a level on and returns the level
// that comes after it. A label that ends with # takes the name to its end.
func (l *levels) follow(label string, level int) (next int, ok bool) {
	for at := 0; at <= len(label); level++ {
		e := levelEnd(label, at)
		part := label[at:e]
		if part == "#" { // the last level, and the parent level matches too
			return l.count(), true
		}
		if level == l.count() || part != "+" && part != l.at(level) {
			return 0, false
		}
		at = e + 1
	}
	return level, true
}

// branches puts the children that may match from a level on onto the stack. A
// child that is # alone matches whatever comes, also nothing.
func (c *kids[K, V]) branches(stack []branch[K, V], l *levels, level int, visit func(Filter, K, *V)) []branch[K, V] {
	if c == nil {
		return stack
	}
	if c.hash != nil {
		c.hash.subs.visit(visit)
	}
	if level == l.count() {
		return stack
	}
	if c.plus != nil {
		stack = append(stack, branch[K, V]{c.plus, level})
	}
	if n := c.literal(l.at(level)); n != nil {
		stack = append(stack, branch[K, V]{n, level})
	}
	return stack
}
