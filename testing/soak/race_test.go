//go:build race

package soak

// The race detector keeps memory of its own that never gets less.
const raceDetector = true
