// Package memory is the store of `persistence: none` and of tests: records live
// in the process and end with it.
//
// A commit is applied inside Commit, whole or not at all, and its callback runs
// there too, with no lock of the store held: it may call the store. What a batch
// holds is kept and given out as it is, so nobody may change it afterwards.
//
// A batch with an epoch below that of the session is refused with ErrFenced; one
// for a session that is not there, and that does not begin one, with ErrNotFound.
// The fence goes with the session: one that is deleted and made anew may begin at
// any epoch.
//
// It starts no goroutine and imports message and store.
package memory
