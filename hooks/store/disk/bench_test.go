package disk

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// flow is a callback that lets a bounded number of batches be under way.
type flow struct {
	free chan struct{}
	wg   sync.WaitGroup
	fail chan error
}

func newFlow(n int) *flow {
	f := &flow{free: make(chan struct{}, n), fail: make(chan error, 1)}
	for range n {
		f.free <- struct{}{}
	}
	return f
}

// Committed implements store.Committed.
func (f *flow) Committed(err error) {
	if err != nil {
		select {
		case f.fail <- err:
		default: // one is enough
		}
	}
	f.free <- struct{}{}
	f.wg.Done()
}

func (f *flow) commit(s store.Store, b *store.Batch) {
	<-f.free
	f.wg.Add(1)
	s.Commit(b, f)
}

func (f *flow) wait(tb testing.TB) {
	f.wg.Wait()
	select {
	case err := <-f.fail:
		tb.Fatal(err)
	default:
	}
}

func client(i int) message.ClientID { return message.ClientID(fmt.Sprint("client-", i)) }

func begin(id message.ClientID, ops ...store.Op) *store.Batch {
	head := store.Op{Kind: store.KindSession, Session: &store.Session{ID: id, Epoch: 1, Version: message.V5, Expiry: 60}}
	return &store.Batch{Client: id, Epoch: 1, Ops: append([]store.Op{head}, ops...)}
}

func put(seq uint64, m *message.Message) store.Op {
	return store.Op{Kind: store.KindEntry, Seq: seq, Entry: store.Entry{Msg: m, Seq: seq, QoS: 1}}
}

func sent(seq uint64) store.Op {
	return store.Op{Kind: store.KindState, Seq: seq, State: store.State{ID: message.PacketID(1 + seq%1000), Phase: store.Sent}}
}

func del(seq uint64) store.Op { return store.Op{Kind: store.KindEntry, Delete: true, Seq: seq} }

func text(n, size int) *message.Message {
	return &message.Message{
		ID: message.ID{Run: 1 << 62, Seq: uint64(n)}, Topic: "bench/topic/" + fmt.Sprint(n%10), Payload: make([]byte, size),
		Publisher: "publisher", Created: 1_700_000_000_000_000_001, QoS: 1,
	}
}

func on(id message.ClientID, ops ...store.Op) *store.Batch {
	return &store.Batch{Client: id, Epoch: 1, Ops: ops}
}

// BenchmarkEnqueue: one message of 64 bytes for one of 10 sessions at a time.
func BenchmarkEnqueue(b *testing.B) {
	s := open(b, Options{MemTable: DefaultMemTable})
	f := newFlow(10_000)
	for i := range 10 {
		f.commit(s, begin(client(i)))
	}
	f.wait(b)
	ids := make([]message.ClientID, 10)
	for i := range ids {
		ids[i] = client(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		f.commit(s, on(ids[i%10], put(uint64(i/10+1), text(i, 64))))
	}
	f.wait(b)
}

// BenchmarkDrain: pages of what is on disk, states, deletions.
func BenchmarkDrain(b *testing.B) {
	s := open(b, Options{MemTable: DefaultMemTable})
	f := newFlow(10_000)
	f.commit(s, begin("c"))
	for i := range b.N {
		f.commit(s, on("c", put(uint64(i+1), text(i, 64))))
	}
	f.wait(b)
	b.ReportAllocs()
	b.ResetTimer()
	after := uint64(0)
	for after < uint64(b.N) {
		page, err := s.Page(context.Background(), "c", after, 1000, 1<<20)
		if err != nil || len(page) == 0 {
			b.Fatal(len(page), err)
		}
		for i := 0; i < len(page); i += 20 {
			var states, dels []store.Op
			for k := i; k < min(i+20, len(page)); k++ {
				states, dels = append(states, sent(page[k].Seq)), append(dels, del(page[k].Seq))
			}
			f.commit(s, on("c", states...))
			f.commit(s, on("c", dels...))
		}
		after = page[len(page)-1].Seq
	}
	f.wait(b)
}

// BenchmarkFanout: one message of 1 KiB for 10,000 sessions.
func BenchmarkFanout(b *testing.B) {
	s := open(b, Options{MemTable: DefaultMemTable})
	const n = 10_000
	f := newFlow(2 * n)
	ids := make([]message.ClientID, n)
	for i := range n {
		ids[i] = client(i)
		f.commit(s, begin(ids[i]))
	}
	f.wait(b)
	b.ReportAllocs()
	b.ResetTimer()
	var m *message.Message
	for i := range b.N {
		if i%n == 0 {
			m = text(i, 1024)
		}
		f.commit(s, on(ids[i%n], put(uint64(i/n+1), m)))
	}
	f.wait(b)
}

// BenchmarkOpen: 20,000 sessions with a subscription and 10 messages each.
func BenchmarkOpen(b *testing.B) {
	const sessions, each = 20_000, 10
	o := Options{Dir: b.TempDir(), MemTable: DefaultMemTable}
	s := open(b, o)
	f := newFlow(20_000)
	for i := range sessions {
		f.commit(s, begin(client(i), store.Op{Kind: store.KindSubscription, Filter: "a/+/b", Sub: &store.Subscription{Filter: "a/+/b", QoS: 1}}))
	}
	for k := range each {
		for i := range sessions {
			batch := on(client(i), put(uint64(k+1), text(k, 64)))
			batch.Queue = store.Queue{Messages: k + 1, Bytes: int64(64 * (k + 1)), Last: uint64(k + 1)}
			f.commit(s, batch)
		}
	}
	f.wait(b)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := open(b, o)
		if messages, _ := s.Totals(); messages != sessions*each {
			b.Fatalf("%d messages", messages)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
