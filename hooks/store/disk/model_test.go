package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/memory"
)

// answer waits for one callback.
type answer chan error

// Committed implements store.Committed.
func (a answer) Committed(err error) { a <- err }

func do(s store.Store, b *store.Batch) error {
	a := make(answer, 1)
	s.Commit(b, a)
	return <-a
}

func must(t testing.TB, s store.Store, batches ...*store.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := do(s, b); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
}

// seed gives a random source whose seed is printed when the test fails.
func seed(t testing.TB) *rand.Rand {
	n := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", n)
		}
	})
	return rand.New(rand.NewPCG(n, 0))
}

// author writes batches of one session as a session does it, and as it does not.
type author struct {
	r     *rand.Rand
	id    message.ClientID
	wild  bool // entries are written anew, and sessions end
	begun bool
	seq   uint64
	live  []uint64
}

func (a *author) batch(shared []*message.Message) *store.Batch {
	b := &store.Batch{Client: a.id, Epoch: 1, Linger: a.r.IntN(2) == 0}
	if !a.begun {
		a.begun = true
		b.Ops = append(b.Ops, begin(a.id).Ops...)
	}
	for range 1 + a.r.IntN(4) {
		b.Ops = append(b.Ops, a.op(shared)...)
	}
	if a.wild && a.r.IntN(25) == 0 {
		b.Ops = append(b.Ops, store.Op{Kind: store.KindSession, Delete: true})
		a.begun, a.seq, a.live = false, 0, nil
		if a.r.IntN(2) == 0 {
			b.Ops = append(b.Ops, begin(a.id).Ops...)
			a.begun = true
		}
	}
	b.Queue = store.Queue{Messages: len(a.live), Bytes: int64(10 * len(a.live)), Last: a.seq}
	return b
}

func (a *author) op(shared []*message.Message) []store.Op {
	switch a.r.IntN(10) {
	case 0:
		sub := &store.Subscription{Filter: fmt.Sprint("f/", a.r.IntN(3)), QoS: byte(a.r.IntN(3)), ID: uint32(a.r.IntN(9))}
		return []store.Op{{Kind: store.KindSubscription, Filter: sub.Filter, Sub: sub, Delete: a.r.IntN(3) == 0}}
	case 1:
		return []store.Op{{Kind: store.KindReceived, ID: message.PacketID(1 + a.r.IntN(4)), Delete: a.r.IntN(2) == 0}}
	case 2, 3, 4, 5:
		a.seq += 1 + uint64(a.r.IntN(8)/7)
		seq := a.seq
		if a.wild && a.r.IntN(8) == 0 {
			seq = 1 + a.r.Uint64N(a.seq)
		}
		m := shared[a.r.IntN(len(shared))]
		if a.r.IntN(2) == 0 {
			m = text(int(seq), 1+a.r.IntN(300))
		}
		if !slices.Contains(a.live, seq) {
			a.live = append(a.live, seq)
		}
		ops := []store.Op{put(seq, m)}
		if a.r.IntN(3) == 0 {
			ops = append(ops, sent(seq))
		}
		return ops
	}
	if len(a.live) == 0 {
		return nil
	}
	i := 0
	if a.r.IntN(4) == 0 {
		i = a.r.IntN(len(a.live))
	}
	seq := a.live[i]
	if a.r.IntN(3) == 0 {
		return []store.Op{sent(seq)}
	}
	a.live = slices.Delete(a.live, i, i+1)
	return []store.Op{del(seq)}
}

func messages(r *rand.Rand, n int) []*message.Message {
	all := make([]*message.Message, n)
	for i := range all {
		all[i] = text(i, 1+r.IntN(400))
	}
	return all
}

// render writes a session in one form; a session that is not there is "".
func render(t testing.TB, s store.Store, id message.ClientID) string {
	t.Helper()
	img, err := s.Load(context.Background(), id)
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatalf("load %q: %v", id, err)
	}
	var b strings.Builder
	if w := img.Session.Will; w != nil {
		fmt.Fprintf(&b, "will %+v %d %d %d %v\n", w.Message, w.Delay, w.At, w.Expiry, w.HasExp)
		img.Session.Will = nil
	}
	fmt.Fprintf(&b, "%+v\n%+v\nreceived %v\n", img.Session, img.Subs, img.Received)
	for i := range img.Entries {
		e := &img.Entries[i]
		fmt.Fprintf(&b, "entry %d of QoS %d: %+v, message %d, %s, %d bytes\n", e.Seq, e.QoS, e.State, e.Msg.ID.Seq, e.Msg.Topic, len(e.Msg.Payload))
	}
	return b.String()
}

func sameSessions(t testing.TB, got, want store.Store, ids []message.ClientID) {
	t.Helper()
	for _, id := range ids {
		if g, w := render(t, got, id), render(t, want, id); g != w {
			t.Fatalf("session %q is\n%s\nwant\n%s", id, g, w)
		}
	}
}

// The store and the one in memory agree after any batches, also after a restart.
func TestAgainstMemory(t *testing.T) {
	r := seed(t)
	for round := range 6 {
		dir := t.TempDir()
		o := Options{Dir: dir}
		if round%2 == 1 {
			o.Linger = -1
		}
		s, want := open(t, o), memory.New()
		var ids []message.ClientID
		var authors []*author
		for i := range 6 {
			authors = append(authors, &author{r: r, id: client(i), wild: round > 1})
			ids = append(ids, client(i))
		}
		shared := messages(r, 5)
		for range 12 {
			var wg waiter
			for range r.IntN(60) {
				joined := r.IntN(4) == 0
				if joined {
					s.Begin()
				}
				for range 1 + r.IntN(4) {
					b := authors[r.IntN(len(authors))].batch(shared)
					wg.Add(1)
					s.Commit(b, &wg)
					if err := do(want, b); err != nil {
						t.Fatal(err)
					}
				}
				if joined {
					s.End()
				}
				if r.IntN(10) == 0 {
					shared = messages(r, 5)
				}
			}
			wg.Wait()
			if r.IntN(3) == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, o)
			}
			sameSessions(t, whole{s}, want, ids)
			checkBodies(t, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// waiter counts callbacks, and fails on an error.
type waiter struct {
	sync.WaitGroup
	err error
}

// Committed implements store.Committed.
func (w *waiter) Committed(err error) {
	if err != nil {
		w.err = err
	}
	w.Done()
}

// checkBodies compares each body's count with the entries that refer to it, once
// nothing is left to clean.
func checkBodies(t testing.TB, s *Store) {
	t.Helper()
	for {
		left := false
		err := s.with(context.Background(), func(r *reader) error {
			d, err := r.doomed()
			left = len(d) > 0
			if err != nil || left {
				return err
			}
			return checkRefs(r)
		})
		if err != nil {
			t.Fatal(err)
		}
		if !left {
			return
		}
		must(t, s, &store.Batch{}) // a group more: the committer cleans after each
	}
}

func checkRefs(r *reader) error {
	want, got := map[uint64]int64{}, map[uint64]int64{}
	heads := map[number]uint64{}
	if err := r.figures(func(n number, _ message.ClientID, f figures) error {
		heads[n] = f.lane.head
		return nil
	}); err != nil {
		return err
	}
	prefix := []byte{spaceQueue}
	shared := map[number]uint64{}
	if err := r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		body, err := sharedBody(val)
		n := keyNumber(key)
		if head, ok := heads[n]; ok && body != 0 && keySeq(key) >= head {
			want[body]++
			shared[n]++
		}
		return true, err
	}); err != nil {
		return err
	}
	prefix = []byte{spaceCount}
	if err := r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		n, err := parseCount(val)
		got[uint64(keyNumber(key))] = n
		return true, err
	}); err != nil {
		return err
	}
	prefix = []byte{spaceBody}
	bodies := 0
	if err := r.each(prefix, prefix, func(_, _ []byte) (bool, error) { bodies++; return true, nil }); err != nil {
		return err
	}
	if !maps.Equal(got, want) || bodies != len(got) {
		return fmt.Errorf("bodies have %v references, entries make %v", got, want)
	}
	return r.figures(func(n number, id message.ClientID, f figures) error {
		if f.lane.shared != shared[n] {
			return fmt.Errorf("session %q counts %d shared entries, has %d", id, f.lane.shared, shared[n])
		}
		return nil
	})
}
