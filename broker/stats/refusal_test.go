package stats

import (
	"sync"
	"testing"
)

func TestRefusalsAreTheNewest(t *testing.T) {
	var r Refusals
	if len(r.List(5)) != 0 {
		t.Error("not empty")
	}
	for i := range MaxRefusals + 10 {
		r.Add(Refusal{At: int64(i)})
		if list := r.List(3); len(list) != min(i+1, 3) || list[0].At != int64(i) || i > 1 && list[2].At != int64(i-2) {
			t.Fatalf("after %d: %+v", i, list)
		}
	}
	if list := r.List(10 * MaxRefusals); len(list) != MaxRefusals || list[MaxRefusals-1].At != 10 {
		t.Errorf("%d, oldest %d", len(list), list[len(list)-1].At)
	}
}

// Several may add at once.
func TestRefusalsConcurrent(t *testing.T) {
	var r Refusals
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				r.Add(Refusal{Topic: "t"})
				r.List(10)
			}
		})
	}
	wg.Wait()
	if n := len(r.List(MaxRefusals)); n == 0 {
		t.Error("none is there")
	}
}
