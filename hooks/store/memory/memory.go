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

type record struct {
	mu       sync.Mutex
	head     *store.Session
	subs     map[string]store.Subscription
	entries  map[uint64]*store.StoredEntry
	received map[message.PacketID]struct{}
}

type delayed struct {
	at int64
	m  *message.Message
}

// Store implements store.Store.
type Store struct {
	sessions sync.Map // message.ClientID -> *record

	mu       sync.Mutex
	retained map[string]*message.Message
	delayed  map[uint64]delayed
}

// New returns an empty store.
func New() *Store {
	return &Store{retained: map[string]*message.Message{}, delayed: map[uint64]delayed{}}
}

// Close does nothing: there is nothing to wait for.
func (s *Store) Close() error { return nil }

// Commit applies b and calls done before it returns.
func (s *Store) Commit(b *store.Batch, done store.Committed) {
	if b.Client == "" {
		s.commitNode(b)
	} else {
		s.commitSession(b)
	}
	done.Committed(nil)
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
		case op.Kind == store.KindDelayed && op.Delete:
			delete(s.delayed, op.Seq)
		case op.Kind == store.KindDelayed:
			s.delayed[op.Seq] = delayed{op.At, op.Msg}
		}
	}
}

func (s *Store) commitSession(b *store.Batch) {
	v, ok := s.sessions.Load(b.Client)
	if !ok {
		v, _ = s.sessions.LoadOrStore(b.Client, &record{
			subs: map[string]store.Subscription{}, entries: map[uint64]*store.StoredEntry{}, received: map[message.PacketID]struct{}{},
		})
	}
	r := v.(*record)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b.Ops {
		if r.apply(&b.Ops[i]) {
			s.sessions.Delete(b.Client)
		}
	}
}

// apply reports whether the session itself was deleted.
func (r *record) apply(op *store.Op) bool {
	switch op.Kind {
	case store.KindSession:
		if op.Delete {
			return true
		}
		h := *op.Session
		r.head = &h
	case store.KindSubscription:
		if op.Delete {
			delete(r.subs, op.Filter)
		} else {
			r.subs[op.Filter] = *op.Sub
		}
	case store.KindEntry:
		if op.Delete {
			delete(r.entries, op.Seq)
		} else {
			r.entries[op.Seq] = &store.StoredEntry{Entry: op.Entry, State: op.State}
		}
	case store.KindState:
		if e := r.entries[op.Seq]; e != nil {
			e.State = op.State
		}
	case store.KindReceived:
		if op.Delete {
			delete(r.received, op.ID)
		} else {
			r.received[op.ID] = struct{}{}
		}
	}
	return false
}

// Load returns a copy of the session's records.
func (s *Store) Load(_ context.Context, id message.ClientID) (*store.Image, error) {
	v, ok := s.sessions.Load(id)
	if !ok {
		return nil, store.ErrNotFound
	}
	r := v.(*record)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == nil {
		return nil, store.ErrNotFound
	}
	img := &store.Image{Session: *r.head, Subs: slices.Collect(maps.Values(r.subs)), Received: slices.Sorted(maps.Keys(r.received))}
	for _, e := range r.entries {
		img.Entries = append(img.Entries, *e)
	}
	slices.SortFunc(img.Entries, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	return img, nil
}

// Heads visits the heads and subscriptions of all sessions.
func (s *Store) Heads(_ context.Context, visit func(store.Session, []store.Subscription) bool) error {
	s.sessions.Range(func(_, v any) bool {
		r := v.(*record)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.head == nil || visit(*r.head, slices.Collect(maps.Values(r.subs)))
	})
	return nil
}

// Retained visits all retained messages.
func (s *Store) Retained(_ context.Context, visit func(*message.Message) bool) error {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.retained))
	s.mu.Unlock()
	for _, m := range all {
		if !visit(m) {
			break
		}
	}
	return nil
}

// Delayed visits all messages that wait for their time.
func (s *Store) Delayed(_ context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error {
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
