// Package server is what tests need of other programs: child processes, a redis-server in
// its forms, and the one helper that waits.
//
// Everything that is started here ends with the test that started it. Nothing listens
// beyond the loopback addresses. A program that is not installed skips the test, by name.
//
// It stands below package harness, which has the same under its own names: tests inside
// the rooms of the broker cannot import that, as it imports the broker. It must not import
// anything of this module.
package server
