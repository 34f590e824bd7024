// Package store is what the router needs from persistence: the records, and the
// interfaces that every store implements.
//
// A commit is a [Batch] of operations on the state of one owner (a session, or
// the node itself with an empty client id). The store applies a batch whole or
// not at all, applies the batches of one owner in the order of the Commit calls,
// and calls back exactly once for each, in that order, when the batch is as
// durable as the store promises. The callback may run inside Commit and must
// not block.
//
// The package starts no goroutine and imports only message.
package store
