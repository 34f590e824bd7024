package topic

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// heap is what the heap holds after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found is swept now
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perItem is how many bytes of heap each of n items takes that fill makes.
func perItem(n int, fill func()) int {
	before := heap()
	fill()
	return int(heap()-before) / n
}

// sub is as large as what a broker keeps of a subscription.
type sub struct {
	_ uint32
	_ [4]byte
}

func TestMemoryOfSubscriptions(t *testing.T) {
	const limit = 200
	for _, c := range []struct {
		name   string
		n      int
		filter func(i int) string
	}{
		{"one subscriber on each device", 1_000_000, func(i int) string { return fmt.Sprintf("dev/%06d/cmd/#", i) }},
		{"one subscriber on each wildcard device", 250_000, func(i int) string { return fmt.Sprintf("dev/+/%06d", i) }},
		{"one subscriber on each exact topic", 250_000, func(i int) string { return fmt.Sprintf("dev/%06d/cmd", i) }},
		{"two filters on each device", 250_000, func(i int) string { return fmt.Sprintf("dev/%06d/%c/#", i/2, 'a'+rune(i%2)) }},
		{"all on one filter", 1_000_000, func(int) string { return "news/#" }},
		{"all on one topic", 250_000, func(int) string { return "news" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.n / raceFactor
			filters := make([]Filter, n)
			for i := range filters {
				filters[i] = Filter(c.filter(i))
			}
			keys := make([]byte, n)
			tree := New[*byte, sub]()
			got := perItem(n, func() {
				for i, f := range filters {
					tree.Subscribe(f, &keys[i], sub{})
				}
			})
			t.Logf("%d bytes a subscription", got)
			if got > limit {
				t.Errorf("%d bytes a subscription, want at most %d", got, limit)
			}
			for i, f := range filters {
				tree.Unsubscribe(f, &keys[i])
			}
			left := perItem(1, func() { tree = nil })
			if left > 1<<17 || left < -1<<20 {
				t.Errorf("the empty tree had %d bytes", -left)
			}
			runtime.KeepAlive(filters)
			runtime.KeepAlive(keys)
		})
	}
}

func TestMemoryOfNames(t *testing.T) {
	const n, limit = 500_000 / raceFactor, 120
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("site/%d/dev/%06d/state", i%100, i*7919%n)
	}
	tree := NewNames[*byte]()
	got := perItem(n, func() {
		for _, name := range names {
			tree.Set(name, nil)
		}
	})
	t.Logf("%d bytes a name", got)
	if got > limit {
		t.Errorf("%d bytes a name, want at most %d", got, limit)
	}
	for _, name := range names {
		tree.Delete(name)
	}
	if len(tree.root.names) != 0 || !tree.root.leaf() {
		t.Error("the empty tree is not empty")
	}
	runtime.KeepAlive(names)
}

// TestLongFiltersAreFreed leaves short subscriptions where long ones were split,
// merged and passed through, and wants the memory of the long ones back.
func TestLongFiltersAreFreed(t *testing.T) {
	const n, limit = 300, 4 << 10
	tree := New[int, int]()
	got := perItem(n, func() {
		for i := range n {
			p := fmt.Sprintf("p%d/+/a", i)
			tail := strings.Repeat("x", 32<<10)
			long := []Filter{Filter(p + "/b/" + tail), Filter(p + "/" + tail + "/+"), Filter("q/+/" + tail)}
			for _, f := range long {
				tree.Subscribe(f, 1, 1)
			}
			for _, f := range []string{"/b/#", "/b/c", "/c/+", "/d"} {
				tree.Subscribe(Filter(p+f), 1, 1)
			}
			for _, f := range long {
				tree.Unsubscribe(f, 1)
			}
		}
	})
	if got > limit {
		t.Errorf("%d bytes left of each long filter", got)
	}
	if tree.Len() != 4*n {
		t.Errorf("Len = %d, want %d", tree.Len(), 4*n)
	}
}

// TestLongNamesAreFreed deletes long names from between short ones.
func TestLongNamesAreFreed(t *testing.T) {
	const n, limit = 2000, 200
	tree := NewNames[int]()
	got := perItem(n, func() {
		var long []string
		for i := range n {
			long = append(long, fmt.Sprintf("%04d/", i)+strings.Repeat("x", 32<<10))
			tree.Set(long[i], i)
		}
		for i := range n {
			tree.Set(fmt.Sprintf("%04d", i), i)
		}
		for _, name := range long {
			tree.Delete(name)
		}
	})
	if got > limit {
		t.Errorf("%d bytes left of each long name", got)
	}
	if tree.Len() != n {
		t.Errorf("Len = %d, want %d", tree.Len(), n)
	}
}
