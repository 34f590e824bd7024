package soak

import (
	"fmt"
	"slices"
	"testing"
)

// What memory may grow by between the first and the last part of a run: a part of
// itself, and what one sample differs from the next because other clients are
// under way.
const (
	growth    = 0.10
	heapSlack = 2 << 20
	rssSlack  = 24 << 20
)

// endSlack is what the live heap may be above that of the node before its first
// client, after the last one has gone: tables that grew and stay.
const endSlack = 2 << 20

// flat compares the medians of the first and the last third of the samples after the
// warm-up.
func flat(what string, samples []int64, slack int64) error {
	third := len(samples) / 3
	if third == 0 {
		return fmt.Errorf("%s: %d samples are too few", what, len(samples))
	}
	first, last := median(samples[:third]), median(samples[len(samples)-third:])
	if most := first + int64(growth*float64(first)) + slack; last > most {
		return fmt.Errorf("%s grew from %d to %d bytes, at most %d were expected", what, first, last, most)
	}
	return nil
}

func median(v []int64) int64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func TestFlat(t *testing.T) {
	const mib = 1 << 20
	up := func(from, step int64) []int64 {
		var v []int64
		for i := range int64(30) {
			v = append(v, from+i*step)
		}
		return v
	}
	for _, c := range []struct {
		name    string
		samples []int64
		ok      bool
	}{
		{"flat", up(50*mib, 0), true},
		{"falls", up(50*mib, -mib), true},
		{"one peak", append(up(50*mib, 0), 500*mib), true},
		{"within the slack", up(50*mib, mib/5), true},
		{"grows", up(50*mib, mib/2), false},
		{"too few", up(50*mib, 0)[:2], false},
	} {
		if err := flat(c.name, c.samples, heapSlack); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
