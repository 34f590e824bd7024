package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// twins connects two clients with one identifier at once, again and again: at most one may
// stay, and the session of both is always there.
func (l *Load) twins(ctx context.Context, rng *rand.Rand) {
	const id = "twin"
	known := false
	for l.Busy.Err() == nil && ctx.Err() == nil {
		c := persistent(version(rng), id)
		links := make(chan *link, 2)
		for range 2 {
			l.spawn(func() { links <- l.twin(ctx, c, known) })
		}
		a, b := <-links, <-links
		known = known || a != nil || b != nil
		if a != nil && b != nil {
			l.note(ctx, id, l.oneEnds(a, b))
		}
		for _, k := range []*link{a, b} {
			if k != nil {
				k.close()
			}
		}
		Pause(ctx, time.Duration(rng.Int64N(int64(l.Pace.Offline))))
	}
}

// twin connects one; nil is that it was refused.
func (l *Load) twin(ctx context.Context, c harness.Connect, known bool) *link {
	k, ack, err := l.dial(ctx, c)
	if err != nil {
		return nil
	}
	l.Rec.connected(Connected{Client: c.ID, Known: known, Present: ack.present})
	return k
}

// oneEnds waits until one of two connections is ended by the broker.
func (l *Load) oneEnds(a, b *link) error {
	ends := make(chan error, 2)
	until := time.Now().Add(l.Pace.Patience)
	for _, k := range []*link{a, b} {
		l.spawn(func() {
			p, err := k.read(until)
			if err == nil {
				err = fmt.Errorf("%w: packet type %d", errAnswer, p.kind)
			}
			ends <- err
		})
	}
	return <-ends
}
