// Package auth holds decisions: who somebody is and what that allows. It knows no
// connections and no packets; package hooks joins it to them.
//
// # Guarantees
//
//   - An [Identity] is immutable once it has been handed over: it is read from any
//     goroutine without a lock.
//   - [Rules] are immutable too. They judge without allocating, in microseconds with
//     10,000 rules; what they judge by is in the question.
//   - A [Checker] is immutable and swapped whole; what must outlive a reload ([Backoff],
//     [Bans], [Counters], [Pool]) is handed from the old one to the new one.
//   - A wrong user and a wrong password are answered alike, also in time.
//   - No password is kept, logged or part of an error. What has one prints without it.
//   - All memory that clients can fill is bounded.
//
// # Goroutines
//
// Passwords are judged on the goroutine of the connection that shows them, as many at
// a time as [Pool] lets: a pool bounds what others run and has no goroutine of its own.
// A [JWT] with a URL has one, which fetches keys; Close ends it and waits. An [HTTP]
// and an [HTTPACL] have those of net/http for the connections they keep, until Close.
// [LookupUsers] has none; its [Lookup] may, until Close.
// Locks guard tables only: none is held while something is hashed or fetched.
//
// It must not import anything of this module.
package auth
