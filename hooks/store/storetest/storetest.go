package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Run tests the stores that open makes, an empty one for each test. The suite
// closes them.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"Roundtrip", roundtrip}, {"Overwrite", overwrite}, {"DeleteRecords", deleteRecords}, {"EntryOrder", entryOrder},
		{"DeleteSession", deleteSession}, {"NewSessionAfterDelete", newSessionAfterDelete}, {"Neighbours", neighbours}, {"UnknownSession", unknownSession},
		{"Heads", heads}, {"Cursors", cursors}, {"Pages", pages}, {"PageSkipsBegun", pageSkipsBegun}, {"Groups", groups}, {"TakeOver", takeOver}, {"Told", told}, {"Together", together}, {"Retained", retained}, {"Delayed", delayedMessages}, {"RandomOperations", randomOperations},
		{"AnswersInOrder", answersInOrder}, {"EmptyBatch", emptyBatch}, {"CommitFromCallback", commitFromCallback}, {"ManyClients", manyClients},
		{"NobodySeesHalf", nobodySeesHalf}, {"BadBatchLeavesNothing", badBatch}, {"Epochs", epochs}, {"FencedLeavesNothing", fenced},
		{"StaleOwner", staleOwner}, {"Close", closing}, {"CloseWaits", closeWaits},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, Store: open(t)}
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.run(s)
		})
	}
}

// RunDurable tests stores that keep what was committed: open opens the one in dir,
// which has been closed or is empty.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
	t.Run("Reopen", func(t *testing.T) {
		dir := t.TempDir()
		s := &suite{T: t, Store: open(t, dir)}
		b := full("client", 7)
		b.Queue = store.Queue{Messages: 2, Bytes: 22, Last: 4, Asking: 3}
		s.commit(b)
		s.commit(&store.Batch{Ops: []store.Op{retain("a/b", msg(1)), later(9, 1234, msg(2)), wait("g/a", 3, msg(3))}})
		want, node := s.image("client"), s.node()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			s.Store = open(t, dir)
			s.same("session", s.image("client"), want)
			s.same("node", s.node(), node)
		}
		s.refused(store.ErrFenced, &store.Batch{Client: "client", Epoch: 6, Ops: []store.Op{received(3)}})
		s.commit(&store.Batch{Client: "client", Epoch: 7, Ops: []store.Op{{Kind: store.KindSession, Delete: true}}})
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		s.Store = open(t, dir)
		s.gone("client")
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	})
}

// suite is one store under test.
type suite struct {
	*testing.T
	store.Store
}

var ctx = context.Background()

// result is a callback that hands its error on; it may be called once.
type result chan error

// Committed implements store.Committed.
func (r result) Committed(err error) {
	select {
	case r <- err:
	default:
		panic("storetest: a batch was answered twice")
	}
}

// do commits and waits for the answer.
func (s *suite) do(b *store.Batch) error {
	r := make(result, 1)
	s.Commit(b, r)
	return <-r
}

func (s *suite) commit(b *store.Batch) {
	s.Helper()
	if err := s.do(b); err != nil {
		s.Fatalf("commit: %v", err)
	}
}

func (s *suite) refused(want error, b *store.Batch) {
	s.Helper()
	if err := s.do(b); !errors.Is(err, want) {
		s.Errorf("commit answered %v, want %v", err, want)
	}
}

// image renders a session as it is stored.
func (s *suite) image(id message.ClientID) string {
	s.Helper()
	img, err := s.Load(ctx, id)
	if err != nil {
		s.Fatalf("load %q: %v", id, err)
	}
	return render(img)
}

func (s *suite) gone(id message.ClientID) {
	s.Helper()
	if img, err := s.Load(ctx, id); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("load of a session that is not there: %v, %v", img, err)
	}
}

func (s *suite) same(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}

// render writes an image in one form, whatever the order and the nils in it. The
// order of entries is part of the contract and stays.
func render(img *store.Image) string {
	var b strings.Builder
	h := img.Session
	h.Will = nil
	fmt.Fprintf(&b, "session %+v\n", h)
	if w := img.Session.Will; w != nil {
		fmt.Fprintf(&b, "will %s delay %d at %d expiry %d %v\n", renderMessage(w.Message), w.Delay, w.At, w.Expiry, w.HasExp)
	}
	b.WriteString(renderSubs(img.Subs))
	for i := range img.Entries {
		e := &img.Entries[i]
		fmt.Fprintf(&b, "entry %d qos %d retain %v ids %v state %+v %s\n", e.Seq, e.QoS, e.Retain, e.SubIDs, e.State, renderMessage(e.Msg))
	}
	ids := slices.Clone(img.Received)
	slices.Sort(ids)
	fmt.Fprintf(&b, "received %v\nqueue %+v", ids, img.Queue)
	for _, c := range slices.SortedFunc(slices.Values(img.Cursors), func(a, b store.Cursor) int { return cmp.Compare(a.Filter, b.Filter) }) {
		fmt.Fprintf(&b, "\ncursor %+v", c)
	}
	return b.String()
}

func renderSubs(subs []store.Subscription) string {
	subs = slices.SortedFunc(slices.Values(subs), func(a, b store.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	var b strings.Builder
	for i := range subs {
		fmt.Fprintf(&b, "subscription %+v\n", subs[i])
	}
	return b.String()
}

func renderMessage(m *message.Message) string {
	return fmt.Sprintf("{%d.%d %q %q %q by %q as %q at %d until %d qos %d retain %v}",
		m.ID.Run, m.ID.Seq, m.Topic, m.Payload, m.Props, m.Publisher, m.User, m.Created, m.Expires, m.QoS, m.Retain)
}

// node renders the node's own records.
func (s *suite) node() string {
	s.Helper()
	var lines []string
	err := s.Retained(ctx, func(m *message.Message) bool {
		lines = append(lines, "retained "+renderMessage(m))
		return true
	})
	if err != nil {
		s.Fatalf("retained: %v", err)
	}
	err = s.Delayed(ctx, func(seq uint64, at int64, m *message.Message) bool {
		lines = append(lines, fmt.Sprintf("delayed %d at %d %s", seq, at, renderMessage(m)))
		return true
	})
	if err != nil {
		s.Fatalf("delayed: %v", err)
	}
	slices.Sort(lines)
	err = s.GroupEntries(ctx, func(group string, seq uint64, m *message.Message) bool {
		lines = append(lines, fmt.Sprintf("group %q %d %s", group, seq, renderMessage(m)))
		return true
	})
	if err != nil {
		s.Fatalf("groups: %v", err)
	}
	return strings.Join(lines, "\n")
}
