package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

func cursors(s *suite) {
	s.commit(begin("client", 1, cursor("a", "x"), cursor("b", "y"), cursor("c", "")))
	s.commit(on("client", 1, cursor("a", "z"), remove(cursor("b", "")), remove(cursor("not there", ""))))
	img, err := s.Load(ctx, "client")
	if err != nil {
		s.Fatal(err)
	}
	if len(img.Cursors) != 2 || img.Cursors[0] != *cursor("a", "z").Cursor || img.Cursors[1] != *cursor("c", "").Cursor {
		s.Errorf("cursors are %+v", img.Cursors)
	}
	s.commit(on("client", 1, store.Op{Kind: store.KindSession, Delete: true}))
	s.commit(begin("client", 1))
	if img, err = s.Load(ctx, "client"); err != nil || len(img.Cursors) > 0 {
		s.Errorf("a new session has the cursors %+v, %v", img.Cursors, err)
	}
}

// page answers the numbers of a page.
func (s *suite) page(id message.ClientID, after uint64, n int, bytes int64) (seqs []uint64) {
	s.Helper()
	entries, err := s.Page(ctx, id, after, n, bytes)
	if err != nil {
		s.Fatalf("page: %v", err)
	}
	for i := range entries {
		seqs = append(seqs, entries[i].Seq)
	}
	return seqs
}

// pages: a page is bounded by number, and by size beyond its first entry.
func pages(s *suite) {
	b := begin("client", 1)
	for seq := range uint64(300) {
		b.Ops = append(b.Ops, entry(2*seq+2))
	}
	s.commit(b)
	s.commit(begin("other", 1, entry(1)))
	size := int64(entry(2).Entry.Msg.Size())
	for _, c := range []struct {
		after uint64
		n     int
		bytes int64
		want  []uint64
	}{
		{0, 3, 1 << 20, []uint64{2, 4, 6}},
		{4, 2, 1 << 20, []uint64{6, 8}},
		{5, 2, 1 << 20, []uint64{6, 8}},
		{0, 9, 2*size - 1, []uint64{2}},
		{0, 9, 2 * size, []uint64{2, 4}},
		{0, 9, 0, []uint64{2}},
		{510, 2, 1 << 20, []uint64{512, 514}},
		{598, 5, 1 << 20, []uint64{600}},
		{600, 5, 1 << 20, nil},
		{1<<64 - 1, 5, 1 << 20, nil},
	} {
		if got := s.page("client", c.after, c.n, c.bytes); !slices.Equal(got, c.want) {
			s.Errorf("page of %d and %d bytes after %d is %v, want %v", c.n, c.bytes, c.after, got, c.want)
		}
	}
	var all []uint64
	for p := s.page("client", 0, 7, 1<<20); len(p) > 0 && len(all) < 300; p = s.page("client", all[len(all)-1], 7, 1<<20) {
		all = append(all, p...)
	}
	if len(all) != 300 || !slices.IsSorted(all) {
		s.Errorf("%d entries came in pages: %v", len(all), all)
	}
	if _, err := s.Page(ctx, "nobody", 0, 1, 1); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("page of no session: %v", err)
	}
}

// pageSkipsBegun: what is in flight or gone is in no page, whatever the order in
// which it went; entries come back whole.
func pageSkipsBegun(s *suite) {
	s.commit(begin("client", 1, entry(1), entry(2), entry(3), entry(4), entry(5), entry(6)))
	s.commit(on("client", 1, state(1, 1, store.Sent), state(3, 2, store.Released), state(4, 3, store.Queued), remove(entry(5))))
	if got := s.page("client", 0, 9, 1<<20); !slices.Equal(got, []uint64{2, 4, 6}) {
		s.Errorf("the page has %v, want 2, 4 and 6", got)
	}
	p, err := s.Page(ctx, "client", 1, 1, 1<<20)
	if err != nil || len(p) != 1 {
		s.Fatalf("page %v, %v", p, err)
	}
	s.same("entry", render(&store.Image{Entries: []store.StoredEntry{{Entry: p[0]}}}), render(&store.Image{Entries: []store.StoredEntry{{Entry: entry(2).Entry}}}))
	s.commit(on("client", 1, remove(entry(1)), remove(entry(2)), remove(entry(3)), entry(3))) // written anew it is queued
	if got := s.page("client", 0, 2, 1<<20); !slices.Equal(got, []uint64{3, 4}) {
		s.Errorf("the page has %v, want 3 and 4", got)
	}
	s.commit(on("client", 1, remove(entry(3)), remove(entry(4)), remove(entry(6))))
	if got := s.page("client", 0, 2, 1<<20); len(got) > 0 {
		s.Errorf("the page of an empty queue has %v", got)
	}
}

// groups: groups whose names are prefixes of each other, in order each.
func groups(s *suite) {
	names := []string{"g/a", "g/a/b", "g", "g/a\x01", "h/#"}
	var ops []store.Op
	for i, g := range names {
		for _, seq := range []uint64{1 << 40, 1, 256, 255} {
			ops = append(ops, wait(g, seq, msg(i)))
		}
	}
	s.commit(on("", 0, ops...))
	s.commit(on("", 0, remove(wait("g", 255, nil)), wait("h/#", 1, msg(9)), remove(wait("g/a", 7, nil)), remove(wait("not there", 1, nil))))
	got := map[string][]uint64{}
	err := s.GroupEntries(ctx, func(group string, seq uint64, m *message.Message) bool {
		got[group] = append(got[group], seq)
		if group == "h/#" && seq == 1 {
			s.same("message", renderMessage(m), renderMessage(msg(9)))
		}
		s.commit(on("", 0, remove(wait("x", 1, nil)))) // a visitor may write
		return true
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, g := range names {
		want := []uint64{1, 255, 256, 1 << 40}
		if g == "g" {
			want = []uint64{1, 256, 1 << 40}
		}
		if !slices.Equal(got[g], want) {
			s.Errorf("group %q has %v, want %v", g, got[g], want)
		}
	}
	n := 0
	if err := s.GroupEntries(ctx, func(string, uint64, *message.Message) bool { n++; return false }); err != nil || n != 1 {
		s.Errorf("visited %d after an end, %v", n, err)
	}
}

// together: batches between Begin and End are answered like others.
func together(s *suite) {
	const n = 20
	logs := []*log{newLog(n), newLog(n)}
	for i := range n {
		s.Begin()
		for k, l := range logs {
			id := message.ClientID(fmt.Sprint("client", k))
			b := on(id, 1, entry(uint64(i+1)))
			if i == 0 {
				b = begin(id, 1, entry(1))
			}
			s.Commit(b, note{l, i})
		}
		s.End()
	}
	for k, l := range logs {
		<-l.all
		if err := l.check(); err != nil {
			s.Error(err)
		}
		if got := s.page(message.ClientID(fmt.Sprint("client", k)), 0, 99, 1<<20); len(got) != n {
			s.Errorf("client%d has %v", k, got)
		}
	}
}

// takeOver: a member's batch takes the message out of its group, or, refused, does not.
func takeOver(s *suite) {
	s.commit(begin("member", 3))
	s.commit(on("", 0, wait("g/a", 1, msg(1)), wait("g/a", 2, msg(2))))
	s.commit(on("member", 3, entry(1), remove(wait("g/a", 1, nil))))
	s.refused(store.ErrFenced, on("member", 2, entry(2), remove(wait("g/a", 2, nil))))
	var left []uint64
	if err := s.GroupEntries(ctx, func(_ string, seq uint64, _ *message.Message) bool { left = append(left, seq); return true }); err != nil {
		s.Fatal(err)
	}
	if !slices.Equal(left, []uint64{2}) {
		s.Errorf("left in the group: %v", left)
	}
}

// told: what becomes of an entry is written in the batch that ends it, is the node's, and
// stays when the session ends, also with that batch.
func told(s *suite) {
	end := store.Op{Kind: store.KindSession, Delete: true}
	s.commit(begin("client", 3, entry(1), entry(2), entry(3)))
	s.commit(on("client", 3, later(5, 10, msg(5)), remove(entry(1))))
	s.refused(store.ErrFenced, on("client", 2, remove(entry(2)), later(6, 10, msg(6))))
	if err := s.do(on("client", 3, entry(9), remove(later(5, 0, nil)))); err == nil {
		s.Error("a client took a delayed message away")
	}
	s.want(5)
	s.commit(on("client", 3, remove(entry(2)), later(7, 11, msg(7)), end, later(8, 12, msg(8))))
	s.gone("client")
	s.want(5, 7, 8)
	s.refused(store.ErrNotFound, on("client", 3, later(9, 13, msg(9))))
	s.commit(begin("client", 1, later(10, 14, msg(10))))
	s.want(5, 7, 8, 10)
	s.commit(on("", 0, remove(later(5, 0, nil)), remove(later(10, 0, nil))))
	s.want(7, 8)
}

// want fails unless these delayed messages are there, each as made by told.
func (s *suite) want(seqs ...uint64) {
	s.Helper()
	var got []uint64
	if err := s.Delayed(ctx, func(seq uint64, _ int64, m *message.Message) bool {
		if got = append(got, seq); renderMessage(m) != renderMessage(msg(int(seq))) {
			s.Errorf("message %d is %s", seq, renderMessage(m))
		}
		return true
	}); err != nil {
		s.Fatal(err)
	}
	if slices.Sort(got); !slices.Equal(got, seqs) {
		s.Errorf("delayed are %v, want %v", got, seqs)
	}
}
