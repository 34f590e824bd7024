package store

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
)

// Queue is what a session's queue holds, as of its last batch: the entries whose
// delivery has not begun. It is written with every batch that changes it, so that
// nobody has to count.
type Queue struct {
	Messages int
	Bytes    int64  // by message.Size
	Last     uint64 // the highest Seq the session ever gave
	Asking   int    // entries, those in flight too, whose publisher wants to know what becomes of them
}

// Head is what is known of a session without its queue.
type Head struct {
	Session Session
	Queue   Queue
	Subs    []Subscription
}

// Grouper joins batches of several owners.
type Grouper interface {
	// Begin and End enclose Commit calls whose batches, of whatever clients, are
	// written as one: after a crash all of them are there or none. They nest in no
	// way, take no lock that a callback could want, and hold back the committer: what
	// is between them must not block.
	Begin()
	End()
	// Wait returns when the store can take more, or the channel that gone answers is
	// closed; gone is asked only if there is something to wait for. Who is about to
	// commit for others, as a publisher does for its subscribers, asks it first, and
	// not between Begin and End nor with a lock that a callback could want.
	Wait(gone func() <-chan struct{})
}

// Pager reads queues in pages.
type Pager interface {
	// Page returns entries of a session whose delivery has not begun and whose Seq is
	// above after, in order, at most max of them and, beyond the first, at most bytes
	// (by message.Size). What is not committed yet is not among them.
	Page(ctx context.Context, id message.ClientID, after uint64, max int, bytes int64) ([]Entry, error)
}

// Groups reads the queues of shared groups.
type Groups interface {
	// GroupEntries visits what waits in all groups, each group's in order of Seq.
	GroupEntries(ctx context.Context, visit func(group string, seq uint64, m *message.Message) bool) error
}
