package stats

import (
	"maps"
	"sync"
)

const (
	// MaxLabels bounds a kind of labels, so that no input can make the metrics grow.
	MaxLabels = 64
	// OtherLabel counts what came after MaxLabels others.
	OtherLabel = "other"
)

// Labels counts by a word. The zero value is ready. It takes a lock: for what
// happens about once a connection.
type Labels struct {
	mu sync.Mutex
	m  map[string]uint64 // at most MaxLabels and OtherLabel
}

// Inc counts one. The label must be a constant of the program or one of few.
func (l *Labels) Inc(label string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = make(map[string]uint64)
	}
	if _, known := l.m[label]; !known && len(l.m) >= MaxLabels {
		label = OtherLabel
	}
	l.m[label]++
}

// Load is a copy of all counts.
func (l *Labels) Load() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.m)
}

// Total is the sum of all counts.
func (l *Labels) Total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum uint64
	for _, v := range l.m {
		sum += v
	}
	return sum
}
