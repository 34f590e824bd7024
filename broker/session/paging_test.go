package session

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// shelf is the committed queue of a rig.
type shelf struct {
	*rig
	entries []store.Entry
}

func newShelf(t *testing.T, l Limits) *shelf { return &shelf{rig: newRig(t, true, l)} }

// commit takes the records so far as committed.
func (s *shelf) commit() {
	for i := range s.out.Ops {
		switch op := &s.out.Ops[i]; {
		case op.Kind == store.KindEntry && op.Delete, op.Kind == store.KindState:
			s.entries = slices.DeleteFunc(s.entries, func(e store.Entry) bool { return e.Seq == op.Seq })
		case op.Kind == store.KindEntry:
			s.entries = append(s.entries, op.Entry)
		}
	}
	s.out.Ops = nil
}

// read answers a page as a store does.
func (s *shelf) read(p Page) (page []store.Entry) {
	bytes := p.Bytes
	for _, e := range s.entries {
		bytes -= int64(e.Msg.Size())
		if e.Seq > p.After && len(page) < p.Messages && (bytes >= 0 || len(page) == 0) {
			page = append(page, e)
		}
	}
	return page
}

// want insists on a page, or that there is none: after, messages.
func (s *shelf) wants(want string) Page {
	s.t.Helper()
	p, ok := s.WantsPage()
	got := "none"
	if ok {
		got = fmt.Sprintf("%d after %d", p.Messages, p.After)
	}
	s.want("page", got, want)
	return p
}

func (s *shelf) page(p Page) {
	s.Paged(&s.out, p, s.read(p))
}

func pagesOf(n int) Limits { return Limits{PageMessages: n, PageBytes: 1 << 20} }

func TestPages(t *testing.T) {
	s := newShelf(t, pagesOf(8))
	for n := 1; n <= 20; n++ {
		s.put(n, byte(1+n%2))
	}
	s.wants("none") // offline
	s.want("figures", fmt.Sprint(s.Figures()), "{20 100 20 0}")
	s.commit()
	s.Connected(s, 3)
	s.want("nothing yet", s.sent(), "")
	s.page(s.wants("6 after 0"))
	s.want("sent", s.sent(), "P1 2@2 | P2 1@1, P2 3@3")
	s.page(s.wants("3 after 6"))
	s.wants("none") // six wait
	if q, n, b := s.Counts(); q != 17 || n != 3 || b != 85 {
		t.Errorf("%d queued with %d bytes, %d in flight", q, b, n)
	}
	s.commit()
	s.Disconnected()
	if n := footprint(s.Session); n > 256+restSize+16*slotSize {
		t.Errorf("offline it takes %d bytes", n)
	}
	s.put(21, 1)
	s.commit()
	s.Connected(s, 100)
	s.want("again", s.sent(), "P1+ 2@2 | P2+ 1@1, P2+ 3@3")
	got := ""
	for p, ok := s.WantsPage(); ok; p, ok = s.WantsPage() {
		s.page(p)
		got += s.sent() + " "
		s.commit()
	}
	if n := strings.Count(got, "P"); n != 18 || !s.Ready(1) {
		t.Errorf("%d came: %s", n, got)
	}
	s.want("figures", fmt.Sprint(s.Figures()), "{0 0 21 0}")
}

// A page that was read before something happened is taken only if it still is
// what comes next.
func TestStalePages(t *testing.T) {
	s := newShelf(t, pagesOf(4))
	for n := 1; n <= 9; n++ {
		s.put(n, 1)
	}
	s.commit()
	s.Connected(s, 1)
	first := s.wants("3 after 0")
	s.page(first)
	s.want("sent", s.sent(), "P1 1@1")
	s.Paged(&s.out, first, s.read(first))
	if s.queue.n != 2 {
		t.Fatalf("a page came twice: %d in memory", s.queue.n)
	}
	s.acknowledge(1)
	s.want("sent", s.sent(), "P1 2@2")
	next := s.wants("2 after 3")
	entries := s.read(next)
	s.Disconnected()
	s.Connected(s, 1)
	s.Paged(&s.out, next, entries) // 3 is in the store again
	if s.queue.n != 0 {
		t.Fatal("a page skipped an entry")
	}
	s.commit()
	p := s.wants("3 after 2")
	entries = s.read(p)
	s.put(10, 1)
	s.Paged(&s.out, p, entries[:1]) // as if the others had not been committed
	s.page(s.wants("2 after 3"))
	s.acknowledge(2)
	s.want("goes on", s.sent(), "P1 3@3")
	other := newShelf(t, pagesOf(4))
	other.put(1, 1)
	other.Connected(other, 1)
	other.Paged(&other.out, Page{Messages: 1, Bytes: 1, of: s.Session}, entries)
	if other.queue.n != 0 {
		t.Error("a page of another session was taken")
	}
}

// What comes after the tail while a client catches up is not read back.
func TestNewestStayInMemory(t *testing.T) {
	s := newShelf(t, pagesOf(8))
	for n := 1; n <= 3; n++ {
		s.put(n, 1)
	}
	s.commit()
	s.Connected(s, 100)
	p := s.wants("6 after 0")
	for n := 4; n <= 6; n++ {
		s.put(n, 1) // 4 makes room for 6
	}
	s.page(p) // the new ones are not committed
	s.want("sent", s.sent(), "P1 1@1, P1 2@2, P1 3@3")
	s.commit()
	s.page(s.wants("6 after 3"))
	s.want("the rest", s.sent(), "P1 4@4, P1 5@5, P1 6@6")
	s.put(7, 1)
	s.want("no detour", s.sent(), "P1 7@7")
}

func TestQoS0KeepsItsPlace(t *testing.T) {
	s := newShelf(t, pagesOf(8))
	for n := 1; n <= 6; n++ {
		s.put(n, byte(n%2))
	}
	s.commit()
	s.Disconnected()
	s.Connected(s, 9)
	s.want("waits for its turn", s.sent(), "")
	s.page(s.wants("6 after 0"))
	s.want("sent", s.sent(), "P1 1@1, P0 2@0, P1 3@2, P0 4@0, P1 5@3, P0 6@0")
}

func TestOverflowOfAPagedQueue(t *testing.T) {
	l := pagesOf(3)
	l.Messages = 4
	s := newShelf(t, l)
	for n := 1; n <= 6; n++ {
		s.put(n, 1)
	}
	s.put(60, 0) // never takes the place of QoS 1
	s.want("dropped", strings.Join(s.drops, " "), "60:0")
	s.commit()
	p := s.wants("2 after 0")
	s.put(7, 1)
	s.put(8, 1) // a page above the limit
	s.want("dropped", strings.Join(s.drops, " "), "60:0 8:0")
	s.page(p)
	s.commit()
	s.page(s.wants("1 after 2"))
	s.want("dropped", strings.Join(s.drops, " "), "60:0 8:0 1:0 2:0 3:0")
	s.wants("none")
	if s.queue.n != 0 {
		t.Error("the page stays in memory")
	}
	s.want("records", s.ops(), "-entry 3")
	s.want("figures", fmt.Sprint(s.Figures()), "{4 20 7 0}")

	for _, rule := range []Overflow{DropNewest, Disconnect} {
		l.Overflow = rule
		s := newShelf(t, l)
		for n := 1; n <= 5; n++ {
			if ok := s.put(n, 1); ok == (rule == Disconnect && n == 5) {
				t.Errorf("message %d: %v", n, ok)
			}
		}
		s.want("dropped", strings.Join(s.drops, " "), "5:0")
		s.wants("none")
	}
}

func TestOverflowByBytes(t *testing.T) {
	s := newShelf(t, Limits{Bytes: 100, PageMessages: 10, PageBytes: 20})
	for n := 1; n <= 20; n++ {
		s.put(n, 1)
	}
	big := entry(21, 1, 45) // of 50 bytes: more than a page, and let in
	s.Enqueue(&s.out, big)
	s.put(22, 1) // over by more than a page already
	s.want("dropped", strings.Join(s.drops, " "), "22:0")
	s.commit()
	for p, ok := s.WantsPage(); ok; p, ok = s.WantsPage() {
		s.page(p)
		s.commit()
	}
	if _, _, b := s.Counts(); b != 100 || len(s.drops) != 11 || s.drops[10] != "10:0" {
		t.Errorf("%d bytes, dropped %v", b, s.drops)
	}
}

func TestRestoreInTwoSteps(t *testing.T) {
	l := pagesOf(4)
	s := newShelf(t, l)
	s.Session = RestoreHead(store.Queue{Messages: 2, Bytes: 10, Last: 7}, l)
	for n := 5; n <= 6; n++ {
		e := entry(n, 1, 0).Entry
		e.Seq = uint64(n)
		s.entries = append(s.entries, e)
	}
	s.put(8, 1)
	s.put(9, 0)
	s.want("records", fmt.Sprint(len(s.out.Ops), s.Figures()), "1 {3 15 9 0}")
	s.commit()
	s.Load(&store.Image{
		Entries:  []store.StoredEntry{stored(3, 2, 5, store.Released), stored(4, 1, 9, store.Sent), stored(5, 1, 0, store.Queued), stored(7, 1, 9, store.Sent)},
		Received: []message.PacketID{3}, Queue: store.Queue{Messages: 9, Bytes: 99, Last: 7},
	})
	if q, n, b := s.Counts(); q != 5 || n != 2 || b != 25 || !s.HasReceived(3) {
		t.Errorf("%d queued, %d in flight, %d bytes", q, n, b)
	}
	s.Settled()
	s.Connected(s, 9)
	s.want("in flight", s.sent(), "REL@5, P1+ 4@9")
	s.page(s.wants("3 after 0"))
	s.want("the queue, and what could not be placed", s.sent(), "P1 5@10, P1 6@11, P1 7@12, P1 8@13, P0 9@0")
}

// TestFiguresOfNothing: a queue that the store does not have holds nothing up.
func TestFiguresOfNothing(t *testing.T) {
	s := newShelf(t, pagesOf(4))
	s.Session = RestoreHead(store.Queue{Messages: 3, Bytes: 15, Last: 7}, pagesOf(4))
	s.Load(&store.Image{})
	s.Connected(s, 9)
	p := s.wants("3 after 0")
	s.page(p)
	s.put(8, 1)
	s.Nothing(p) // it may be the new one that is not committed
	s.want("figures", fmt.Sprint(s.Figures()), "{4 20 8 0}")
	s.Nothing(s.wants("3 after 0"))
	s.want("the newest is in memory", s.sent(), "P1 8@1")
	s.want("figures", fmt.Sprint(s.Figures()), "{0 0 8 0}")
	if !s.Ready(1) {
		t.Error("not drained")
	}
	s.Nothing(p)
	s.Disconnected()
	s.put(9, 1)
	s.commit()
	s.Connected(s, 9)
	s.want("again", s.sent(), "P1+ 8@1")
	s.page(s.wants("3 after 8"))
	s.want("goes on", s.sent(), "P1 9@2")
}

func TestRestoreOfAnImageWithFigures(t *testing.T) {
	entries := []store.StoredEntry{stored(1, 1, 1, store.Sent), stored(2, 1, 0, store.Queued), stored(3, 1, 0, store.Queued)}
	q := store.Queue{Messages: 2, Bytes: 10, Last: 3}
	for _, c := range []struct {
		name     string
		l        Limits
		img      store.Image
		inMemory int
	}{
		{"whole, no pages", Limits{}, store.Image{Entries: entries, Queue: q}, 2},
		{"whole, no figures", Limits{}, store.Image{Entries: entries}, 2},
		{"whole, pages", pagesOf(4), store.Image{Entries: entries}, 0},
		{"begun, pages", pagesOf(4), store.Image{Entries: entries[:1], Queue: q}, 0},
		{"begun, no pages in the limits", Limits{}, store.Image{Entries: entries[:1], Queue: q}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t, c.l)
			s.Session = Restore(&c.img, c.l)
			s.entries = []store.Entry{entries[1].Entry, entries[2].Entry}
			s.want("figures", fmt.Sprint(s.Figures()), "{2 10 3 0}")
			if s.queue.n != c.inMemory {
				t.Errorf("%d in memory, want %d", s.queue.n, c.inMemory)
			}
			s.Connected(s, 9)
			if p, ok := s.WantsPage(); ok {
				s.page(p)
			}
			s.want("sent", s.sent(), "P1+ 1@1, P1 2@2, P1 3@3")
		})
	}
}

// A queue of many is drained with one page of it in memory.
func TestManyPages(t *testing.T) {
	const n, page = 100_000, 100
	s := New(true, pagesOf(page))
	var o Output
	for i := range n {
		s.Enqueue(&o, entry(i, 1, 0))
		o.Ops = o.Ops[:0]
	}
	if b := footprint(s); b > 512 {
		t.Errorf("offline it takes %d bytes", b)
	}
	s.Connected(&sink{}, 50)
	at := 0
	for s.Figures().Messages > 0 {
		if p, ok := s.WantsPage(); ok {
			var entries []store.Entry
			for i := p.After; i < n && len(entries) < p.Messages; i++ {
				e := entry(int(i), 1, 0).Entry
				e.Seq = i + 1
				entries = append(entries, e)
			}
			s.Paged(&o, p, entries)
		}
		s.Fill(&o, 1, math.MaxInt32)
		for i := range o.Ops {
			at++
			if op := &o.Ops[i]; op.Seq != uint64(at) {
				t.Fatalf("message %d is sent, want %d", op.Seq, at)
			}
			if _, err := s.Puback(new(Output), o.Ops[i].State.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
		o.Now, o.Ops = o.Now[:0], o.Ops[:0]
		if s.queue.n > page {
			t.Fatalf("%d in memory", s.queue.n)
		}
	}
	if at != n {
		t.Errorf("%d were sent", at)
	}
}
