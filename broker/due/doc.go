// Package due runs everything of a node that falls due at a time: the end of
// sessions and retained messages, wills, $delayed messages, bans. One heap and
// one goroutine serve all of them, so a million sessions that expire some day
// cost a million small heap entries and not a million timers.
//
// # Guarantees
//
//   - A callback runs once, never before its time, on the goroutine of [Queue.Run].
//   - Callbacks run in the order of their times; equal times in the order of the
//     Add or Reset that set them.
//   - No lock of the queue is held during a callback: it may call Add, Remove,
//     Reset and Len, for its own item too.
//   - When [Queue.Remove] answers true the callback does not run any more. When it
//     answers false the callback has run, is running now (Remove does not wait for
//     it) or was removed before. There is no third state.
//   - After [Queue.Stop] has returned no callback runs.
//
// A callback must be quick and must not block: while it runs, everything else
// that is due waits. It hands work on (to a session's owner, to the router's
// queue); it does no I/O.
//
// Times are wall clock times, because they survive a restart. The clock is an
// argument. When it is set forward, what became due runs within [MaxSleep].
//
// # Bounds
//
// The queue has no limit of its own: each item belongs to a session, a retained
// message, a will, a delayed message or a ban, whose number its owner limits.
// [Queue.Len] is the metric. An item costs about 50 bytes and its closure.
//
// # Goroutines
//
// The package starts none. The caller runs [Queue.Run] on one goroutine and ends
// it with [Queue.Stop].
//
// It imports nothing of the broker.
package due
