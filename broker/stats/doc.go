// Package stats counts what a node does. $SYS, the metrics and the API read it.
//
// # How it is written
//
// A connection counts into a [Batch], plain integers of its own, while it handles
// what one read brought (or one flush took), and adds it to the node with one
// [Node.Add]. A batch is large enough to live beside a pooled buffer rather than
// in every connection. What happens once a connection or less is counted at the
// node directly. The node's counters lie on cache lines by who writes them (read
// loops, flushers, router, registry), so these do not slow each other.
//
// # Guarantees
//
//   - Everything of [Node] and [Histogram] is safe for concurrent use, and no
//     counting takes a lock, except by label (refusals, connects, disconnects:
//     once a connection).
//   - Nothing is lost: a count is in the node once Add has returned. It may be
//     late by one batch.
//   - [Node.Snapshot] costs the same for one client as for a million. Its values
//     are each right, but not all of the same instant.
//   - Labels are bounded: beyond [MaxLabels] of one kind they are counted as
//     [OtherLabel].
//
// The package starts no goroutine and reads no clock: [Loads] is ticked by its
// owner. It imports nothing of the broker.
package stats
