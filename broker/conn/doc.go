// Package conn is one connection: its handshake, its read loop, its keep alive
// and its end.
//
// The flow is: server.go (all connections), admit.go (who may come in), conn.go
// (the life of one), handshake.go (CONNECT to CONNACK), first.go (the packets before
// it is connected), loop.go (reading and deadlines), frame.go (one packet), publish.go,
// park.go (back-pressure), control.go (SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH),
// acks.go (PUBACK and PUBREC), close.go (the end).
//
// Goroutines of a connection: one, the reader. [Server.Serve] carries out the
// handshake on the goroutine that the listener started, then hands over to a fresh
// one and ends, so that hooks and authentication do not leave the reader with a large
// stack for the rest of its life. The output has a flusher while there is
// something to write (package wire). A connection that ends is closed by its reader,
// after what was appended to its output has been written or a second has passed.
//
// A blocked read holds no buffer: the reader waits for readability, then takes a
// pooled one, and everything that came is handled before it waits again.
//
// Who waits for whom: the reader waits for a commit at CONNECT and SUBSCRIBE, for a
// slow hook or Authenticator, and when the client is over its publish rate or has
// more publishes under way than it may. Nobody waits for the reader but a second
// connection of the same client, and that only as long as its handshake may take.
//
// The package must not import listen: a transport is an interface.
package conn
