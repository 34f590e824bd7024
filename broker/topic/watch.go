package topic

import (
	"strings"
	"sync/atomic"
)

// How a cached match result is known to be right.
//
// Every filter belongs to one counter, chosen like its part of the tree by what
// all names that it matches have in common: the whole name, the first two levels,
// the first level, or nothing. A name has one counter of each kind, and any filter
// that could match it belongs to one of those. A counter is shared by the filters
// whose hashes are equal, which makes results look old at times, never new.
//
// A writer (1) changes the tree under the part's lock, (2) adds 1 to the counter,
// (3) returns. A reader (a) loads the counters, (b) matches, (c) loads them again
// whenever it uses the result. Counters only grow, so equal sums mean that each
// counter was equal: at (c) exactly the additions are visible that were at (a).
//
// Suppose the writer has returned before (c), which is when the reader must know.
// Then (2) happens before (c) and is visible there. If the reader finds the sum of
// (a), (2) was visible at (a) already. Go's atomics are sequentially consistent,
// and an operation that observes another happens after it: (1) before (2) before
// (a) before (b). So the match has read the changed tree.
//
// A writer that has not returned may or may not be in a result; nobody can tell
// it should be. If its (2) comes after (a) the result is dropped at the next (c)
// after (2). Adding before the change instead would be wrong: a reader could
// load the new sum, match the old tree and keep that for ever.
//
// 2^64 additions do not happen, so a sum does not come round to an old one.

// Numbers of counters. Powers of two.
const (
	exactCounters  = 4096
	secondCounters = 4096
	firstCounters  = 1024
)

// changes are the counters of a tree. Of a hash, the part takes the lowest bits
// and the counter those above, so that one part's filters spread over counters.
type changes struct {
	exact  [exactCounters]atomic.Uint64
	second [secondCounters]atomic.Uint64
	first  [firstCounters]atomic.Uint64
	top    atomic.Uint64

	none atomic.Uint64 // never changes, for names that have no second level
}

func (c *changes) ofExact(h uint64) *atomic.Uint64 { return &c.exact[h/parts%exactCounters] }

func (c *changes) ofSecond(h uint64) *atomic.Uint64 { return &c.second[h/parts%secondCounters] }

func (c *changes) ofFirst(h uint64) *atomic.Uint64 { return &c.first[h/parts%firstCounters] }

// Watch is what a cache keeps of a topic name to know whether a match result is
// still right. Load [Watch.Version] before the match and keep it with the result:
// as long as Version answers the same, every Subscribe and Unsubscribe that had
// returned by then is in the result. The zero value is not usable.
type Watch struct {
	exact, second, first, top *atomic.Uint64
}

// Watch looks the counters of a name up.
func (t *Tree[K, V]) Watch(name string) Watch {
	c := &t.changes
	w := Watch{exact: c.ofExact(t.hash(name)), second: &c.none, top: &c.top}
	one := levelEnd(name, 0)
	w.first = c.ofFirst(t.hash(name[:one]))
	if one < len(name) {
		w.second = c.ofSecond(t.hash(name[:levelEnd(name, one+1)]))
	}
	if strings.HasPrefix(name, "$") { // no filter of top matches it [MQTT-4.7.2-1]
		w.top = &c.none
	}
	return w
}

// Version changes whenever a subscription that could match the name was added,
// changed or removed. It costs four loads, and is safe for concurrent use.
func (w *Watch) Version() uint64 {
	return w.exact.Load() + w.second.Load() + w.first.Load() + w.top.Load()
}
