package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

type delayed struct {
	at int64
	m  *message.Message
}

// place is one of a group's queue.
type place struct {
	group string
	seq   uint64
}

// Store implements store.Store.
type Store struct {
	gate     gate
	sessions sync.Map // message.ClientID -> *record

	mu       sync.Mutex
	retained map[string]*message.Message
	delayed  map[uint64]delayed
	groups   map[place]*message.Message
}

// New returns an empty store.
func New() *Store {
	return &Store{
		gate: gate{empty: make(chan struct{})}, retained: map[string]*message.Message{}, delayed: map[uint64]delayed{}, groups: map[place]*message.Message{},
	}
}

// Close waits for the commits under way, their callbacks included; it must not be
// called from one. Everything after it is refused with ErrClosed.
func (s *Store) Close() error {
	s.gate.close()
	return nil
}

// Begin implements store.Grouper: nothing is left of a process that ends, so there
// is nothing to join.
func (*Store) Begin() {}

// End implements store.Grouper.
func (*Store) End() {}

// Wait implements store.Grouper: every commit is done when Commit returns.
func (*Store) Wait(func() <-chan struct{}) {}

// Commit applies b and calls done before it returns.
func (s *Store) Commit(b *store.Batch, done store.Committed) {
	if !s.gate.enter() {
		done.Committed(store.ErrClosed)
		return
	}
	defer s.gate.leave()
	err := b.Check()
	switch {
	case err != nil:
	case b.Client == "":
		s.commitNode(b)
	default:
		if err = s.commitSession(b); err == nil {
			s.nodeOps(b)
		}
	}
	done.Committed(err)
}

func (s *Store) commitNode(b *store.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.Ops {
		s.nodeOpLocked(&b.Ops[i])
	}
}

func (s *Store) nodeOpLocked(op *store.Op) {
	switch op.Kind {
	case store.KindRetained:
		set(s.retained, op.Filter, op.Msg, op.Delete)
	case store.KindDelayed:
		set(s.delayed, op.Seq, delayed{op.At, op.Msg}, op.Delete)
	default:
		set(s.groups, place{op.Filter, op.Seq}, op.Msg, op.Delete)
	}
}

// nodeOps applies what a client's batch has of the node's records.
func (s *Store) nodeOps(b *store.Batch) {
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == store.KindGroupEntry || op.Kind == store.KindDelayed {
			s.mu.Lock()
			s.nodeOpLocked(op)
			s.mu.Unlock()
		}
	}
}

func set[K comparable, V any](m map[K]V, k K, v V, gone bool) {
	if gone {
		delete(m, k)
		return
	}
	m[k] = v
}

// commitSession tries again when the record it found was deleted meanwhile.
func (s *Store) commitSession(b *store.Batch) error {
	for {
		v, ok := s.sessions.Load(b.Client)
		if !ok {
			v, _ = s.sessions.LoadOrStore(b.Client, new(record))
		}
		r := v.(*record)
		r.mu.Lock()
		if r.dead {
			r.mu.Unlock()
			continue
		}
		err := r.commitLocked(b)
		if r.head == nil {
			r.dead = true
			s.sessions.Delete(b.Client)
		}
		r.mu.Unlock()
		return err
	}
}

// Load returns a copy of the session's records.
func (s *Store) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	if v, ok := s.sessions.Load(id); ok {
		if img := v.(*record).image(); img != nil {
			return img, nil
		}
	}
	return nil, store.ErrNotFound
}

// Page implements store.Pager.
func (s *Store) Page(ctx context.Context, id message.ClientID, after uint64, max int, bytes int64) ([]store.Entry, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	if v, ok := s.sessions.Load(id); ok {
		if page, ok := v.(*record).page(after, max, bytes); ok {
			return page, nil
		}
	}
	return nil, store.ErrNotFound
}

// Heads visits the heads of all sessions.
func (s *Store) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.sessions.Range(func(_, v any) bool {
		head := v.(*record).top()
		return head == nil || visit(head)
	})
	return nil
}

// Retained visits all retained messages.
func (s *Store) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	all := maps.Clone(s.retained)
	s.mu.Unlock()
	for _, m := range all {
		if !visit(m) {
			break
		}
	}
	return nil
}

// Delayed visits all messages that wait for their time.
func (s *Store) Delayed(ctx context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	all := maps.Clone(s.delayed)
	s.mu.Unlock()
	for seq, d := range all {
		if !visit(seq, d.at, d.m) {
			break
		}
	}
	return nil
}

// GroupEntries visits what waits in shared groups, each group's in order.
func (s *Store) GroupEntries(ctx context.Context, visit func(group string, seq uint64, m *message.Message) bool) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	all := maps.Clone(s.groups)
	s.mu.Unlock()
	places := slices.SortedFunc(maps.Keys(all), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.seq, b.seq))
	})
	for _, p := range places {
		if !visit(p.group, p.seq, all[p]) {
			break
		}
	}
	return nil
}

func (s *Store) readable(ctx context.Context) error {
	if s.gate.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}
