// Package witness drives brokers with a mixed load and finds what they did wrong: the
// clients of a [Load] record what they do and see into a [History], and [Check], a
// function of it alone, finds what breaks a promise: lost, doubled, reordered, wrong
// retained, a will too few or too many. Whatever is done to the brokers meanwhile is not
// its business, as long as clients can connect again.
//
// Goroutines: each client is one, started by Load.Run and ended by its context.
//
// Only tests import it; it imports the harness.
package witness
