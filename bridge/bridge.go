package bridge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
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
	Mover
	Merger
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
	*link
	records  *records
	cluster  *cluster
	claims   *claims
	members  *membership
	holds    *holds
	retained *retained // after Start
	own      message.MailboxID
	in       Inbox // after Start
	failed   chan error
}

// New prepares a bridge with a mailbox of its own; nothing is asked of Redis before Start,
// and what is committed waits for it. Close must follow.
func New(o Options) *Bridge {
	b := &Bridge{link: newLink(context.Background(), &o), own: newMailboxID(), failed: make(chan error, 1)}
	b.records = newRecords(b.link, b.own, &o)
	b.cluster = newCluster(b.link, &o, tenure{adopt: b.adopt, gone: b.gone, lost: b.lost})
	b.claims = newClaims(b.link, b.records, b.cluster.leases, b.cluster.routes, b.cluster.mail)
	b.cluster.control, b.cluster.answer = b.claims.control, b.claims.answer
	b.members = newMembership(b.link, Format)
	b.holds = newHolds(b.link)
	return b
}

// Start joins the other instances: the lease of the own mailbox first, then the routes of
// all others, then the retained messages. When it returns, in has all of them, and clients
// may be accepted. The error is the context's, or names what keeps this instance out; it is
// ErrRejoin when that took longer than a lease and another instance has the mailbox.
func (b *Bridge) Start(ctx context.Context, in Inbox) error {
	err := b.start(ctx, in)
	if errors.Is(err, store.ErrFenced) || errors.Is(err, errBoxGone) {
		err = fmt.Errorf("%w: %w", ErrRejoin, err)
	}
	return err
}

func (b *Bridge) start(ctx context.Context, in Inbox) error {
	b.in = in
	b.claims.router, b.claims.merger = in, in
	if err := b.cluster.open(ctx, b.own); err != nil {
		return err
	}
	b.records.hold(b.own, 1)
	if err := b.members.join(ctx, b.own); err != nil {
		return err
	}
	var err error
	if b.retained, err = newRetained(ctx, b.link, b.records); err != nil {
		return err
	}
	if err := b.cluster.start(ctx, inbox{b, in}); err != nil {
		return err
	}
	if err := b.retained.start(ctx, in); err != nil {
		return err
	}
	return b.cluster.serve()
}

// Close ends the bridge in order: what was handed in is committed and sent, then the
// mailboxes are given to the others. While Redis is away nothing of that can be done, and
// the leases run out. That others have them already is no error.
func (b *Bridge) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	b.cluster.take(false)
	err := b.records.flush(ctx)
	b.cluster.mail.flush(ctx)
	if err == nil {
		err = b.cluster.rest(ctx)
	}
	if b.cluster.mine() != "" {
		err = errors.Join(err, b.untell(ctx), b.cluster.release(ctx))
	}
	b.records.end()
	b.close()
	if errors.Is(err, store.ErrFenced) { // there is nothing left to give to them
		b.log.Warn("other instances had taken over already", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("bridge: end in order: %w", err)
	}
	return nil
}

// Stopping says that the instance is about to stop: connects that wait for Redis give up.
// Close follows.
func (b *Bridge) Stopping() { b.claims.stopNow() }

// Failed is told when the instance cannot go on: ErrRejoin or ErrReplaced.
func (b *Bridge) Failed() <-chan error { return b.failed }

// Mailbox is the own mailbox.
func (b *Bridge) Mailbox() message.MailboxID { return b.own }

// Ready reports whether clients may be sent here, or why not.
func (b *Bridge) Ready() (bool, string) {
	switch {
	case b.retained == nil:
		return false, "routes and retained messages are not loaded"
	case b.cluster.mine() == "":
		return false, "another instance has taken over the mailbox"
	case b.out.down.Load():
		return false, "redis cannot be used"
	}
	return true, ""
}

// adopt takes over a mailbox.
func (b *Bridge) adopt(ctx context.Context, box message.MailboxID, epoch uint64) error {
	a, err := b.claims.adopt(ctx, box, epoch)
	if err != nil {
		return err
	}
	a.Orderly = b.cluster.wasReleased(box)
	b.in.Adopt(box, a)
	b.spawn(func(context.Context) { b.claims.merge(ctx, box, b.abolish) })
	return nil
}

// abolish deletes an adopted mailbox that is empty.
func (b *Bridge) abolish(ctx context.Context, box message.MailboxID) error {
	at, err := b.cluster.change(ctx, box, nil, nil, true) // after all removals
	if err != nil {
		return err
	}
	if err := b.cluster.pass(ctx, at); err != nil {
		return err
	}
	if err := b.records.flush(ctx); err != nil {
		return err
	}
	if err := b.cluster.abolish(ctx, box, boxDelayed, boxGroups); err != nil {
		return err
	}
	b.gone(box)
	return nil
}

// gone forgets an adopted mailbox.
func (b *Bridge) gone(box message.MailboxID) {
	b.records.lose(box)
	b.in.Lost(box)
}

// lost ends the instance: nothing of the own mailbox can be committed any more. If it is
// not another instance that has it, the data is not what it was.
func (b *Bridge) lost(box message.MailboxID) {
	b.records.lose(box)
	err := b.members.verify(b.ctx)
	if !errors.Is(err, ErrReplaced) {
		err = ErrRejoin
	}
	select {
	case b.failed <- err:
	default: // it was told
	}
}

// local is how the router names a mailbox: its own one is empty.
func (b *Bridge) local(box message.MailboxID) message.MailboxID {
	if box == b.own {
		return ""
	}
	return box
}

// global is the other way round.
func (b *Bridge) global(box message.MailboxID) message.MailboxID {
	if box == "" {
		return b.own
	}
	return box
}

// inbox is the router as the inboxes see it.
type inbox struct {
	b *Bridge
	Inbox
}

// Deliver implements Receiver.
func (i inbox) Deliver(box message.MailboxID, at message.Position, m *message.Bundle, done store.Committed) {
	i.Inbox.Deliver(i.b.local(box), at, m, done)
}

// Loose implements Receiver.
func (i inbox) Loose(box message.MailboxID, m *message.Bundle) { i.Inbox.Loose(i.b.local(box), m) }

// newMailboxID makes an id that was never used before.
func newMailboxID() message.MailboxID {
	var id [10]byte
	_, _ = rand.Read(id[:]) // it never fails
	return message.MailboxID(hex.EncodeToString(id[:]))
}
