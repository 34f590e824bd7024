package topic

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The model judges by split levels and recursion, as unlike the code as can be.

func modelMatches(f Filter, name string) bool {
	if name[0] == '$' && (f[0] == '+' || f[0] == '#') {
		return false
	}
	return modelLevels(strings.Split(string(f), "/"), strings.Split(name, "/"))
}

func modelLevels(f, name []string) bool {
	switch {
	case len(f) == 0:
		return len(name) == 0
	case f[0] == "#":
		return true
	case len(name) == 0:
		return false
	}
	return (f[0] == "+" || f[0] == name[0]) && modelLevels(f[1:], name[1:])
}

// alphabet has levels that are empty, begin with each other, and continue with
// bytes on both sides of the slash.
var alphabet = []string{"", "a", "b", "a!", "a0", "aa", "$", "$a", "!", "é", " "}

func randomName(r *rand.Rand) string {
	for {
		levels := make([]string, 1+r.IntN(4))
		for i := range levels {
			levels[i] = alphabet[r.IntN(len(alphabet))]
		}
		if s := strings.Join(levels, "/"); s != "" {
			return s
		}
	}
}

func randomFilter(r *rand.Rand) Filter {
	levels := strings.Split(randomName(r), "/")
	for i := range levels {
		if r.IntN(3) == 0 {
			levels[i] = "+"
		}
	}
	switch r.IntN(4) {
	case 0:
		levels[len(levels)-1] = "#"
	case 1:
		levels = append(levels, "#")
	}
	return Filter(strings.Join(levels, "/"))
}

func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

type pair struct {
	f Filter
	k int
}

func (p pair) String() string { return fmt.Sprintf("%q:%d", p.f, p.k) }

// compare fails unless the tree finds for a name what the model finds.
func compare(t *testing.T, tree *Tree[int, int], model map[pair]int, name string) {
	t.Helper()
	got := map[pair]int{}
	tree.Match(name, func(f Filter, k int, v *int) {
		if _, twice := got[pair{f, k}]; twice {
			t.Errorf("%q visited %v twice", name, pair{f, k})
		}
		got[pair{f, k}] = *v
	})
	for p, v := range model {
		if !modelMatches(p.f, name) {
			continue
		}
		if g, ok := got[p]; !ok || g != v {
			t.Errorf("%q: %v is %d (%v), want %d", name, p, g, ok, v)
		}
		delete(got, p)
	}
	for p := range got {
		t.Errorf("%q: visited %v, which does not match", name, p)
	}
}

func TestTreeAgainstModel(t *testing.T) {
	r := newRand(t)
	for range 40 {
		tree, model := New[int, int](), map[pair]int{}
		grow := 4
		for i := range 600 {
			if i == 400 {
				grow = 1 // then it shrinks
			}
			p := pair{randomFilter(r), r.IntN(3)}
			if r.IntN(10) == 0 {
				p = pair{"a/+", r.IntN(100)} // a crowd
			}
			_, known := model[p]
			if r.IntN(5) < grow {
				if tree.Subscribe(p.f, p.k, i) != known {
					t.Fatalf("Subscribe(%v) replaced: %v, want %v", p, !known, known)
				}
				model[p] = i
			} else {
				if tree.Unsubscribe(p.f, p.k) != known {
					t.Fatalf("Unsubscribe(%v): %v, want %v", p, !known, known)
				}
				delete(model, p)
			}
			if tree.Len() != len(model) {
				t.Fatalf("Len = %d, want %d", tree.Len(), len(model))
			}
			if i%10 == 0 {
				compare(t, tree, model, randomName(r))
				checkShape(t, tree)
			}
		}
		for p := range model {
			if !tree.Unsubscribe(p.f, p.k) {
				t.Fatalf("Unsubscribe(%v) found nothing", p)
			}
			checkShape(t, tree)
		}
		checkEmpty(t, tree)
		if t.Failed() {
			return
		}
	}
}

// checkShape fails unless every node is needed, which is what bounds their number.
func checkShape(t *testing.T, tree *Tree[int, int]) {
	t.Helper()
	for i := range parts {
		checkNode(t, &tree.second[i].root, true)
		checkNode(t, &tree.first[i].root, true)
		if p := &tree.exact[i]; p.peak >= parts {
			checkPeak(t, p.subs, p.peak)
		}
	}
	checkNode(t, &tree.top.root, true)
}

func checkNode(t *testing.T, n *node[int, int], root bool) {
	t.Helper()
	count, _ := n.kids.count()
	if !root && n.subs.empty() && count < 2 {
		t.Fatalf("node %q has no subscribers and %d children", n.label, count)
	}
	if n.kids == nil {
		return
	}
	if count == 0 {
		t.Fatalf("node %q has an empty set of children", n.label)
	}
	for _, k := range []*node[int, int]{n.kids.plus, n.kids.hash} {
		if k != nil {
			checkNode(t, k, false)
		}
	}
	for _, k := range n.kids.few {
		checkNode(t, k, false)
	}
	if n.kids.many != nil {
		checkPeak(t, n.kids.many, n.kids.peak)
	}
	for key, k := range n.kids.many {
		if key != firstLevel(k.label) {
			t.Fatalf("key %q leads to %q", key, k.label)
		}
		checkNode(t, k, false)
	}
}

// checkPeak fails if a map is much larger than what is in it.
func checkPeak[V any](t *testing.T, m map[string]V, peak int) {
	t.Helper()
	if len(m) < peak/shrinkBelow {
		t.Fatalf("a map of %d was made for %d", len(m), peak)
	}
}

// checkEmpty fails if anything is left in the tree.
func checkEmpty(t *testing.T, tree *Tree[int, int]) {
	t.Helper()
	if tree.Len() != 0 {
		t.Errorf("Len = %d, want 0", tree.Len())
	}
	for i := range parts {
		if tree.exact[i].subs != nil || tree.first[i].root.kids != nil || tree.second[i].root.kids != nil {
			t.Fatalf("part %d is not empty", i)
		}
	}
	if tree.top.root.kids != nil {
		t.Fatal("top is not empty")
	}
}

func TestMatchesAgainstModel(t *testing.T) {
	r := newRand(t)
	hits := 0
	for range 200000 {
		f, name := randomFilter(r), randomName(r)
		want := modelMatches(f, name)
		if Matches(f, name) != want {
			t.Fatalf("Matches(%q, %q) = %v", f, name, !want)
		}
		if want {
			hits++
		}
	}
	if hits < 1000 {
		t.Errorf("only %d of the pairs match", hits)
	}
}

// TestCoversAgainstModel looks at all names over a few levels, among them one that
// no filter names: if g is not covered, one of these tells.
func TestCoversAgainstModel(t *testing.T) {
	r := newRand(t)
	words := []string{"", "a", "b", "$a", "z"}
	var names []string
	var add func(prefix string, depth int)
	add = func(prefix string, depth int) {
		for _, w := range words {
			if name := prefix + w; name != "" {
				names = append(names, name)
			}
			if depth > 1 {
				add(prefix+w+"/", depth-1)
			}
		}
	}
	add("", 5)
	filters := map[Filter]bool{"#": true, "+/#": true, "+": true, "+/+": true, "+/+/#": true}
	for len(filters) < 60 {
		levels := make([]string, 1+r.IntN(3))
		for i := range levels {
			levels[i] = []string{"", "a", "b", "$a", "+", "+"}[r.IntN(6)]
		}
		if r.IntN(2) == 0 {
			levels = append(levels, "#")
		}
		if f := Filter(strings.Join(levels, "/")); f != "" {
			filters[f] = true
		}
	}
	for f := range filters {
		for g := range filters {
			want := !slices.ContainsFunc(names, func(name string) bool {
				return modelMatches(g, name) && !modelMatches(f, name)
			})
			if Covers(f, g) != want {
				t.Errorf("Covers(%q, %q) = %v", f, g, !want)
			}
		}
	}
}

func TestNamesAgainstModel(t *testing.T) {
	r := newRand(t)
	for range 60 {
		tree, model := NewNames[int](), map[string]int{}
		for i := range 2000 {
			name := randomName(r)
			if _, known := model[name]; known && r.IntN(2) == 0 {
				tree.Delete(name)
				delete(model, name)
			} else {
				tree.Set(name, i)
				model[name] = i
			}
			if tree.Len() != len(model) {
				t.Fatalf("Len = %d, want %d", tree.Len(), len(model))
			}
		}
		checkBlock(t, tree.root)
		for range 40 {
			walkAgainst(t, r, tree, model, randomFilter(r))
		}
		walkAgainst(t, r, tree, model, "#")
		for name, v := range model {
			if got, ok := tree.Get(name); !ok || got != v {
				t.Fatalf("Get(%q) = %d, %v, want %d", name, got, ok, v)
			}
			tree.Delete(name)
			if _, ok := tree.Get(name); ok {
				t.Fatalf("%q is there after Delete", name)
			}
			if tree.Len()%50 == 0 {
				checkBlock(t, tree.root)
			}
		}
		if tree.Len() != 0 || !tree.root.leaf() || len(tree.root.names) != 0 {
			t.Fatal("the empty tree is not empty")
		}
		if t.Failed() {
			return
		}
	}
}

// checkBlock fails unless blocks are neither too long nor, together with their
// neighbours, too short, and know the first names below them.
func checkBlock(t *testing.T, b *block[int]) {
	t.Helper()
	if len(b.names) > maxBlock || !slices.IsSorted(b.names) {
		t.Fatalf("a block of %d names, or out of order", len(b.names))
	}
	for i, k := range b.kids {
		if len(k.names) == 0 || b.names[i] != k.names[0] {
			t.Fatalf("%q is the first of %q", b.names[i], k.names)
		}
		if i > 0 && len(k.names)+len(b.kids[i-1].names) <= maxBlock/2 {
			t.Fatalf("blocks of %d and %d side by side", len(b.kids[i-1].names), len(k.names))
		}
		checkBlock(t, k)
	}
}

// walkAgainst walks a filter in pages of random length, deleting some of the names
// a page ended with, and wants the names of the model in the order of their bytes.
func walkAgainst(t *testing.T, r *rand.Rand, tree *NameTree[int], model map[string]int, f Filter) {
	t.Helper()
	var want, got []string
	for name := range model {
		if modelMatches(f, name) {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	deleted := map[string]int{}
	for after, more := "", true; more; {
		left := r.IntN(5)
		more = false
		tree.Match(f, after, func(name string, v int) bool {
			if left == 0 {
				more = true
				return false
			}
			left--
			if v != model[name] {
				t.Errorf("%q is %d, want %d", name, v, model[name])
			}
			got, after = append(got, name), name
			return true
		})
		if v, ok := model[after]; ok && r.IntN(3) == 0 {
			tree.Delete(after)
			deleted[after] = v
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q: visited %q, want %q", f, got, want)
	}
	for name, v := range deleted {
		tree.Set(name, v)
	}
}
