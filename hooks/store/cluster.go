package store

import "github.com/skeinmq/skein/broker/message"

// RouteChange is one change of what a mailbox of another process subscribes to.
type RouteChange struct {
	Box    message.MailboxID
	Key    string // a topic filter, or "$share/group/filter"
	Delete bool
	Online int // members of a shared group that are connected there
}

// Adoption is what belongs to a mailbox whose process is gone, as it was committed.
type Adoption struct {
	Heads   []AdoptedHead
	Groups  []GroupEntry // each group's in order of Seq
	Delayed []DelayedEntry
	End     message.Position // where its inbox ended: up to there messages may come again
	Orderly bool             // its process released it
}

// AdoptedHead is a session of an adopted mailbox.
type AdoptedHead struct {
	Head
	At      message.Position // everything up to there is in the session's records
	Since   message.Position // what was matched before came through the mailbox it was in before
	Overlap []message.ID     // what was matched later, but came through that, too
}

// GroupEntry is a message that waits in a shared group ("group/filter") for a member.
type GroupEntry struct {
	Group string
	Seq   uint64
	Msg   *message.Message
}

// DelayedEntry is a message that is published at At, Unix nanoseconds.
type DelayedEntry struct {
	Seq uint64
	At  int64
	Msg *message.Message
}
