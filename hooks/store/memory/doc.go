// Package memory is the store of `persistence: none` and of tests: records live
// in the process and end with it. A commit is applied inside Commit and its
// callback runs there too. It starts no goroutine.
package memory
