package bridge

import (
	"context"
	"slices"
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
	many := settleMany
	if c.clustered {
		many = 1 // each session is in a slot of its own
	}
	for part := range slices.Chunk(list, many) {
		if err == nil {
			err = c.settlePart(ctx, part)
		}
	}
	if err != nil && ctx.Err() == nil {
		c.log.Info("moves of sessions are remembered for longer", "error", err)
	}
}

// settleMany is how many sessions one step settles.
const settleMany = 128

// settlePart settles sessions that came to one mailbox in one of its epochs, or one.
func (c *claims) settlePart(ctx context.Context, list []settled) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].tag == list[0].tag {
			n++
		}
		keys, args := make([]string, n), make([]any, n+1)
		args[0] = list[0].tag
		for i := range list[:n] {
			keys[i], args[i+1] = c.keys.session(list[i].id)+sessionHead, uint64(list[i].since)
		}
		if _, err := c.step(ctx, stepClaimSettle, keys, args...); err != nil {
			return err
		}
		for i := range list[:n] {
			c.router.Settled(list[i].id, list[i].since)
		}
		list = list[n:]
	}
	return nil
}
