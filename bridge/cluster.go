package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/skeinmq/skein/broker/message"
)

// cluster is leases, routes and mail together: what an instance is to the others, but for
// its records.
type cluster struct {
	*link
	*leases
	*routes
	*mail

	in     Receiver
	tenure tenure
}

// newCluster prepares one; nothing runs yet. The functions of t are called after routes and
// mail of the mailbox have been looked after.
func newCluster(l *link, o *Options, t tenure) *cluster {
	c := &cluster{link: l, tenure: t}
	c.leases = newLeases(l, o.Lease, tenure{adopt: c.adopt, gone: c.gone, lost: c.lost})
	c.mail = newMail(l, c.leases, o.Lease)
	c.routes = newRoutes(l, c.leases, c.mail.flush)
	c.mail.applied = &c.routes.applied
	return c
}

// open takes the lease of a mailbox of this process's own and makes its inbox. It is
// renewed from then on.
func (c *cluster) open(ctx context.Context, box message.MailboxID) error {
	if err := c.leases.open(ctx, box); err != nil {
		return err
	}
	c.from(box)
	c.spawn(c.run)
	return nil
}

// start loads all routes and follows their changes, which the lease has to precede.
func (c *cluster) start(ctx context.Context, in interface {
	Receiver
	Follower
},
) error {
	c.in = in
	c.spawn(c.newEar(c.link.keys.signals(), c.beat, c.figures.Deaf.Inc, c.signal).run)
	c.spawn(func(ctx context.Context) { c.follow(ctx, in) })
	if err := c.join(ctx); err != nil {
		return fmt.Errorf("load the routes: %w", err)
	}
	return nil
}

// serve begins with what comes for the own mailbox, and with taking over others.
func (c *cluster) serve() error {
	if err := c.consume(c.mine(), c.in); err != nil {
		return err
	}
	c.take(true)
	return nil
}

// reopen is open, start and serve after the own mailbox was lost.
func (c *cluster) reopen(ctx context.Context, box message.MailboxID) error {
	if err := c.leases.open(ctx, box); err != nil {
		return err
	}
	c.from(box)
	if err := c.join(ctx); err != nil {
		return fmt.Errorf("load the routes: %w", err)
	}
	return c.serve()
}

// signal takes what is said to all instances.
func (c *cluster) signal(text string) {
	if text == "released" {
		c.kick()
		return
	}
	c.barrier.hear(text)
}

// adopt takes over a mailbox: its routes stay, its sessions are loaded, and only then is
// its inbox read.
func (c *cluster) adopt(ctx context.Context, box message.MailboxID, epoch uint64) error {
	if err := c.seed(ctx, box); err != nil {
		return err
	}
	if err := c.tenure.adopt(ctx, box, epoch); err != nil {
		return err
	}
	c.settle(box)
	return c.consume(box, c.in)
}

func (c *cluster) gone(box message.MailboxID) {
	c.routes.forget(box)
	c.tenure.gone(box)
}

// lost gives up what is on its way as the mail of a mailbox that is another's.
func (c *cluster) lost(box message.MailboxID) {
	c.routes.forget(box)
	c.from("")
	c.tenure.lost(box)
}

// errInhabited is why a mailbox is not deleted.
var errInhabited = errors.New("bridge: sessions are entered in the mailbox")

// abolish deletes a mailbox in which nobody lives: its routes are removed already and their
// barrier has passed. It waits until its inbox is consumed to its end. A mailbox in which a
// session is entered stays.
func (c *cluster) abolish(ctx context.Context, box message.MailboxID, parts ...string) error {
	_, epoch, ok := c.epoch(box)
	if !ok {
		return errBoxLost
	}
	if err := c.empty(ctx, box); err != nil {
		return err
	}
	keys := []string{c.keys.box(box, boxMeta), c.keys.box(box, boxSessions)}
	for _, part := range append(parts, boxInbox, boxBad) {
		keys = append(keys, c.keys.box(box, part))
	}
	v, err := c.step(ctx, stepBoxDrop, keys, epoch)
	if err != nil {
		return err
	}
	switch v {
	case int64(0):
		return errBoxLost
	case int64(-1):
		return errInhabited
	}
	c.routes.forget(box)
	return c.remove(ctx, box)
}

var stepBoxDrop = step("box_drop")
