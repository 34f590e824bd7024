package memory

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

type delayed struct {
	at int64
	m  *message.Message
}

// Store implements store.Store.
type Store struct {
	gate     gate
	sessions sync.Map // message.ClientID -> *record

	mu       sync.Mutex
	retained map[string]*message.Message
	delayed  map[uint64]delayed
}

// New returns an empty store.
func New() *Store {
	return &Store{gate: gate{empty: make(chan struct{})}, retained: map[string]*message.Message{}, delayed: map[uint64]delayed{}}
}

// Close waits for the commits under way, their callbacks included; it must not be
// called from one. Everything after it is refused with ErrClosed.
func (s *Store) Close() error {
	s.gate.close()
	return nil
}

// Commit applies b and calls done before it returns.
func (s *Store) Commit(b *store.Batch, done store.Committed) {
	if !s.gate.enter() {
		done.Committed(store.ErrClosed)
		return
	}
	defer s.gate.leave()
	err := check(b)
	switch {
	case err != nil:
	case b.Client == "":
		s.commitNode(b)
	default:
		err = s.commitSession(b)
	}
	done.Committed(err)
}

// check refuses a batch that cannot be applied as a whole.
func check(b *store.Batch) error {
	for i := range b.Ops {
		op := &b.Ops[i]
		ofNode, lacks := false, false
		switch op.Kind {
		case store.KindSession:
			lacks = op.Session == nil
		case store.KindSubscription:
			lacks = op.Sub == nil
		case store.KindEntry:
			lacks = op.Entry.Msg == nil
		case store.KindState, store.KindReceived:
		case store.KindRetained, store.KindDelayed:
			ofNode, lacks = true, op.Msg == nil
		default:
			return fmt.Errorf("memory store: operation %d has unknown kind %d", i, op.Kind)
		}
		if ofNode != (b.Client == "") {
			return fmt.Errorf("memory store: operation %d of kind %d is of another owner", i, op.Kind)
		}
		if lacks && !op.Delete {
			return fmt.Errorf("memory store: operation %d of kind %d has nothing to write", i, op.Kind)
		}
	}
	return nil
}

func (s *Store) commitNode(b *store.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.Ops {
		op := &b.Ops[i]
		switch {
		case op.Kind == store.KindRetained && op.Delete:
			delete(s.retained, op.Filter)
		case op.Kind == store.KindRetained:
			s.retained[op.Filter] = op.Msg
		case op.Delete:
			delete(s.delayed, op.Seq)
		default:
			s.delayed[op.Seq] = delayed{op.At, op.Msg}
		}
	}
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

// Heads visits the heads and subscriptions of all sessions.
func (s *Store) Heads(ctx context.Context, visit func(store.Session, []store.Subscription) bool) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.sessions.Range(func(_, v any) bool {
		head, subs, ok := v.(*record).top()
		return !ok || visit(head, subs)
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

func (s *Store) readable(ctx context.Context) error {
	if s.gate.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}
