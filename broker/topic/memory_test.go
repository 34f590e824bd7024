package topic

import (
	"fmt"
	"runtime"
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
	id   uint32
	bits [4]byte
}

func TestMemoryOfSubscriptions(t *testing.T) {
	const limit = 200
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	for _, c := range []struct {
		name   string
		filter func(i int) string
	}{
		{"one subscriber on each device", func(i int) string { return fmt.Sprintf("dev/%06d/cmd/#", i) }},
		{"one subscriber on each wildcard device", func(i int) string { return fmt.Sprintf("dev/+/%06d", i) }},
		{"one subscriber on each exact topic", func(i int) string { return fmt.Sprintf("dev/%06d/cmd", i) }},
		{"two filters on each device", func(i int) string { return fmt.Sprintf("dev/%06d/%c/#", i/2, 'a'+rune(i%2)) }},
		{"all on one filter", func(int) string { return "news/#" }},
		{"all on one topic", func(int) string { return "news" }},
	} {
		t.Run(c.name, func(t *testing.T) {
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
	const n, limit = 500_000, 120
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
