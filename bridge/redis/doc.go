// Package redis is the way to a Redis: one server, a primary that Sentinels name, or a
// Cluster. It sets up github.com/redis/go-redis and takes its surprises away; what is
// stored there, and what an answer means, is the business of package bridge.
//
// # Guarantees
//
//   - A command is sent once. go-redis would send a command, and a whole pipeline,
//     again when the connection broke before the answer: an XADD would stand twice. Here
//     the caller gets the error and decides. Excepted is what a server has refused
//     without doing it: MOVED and ASK in a Cluster, and NOSCRIPT (see [Script]).
//   - Every call ends with its context, and without one after the read timeout.
//   - No password is in an error, a log line or a printed [Options].
//   - [Classify] tells an answer from an outage.
//
// # What the server must be
//
// Redis 7.0 or later, with maxmemory-policy noeviction: a server that evicts forgets
// what was acknowledged. [Client.Inspect] judges it.
//
// # Goroutines
//
// Those of go-redis, which belong to the [Client] and end with Close: with Sentinel one
// that listens for a new primary. A dial that is under way may outlive Close by the dial
// timeout.
//
// go-redis has one logger for the whole process; it is silenced by the first client.
// What it would say comes as errors to the caller.
//
// It must not import anything of this module.
package redis
