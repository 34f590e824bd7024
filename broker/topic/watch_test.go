package topic

import (
	"fmt"
	"sync"
	"testing"
)

func TestVersionChanges(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters []Filter
	}{
		{"a/b/c", []Filter{"a/b/c", "a/b/#", "a/b/+", "a/+/c", "a/#", "+/b/c", "#", "+/#", "a/b/c/#"}},
		{"a/b", []Filter{"a/b", "a/b/#", "a/#", "a/+", "#", "+/+"}},
		{"a", []Filter{"a", "a/#", "+", "#"}},
		{"/", []Filter{"/", "/#", "//#", "/+", "+/+", "+/", "#"}},
		{"$SYS/x", []Filter{"$SYS/x", "$SYS/#", "$SYS/+", "$SYS/x/#"}},
	} {
		tree := New[int, int]()
		w := tree.Watch(c.name)
		last := w.Version()
		changed := func(what string, f Filter) {
			t.Helper()
			if v := w.Version(); v == last {
				t.Errorf("%s %q does not change the version of %q", what, f, c.name)
			} else {
				last = v
			}
			if again := tree.Watch(c.name); again.Version() != last {
				t.Errorf("a second watch of %q has another version", c.name)
			}
		}
		for _, f := range c.filters {
			tree.Subscribe(f, 1, 1)
			changed("adding", f)
			tree.Subscribe(f, 1, 2)
			changed("replacing", f)
			tree.Unsubscribe(f, 1)
			changed("removing", f)
			tree.Unsubscribe(f, 1)
			if v := w.Version(); v != last {
				t.Errorf("removing %q, which is not there, changes the version", f)
			}
		}
	}
}

// TestVersionStays counts how many changes elsewhere make a result look old.
func TestVersionStays(t *testing.T) {
	const n = 10000
	tree := New[int, int]()
	w := tree.Watch("dev/1/state")
	stale, last := 0, w.Version()
	for i := range n {
		tree.Subscribe(Filter(fmt.Sprintf("dev/x%d/cmd/#", i)), i, i)
		tree.Subscribe(Filter(fmt.Sprintf("dev/x%d/state", i)), i, i)
		tree.Subscribe(Filter(fmt.Sprintf("x%d/#", i)), i, i)
		if v := w.Version(); v != last {
			stale, last = stale+1, v
		}
	}
	if stale > n/100 { // 15 or so are expected
		t.Errorf("%d of %d changes elsewhere were noticed", stale, n)
	}
}

// cache is a match result kept as long as its version.
type cache struct {
	tree    *Tree[int, int]
	name    string
	watch   Watch
	version uint64
	found   map[pair]int
}

func (c *cache) get() map[pair]int {
	if v := c.watch.Version(); c.found == nil || v != c.version {
		c.version, c.found = v, map[pair]int{}
		c.tree.Match(c.name, func(f Filter, k int, v *int) { c.found[pair{f, k}] = *v })
	}
	return c.found
}

// TestWatchNeverMisses has pairs of a subscriber and a publisher on the same names.
// What a subscriber has done is in the publisher's result from then on, although
// the publisher matches again only when the version tells it to.
func TestWatchNeverMisses(t *testing.T) {
	const pairs, rounds = 6, 400
	type done struct {
		pair
		want int // 0 is gone
	}
	names := []string{"a/b/c", "a/b", "a"}
	filters := []Filter{"a/b/c", "a/b/+", "a/b/#", "a/+/#", "a/#", "#", "+/b/c", "a/b", "a", "+"}
	tree := New[int, int]()
	var wg sync.WaitGroup
	for k := range pairs {
		step, seen := make(chan done), make(chan struct{})
		wg.Go(func() {
			defer close(step)
			for i := range rounds {
				f := filters[(i*7+k)%len(filters)]
				for v := 1; v <= 3; v++ {
					tree.Subscribe(f, k, v)
					step <- done{pair{f, k}, v}
					<-seen
				}
				tree.Unsubscribe(f, k)
				step <- done{pair{f, k}, 0}
				<-seen
			}
		})
		wg.Go(func() {
			var caches []*cache
			for _, name := range names {
				caches = append(caches, &cache{tree: tree, name: name, watch: tree.Watch(name)})
			}
			for d := range step {
				for _, c := range caches {
					want := d.want
					if !modelMatches(d.f, c.name) {
						want = 0
					}
					if got := c.get()[d.pair]; got != want {
						t.Errorf("%q: %v is %d, want %d", c.name, d.pair, got, want)
					}
				}
				seen <- struct{}{}
			}
		})
	}
	wg.Wait()
	checkEmpty(t, tree)
}
