package memory_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
	"github.com/skeinmq/skein/hooks/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}

type answer struct {
	n   int
	err error
}

func (a *answer) Committed(err error) { a.n, a.err = a.n+1, err }

func TestCommitAnswersBeforeItReturns(t *testing.T) {
	s := memory.New()
	for _, b := range []*store.Batch{{Client: "c", Ops: []store.Op{{Kind: store.KindSession, Session: &store.Session{ID: "c"}}}}, {Client: "x", Ops: []store.Op{{}}}, {}} {
		var a answer
		if s.Commit(b, &a); a.n != 1 {
			t.Errorf("%d answers", a.n)
		}
	}
}

func TestReadersHeedTheirContext(t *testing.T) {
	s := memory.New()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Load(ctx, "c")
	for i, err := range []error{
		err,
		s.Heads(ctx, func(*store.Head) bool { return true }),
		s.Retained(ctx, func(*message.Message) bool { return true }),
		s.Delayed(ctx, func(uint64, int64, *message.Message) bool { return true }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("reader %d: %v", i, err)
		}
	}
}

func BenchmarkEntryStateDelete(b *testing.B) {
	s := memory.New()
	var a answer
	s.Commit(&store.Batch{Client: "c", Ops: []store.Op{{Kind: store.KindSession, Session: &store.Session{ID: "c"}}}}, &a)
	m := &message.Message{Topic: "t"}
	batch := &store.Batch{Client: "c", Ops: []store.Op{
		{Kind: store.KindEntry, Seq: 1, Entry: store.Entry{Msg: m, Seq: 1, QoS: 1}},
		{Kind: store.KindState, Seq: 1, State: store.State{ID: 1, Phase: store.Sent}},
		{Kind: store.KindEntry, Seq: 1, Delete: true},
	}}
	b.ReportAllocs()
	for b.Loop() {
		s.Commit(batch, &a)
	}
	if a.err != nil {
		b.Fatal(a.err)
	}
}
