package storetest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// roundtrip: every field of every record comes back.
func roundtrip(s *suite) {
	b := full("client", 7)
	s.commit(b)
	want := &store.Image{Session: *b.Ops[0].Session, Received: []message.PacketID{1, 65535}}
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case store.KindSubscription:
			want.Subs = append(want.Subs, *op.Sub)
		case store.KindEntry:
			want.Entries = append(want.Entries, store.StoredEntry{Entry: op.Entry})
		case store.KindState:
			want.Entries[op.Seq-1].State = op.State
		case store.KindCursor:
			want.Cursors = append(want.Cursors, *op.Cursor)
		}
	}
	s.same("session", s.image("client"), render(want))
}

// overwrite: writing again replaces, and a state without an entry is nothing.
func overwrite(s *suite) {
	s.commit(full("client", 1))
	other := &store.Session{ID: "client", Epoch: 2, Version: message.V311}
	e := entry(3)
	e.Entry.QoS, e.Entry.SubIDs, e.Entry.Retain = 2, nil, true
	s.commit(on("client", 2,
		store.Op{Kind: store.KindSession, Session: other}, subscribe("#", 2), e, state(3, 9, store.Sent), state(3, 9, store.Released),
		state(77, 3, store.Sent), received(1)))
	got := s.image("client")
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if len(img.Subs) != 3 || len(img.Entries) != 4 || len(img.Received) != 2 || img.Session != *other {
		s.Errorf("stored is\n%s", got)
	}
	third := img.Entries[2]
	if third.QoS != 2 || len(third.SubIDs) != 0 || !third.Retain || third.State != (store.State{ID: 9, Phase: store.Released}) {
		s.Errorf("entry 3 is %+v", third)
	}
}

func deleteRecords(s *suite) {
	s.commit(full("client", 1))
	s.commit(on("client", 1,
		remove(subscribe("#", 0)), remove(subscribe("not there", 0)), remove(entry(1)), remove(entry(99)), remove(received(1)), remove(received(9)),
		entry(50), remove(entry(50)), remove(entry(4)), entry(4)))
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if len(img.Subs) != 2 || len(img.Entries) != 3 || img.Entries[0].Seq != 2 || img.Entries[2].Seq != 4 || len(img.Received) != 1 || img.Received[0] != 65535 {
		s.Errorf("stored is\n%s", render(img))
	}
	s.commit(on("client", 1, remove(entry(2)), entry(2)))
	img, err = s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if img.Entries[0].State != (store.State{}) {
		s.Errorf("an entry that was written anew has the state %+v", img.Entries[0].State)
	}
}

// entryOrder: numbers are numbers, not bytes or text.
func entryOrder(s *suite) {
	seqs := []uint64{1 << 40, 10, 9, 255, 256, 65536, 1, 1<<63 + 1, 1 << 63, 100}
	s.commit(begin("client", 1))
	for _, n := range seqs {
		s.commit(on("client", 1, entry(n)))
	}
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if len(img.Entries) != len(seqs) || !slices.IsSortedFunc(img.Entries, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) }) {
		s.Errorf("stored is\n%s", render(img))
	}
}

func deleteSession(s *suite) {
	s.commit(full("client", 3))
	s.commit(on("client", 3, store.Op{Kind: store.KindSession, Delete: true}))
	s.gone("client")
	if err := s.Heads(ctx, func(h *store.Head) bool {
		s.Errorf("head of %q is still there", h.Session.ID)
		return true
	}); err != nil {
		s.Error(err)
	}
	s.commit(on("client", 3, store.Op{Kind: store.KindSession, Delete: true})) // nothing left to do
	s.gone("client")
}

// newSessionAfterDelete: a clean start finds nothing of what was.
func newSessionAfterDelete(s *suite) {
	gone := store.Op{Kind: store.KindSession, Delete: true}
	for i, inOne := range []bool{false, true} {
		epoch := message.Epoch(10 + i)
		s.commit(full("client", epoch))
		if inOne {
			s.commit(on("client", epoch, gone, head("client", epoch), entry(2)))
		} else {
			s.commit(on("client", epoch, gone))
			s.commit(begin("client", epoch, entry(2)))
		}
		img, err := s.Load(ctx, "client")
		if err != nil {
			s.Fatal(err)
		}
		if len(img.Subs) != 0 || len(img.Received) != 0 || len(img.Entries) != 1 || img.Entries[0].State != (store.State{}) || img.Session.Will != nil {
			s.Errorf("deleted in the same batch %v: stored is\n%s", inOne, render(img))
		}
	}
}

// neighbours: client ids that are prefixes of each other, or look like keys.
func neighbours(s *suite) {
	ids := []message.ClientID{"a", "a/", "a/b", "ab", "aa", "a}", "a:1", "A", "é", "a\x01", message.ClientID(strings.Repeat("x", 65535)), message.ClientID(strings.Repeat("x", 65534))}
	for i, id := range ids {
		s.commit(begin(id, 1, entry(uint64(i+1)), subscribe("f", 1), received(message.PacketID(i+1))))
	}
	for i, id := range ids {
		img, err := s.Load(ctx, id)
		if err != nil {
			s.Fatal(err)
		}
		if img.Session.ID != id || len(img.Entries) != 1 || img.Entries[0].Seq != uint64(i+1) || len(img.Received) != 1 || len(img.Subs) != 1 {
			s.Errorf("session %.20q is\n%s", id, render(img))
		}
		s.commit(on(id, 1, store.Op{Kind: store.KindSession, Delete: true}))
		s.gone(id)
	}
}

// unknownSession: records without a session are refused and leave nothing.
func unknownSession(s *suite) {
	s.refused(store.ErrNotFound, on("nobody", 1, entry(1), subscribe("a", 1)))
	s.gone("nobody")
	s.commit(begin("nobody", 1))
	img, err := s.Load(ctx, "nobody")
	if err != nil {
		s.Fatal(err)
	}
	if len(img.Entries)+len(img.Subs) > 0 {
		s.Errorf("stored is\n%s", render(img))
	}
	s.commit(on("other", 1, subscribe("a", 1), head("other", 1))) // the head may come last
	if img, err = s.Load(ctx, "other"); err != nil || len(img.Subs) != 1 {
		s.Errorf("session %v, %v", img, err)
	}
}

func heads(s *suite) {
	want := map[message.ClientID]string{}
	for _, id := range []message.ClientID{"a", "b", "c"} {
		b := full(id, 4)
		b.Queue = store.Queue{Messages: 3, Bytes: 33, Last: 9}
		s.commit(b)
		want[id] = renderSubs([]store.Subscription{*b.Ops[1].Sub, *b.Ops[2].Sub, *b.Ops[3].Sub})
	}
	seen := map[message.ClientID]int{}
	err := s.Heads(ctx, func(top *store.Head) bool {
		h := top.Session
		seen[h.ID]++
		img, err := s.Load(ctx, h.ID) // a visitor may read
		if err != nil {
			s.Errorf("load %q: %v", h.ID, err)
			return true
		}
		s.same("head", render(&store.Image{Session: h, Queue: top.Queue}), render(&store.Image{Session: img.Session, Queue: store.Queue{Messages: 3, Bytes: 33, Last: 9}}))
		s.same("subscriptions", renderSubs(top.Subs), want[h.ID])
		s.commit(on(h.ID, 4, received(5))) // and write
		return true
	})
	if err != nil || len(seen) != 3 || seen["a"]+seen["b"]+seen["c"] != 3 {
		s.Errorf("visited %v, %v", seen, err)
	}
	n := 0
	if err := s.Heads(ctx, func(*store.Head) bool { n++; return false }); err != nil || n != 1 {
		s.Errorf("visited %d after an end, %v", n, err)
	}
}
