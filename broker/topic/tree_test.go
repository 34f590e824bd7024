package topic

import (
	"fmt"
	"strings"
	"testing"
)

func TestReplaceKeepsOne(t *testing.T) {
	tree := New[string, int]()
	for i, f := range []Filter{"a/b", "a/+", "#"} {
		if tree.Subscribe(f, "x", 1) || !tree.Subscribe(f, "x", 2) || tree.Subscribe(f, "y", 3) || !tree.Subscribe(f, "y", 4) {
			t.Errorf("%q: what is replaced is told wrongly", f)
		}
		if tree.Len() != 2*(i+1) {
			t.Errorf("Len = %d, want %d", tree.Len(), 2*(i+1))
		}
	}
	sum := 0
	tree.Match("a/b", func(_ Filter, _ string, v *int) { sum += *v })
	if sum != 3*(2+4) {
		t.Errorf("the values add up to %d", sum)
	}
}

// TestCrowd has many subscribers come and go on one filter.
func TestCrowd(t *testing.T) {
	const n = 5000
	tree := New[int, int]()
	for k := range n {
		tree.Subscribe("a/+", k, k)
	}
	crowd := tree.place("a/+").wild.root.kids.few[0].subs.more
	for k := range n {
		if k%3 > 0 && !tree.Unsubscribe("a/+", k*7%n) {
			t.Fatalf("%d is not there", k*7%n)
		}
	}
	left := map[int]bool{}
	tree.Match("a/b", func(_ Filter, k int, v *int) {
		if *v != k || left[k] {
			t.Errorf("%d has %d, or comes twice", k, *v)
		}
		left[k] = true
	})
	if len(left) != tree.Len() {
		t.Errorf("%d found, Len = %d", len(left), tree.Len())
	}
	for k := range n {
		if tree.Unsubscribe("a/+", k) != left[k] {
			t.Fatalf("%d: want %v", k, left[k])
		}
		if len(crowd.list) < cap(crowd.list)/shrinkBelow {
			t.Fatalf("a list of %d was made for %d", len(crowd.list), cap(crowd.list))
		}
	}
	checkEmpty(t, tree)
}

// TestManyChildren has maps of children grow and shrink.
func TestManyChildren(t *testing.T) {
	const n = 3000
	tree, model := New[int, int](), map[pair]int{}
	add := func(f Filter) { tree.Subscribe(f, 1, 1); model[pair{f, 1}] = 1 }
	drop := func(f Filter) {
		if !tree.Unsubscribe(f, 1) {
			t.Fatalf("%q is not there", f)
		}
		delete(model, pair{f, 1})
	}
	for i := range n {
		add(Filter(fmt.Sprintf("a/+/%d/x", i)))
		add(Filter(fmt.Sprintf("%d/exact", i)))
	}
	add("a/+/#")
	add("a/+/+/x")
	checkShape(t, tree)
	for i := range n {
		drop(Filter(fmt.Sprintf("a/+/%d/x", i)))
		drop(Filter(fmt.Sprintf("%d/exact", i)))
		if i%100 == 0 || i > n-20 {
			compare(t, tree, model, fmt.Sprintf("a/b/%d/x", n-5))
			compare(t, tree, model, fmt.Sprintf("%d/exact", n-5))
			checkShape(t, tree)
		}
	}
	drop("a/+/#")
	drop("a/+/+/x")
	checkEmpty(t, tree)
}

func TestMatchDoesNotAllocate(t *testing.T) {
	tree := New[int, int]()
	name := strings.Repeat("a/", inlineLevels-1) + "a"
	for i := 1; i <= inlineLevels; i++ { // a branch at every level
		tree.Subscribe(Filter(strings.Repeat("+/", i-1)+"+"), 1, 1)
		tree.Subscribe(Filter(strings.Repeat("a/", i)+"#"), 1, 1)
		tree.Subscribe(Filter(strings.Repeat("+/", i)+"#"), 1, 1)
	}
	tree.Subscribe(Filter(name), 1, 1)
	found := 0
	visit := func(Filter, int, *int) { found++ }
	if n := testing.AllocsPerRun(100, func() { found = 0; tree.Match(name, visit) }); n != 0 {
		t.Errorf("a match allocates %v times", n)
	}
	if found != 2*inlineLevels+2 {
		t.Errorf("%d found, want %d", found, 2*inlineLevels+2)
	}
	w := tree.Watch(name)
	packet := []byte(name)
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Version(), ValidNameBytes(packet) }); n != 0 {
		t.Errorf("a look at the version and the name allocates %v times", n)
	}
}

// TestMostLevels goes through everything with as many levels as there can be, often
// enough that anything quadratic in them would not come to an end.
func TestMostLevels(t *testing.T) {
	slashes := strings.Repeat("/", maxLength)
	plus := Filter(strings.Repeat("+/", maxLength/2) + "+")
	short := strings.Repeat("/", Levels(string(plus))-1)
	tree, names := New[int, int](), NewNames[int]()
	for range 100 {
		for _, f := range []Filter{Filter(slashes), plus, "+/+/#", "/#", Filter(slashes[:1000]) + "#", "#"} {
			if _, err := Parse(string(f)); err != nil {
				t.Fatal(err)
			}
			tree.Subscribe(f, 1, 1)
		}
		for name, want := range map[string]int{slashes: 5, short: 5, slashes[:2]: 3} {
			found := 0
			tree.Match(name, func(Filter, int, *int) { found++ })
			if found != want {
				t.Fatalf("%d levels: %d found, want %d", Levels(name), found, want)
			}
			names.Set(name, 1)
		}
		for _, f := range []Filter{plus, "#", Filter(slashes)} {
			found := 0
			names.Match(f, "", func(string, int) bool { found++; return true })
			if want := map[Filter]int{plus: 1, "#": 3, Filter(slashes): 1}[f]; found != want {
				t.Fatalf("%d names found, want %d", found, want)
			}
		}
		if Covers(plus, Filter(slashes)) || !Covers(plus, Filter(short)) || !Matches(plus, short) {
			t.Fatal("covers or matches wrongly")
		}
		for _, f := range []Filter{Filter(slashes), plus, "+/+/#", "/#", Filter(slashes[:1000]) + "#", "#"} {
			tree.Unsubscribe(f, 1)
		}
	}
	checkEmpty(t, tree)
}

// TestDeepTree has a node at every level, so a match goes as deep as it can.
func TestDeepTree(t *testing.T) {
	const depth = 2000
	tree := New[int, int]()
	for i := range depth {
		tree.Subscribe(Filter(strings.Repeat("+/", i)+"#"), 1, 1)
		tree.Subscribe(Filter(strings.Repeat("+/", i)+"+"), 1, 1)
	}
	found := 0
	tree.Match(strings.Repeat("/", depth-1), func(Filter, int, *int) { found++ })
	if found != depth+1 {
		t.Errorf("%d found, want %d", found, depth+1)
	}
	for i := range depth {
		tree.Unsubscribe(Filter(strings.Repeat("+/", i)+"#"), 1)
		tree.Unsubscribe(Filter(strings.Repeat("+/", i)+"+"), 1)
	}
	checkEmpty(t, tree)
}
