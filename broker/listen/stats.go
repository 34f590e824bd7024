package listen

import "sync/atomic"

// Stats are the counters of one listener since it was opened, and three gauges.
type Stats struct {
	Accepted     atomic.Uint64 // sockets
	AcceptErrors atomic.Uint64
	OverLimit    atomic.Uint64 // closed for MaxConnections
	Evicted      atomic.Uint64 // slow handshakes closed to make room
	Untrusted    atomic.Uint64 // closed for the PROXY protocol's trusted addresses
	Failed       atomic.Uint64 // handshakes that failed, timeouts and evicted ones included
	TimedOut     atomic.Uint64 // handshakes that took too long
	Established  atomic.Uint64 // connections handed on

	Handshakes atomic.Int64 // now
	Open       atomic.Int64 // sockets now, handshakes included
}
