// Package auth holds decisions: who somebody is and what that allows. It knows no
// connections and no packets; package hooks joins it to them.
//
// # Guarantees
//
//   - An [Identity] is immutable once it has been handed over: it is read from any
//     goroutine without a lock.
//   - [Rules] are immutable too. They judge without allocating, in microseconds with
//     10,000 rules; what they judge by is in the question.
//
// The package starts no goroutine, takes no lock and reads no clock: the time is an
// argument. It must not import anything of this module.
package auth
