package bridge

import (
	"context"
	"errors"
	"fmt"
)

var (
	stepInboxTrim  = step("inbox_trim")
	stepInboxAside = step("inbox_aside")
)

// trimAll trims what is done until the mailbox is lost.
func (c *consumer) trimAll() {
	for {
		select {
		case <-c.done:
		case <-c.ctx.Done():
			return
		}
		if sleep(c.ctx, trimPause, c.many) != nil {
			return
		}
		if err := c.trim(c.ctx); err != nil && c.ctx.Err() == nil {
			c.m.complain("an inbox is not trimmed", fmt.Errorf("mailbox %s: %w", c.box, err))
		}
	}
}

// trim removes what is done. Who has the mailbox no longer is refused.
func (c *consumer) trim(ctx context.Context) error {
	c.mu.Lock()
	c.since = 0
	c.mu.Unlock()
	low := c.finished.now()
	v, err := c.m.step(ctx, stepInboxTrim, []string{c.inbox(), c.m.keys.box(c.box, boxMeta)}, c.epoch, entryID(low+1))
	if err != nil {
		return err
	}
	if v == int64(0) {
		c.m.leases.kick()
		return errBoxLost
	}
	return nil
}

// boxBad is the part of a mailbox's keys with entries that could not be read.
const boxBad = "bad"

// asideCount is how many damaged entries of a mailbox are kept.
const asideCount = 1000

// aside keeps an entry that cannot be read, before it is trimmed with the others. It
// reports whether it is kept.
func (c *consumer) aside(id, data string, why error) bool {
	c.m.figures.Aside.Inc()
	c.m.log.Error("an entry of an inbox cannot be read and is kept aside", "mailbox", string(c.box), "entry", id, "error", why)
	_, err := c.m.step(c.ctx, stepInboxAside, []string{c.m.keys.box(c.box, boxBad), c.m.keys.box(c.box, boxMeta)}, c.epoch, id, data, asideCount)
	if err != nil && c.ctx.Err() == nil {
		c.m.complain("a damaged entry could not be kept", err)
	}
	return err == nil
}

// rest waits until all that was handed over is done, and trims it: an adopter then has
// nothing to do again.
func (m *mail) rest(ctx context.Context) error {
	m.reading.Lock()
	all := make([]*consumer, 0, len(m.inboxes))
	for _, c := range m.inboxes {
		all = append(all, c)
	}
	m.reading.Unlock()
	var errs []error
	for _, c := range all {
		err := c.await(ctx, &c.finished, c.handed.now())
		if err == nil {
			err = c.trim(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
