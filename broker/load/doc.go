// Package load drives an MQTT broker from outside and says how fast, how late and
// how correctly it delivered: the load driver of `skein bench` and of testing/bench.
//
// It is a client and nothing else. It speaks MQTT 3.1.1 and 5 over TCP, TLS,
// WebSocket and Unix sockets to any broker, and it imports nothing of this one: a
// codec that was wrong on both sides would agree with itself.
//
// # What is measured
//
// The load is a closed loop. A publisher never has more than Window messages that
// were not yet delivered, so a broker is pushed as far as it goes and no further;
// what is still missing when nothing has moved for Stall is lost. After Warmup, the
// messages that arrive during Duration make the rate, and one of every few carries
// the time it was handed to the socket, which makes the latency, end to end. With
// the broker's process ids (Linux) its own CPU time and memory are shown too, so a
// driver that shares the machine does not blur the figure.
//
// # What is verified
//
// Each payload of at least [MinVerified] bytes carries the number of its publisher
// and its place in that publisher's order. Every subscriber compares it with the
// one it expects next: one comparison for a message that is right, a table of what
// is missing otherwise. So a message that is lost, arrives twice or is overtaken is
// counted, also when one of each would leave the sums as they should be. See
// [Result.Err] for which of them make a run a failure.
//
// # Cost
//
// The driver usually shares cores with the broker it measures. A message is one
// copy of a prepared frame with its identifier, number and time patched in; writes
// go out when the window is used up or 64 KiB are together, and a read handles all
// frames that have arrived before credits, counters and acknowledgements move once
// for all of them. Nothing is allocated for a message.
//
// # Goroutines
//
// A run owns all of its goroutines and [Run] returns after the last has ended:
//
//   - one a subscriber, which reads and acknowledges; it ends when its connection
//     is closed;
//   - two a publisher: one sends until it is told to stop or its connection fails,
//     one reads acknowledgements until the connection is closed;
//   - while connections are opened and closed, at most [dialers] workers;
//   - one that reports progress, and one that pings when a broker imposes a keep
//     alive; both end with the run.
//
// Every wait is bounded: connecting by handshakeTimeout, everything after by Stall
// and Duration. A cancelled context ends the measured time early, what is under way
// is still delivered, and the result is of the time until then.
//
// Sessions that a run makes and retained messages that it leaves are removed at its
// end, also when it is cancelled.
package load
