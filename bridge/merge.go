package bridge

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

var stepClaimMerge = step("claim_merge")

// Merger is what the router does about a mailbox that was adopted, whose sessions go to the
// process's own one while their clients are away.
type Merger interface {
	// Mergeable lists sessions that could be merged now, at most max, and whether there are
	// others.
	Mergeable(box message.MailboxID, max int) ([]message.ClientID, bool)
	// MergeBegin makes a session known in the own mailbox, too; false is that it is busy.
	MergeBegin(id message.ClientID, token string) bool
	// MergeOrdered is told in the order of the old mailbox's inbox.
	MergeOrdered(id message.ClientID, token string)
	// Merge moves the session by step, as Mover's Move does.
	Merge(ctx context.Context, id message.ClientID, token string, since message.Position, step func(context.Context, []message.ID) (bool, error)) (bool, error)
	// Empty moves what the mailbox has beside sessions, and reports whether nothing is left.
	Empty(box message.MailboxID) bool
}

const (
	mergePage  = 256 // sessions that one route change and one barrier serve
	mergeEvery = 2 * time.Second
)

// merge empties an adopted mailbox and deletes it, until ctx, which is the mailbox's, ends.
// Only sessions whose clients are away are moved; it tries again for the others.
func (c *claims) merge(ctx context.Context, box message.MailboxID, abolish func(context.Context, message.MailboxID) error) {
	t := time.NewTimer(mergeEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		list, more := c.merger.Mergeable(box, mergePage)
		if len(list) > 0 {
			if err := c.mergeThese(ctx, box, list); err != nil && ctx.Err() == nil {
				c.log.Info("sessions of an adopted mailbox stay there for now", "mailbox", string(box), "error", err)
			}
			t.Reset(mergePause)
			continue
		}
		if !more && c.merger.Empty(box) {
			err := abolish(ctx, box)
			if err == nil || ctx.Err() != nil {
				return
			}
			c.log.Info("an empty mailbox could not be deleted yet", "mailbox", string(box), "error", err)
		}
		t.Reset(mergeEvery)
	}
}

// mergePause is between two pages: a merge does not hurry.
const mergePause = 20 * time.Millisecond

// mergeThese moves sessions whose clients are away.
func (c *claims) mergeThese(ctx context.Context, box message.MailboxID, list []message.ClientID) error {
	own := c.leases.mine()
	token, _, end := c.await()
	defer end()
	var begun []entering
	var err error
	for _, id := range list {
		var number uint64
		if number, err = c.enroll(ctx, own, id); err != nil {
			break
		}
		if c.merger.MergeBegin(id, token) {
			begun = append(begun, entering{id, number})
		} else {
			c.unenroll(own, id, number)
		}
	}
	var since message.Position
	if err == nil {
		since, err = c.routes.change(ctx, own, nil, nil, true)
	}
	if err == nil {
		err = c.routes.pass(ctx, since)
	}
	if err != nil {
		c.stay(ctx, own, begun, token)
		return err
	}
	ordered := make(answer, 1)
	c.mail.send(box, mergeOrder(begun, token), ordered)
	if err = ordered.wait(ctx); err == nil {
		err = c.mail.empty(ctx, box) // up to the order at least
	}
	if err != nil {
		c.stay(ctx, own, begun, token)
		return err
	}
	var errs []error
	for _, e := range begun {
		errs = append(errs, c.mergeOne(ctx, box, e, token, since))
	}
	return errors.Join(errs...)
}

// entering is a session that was entered in the own mailbox, with a number.
type entering struct {
	id     message.ClientID
	number uint64
}

// stay undoes MergeBegin.
func (c *claims) stay(ctx context.Context, own message.MailboxID, begun []entering, token string) {
	for _, e := range begun {
		_, _ = c.merger.Merge(ctx, e.id, token, 0, func(context.Context, []message.ID) (bool, error) { return false, nil }) // it stays either way
		c.unenroll(own, e.id, e.number)
	}
}

func (c *claims) mergeOne(ctx context.Context, box message.MailboxID, e entering, token string, since message.Position) error {
	own, id := c.leases.mine(), e.id
	_, oldEpoch, ok := c.leases.epoch(box)
	_, epoch, here := c.leases.epoch(own)
	if !ok || !here {
		return errBoxLost
	}
	old, p := place{box: box, epoch: oldEpoch}, place{box: own, epoch: epoch}
	key := c.keys.session(id) + sessionHead
	moved, err := c.merger.Merge(ctx, id, token, since, func(ctx context.Context, overlap []message.ID) (bool, error) {
		was, ok := c.records.placed(id)
		if !ok {
			return false, nil
		}
		v, err := c.step(ctx, stepClaimMerge, []string{key}, old.tag(), p.tag(), uint64(since), appendIDs(nil, overlap))
		if err != nil || v != int64(1) {
			return false, err
		}
		p.n = was.n
		c.records.place(id, p)
		return true, nil
	})
	if !moved {
		c.unenroll(own, id, e.number)
		return err
	}
	c.unenroll(box, id, e.number) // nobody comes to a mailbox that was adopted
	c.settle(id, own, p.tag(), since)
	return nil
}

// mergeOrder is the control entry that says from where on sessions are told twice.
func mergeOrder(begun []entering, token string) []byte {
	b := appendText([]byte{controlVersion, controlMerge}, token)
	b = binary.AppendUvarint(b, uint64(len(begun)))
	for _, e := range begun {
		b = appendText(b, e.id)
	}
	return b
}

// mergeOrdered takes such an entry from the inbox. After a crash there is nobody whose
// token it has.
func (c *claims) mergeOrdered(payload []byte) error {
	d := decoder{b: payload[2:]}
	token := string(d.bytes())
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		c.merger.MergeOrdered(message.ClientID(d.bytes()), token)
	}
	return d.end()
}
