package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/hooks/store"
)

// epochs: equal and higher pass, lower is refused, for every kind of operation.
func epochs(s *suite) {
	s.commit(begin("client", 5))
	s.commit(on("client", 5, entry(1)))
	s.refused(store.ErrFenced, on("client", 4, entry(2)))
	s.commit(begin("client", 9, entry(3)))
	for _, op := range []store.Op{
		entry(4), remove(entry(1)), state(1, 3, store.Sent), received(1), subscribe("a", 1), head("client", 8), head("client", 10),
		{Kind: store.KindSession, Delete: true},
	} {
		s.refused(store.ErrFenced, on("client", 8, op))
	}
	s.refused(store.ErrFenced, on("client", 0, entry(4)))
	s.commit(on("client", 9, entry(5)))
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if img.Session.Epoch != 9 || len(img.Entries) != 3 || img.Entries[0].State.ID != 0 || len(img.Subs)+len(img.Received) > 0 {
		s.Errorf("stored is\n%s", render(img))
	}
	s.commit(begin("client", 1<<62))
	s.refused(store.ErrFenced, on("client", 9, entry(6)))
	s.commit(begin("other", 1)) // has an epoch of its own
	s.commit(on("other", 1, entry(1)))
}

// fenced: nothing of a refused batch is there, and those after it are answered.
func fenced(s *suite) {
	s.commit(full("client", 7))
	before := s.image("client")
	l := newLog(3)
	s.Commit(on("client", 7), note{l, 0})
	s.Commit(on("client", 6, entry(100), remove(subscribe("#", 0)), remove(received(1))), note{l, 1})
	s.Commit(on("client", 7), note{l, 2})
	<-l.all
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errs != 1 || l.got[0] != 0 || l.got[1] != 1 || l.got[2] != 2 {
		s.Errorf("%d errors, answers %v", l.errs, l.got)
	}
	s.same("session", s.image("client"), before)
}

// staleOwner: one that goes on committing beside its successor gets a prefix
// through and nothing after it.
func staleOwner(s *suite) {
	const n = 200
	s.commit(begin("client", 1))
	var wg sync.WaitGroup
	var passed, refused, late atomic.Int64
	claimed := make(chan struct{})
	wg.Go(func() {
		for i := range n {
			if err := s.do(on("client", 1, entry(uint64(i+1)))); err == nil {
				passed.Add(1)
				if refused.Load() > 0 {
					late.Add(1)
				}
			} else {
				refused.Add(1)
			}
			if i == n/2 {
				<-claimed // so that the other half comes late for certain
			}
		}
	})
	s.commit(begin("client", 2))
	close(claimed)
	wg.Wait()
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if late.Load() > 0 || int64(len(img.Entries)) != passed.Load() || refused.Load() < n/2-1 || img.Session.Epoch != 2 {
		s.Error(fmt.Sprintf("%d passed, %d refused, %d passed after a refusal; stored is\n", passed.Load(), refused.Load(), late.Load()), render(img))
	}
}
