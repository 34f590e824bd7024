package bridge

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
)

// place is where a session lives: the mailbox, the mailbox's epoch, and the number of
// the last batch in its record.
type place struct {
	box   message.MailboxID
	epoch uint64
	n     uint64
}

// records is the store: what belongs to sessions and mailboxes, in Redis.
type records struct{ b *Bridge }

func newRecords(b *Bridge) *records { return &records{b} }

// place makes the session with id resident: its batches are committed as those of the
// owner p.
func (r *records) place(id message.ClientID, p place) {}

// placed is where a resident session lives.
func (r *records) placed(id message.ClientID) (place, bool) { return place{}, false }

// drop ends the residence of a session. Batches that are on their way may still be
// committed; later ones are refused as fenced.
func (r *records) drop(id message.ClientID) {}

// flush returns when all batches that were handed in before the call are answered.
func (r *records) flush(ctx context.Context) error { return nil }

// idle is flush for one session.
func (r *records) idle(ctx context.Context, id message.ClientID) error { return nil }

// known says which messages of QoS 2 the session has had.
func (r *records) known(ctx context.Context, id message.ClientID, ids []message.ID) ([]bool, error) {
	return nil, nil
}
