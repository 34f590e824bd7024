// Package rules holds the rules of the repository that no linter knows, as
// tests: the length of files, a doc.go for each package, no time.Sleep, build
// constraints that mean something. It has no code outside its tests, starts no
// goroutine and imports nothing of the broker.
package rules
