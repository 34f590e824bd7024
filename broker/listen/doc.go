// Package listen is the sockets of a node: TCP, TLS, WebSocket, WebSocket over
// TLS and Unix sockets, each with or without the PROXY protocol before it. It
// hands out established transports; what is said over them it does not know.
//
// The flow is: options.go (a listener's URL and settings), listener.go (bind,
// accept), handshake.go (PROXY in proxy.go, TLS in tls.go, WebSocket in
// upgrade.go), conn.go (the transport), pump.go, lend.go, look.go and raw_unix.go
// (reading), frame.go (WebSocket frames in), write.go and frame_out.go (writing),
// close.go. Systems without raw_unix.go read by blocking (raw_other.go).
//
// # Guarantees
//
//   - An accept error never ends a listener. Serve waits 5 ms, doubling up to 1 s,
//     and goes on; it logs once a second at most.
//   - A handshake ends within HandshakeTimeout. At most maxHandshakes run at a
//     time and listener. When all are taken, one older than handshakeGrace makes
//     room for the next; if all are younger, accept waits until one ends or comes
//     to that age, and the kernel's backlog holds the rest. So a burst of honest
//     clients is only slowed, and slow ones do not keep others out.
//   - Connections past MaxConnections are accepted and closed at once.
//   - An established idle connection holds no buffer of this package, and one
//     goroutine: the caller's in [Conn.Pump]. crypto/tls keeps its own input buffer.
//   - [Conn.Close] and [Conn.Shutdown] never block, not even on a peer that does
//     not read, and may be called from within a step. (Where the system has only
//     blocking writes, TLS and WebSocket may take 50 ms for their last words.)
//   - A Write is not mixed with pongs, close frames or TLS's own messages. Nobody
//     who has one of those to send waits for a Write, but for a reader whose peer
//     changes its TLS keys: it waits as long as the write deadline allows.
//   - A bad certificate at [Listener.Reload] changes nothing.
//
// # Reading
//
// [Conn.Pump] stays in one call of the runtime's poller for the life of the
// connection and calls its step when there is something to read. A read that
// gave less than was asked for has emptied the socket, so the next one answers
// [ErrWouldBlock] without a system call. Waiting right after it would be wrong,
// though: the poller is edge triggered, and an end of stream or a reset that came
// with the last bytes was told together with them and will not be told again. So
// before it waits, Pump looks at the socket, without buffer; a busy connection is
// looked at only every lookInterval, by a read deadline of its own (look.go).
//
// crypto/tls and the WebSocket layer read through the same non-blocking read:
// ErrWouldBlock is a temporary error to both, after which they go on.
//
// # Stacks
//
// Waiting in the poller fits the smallest stack of the runtime, 2 KB. Handling a
// packet does not, and a stack that has grown stays above that for good. So the
// steps of a connection with little to do run on goroutines that are shared
// (lend.go). Whoever calls Pump should have little on its stack by then.
//
// # Goroutines
//
//	Listener.Serve      the caller's; ends after Close
//	handshake           one for a socket with a handshake; Serve waits for them;
//	                    ends with the handshake, its timeout, or Close
//	handle              one for a connection; the caller's function, which owns it
//	lender              at most maxLent of the process; run steps, end with the
//	                    last Pump at work
//
// # Bounds
//
// Pongs owed to a peer that does not read: the last one, plus what a begun one
// still has to send. TLS's own messages to such a peer: maxOwed bytes, then the
// connection fails. An HTTP request: maxRequest bytes. A PROXY header: proxyBuffer
// bytes. When all lenders are at work a step runs on its connection's stack.
//
// It imports nothing of the broker.
package listen
