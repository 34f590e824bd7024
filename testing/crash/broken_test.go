package crash

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// late is how long a broken store keeps what it has called committed.
const late = 50 * time.Millisecond

// broken calls a batch committed and hands it on later. What is read is complete, so
// that it is right for as long as the process lives.
type broken struct {
	store.Store
	done chan struct{}

	mu      sync.Mutex // held while batches are handed on, which keeps their order
	waiting []step
}

// step is a batch, or the beginning or the end of a group.
type step func()

type ignored struct{}

func (ignored) Committed(error) {}

func breakStore(s store.Store) store.Store {
	b := &broken{Store: s, done: make(chan struct{})}
	go b.write() // until Close
	return b
}

func (b *broken) write() {
	tick := time.NewTicker(late)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-tick.C:
			b.flush()
		}
	}
}

func (b *broken) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.waiting {
		s()
	}
	b.waiting = nil
}

func (b *broken) later(s step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, s)
}

// Commit implements store.Committer, wrongly.
func (b *broken) Commit(batch *store.Batch, done store.Committed) {
	own := *batch
	own.Ops = slices.Clone(batch.Ops)
	b.later(func() { b.Store.Commit(&own, ignored{}) })
	done.Committed(nil)
}

// Begin and End of several callers would mix with what waits: a group is lost as any
// batch is, so they are left out.
func (b *broken) Begin() {}
func (b *broken) End()   {}

func (b *broken) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	b.flush()
	return b.Store.Load(ctx, id)
}

func (b *broken) Page(ctx context.Context, id message.ClientID, after uint64, most int, bytes int64) ([]store.Entry, error) {
	b.flush()
	return b.Store.Page(ctx, id, after, most, bytes)
}

func (b *broken) Close() error {
	close(b.done)
	b.flush()
	return b.Store.Close()
}
