package bridge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

// Options are what a bridge needs. Client, Prefix and Log are never empty.
type Options struct {
	Client    goredis.UniversalClient // of package redis, with [Scripts]
	Clustered bool                    // a Redis Cluster: a step has the keys of one slot
	Prefix    string                  // of every key
	// Lease is how long an instance may be silent before others take its mailboxes.
	Lease time.Duration
	// DedupeWindow is how long the id of a QoS 2 message is known.
	DedupeWindow time.Duration
	MinReplicas  int // a write counts when so many replicas have it
	Log          *slog.Logger
	Stats        *stats.Node
	Now          func() time.Time
}

// Inbox is what the bridge brings to the router.
type Inbox interface {
	Receiver
	Follower
	Adopter
}

// Receiver takes messages from other instances.
type Receiver interface {
	// Deliver takes a bundle from the inbox of box at position at. done is told once all
	// its effects are committed; the entry is trimmed only then. It is called from one
	// goroutine a mailbox, in order, and may block for back-pressure.
	Deliver(box message.MailboxID, at message.Position, b *message.Bundle, done store.Committed)
	// Loose takes a QoS 0 bundle for the own mailbox or an adopted one.
	Loose(box message.MailboxID, b *message.Bundle)
}

// Follower takes what all instances share.
type Follower interface {
	// Route applies route changes up to position at, of all mailboxes but the own one.
	// When it returns, everything that was routed by an older table has been handed to
	// Append or the store. Adopted mailboxes are remote targets too.
	Route(at message.Position, changes []store.RouteChange)
	// Retained applies a change of a retained message, in the order of its shard's log;
	// of one that is removed, m has the topic alone.
	Retained(m *message.Message, removed bool)
}

// Adopter takes over mailboxes whose process is gone, and loses them.
type Adopter interface {
	// Adopt takes over what belongs to a mailbox, before its first bundle is delivered.
	Adopt(box message.MailboxID, a *store.Adoption)
	// Lost is told when an adopted mailbox belongs to another instance: its sessions are
	// forgotten and their clients closed.
	Lost(box message.MailboxID)
}

// Bridge joins this process to the others on one Redis. It is the router's store and
// cluster.
type Bridge struct {
	*records
	retained *retained
	holds    *holds

	opts Options
	keys keys
	own  message.MailboxID
}

// Open prepares a bridge with a mailbox of its own; nothing runs yet but the committer
// of the records.
func Open(ctx context.Context, o Options) (*Bridge, error) {
	b := &Bridge{opts: o, keys: keys{o.Prefix}, own: newMailboxID()}
	b.records = newRecords(b)
	b.retained = newRetained(b)
	b.holds = newHolds(b)
	return b, nil
}

// Mailbox is the own mailbox.
func (b *Bridge) Mailbox() message.MailboxID { return b.own }

// newMailboxID makes an id that was never used before.
func newMailboxID() message.MailboxID {
	var id [10]byte
	_, _ = rand.Read(id[:]) // it never fails
	return message.MailboxID(hex.EncodeToString(id[:]))
}
