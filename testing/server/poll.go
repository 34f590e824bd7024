package server

import (
	"testing"
	"time"
)

// Deadline is how long a test waits for what must happen. It says when a test
// gives up, nothing about speed.
const Deadline = 20 * time.Second

const pollEvery = 5 * time.Millisecond

// Poll calls f until it reports true and fails the test when it has not within
// the deadline (0 is Deadline). It is the only helper that waits.
func Poll(t testing.TB, deadline time.Duration, f func() bool) {
	t.Helper()
	if deadline == 0 {
		deadline = Deadline
	}
	if f() {
		return
	}
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if f() {
				return
			}
		case <-end.C:
			if !f() {
				t.Fatalf("did not happen within %v", deadline)
			}
			return
		}
	}
}
