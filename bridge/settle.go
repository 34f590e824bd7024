package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

// settling are sessions that have come here, of which it is still remembered what their
// old mailbox may have delivered. It is forgotten when an empty route change that was
// appended after the move has passed its barrier and the inbox has been consumed to the
// end that it had then: nothing that was matched before the move can come any more.
type settling struct {
	mu      sync.Mutex
	list    []settled
	running bool
}

type settled struct {
	id    message.ClientID
	box   message.MailboxID
	tag   string
	since message.Position
}

// settleEvery is how long moves are gathered that one route change settles.
const settleEvery = time.Second

func (c *claims) settle(id message.ClientID, box message.MailboxID, tag string, since message.Position) {
	s := &c.moved
	s.mu.Lock()
	s.list = append(s.list, settled{id, box, tag, since})
	start := !s.running
	s.running = true
	s.mu.Unlock()
	if start {
		c.spawn(c.settleAll) // none runs after the end, and none is needed
	}
}

// settleAll runs while there is something to settle.
func (c *claims) settleAll(ctx context.Context) {
	t := time.NewTimer(settleEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		s := &c.moved
		s.mu.Lock()
		list := s.list
		s.list = nil
		s.running = len(list) > 0
		s.mu.Unlock()
		if len(list) == 0 {
			return
		}
		c.settleThese(ctx, list)
		t.Reset(settleEvery)
	}
}

func (c *claims) settleThese(ctx context.Context, list []settled) {
	box := list[0].box // the own one, of which a process has one
	at, err := c.routes.change(ctx, box, nil, nil, true)
	if err == nil {
		err = c.routes.pass(ctx, at)
	}
	if err == nil {
		err = c.mail.CaughtUp(ctx)
	}
	for i := 0; err == nil && i < len(list); i++ {
		m := &list[i]
		key := c.keys.session(m.id) + sessionHead
		if _, err = c.step(ctx, stepClaimSettle, []string{key}, m.tag, uint64(m.since)); err == nil {
			c.router.Settled(m.id, m.since)
		}
	}
	if err != nil && ctx.Err() == nil {
		c.log.Info("moves of sessions are remembered for longer", "error", err)
	}
}
