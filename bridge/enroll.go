package bridge

import (
	"context"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
)

// entries numbers the changes of who lives in this process's mailboxes. A command may reach
// Redis long after it was given up, and changes of one client id are made by several
// goroutines: the number says which is the newest word. It is drawn when the change is
// decided, not when it is sent.
type entries struct{ last atomic.Uint64 }

func (e *entries) next() uint64 { return e.last.Add(1) }

// raise has numbers go on behind those of who had a mailbox before.
func (e *entries) raise(n uint64) {
	for {
		old := e.last.Load()
		if old >= n || e.last.CompareAndSwap(old, n) {
			return
		}
	}
}

// enroll enters a client id among those of a mailbox, before it can live there. The number
// is what unenroll undoes it with.
func (c *claims) enroll(ctx context.Context, box message.MailboxID, id message.ClientID) (number uint64, err error) {
	_, epoch, ok := c.leases.epoch(box)
	if !ok {
		return 0, errBoxLost
	}
	number = c.records.entries.next()
	v, err := c.step(ctx, stepMembers, []string{c.keys.box(box, boxMeta)}, epoch, number, 1, string(id))
	if err == nil && v != int64(1) {
		err = errBoxLost
	}
	return number, err
}

// unenroll takes a client id out of a mailbox, unless it was entered again after number.
func (c *claims) unenroll(box message.MailboxID, id message.ClientID, number uint64) {
	_, epoch, ok := c.leases.epoch(box)
	if !ok {
		return // whoever has it now sees that it is not there
	}
	c.spawn(func(ctx context.Context) {
		_, _ = c.step(ctx, stepMembers, []string{c.keys.box(box, boxMeta)}, epoch, number, 0, string(id), number) // as above
	})
}

// enter looks, after the client id was entered in the mailbox if it is new there: in one
// round trip where one Redis has both.
func (w *claim) enter(ctx context.Context) (f found, err error) {
	if w.member {
		return w.look(ctx)
	}
	w.member = true
	if w.clustered || w.replicas > 0 {
		if w.entered, err = w.enroll(ctx, w.box, w.id); err != nil {
			return f, err
		}
		return w.look(ctx)
	}
	w.entered = w.records.entries.next()
	var enter, look *goredis.Cmd
	err = w.retry(ctx, "claim session", func(ctx context.Context) error {
		return w.ask(ctx, func(p goredis.Pipeliner) []goredis.Cmder {
			enter = stepMembers.Run(ctx, p, []string{w.keys.box(w.box, boxMeta)}, w.epoch, w.entered, 1, string(w.id))
			look = stepClaim.Run(ctx, p, []string{w.key}, w.args()...)
			return []goredis.Cmder{enter, look}
		})
	})
	if err != nil {
		return f, err
	}
	if enter.Val() != int64(1) {
		return f, errBoxLost
	}
	return w.found(look.Val())
}

// leave undoes enter.
func (w *claim) leave() {
	if w.entered != 0 {
		w.unenroll(w.box, w.id, w.entered)
	}
}
