package bridge

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// What the router asks, by who answers it. The router's own mailbox has no name there.

// Commit implements store.Committer.
func (b *Bridge) Commit(s *store.Batch, done store.Committed) {
	if s.Client == "" {
		s.Box = b.global(s.Box)
	}
	b.records.Commit(s, done)
}

// Begin implements store.Grouper.
func (b *Bridge) Begin() { b.records.Begin() }

// End implements store.Grouper.
func (b *Bridge) End() { b.records.End() }

// Wait implements store.Grouper: publishers wait for records and for outboxes.
func (b *Bridge) Wait(gone func() <-chan struct{}) {
	b.records.Wait(gone)
	b.cluster.wait(gone)
}

// Load implements store.Sessions.
func (b *Bridge) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	return b.records.Load(ctx, id)
}

// Heads implements store.Sessions. Nobody lives in a new mailbox.
func (b *Bridge) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	return b.records.Heads(ctx, visit)
}

// Page implements store.Pager.
func (b *Bridge) Page(ctx context.Context, id message.ClientID, after uint64, most int, bytes int64) ([]store.Entry, error) {
	return b.records.Page(ctx, id, after, most, bytes)
}

// Retained implements store.Node.
func (b *Bridge) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	return b.retained.Retained(ctx, visit)
}

// Delayed implements store.Node.
func (b *Bridge) Delayed(ctx context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error {
	return b.records.Delayed(ctx, visit)
}

// GroupEntries implements store.Groups.
func (b *Bridge) GroupEntries(ctx context.Context, visit func(group string, seq uint64, m *message.Message) bool) error {
	return b.records.GroupEntries(ctx, visit)
}

// Append hands a bundle over for another mailbox's inbox; it is encoded before the call
// returns, and never blocks.
func (b *Bridge) Append(to message.MailboxID, m *message.Bundle, done store.Committed) {
	b.cluster.Append(to, m, done)
}

// Loose is Append for QoS 0: it may be lost, and nobody is told.
func (b *Bridge) Loose(to message.MailboxID, m *message.Bundle) { b.cluster.Loose(to, m) }

// Confirm tells done nil once what was routed by the table at matched may be acknowledged.
func (b *Bridge) Confirm(matched message.Position, done store.Committed) {
	b.cluster.Confirm(matched, done)
}

// CaughtUp waits until the own inbox has been handed over to the end that it has now.
func (b *Bridge) CaughtUp(ctx context.Context) error { return b.cluster.CaughtUp(ctx) }

// Join adds keys of a mailbox. done is told nil once every live instance routes by them.
func (b *Bridge) Join(box message.MailboxID, keys []string, done store.Committed) {
	b.cluster.Join(b.global(box), keys, done)
}

// Leave takes keys back.
func (b *Bridge) Leave(box message.MailboxID, keys []string) { b.cluster.Leave(b.global(box), keys) }

// Online says how many members of a shared group are connected in a mailbox.
func (b *Bridge) Online(box message.MailboxID, key string, n int) {
	b.cluster.Online(b.global(box), key, n)
}

// Latest waits until every retained message that was set before the call, anywhere, has
// been handed to the router.
func (b *Bridge) Latest(ctx context.Context) error { return b.retained.Latest(ctx) }

// Claim makes this process the owner of a client id, wherever its session is.
func (b *Bridge) Claim(ctx context.Context, who *store.Claimant, expect func(*store.Head)) (store.Claim, error) {
	return b.claims.Claim(ctx, who, expect)
}

// Away reports that Redis cannot be used.
func (b *Bridge) Away() bool { return b.out.down.Load() }

// Release gives a client id free that no session came of.
func (b *Bridge) Release(id message.ClientID) { b.claims.Release(id) }

// Known reports whether the records of a session name a QoS 2 message.
func (b *Bridge) Known(ctx context.Context, id message.ClientID, m message.ID) (bool, error) {
	return b.claims.Known(ctx, id, m)
}

// Hold makes id the holder of an $exclusive filter, and reports false if another is.
func (b *Bridge) Hold(ctx context.Context, filter string, id message.ClientID) (bool, error) {
	return b.holds.Hold(ctx, filter, id)
}

// Let gives an $exclusive filter free.
func (b *Bridge) Let(filter string, id message.ClientID) { b.holds.Let(filter, id) }
