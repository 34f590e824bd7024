package topic

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// node is a run of levels that has nothing branching off within: its label, which
// follows the label of its parent after a /. Every node but a root has
// subscribers or at least two children, so there are fewer nodes than twice the
// filters, however long those are.
type node[K comparable, V any] struct {
	subs  subs[K, V]
	label string // one level or more; may be empty, which is one empty level
	kids  *kids[K, V]
}

// kids are the children of a node, no two of which begin with the same level.
// Those that begin with a wildcard have their own place.
type kids[K comparable, V any] struct {
	plus, hash *node[K, V]
	few        []*node[K, V]          // when many is nil, in no order
	many       map[string]*node[K, V] // by the first level of their labels
	peak       int                    // of many since it was made
	longest    int                    // no key of many was longer
}

// maxFew is how many children are looked through one by one.
const maxFew = 8

func firstLevel(label string) string { return label[:levelEnd(label, 0)] }

// begins reports whether a label's first level is level.
func begins(label, level string) bool {
	n := len(level)
	return len(label) >= n && label[:n] == level && (len(label) == n || label[n] == '/')
}

// literal returns the child for a level of a topic name, nil if there is none.
func (c *kids[K, V]) literal(level string) *node[K, V] {
	if c.many != nil {
		if len(level) > c.longest { // do not hash what no key can equal
			return nil
		}
		return c.many[level]
	}
	for _, n := range c.few {
		if begins(n.label, level) {
			return n
		}
	}
	return nil
}

// get returns the child for a level of a filter, nil if there is none.
func (c *kids[K, V]) get(level string) *node[K, V] {
	switch {
	case c == nil:
		return nil
	case level == "+":
		return c.plus
	case level == "#":
		return c.hash
	}
	return c.literal(level)
}

// put adds a child, in place of the one with the same first level. The map's key
// becomes a piece of the new child's label, so that the old label can be freed.
func (c *kids[K, V]) put(n *node[K, V]) {
	level := firstLevel(n.label)
	switch {
	case level == "+":
		c.plus = n
	case level == "#":
		c.hash = n
	case c.many != nil:
		delete(c.many, level)
		c.many[level] = n
		c.peak = max(c.peak, len(c.many))
		c.longest = max(c.longest, len(level))
	default:
		c.putFew(n, level)
	}
}

func (c *kids[K, V]) putFew(n *node[K, V], level string) {
	for i, old := range c.few {
		if begins(old.label, level) {
			c.few[i] = n
			return
		}
	}
	if c.few = append(c.few, n); len(c.few) > maxFew {
		c.remap(len(c.few), slices.Values(c.few))
		c.few = nil
	}
}

// remap makes the map of children anew, for n of them.
func (c *kids[K, V]) remap(n int, all iter.Seq[*node[K, V]]) {
	many := make(map[string]*node[K, V], n)
	c.longest = 0
	for k := range all {
		level := firstLevel(k.label)
		many[level] = k
		c.longest = max(c.longest, len(level))
	}
	c.many, c.peak = many, n
}

// remove takes the child with that first level out.
func (c *kids[K, V]) remove(level string) {
	switch {
	case level == "+":
		c.plus = nil
	case level == "#":
		c.hash = nil
	case c.many != nil:
		delete(c.many, level)
		c.shrink()
	default:
		for i, n := range c.few {
			if begins(n.label, level) {
				last := len(c.few) - 1
				c.few[i], c.few[last] = c.few[last], nil
				c.few = c.few[:last]
				return
			}
		}
	}
}

// shrink gives memory of the map back, which a map by itself does not.
func (c *kids[K, V]) shrink() {
	n := len(c.many)
	switch {
	case n <= maxFew/2:
		c.few = slices.AppendSeq(make([]*node[K, V], 0, maxFew), maps.Values(c.many))
		c.many = nil
	case n < c.peak/shrinkBelow:
		c.remap(n, maps.Values(c.many))
	}
}

// count is the number of children, and only one of them.
func (c *kids[K, V]) count() (n int, only *node[K, V]) {
	if c == nil {
		return 0, nil
	}
	if c.plus != nil {
		n, only = n+1, c.plus
	}
	if c.hash != nil {
		n, only = n+1, c.hash
	}
	if c.many != nil {
		return n + len(c.many), nil // at least two
	}
	if len(c.few) > 0 {
		only = c.few[0]
	}
	return n + len(c.few), only
}

// adopt puts a child under n.
func (n *node[K, V]) adopt(kid *node[K, V]) {
	if n.kids == nil {
		n.kids = &kids[K, V]{}
	}
	n.kids.put(kid)
}

// common is the length of the longest beginning of a and b that is made of whole
// levels. Their first levels are equal.
func common(a, b string) int {
	i, n := 0, min(len(a), len(b))
	for i < n && a[i] == b[i] {
		i++
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return strings.LastIndexByte(a[:i], '/')
}

// subscribe adds a subscriber under the root n.
func (n *node[K, V]) subscribe(f Filter, k K, v V) (replaced bool) {
	rest := string(f)
	for {
		kid := n.kids.get(firstLevel(rest))
		if kid == nil {
			kid = &node[K, V]{label: rest}
			kid.subs.put(f, k, v)
			n.adopt(kid)
			return false
		}
		at := common(kid.label, rest)
		if at < len(kid.label) {
			kid = n.split(kid, at)
		}
		if at == len(rest) {
			return kid.subs.put(f, k, v)
		}
		n, rest = kid, rest[at+1:]
	}
}

// split puts a node in front of a child of n that takes the first at bytes of its
// label. The new node has one child only; the caller adds what it was made for.
func (n *node[K, V]) split(kid *node[K, V], at int) *node[K, V] {
	// A copy, as the label may outlive the filter it is the beginning of. Other
	// labels are pieces of a filter that is not longer than any below the node, so
	// what they keep of one that is gone is less than what is still there.
	front := &node[K, V]{label: strings.Clone(kid.label[:at])}
	n.kids.put(front)
	kid.label = kid.label[at+1:]
	front.adopt(kid)
	return front
}

// unsubscribe takes a subscriber out from under the root n and reports whether
// there was one.
func (n *node[K, V]) unsubscribe(f Filter, k K) bool {
	rest := string(f)
	above, parent := n, n // of parent, of kid
	for {
		kid := parent.kids.get(firstLevel(rest))
		if kid == nil {
			return false
		}
		at := common(kid.label, rest)
		if at < len(kid.label) {
			return false
		}
		if at < len(rest) {
			above, parent, rest = parent, kid, rest[at+1:]
			continue
		}
		if !kid.subs.remove(k) {
			return false
		}
		if kid.subs.empty() {
			parent.tidy(kid)
			if parent != n {
				above.tidy(parent)
			}
		}
		if c, _ := n.kids.count(); c == 0 {
			n.kids = nil
		}
		return true
	}
}

// tidy restores what holds for nodes at a child of n that has lost its
// subscribers or a child.
func (n *node[K, V]) tidy(kid *node[K, V]) {
	count, only := kid.kids.count()
	if count == 0 {
		kid.kids = nil
	}
	switch {
	case count > 1 || !kid.subs.empty():
	case count == 0:
		n.kids.remove(firstLevel(kid.label))
	default:
		only.label = joined(kid.label, only)
		n.kids.put(only)
	}
}

// joined is the label that the only child of a node gets when it takes its place.
func joined[K comparable, V any](label string, only *node[K, V]) string {
	n := len(label) + 1 + len(only.label)
	if f := string(only.subs.filter); f != "" {
		return f[len(f)-n:] // a filter ends with the labels that lead to it
	}
	return label + "/" + only.label
}
