package router

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Cluster is what the router asks of the other instances that share its store. Without
// any, alone stands in.
type Cluster interface {
	Forwarder
	Announcer
	Claimer
	Holder
}

// Forwarder takes messages to other mailboxes.
type Forwarder interface {
	// Append hands a bundle over for another mailbox's inbox; it is encoded before the
	// call returns. Bundles for one mailbox keep their order. done is told nil when the
	// bundle is in the inbox, or an error when it never will be.
	Append(to message.MailboxID, b *message.Bundle, done store.Committed)
	// Loose is Append for QoS 0: it may be lost, and nobody is told.
	Loose(to message.MailboxID, b *message.Bundle)
	// Confirm tells done nil once what was routed by the table at matched may be
	// acknowledged: the lease was this process's own after all of it was stored. An
	// error means that it must not be.
	Confirm(matched message.Position, done store.Committed)
	// CaughtUp waits until the inbox has been consumed to the end that it has now.
	CaughtUp(ctx context.Context) error
}

// Announcer tells the other instances what a mailbox subscribes to. Keys are topic
// filters, and "$share/group/filter" for shared groups; they are counted, so that a
// mailbox's last Leave of a key removes it.
type Announcer interface {
	// Join adds keys. done is told nil once every live instance routes by them.
	Join(box message.MailboxID, keys []string, done store.Committed)
	Leave(box message.MailboxID, keys []string)
	// Mailbox is what the other instances call the mailbox that is empty here.
	Mailbox() message.MailboxID
	// Online says how many members of a shared group are connected in a mailbox.
	Online(box message.MailboxID, key string, n int)
	// Latest waits until every retained message that was set before the call, anywhere,
	// has been handed to Inbox.Retained.
	Latest(ctx context.Context) error
}

// Claimer brings sessions here.
type Claimer interface {
	// Claim makes this process the owner of a client id, wherever its session is, unless
	// who claims may not have it: store.ErrOtherUser. expect is called with the head and subscriptions of a session that is
	// on its way: from then on the router keeps what comes for it. A claim that is given up
	// after that finds out whether the session has come.
	Claim(ctx context.Context, who *store.Claimant, expect func(*store.Head)) (store.Claim, error)
	// Release takes back a claim that no session came of.
	Release(id message.ClientID)
	// Away reports that the store cannot be used: whoever does not need it need not wait.
	Away() bool
	// Known reports whether the records of a session that lives here name a QoS 2 message
	// that it was given; what was handed to the store before counts.
	Known(ctx context.Context, id message.ClientID, m message.ID) (bool, error)
}

// Holder keeps who holds an $exclusive filter, over all instances.
type Holder interface {
	// Hold makes id the holder of filter and reports false if another client is.
	Hold(ctx context.Context, filter string, id message.ClientID) (bool, error)
	// Let gives the filter free if id holds it.
	Let(filter string, id message.ClientID)
}

// alone is a cluster of one: nothing is forwarded and nobody has to be asked.
type alone struct{}

// Append implements Forwarder.
func (alone) Append(_ message.MailboxID, _ *message.Bundle, done store.Committed) {
	done.Committed(nil)
}

// Loose implements Forwarder.
func (alone) Loose(message.MailboxID, *message.Bundle) {}

// Confirm implements Forwarder.
func (alone) Confirm(_ message.Position, done store.Committed) { done.Committed(nil) }

// CaughtUp implements Forwarder.
func (alone) CaughtUp(context.Context) error { return nil }

// Join implements Announcer.
func (alone) Join(_ message.MailboxID, _ []string, done store.Committed) { done.Committed(nil) }

// Leave implements Announcer.
func (alone) Leave(message.MailboxID, []string) {}

// Online implements Announcer.
func (alone) Online(message.MailboxID, string, int) {}

// Mailbox implements Announcer.
func (alone) Mailbox() message.MailboxID { return "" }

// Latest implements Announcer.
func (alone) Latest(context.Context) error { return nil }

// Claim implements Claimer.
func (alone) Claim(context.Context, *store.Claimant, func(*store.Head)) (store.Claim, error) {
	return store.Claim{}, nil
}

// Away implements Claimer.
func (alone) Away() bool { return false }

// Release implements Claimer.
func (alone) Release(message.ClientID) {}

// Known implements Claimer.
func (alone) Known(context.Context, message.ClientID, message.ID) (bool, error) { return false, nil }

// Hold implements Holder.
func (alone) Hold(context.Context, string, message.ClientID) (bool, error) { return true, nil }

// Let implements Holder.
func (alone) Let(string, message.ClientID) {}
