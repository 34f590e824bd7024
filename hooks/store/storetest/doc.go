// Package storetest is the contract of hooks/store as tests. Every store runs it:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return memory.New() })
//	}
//
// [Run] is for all stores, [RunDurable] adds what holds for one that is opened
// again. A store that passes keeps what the router builds on:
//
//   - each batch is answered once, those of one client in the order of the Commit
//     calls, also when many clients commit at once; a callback may commit;
//   - a batch is applied whole or not at all, and nobody sees half of it;
//   - what is read is what was committed, entries in the order of their numbers,
//     no record of one session ever in another;
//   - deleting a session deletes all its records;
//   - a batch with an epoch below that of the session is refused with ErrFenced, one
//     for no session with ErrNotFound, and neither leaves a trace;
//   - a page has what is committed and not begun, in order, within its bounds;
//   - the figures of a queue are those of the last batch;
//   - an empty batch is answered after those before it;
//   - a visitor may call the store, and ends the visit by answering false;
//   - Close answers what was committed before it; then everything is ErrClosed.
//
// The suite starts goroutines only inside its own tests and waits for them. It
// imports message and store.
package storetest
