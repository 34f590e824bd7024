package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
)

// Peer is another instance with a live lease, and what it says of itself.
type Peer struct {
	Mailbox message.MailboxID
	About   string
}

// Mailbox is one that this instance has.
type Mailbox struct {
	ID       message.MailboxID
	Epoch    uint64
	Adopted  bool
	Pending  int           // entries of its inbox that are not done
	LeaseAge time.Duration // since its lease was renewed
}

// Tell says something of this instance to the others, in the place of what it said before.
func (b *Bridge) Tell(ctx context.Context, about string) error {
	return b.retry(ctx, "tell of this instance", func(ctx context.Context) error {
		return b.client.HSet(ctx, b.keys.nodes(), string(b.own), about).Err()
	})
}

// untell takes it back. What is not taken back is cleared by whoever finds it.
func (b *Bridge) untell(ctx context.Context) error {
	if err := b.client.HDel(ctx, b.keys.nodes(), string(b.own)).Err(); err != nil {
		return fmt.Errorf("take back what was told of this instance: %w", err)
	}
	return nil
}

// Peers lists the other instances that live. What instances that are gone have said is
// cleared.
func (b *Bridge) Peers(ctx context.Context) ([]Peer, error) {
	pipe := b.client.Pipeline()
	told, leases := pipe.HGetAll(ctx, b.keys.nodes()), pipe.HGetAll(ctx, b.keys.leases())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read the instances: %w", err)
	}
	return b.living(ctx, told, leases), nil
}

func (b *Bridge) living(ctx context.Context, told, leases *goredis.MapStringStringCmd) []Peer {
	now := b.cluster.clock().UnixMilli()
	rows := leases.Val()
	var list []Peer
	for box, about := range told.Val() {
		row, ok := parseRow(rows[box])
		switch {
		case !ok || !row.own:
			b.client.HDel(ctx, b.keys.nodes(), box) // its error would be the next call's
		case message.MailboxID(box) != b.own && row.deadline > now:
			list = append(list, Peer{Mailbox: message.MailboxID(box), About: about})
		}
	}
	slices.SortFunc(list, func(x, y Peer) int { return strings.Compare(string(x.Mailbox), string(y.Mailbox)) })
	return list
}

// Mailboxes lists those that this instance has.
func (b *Bridge) Mailboxes() []Mailbox {
	age := b.cluster.age()
	b.cluster.leases.mu.Lock()
	held := b.cluster.heldsLocked()
	b.cluster.leases.mu.Unlock()
	list := make([]Mailbox, 0, len(held))
	for _, h := range held {
		m := Mailbox{ID: h.box, Epoch: h.epoch, Adopted: h.box != b.own, LeaseAge: age}
		if c := b.cluster.consumer(h.box); c != nil {
			c.mu.Lock()
			m.Pending = len(c.under)
			c.mu.Unlock()
		}
		list = append(list, m)
	}
	return list
}
