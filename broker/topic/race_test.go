//go:build race

package topic

// raceFactor divides the size of tests that measure memory, which the race detector
// slows down and does not change.
const raceFactor = 10
