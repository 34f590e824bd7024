package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram holds latencies, log-linear: 16 steps to each power of two of
// microseconds, so a quantile is known to about 6 % of itself.
type histogram struct {
	buckets [40 * steps]atomic.Int64
	max     atomic.Int64 // nanoseconds, exactly
}

const steps = 16

func (h *histogram) observe(d time.Duration) {
	h.buckets[min(bucketOf(d), len(h.buckets)-1)].Add(1)
	for most := h.max.Load(); int64(d) > most && !h.max.CompareAndSwap(most, int64(d)); {
		most = h.max.Load()
	}
}

func (h *histogram) highest() time.Duration { return time.Duration(h.max.Load()) }

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < steps {
		return int(us)
	}
	e := bits.Len64(us) - 5
	return (e+1)*steps + int(us>>e)&(steps-1)
}

// edge is the upper edge of a bucket.
func edge(bucket int) time.Duration {
	if bucket < steps {
		return time.Duration(bucket+1) * time.Microsecond
	}
	e := bucket/steps - 1
	return time.Duration((steps+bucket%steps+1)<<e) * time.Microsecond
}

func (h *histogram) count() int64 {
	var n int64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// quantile is the upper edge of the bucket that holds quantile q, or the highest time
// when that is lower; 0 when it is empty.
func (h *histogram) quantile(q float64) time.Duration {
	all, sum := h.count(), int64(0)
	if all == 0 {
		return 0
	}
	for i := range h.buckets {
		sum += h.buckets[i].Load()
		if float64(sum) >= q*float64(all) {
			return min(edge(i), h.highest())
		}
	}
	return h.highest()
}
