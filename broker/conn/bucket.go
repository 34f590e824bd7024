package conn

import "time"

// bucket is a token bucket that may go into debt. The zero value is full. It is not
// safe for concurrent use.
type bucket struct {
	tokens float64
	last   time.Time
}

// fill brings the tokens up to date: rate a second, burst at most.
func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.last.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+max(0, now.Sub(b.last).Seconds())*rate)
	}
	if now.After(b.last) { // connections that share it read the clock at their own time
		b.last = now
	}
}

// take takes one token if there is a whole one.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// spend takes n tokens, there or not, and answers how long it takes until none are
// owed.
func (b *bucket) spend(now time.Time, n, rate float64) time.Duration {
	b.fill(now, rate, rate)
	b.tokens -= n
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / rate * float64(time.Second))
}
