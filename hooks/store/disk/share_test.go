package disk

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// size is what the store takes on disk once everything dead is gone.
func size(t *testing.T, s *Store) int {
	t.Helper()
	checkBodies(t, s)
	if err := s.eng.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.eng.db.Compact(context.Background(), []byte{0}, []byte{0xFF}, false); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range s.eng.db.Metrics().Levels {
		n += int(l.TablesSize)
	}
	return n
}

// A message for many sessions is stored once, and its space comes back, by
// acknowledgements and by ends of sessions, over a restart too.
func TestSharedBodies(t *testing.T) {
	const sessions, messages, payload = 60, 20, 10_000
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	empty := size(t, s)
	for i := range sessions {
		must(t, s, begin(client(i)))
	}
	var w waiter
	for k := range messages {
		m := text(k, payload)
		for i := range m.Payload {
			m.Payload[i] = byte(i * i * (k + 3) >> 3)
		}
		s.Begin()
		for i := range sessions {
			w.Add(1)
			s.Commit(on(client(i), put(uint64(k+1), m)), &w)
		}
		s.End()
	}
	if w.Wait(); w.err != nil {
		t.Fatal(w.err)
	}
	if n := size(t, s); n > 4*messages*payload+sessions*messages*40 {
		t.Errorf("%d bytes for %d bodies of %d bytes", n, messages, payload)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	for i := range sessions {
		page, err := s.Page(context.Background(), client(i), 0, 100, 1<<30)
		if err != nil || len(page) != messages || page[3].Msg.ID.Seq != 3 || len(page[3].Msg.Payload) != payload {
			t.Fatalf("page of %d: %v", len(page), err)
		}
		if i%2 == 0 {
			must(t, s, on(client(i), store.Op{Kind: store.KindSession, Delete: true}))
			continue
		}
		for k := range messages - 1 {
			must(t, s, on(client(i), del(uint64(k+1))))
		}
	}
	if n := size(t, s); n > 3*payload+sessions*100 {
		t.Errorf("%d bytes for one body", n)
	}
	for i := 1; i < sessions; i += 2 {
		must(t, s, on(client(i), del(messages)))
	}
	if n := size(t, s); n > empty+sessions*100 {
		t.Errorf("%d bytes for none", n)
	}
}

// A message that comes again later refers to the body that is there, unless that
// is gone.
func TestSharedAgain(t *testing.T) {
	s := open(t, Options{})
	m := text(1, 1000)
	give := func(seq uint64, ids ...int) {
		t.Helper()
		var w waiter
		s.Begin()
		for _, i := range ids {
			w.Add(1)
			s.Commit(begin(client(i), put(seq, m)), &w)
		}
		s.End()
		if w.Wait(); w.err != nil {
			t.Fatal(w.err)
		}
	}
	bodies := func() int {
		n := 0
		if err := s.with(context.Background(), func(r *reader) error {
			return r.each([]byte{spaceBody}, []byte{spaceBody}, func(_, _ []byte) (bool, error) { n++; return true, nil })
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	give(1, 0, 1)
	give(1, 2)
	if n := bodies(); n != 1 {
		t.Errorf("%d bodies", n)
	}
	checkBodies(t, s)
	must(t, s, on(client(0), del(1)), on(client(1), del(1)), on(client(2), del(1)))
	if n := bodies(); n != 0 {
		t.Errorf("%d bodies are left", n)
	}
	give(2, 0, 1, 2)
	checkBodies(t, s)
	page, err := s.Page(context.Background(), client(2), 0, 10, 1000)
	if n := bodies(); err != nil || n != 1 || len(page) != 1 || len(page[0].Msg.Payload) != 1000 {
		t.Errorf("%d bodies, page %v, %v", n, page, err)
	}
}

// A session whose records are still being taken away leaves nothing in the one
// that follows it, whatever happens in between.
func TestEndedSessionGoesByAndBy(t *testing.T) {
	dir := t.TempDir()
	const entries = 3000
	s := open(t, Options{Dir: dir})
	m := text(1, 1000)
	var w waiter
	for i := range entries {
		s.Begin()
		w.Add(2)
		s.Commit(begin("c", put(uint64(i+1), m), sent(uint64(i+1))), &w)
		s.Commit(begin("d", put(uint64(i+1), m)), &w)
		s.End()
	}
	if w.Wait(); w.err != nil {
		t.Fatal(w.err)
	}
	must(t, s, on("c", store.Op{Kind: store.KindSession, Delete: true}), begin("c", put(7, m)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	img, err := whole{s}.Load(context.Background(), "c")
	if err != nil || len(img.Entries) != 1 || img.Entries[0].Seq != 7 {
		t.Errorf("stored is %d entries, %v", len(img.Entries), err)
	}
	checkBodies(t, s)
	for _, space := range []byte{spaceQueue, spaceInflight} {
		if err := s.with(context.Background(), func(r *reader) error {
			n := 0
			err := r.each([]byte{space}, []byte{space}, func(_, _ []byte) (bool, error) { n++; return true, nil })
			if want := map[byte]int{spaceQueue: entries + 1}[space]; n != want {
				t.Errorf("%d keys in %c, want %d", n, space, want)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}

// A queue of many messages is read in pages, in order, while it is consumed.
func TestLongQueue(t *testing.T) {
	const n, size = 200_000, 1000
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, MemTable: 8 << 20})
	f := newFlow(10_000)
	f.commit(s, begin("c"))
	for i := 0; i < n; i += 10 {
		b := on("c")
		for k := range 10 {
			b.Ops = append(b.Ops, put(uint64(i+k+1), text(i+k+1, 10)))
		}
		b.Queue = store.Queue{Messages: i + 10, Bytes: int64(i), Last: uint64(i + 10)}
		f.commit(s, b)
	}
	f.wait(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, MemTable: 8 << 20})
	if m, _ := s.Totals(); m != n {
		t.Errorf("%d messages in all", m)
	}
	after := uint64(0)
	for after < n {
		page, err := s.Page(context.Background(), "c", after, size, 1<<30)
		if err != nil || len(page) != size {
			t.Fatalf("after %d: %d entries, %v", after, len(page), err)
		}
		b := on("c")
		for i, e := range page {
			if e.Seq != after+uint64(i)+1 || e.Msg.ID.Seq != e.Seq {
				t.Fatalf("entry %d of the page after %d has Seq %d", i, after, e.Seq)
			}
			b.Ops = append(b.Ops, del(e.Seq))
		}
		f.commit(s, b)
		after += size
	}
	f.wait(t)
	page, err := s.Page(context.Background(), "c", 0, size, 1<<30)
	if err != nil || len(page) != 0 {
		t.Errorf("%d entries are left, %v", len(page), err)
	}
}

func TestPageBounds(t *testing.T) {
	s := open(t, Options{})
	must(t, s, begin("c", put(1, text(1, 100)), put(2, text(2, 100)), sent(2), put(5, text(5, 100)), put(6, text(6, 1))))
	one := int64(text(1, 100).Size())
	for _, c := range []struct {
		after uint64
		max   int
		bytes int64
		want  []uint64
	}{
		{0, 10, 1 << 20, []uint64{1, 5, 6}}, {0, 2, 1 << 20, []uint64{1, 5}}, {1, 10, 1 << 20, []uint64{5, 6}}, {0, 10, 0, []uint64{1}},
		{0, 10, one, []uint64{1}}, {0, 10, 2 * one, []uint64{1, 5}}, {5, 1, 0, []uint64{6}}, {6, 10, 1 << 20, nil}, {^uint64(0), 10, 10, nil}, {0, 0, 10, nil},
	} {
		page, err := s.Page(context.Background(), "c", c.after, c.max, c.bytes)
		var got []uint64
		for _, e := range page {
			got = append(got, e.Seq)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("page %+v is %v, %v", c, got, err)
		}
	}
	if _, err := s.Page(context.Background(), message.ClientID("x"), 0, 1, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("page of nobody: %v", err)
	}
}

// Consumed entries leave the disk though they got no tombstones.
func TestConsumedSpaceComesBack(t *testing.T) {
	s := open(t, Options{})
	empty := size(t, s)
	for round := range 5 {
		b, d := begin("c"), on("c")
		for i := range 2000 {
			seq := uint64(round*2000 + i + 1)
			b.Ops = append(b.Ops, put(seq, text(i, 1000)))
			d.Ops = append(d.Ops, del(seq))
		}
		b.Queue.Bytes = 2_000_000
		must(t, s, b, d)
	}
	if n := size(t, s); n > empty+4_500_000 {
		t.Errorf("%d bytes are left", n)
	}
}
