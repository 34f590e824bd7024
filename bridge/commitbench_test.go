package bridge

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// count is a callback that counts down.
type count struct {
	b    *testing.B
	left atomic.Int64
	all  chan struct{}
}

func newCount(b *testing.B, n int) *count {
	c := &count{b: b, all: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

// Committed implements store.Committed.
func (c *count) Committed(err error) {
	if err != nil {
		c.b.Errorf("commit: %v", err)
	}
	if c.left.Add(-1) == 0 {
		close(c.all)
	}
}

// BenchmarkCommit commits entries of 64 bytes, a batch each, to 20,000 sessions, and takes
// them away again.
func BenchmarkCommit(b *testing.B) {
	const sessions = 20_000
	server := startRedis(b)
	r := newRig(b, server.URL(), newPrefix(), "own")
	ids := make([]message.ClientID, sessions)
	made := newCount(b, sessions)
	for i := range ids {
		ids[i] = message.ClientID(fmt.Sprint("client", i))
		r.Commit(batchOf(ids[i], headOp(ids[i])), made)
	}
	<-made.all
	never := func() <-chan struct{} { return nil }
	var seq uint64
	run := func(b *testing.B, op func(seq uint64) store.Op) {
		done := newCount(b, b.N)
		for i := range b.N {
			r.Wait(never)
			n := uint64(i/sessions) + seq + 1
			r.Commit(&store.Batch{Client: ids[i%sessions], Ops: []store.Op{op(n)}, Queue: store.Queue{Messages: 1, Bytes: 67, Last: n}}, done)
		}
		<-done.all
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		seq += uint64(b.N/sessions) + 1
	}
	b.Run("enqueue", func(b *testing.B) { run(b, func(n uint64) store.Op { return entryOp(n, 1) }) })
	first := seq
	seq = 0
	b.Run("drain", func(b *testing.B) { run(b, func(n uint64) store.Op { return unqueueOp(n) }) })
	seq = first
	b.Run("enqueue2", func(b *testing.B) { run(b, func(n uint64) store.Op { return entryOp(n, 2) }) })
}
