// Package broker is one node: it makes every room, joins them, and starts and stops
// them. This page is the architecture; each package's own page has its guarantees.
//
// # The way of a message
//
//	socket ─► conn.step ─► wire.Next ─► router.Publisher ─┬─► retained
//	                                                      ├─► match ─► session ─► wire.Output ─► socket
//	                                                      └─► Pending ─► committed ─► PUBACK / PUBREC
//
// A reader (package conn) takes everything its socket has into one pooled buffer and
// handles all whole packets in it before it reads again. PUBLISH is parsed in place
// (package message). The publishing side of the connection (router.Publisher) looks
// the topic up in its own cache of routes and gathers consecutive publishes to one
// topic into a run; the run is encoded once for each form that subscribers take
// (version, QoS) and appended to their outputs, each with its own packet
// identifiers. Only what must outlive the read buffer becomes a message.Message: one
// that is queued, retained, shared, or kept by a session that outlives its connection.
//
// What must be kept is committed first (package hooks/store): the answer to a
// publisher waits in a router.Pending until the store has called back, and so do
// CONNACK, SUBACK, UNSUBACK and the frames of QoS 2. A QoS 2 publish with its entries
// in all sessions, a will and a delayed message with what they lead to are written as
// one. A session's queue may be longer than memory: what is not about to be sent is in
// the store alone and comes back in pages. A publisher waits while the store has more
// to write than it can bear.
//
// # Rooms
//
//	message, topic, stats, due, load, config, listen   leaves: they import nothing of the module
//	wire        bytes and packets, the output buffer      imports message, mochi's packets
//	session     one client's state, without I/O           imports message, hooks/store
//	hooks       who may do what; mochi's hooks            imports auth, message, mochi
//	router      sessions, subscriptions, delivery         imports session, topic, message, hooks, hooks/store, stats, due
//	conn        one connection                            imports router, session, wire, hooks, stats, message
//	api         health, metrics, HTTP                     imports router, stats, auth, message, topic
//	broker      this package                              imports all of them
//
// # Goroutines
//
//	listen.Listener.Serve   one a listener; started by Node.Start, ends with its Close
//	handshakes              one for TLS, WebSocket or PROXY under way; end with it
//	conn reader             one a connection; ends with it
//	wire flusher            one for an output that has something to write
//	due.Queue.Run           one; everything that falls due; ends with its Stop
//	memory watch            one; looks once a second at how much memory there is
//	http                    net/http's (package api); from the first moment of Start to after
//	                        the clients have left
//	drain                   one, while there is one; ends with Undrain or Stop
//	router events           one, when a hook wants to hear of dropped messages, and one for
//	                        each thing that falls due and has to ask a hook
//	router pagers           two; they read queues from the store, a page at a time
//	router recaller         one; has recorded what was not acknowledged soon
//	retired access          one for each reload, until no login asks what it replaced
//	store committer         one, and pebble's own (package hooks/store/disk)
//
// # Locks
//
// Outermost first: the gate of a client identifier, the client's lock, the locks of
// groups, retained messages and filter trees, the lock of an output. None is held
// across a socket write or a wait for the store. Package router says more.
//
// # Stopping
//
// First, if configured, the drain: not ready, a delay, then clients are sent away at a rate.
// Then last in, first out, with one deadline (`shutdown_timeout`): listeners stop accepting;
// connections get DISCONNECT 0x8B (0x9C with a Server Reference) and their output is flushed; what falls due stops; HTTP ends;
// the hooks are told; the store is closed. What is left when the deadline passes is
// cut off.
//
// # Reloading
//
// [Node.Reload] takes a whole new configuration: limits and choices are swapped
// for connections to come, certificates are read again. What needs a restart
// is named and left as it was.
package broker
