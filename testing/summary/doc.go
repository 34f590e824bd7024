// Command summary reads the stream of `go test -json` from standard input and
// prints what a reader wants to know: the output of what failed, one line a
// package, the names of the skipped tests, and as its last line
//
//	N passed, N failed, N skipped
//
// It exits with 1 when a test or a package failed, when a package did not
// build, and when the stream ends while a package is still running: a broken
// pipe must not look like success. Lines that are not JSON are passed through.
//
// The stream may be that of several runs, one behind the other, also of one package.
//
// It runs no goroutine and imports nothing of the broker.
package main
