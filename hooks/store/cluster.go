package store

import (
	"errors"

	"github.com/skeinmq/skein/broker/message"
)

// ErrOtherUser is what a claim of a client id ends with whose session may not be had.
var ErrOtherUser = errors.New("store: client id belongs to another user")

// Claimant is who wants the session of a client id.
type Claimant struct {
	ID      message.ClientID
	User    string
	HasUser bool
	AnyUser bool // it may have other users' sessions
}

// MayHave reports whether the claimant may have a session: one that was made without a user
// name belongs to nobody.
func (c *Claimant) MayHave(s *Session) bool {
	return !s.HasUser || c.HasUser && c.User == s.User || c.AnyUser
}

// Claim is where the session of a client id is, once it is this process's.
type Claim struct {
	// Found says that there is a session. It lives in Box; one that Moved was brought
	// here from another process.
	Found, Moved bool
	Box          message.MailboxID // empty is the own one
	Since        message.Position  // what was matched before came through the old mailbox
	Overlap      []message.ID      // what was matched later but came through it, too
	Image        *Image            // of one that Moved, as Sessions.Load reads it
}

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
