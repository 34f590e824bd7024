// Package model is the cluster protocol as explicit states: three processes, their
// mailboxes, one session S that moves between them, one publisher, and Redis, with
// every atomic step in every order. It finds the shortest way in which a promise is
// broken, and it proves nothing beyond its bounds.
//
// # What is modelled
//
// Processes A, B and C open the mailboxes X, Y and Z. S is persistent, starts in X at
// A and has one filter; another session may have the same filter in another mailbox.
// The publisher sends up to three messages, at QoS 1 (what is sent again is a new
// message) or QoS 2 (the message id stays). Redis is: inboxes with their trim, owner
// and epoch of each mailbox, the stream of route changes, leases, reports, and the
// record of S (mailbox, owner tag, position, claim, overlap set, known ids). A step on
// one hash slot is one step here. The memory of a process is its table, outboxes, read
// positions, and what it has not committed: a crash takes all of it, a pause leaves it
// to be believed for as long as it likes.
//
// Left out: fail-over and lost writes of Redis, several filters, shared subscriptions,
// retained messages, wills, clean sessions, the packets between broker and subscriber,
// an append that is repeated after its answer was lost, and merging mailboxes.
//
// # What is promised
//
//	L  no acknowledged message is lost
//	D  QoS 2 never comes twice; QoS 1 never by a move when nothing failed
//	O  messages come in order, judged by the first time each came
//	E  at most one process could commit for S
//	T  nobody waits where nothing more happens by itself
//	W  what was accepted after SUBACK arrives
//
// # What runs
//
// Each [Rule] is one that the protocol needs; [Rules] without it must break a promise,
// and a test asks for exactly that: a model that cannot fail shows nothing. [Search]
// looks at every state within the bounds of an [Instance], breadth first (shortest
// trace), depth first (little memory) or for cycles, without which T means that no
// behaviour goes on for ever. [Walk] takes random steps, from a seed that is told, of
// anything that is a [Driver]: the model here, and whatever else can say which steps
// are possible and take one.
//
// The package imports nothing of the broker and has no goroutine. Tests with MODEL set
// (make model) search exhaustively; `go run ./testing/model/modelcheck` searches one instance.
package model
