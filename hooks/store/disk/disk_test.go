package disk

import (
	"cmp"
	"context"
	"math"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

func TestMain(m *testing.M) {
	if os.Getenv(leaksEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Ballast == 0 {
		o.Ballast = -1
	}
	if o.MemTable == 0 {
		o.MemTable = 1 << 20
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// whole is a store whose Load has the queue too, as the one in memory does it.
type whole struct{ *Store }

func (w whole) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	var img *store.Image
	err := w.with(ctx, func(r *reader) (err error) {
		if img, err = r.image(id); err != nil {
			return err
		}
		return addQueue(r, img)
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

func addQueue(r *reader, img *store.Image) error {
	n, err := r.session(img.Session.ID)
	if err != nil {
		return err
	}
	var p page
	if err := r.page(&p, n, 0, math.MaxInt, math.MaxInt64); err != nil {
		return err
	}
	states, err := r.states(n, 0)
	if err != nil {
		return err
	}
	of := map[uint64]store.State{}
	for _, st := range states {
		of[st.Seq] = st.State
	}
	for _, e := range p.entries {
		img.Entries = append(img.Entries, store.StoredEntry{Entry: e, State: of[e.Seq]})
	}
	slices.SortFunc(img.Entries, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	return nil
}
