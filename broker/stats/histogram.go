package stats

import (
	"math/bits"
	"sync/atomic"
)

// subBits is the resolution: each power of two is cut into 1<<subBits buckets,
// so a value is known to about 6 % of itself.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	// Values below subBuckets have a bucket each; each further power of two up to
	// 2^62 has subBuckets of them.
	numBuckets = (63 - subBits + 1) * subBuckets
)

// Histogram is the distribution of values from 0 to 2^63-1, log-linear, without
// locks. The zero value is ready; it takes 8 KB. Negative values count as 0.
type Histogram struct {
	sum     atomic.Uint64
	max     atomic.Int64
	buckets [numBuckets]atomic.Uint64
}

// Record counts one value.
func (h *Histogram) Record(v int64) { h.RecordN(v, 1) }

// RecordN counts n times the same value, as when one commit acknowledges many.
func (h *Histogram) RecordN(v int64, n uint64) {
	if n == 0 {
		return
	}
	v = max(v, 0)
	h.buckets[bucketOf(v)].Add(n)
	h.sum.Add(uint64(v) * n)
	for {
		m := h.max.Load()
		if v <= m || h.max.CompareAndSwap(m, v) {
			return
		}
	}
}

func bucketOf(v int64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 1 - subBits
	return shift<<subBits + int(v>>shift)
}

// lastOf is the largest value of a bucket.
func lastOf(bucket int) int64 {
	if bucket < 2*subBuckets {
		return int64(bucket)
	}
	shift := bucket>>subBits - 1
	mantissa := int64(bucket - shift<<subBits)
	return (mantissa+1)<<shift - 1
}

// Distribution is a histogram at one moment.
type Distribution struct {
	Count uint64
	Sum   uint64
	Max   int64

	buckets []uint64 // up to the last that is not zero
}

// Snapshot copies the histogram. Count is the sum of the buckets, so quantiles
// are consistent; Sum and Max may be a few values ahead.
func (h *Histogram) Snapshot() Distribution {
	var d Distribution
	d.Max = h.max.Load()
	d.Sum = h.sum.Load()
	for i := range bucketOf(d.Max) + 1 {
		n := h.buckets[i].Load()
		d.buckets = append(d.buckets, n)
		d.Count += n
	}
	return d
}

// Quantile is the value that a share q (0 to 1) of all values do not exceed, at
// most 1/16 too high; 0 when nothing was recorded.
func (d Distribution) Quantile(q float64) int64 {
	if d.Count == 0 {
		return 0
	}
	rank := uint64(q * float64(d.Count))
	if float64(rank) < q*float64(d.Count) {
		rank++
	}
	rank = min(max(rank, 1), d.Count)
	var seen uint64
	for i, n := range d.buckets {
		if seen += n; seen >= rank {
			return min(lastOf(i), d.Max)
		}
	}
	return d.Max
}

// AtMost is the number of values in buckets that end at v or below, which is
// what a Prometheus bucket with the bound v holds (exact when v+1 is a power of two).
func (d Distribution) AtMost(v int64) uint64 {
	var n uint64
	for i, c := range d.buckets {
		if lastOf(i) > v {
			break
		}
		n += c
	}
	return n
}

// Mean is the average, 0 when nothing was recorded.
func (d Distribution) Mean() float64 {
	if d.Count == 0 {
		return 0
	}
	return float64(d.Sum) / float64(d.Count)
}
