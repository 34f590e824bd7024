package topic

import (
	"fmt"
	"testing"
)

// standing makes a tree of n devices with a subscription each.
func standing(n int) *Tree[*int, [8]byte] {
	tree := New[*int, [8]byte]()
	for i := range n {
		tree.Subscribe(Filter(fmt.Sprintf("dev/%06d/cmd/#", i)), new(int), [8]byte{})
	}
	return tree
}

// The cost of a match must be the same whatever else is subscribed.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		tree := standing(n)
		for i := range 3 {
			k := new(int)
			tree.Subscribe(Filter([]string{"plant/+/temp", "plant/7/#", "plant/7/temp"}[i]), k, [8]byte{})
		}
		b.Run(fmt.Sprintf("three of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				tree.Match("plant/7/temp", func(Filter, *int, *[8]byte) { found++ })
			}
			if found != 3*b.N {
				b.Errorf("%d found in %d matches", found, b.N)
			}
		})
		b.Run(fmt.Sprintf("device of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tree.Match("dev/000123/cmd/reboot", func(Filter, *int, *[8]byte) {})
			}
		})
		b.Run(fmt.Sprintf("each device of %d", n), func(b *testing.B) {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("dev/%06d/cmd/reboot", i)
			}
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				tree.Match(names[i], func(Filter, *int, *[8]byte) {})
			}
		})
	}
}

func BenchmarkMatchParallel(b *testing.B) {
	tree := standing(1000)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tree.Match("dev/000123/cmd/reboot", func(Filter, *int, *[8]byte) {})
		}
	})
}

func BenchmarkFanOut(b *testing.B) {
	tree := New[*int, [8]byte]()
	for range 1_000_000 {
		tree.Subscribe("news", new(int), [8]byte{})
	}
	for b.Loop() {
		tree.Match("news", func(Filter, *int, *[8]byte) {})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	const n = 1_000_000
	filters := make([]Filter, n)
	for i := range filters {
		filters[i] = Filter(fmt.Sprintf("dev/%06d/cmd/#", i))
	}
	k := new(int)
	for b.Loop() {
		tree := New[*int, [8]byte]()
		for _, f := range filters {
			tree.Subscribe(f, k, [8]byte{})
		}
		for _, f := range filters {
			tree.Unsubscribe(f, k)
		}
	}
	b.ReportMetric(float64(b.N)*n*2/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkWatch(b *testing.B) {
	w := standing(1000).Watch("dev/000123/cmd/reboot")
	var sum uint64
	for b.Loop() {
		sum += w.Version()
	}
}

func BenchmarkValidNameBytes(b *testing.B) {
	name := []byte("dev/000123/cmd/reboot")
	for b.Loop() {
		if !ValidNameBytes(name) {
			b.Fatal("not valid")
		}
	}
}

// pages walks a filter in pages of 64 as a retained cursor does.
func pages(tree *NameTree[*int], f Filter) (names int) {
	for after, more := "", true; more; {
		n := 0
		more = false
		tree.Match(f, after, func(name string, _ *int) bool {
			if n == 64 {
				more = true
				return false
			}
			n++
			after = name
			return true
		})
		names += n
	}
	return names
}

func BenchmarkNames(b *testing.B) {
	const n = 500_000
	tree := NewNames[*int]()
	for i := range n {
		tree.Set(fmt.Sprintf("site/%d/dev/%06d/state", i%100, i*7919%n), new(int))
	}
	for _, f := range []Filter{"#", "site/+/dev/+/state", "site/42/#", "site/+/dev/000017/state"} {
		b.Run(string(f), func(b *testing.B) {
			names := 0
			for b.Loop() {
				names += pages(tree, f)
			}
			b.ReportMetric(float64(names)/b.Elapsed().Seconds(), "names/s")
		})
	}
	b.Run("Set", func(b *testing.B) {
		for b.Loop() {
			tree.Delete("site/42/dev/000017/state")
			tree.Set("site/42/dev/000017/state", nil)
		}
	})
}
