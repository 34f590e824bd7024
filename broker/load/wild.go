package load

import (
	"context"
	"fmt"
)

// standingBatch is how many SUBSCRIBE are under way at a time.
const standingBatch = 200

// wildTopic is what pair i publishes to and subscribes with.
func (r *run) wildTopic(i int) (topic, filter string) {
	topic = fmt.Sprintf("site/%d/line/%d/x/%spair%d/t", i%97, i, r.o.Prefix, i)
	filter = fmt.Sprintf("site/+/line/%d/+/%spair%d/#", i, r.o.Prefix, i)
	return topic, filter
}

// StandingFilter is standing subscription i of Wild. It never matches, in a deep and
// broad tree that the pairs' topics walk.
func StandingFilter(i int) string {
	return fmt.Sprintf("site/%d/line/%d/+/dev%d/#", i%97, i%1009, i)
}

// openBystander connects the client that has all the standing subscriptions.
func (r *run) openBystander(ctx context.Context) error {
	c, err := r.open(ctx, "by", cleanSession, 0)
	if err != nil {
		return err
	}
	r.phase.Store("subscribing")
	for i := 0; i < r.o.Subs; i += standingBatch {
		if err := c.bounded(ctx, func() error { return c.subscribeStanding(i, min(i+standingBatch, r.o.Subs)) }); err != nil {
			return fmt.Errorf("%s, standing subscription %d: %w", c.id, i, err)
		}
	}
	s := r.newSubscriber(c, 0)
	r.wg.Go(s.receive)
	return nil
}

func (c *client) subscribeStanding(from, to int) error {
	var out []byte
	for i := from; i < to; i++ {
		out = append(out, subscribeFrame(c.version, uint16(i-from+1), StandingFilter(i), 0)...)
	}
	if _, err := c.conn.Write(out); err != nil {
		return err
	}
	for range to - from {
		if err := c.readSuback(0); err != nil {
			return err
		}
	}
	return nil
}
