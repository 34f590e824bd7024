package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// View is a store that is read while no broker uses it. Nobody else can open the
// directory until Close; nothing in it is changed.
type View struct {
	dir  string
	lock *pebble.Lock
	eng  *engine
}

// OpenReadOnly opens the store in o.Dir, which must be there and not in use.
func OpenReadOnly(o Options) (*View, error) {
	o.fill()
	if _, err := o.FS.Stat(o.Dir); err != nil {
		return nil, fmt.Errorf("disk store %s: %w: check the directory's name: %w", o.Dir, ErrMissing, err)
	}
	lock, err := lockDir(&o)
	if err != nil {
		return nil, err
	}
	eng, err := openEngine(&o, true)
	if err != nil {
		_ = lock.Close() // the first error counts
		return nil, openError(o.Dir, err)
	}
	v := &View{dir: o.Dir, lock: lock, eng: eng}
	if err := v.with(context.Background(), func(r *reader) error { _, err := r.format(o.Dir); return err }); err != nil {
		_ = v.Close() // the first error counts
		return nil, err
	}
	return v, nil
}

// Close lets the directory go.
func (v *View) Close() error { return errors.Join(v.eng.close(), v.lock.Close()) }

func (v *View) with(ctx context.Context, f func(r *reader) error) error {
	r, err := newReader(v.eng.db)
	if err != nil {
		return named(v.dir, err)
	}
	r.stop = ctx.Err
	err = f(r)
	if err2 := r.close(); err == nil {
		err = err2
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return named(v.dir, err)
}

// SessionSizes are what is known of a session without reading its queue.
type SessionSizes struct {
	Client, User  string
	Subscriptions int
	Queued        int   // messages whose delivery has not begun
	QueuedBytes   int64 // of them, by message.Size
	InFlight      int   // messages that were sent and not acknowledged
	Expiry        uint32
	ExpiresAt     int64 // as in store.Session
	Will          bool  // there is one to be sent
}

// Sessions visits all sessions, one at a time, in the order in which they began, until
// visit answers false.
func (v *View) Sessions(ctx context.Context, visit func(s *SessionSizes) bool) error {
	return v.with(ctx, func(r *reader) error {
		begun, err := r.begun()
		if err != nil {
			return err
		}
		return r.heads(func(n number, h *store.Head) (bool, error) {
			s := &h.Session
			return visit(&SessionSizes{
				Client: string(s.ID), User: s.User, Subscriptions: len(h.Subs), Queued: h.Queue.Messages, QueuedBytes: h.Queue.Bytes,
				InFlight: begun[n], Expiry: s.Expiry, ExpiresAt: s.ExpiresAt, Will: s.Will != nil,
			}), nil
		})
	})
}

// begun counts the deliveries of each session that have begun. What is below the head of
// a queue is dead.
func (r *reader) begun() (map[number]int, error) {
	heads := map[number]uint64{}
	if err := r.figures(func(n number, _ message.ClientID, f figures) error {
		heads[n] = f.lane.head
		return nil
	}); err != nil {
		return nil, err
	}
	counts := map[number]int{}
	prefix := []byte{spaceInflight}
	return counts, r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) != lenSeq {
			return false, ErrDamaged
		}
		st, err := parseState(val)
		if n := keyNumber(key); err == nil && st.Phase != store.Queued && keySeq(key) >= heads[n] {
			counts[n]++
		}
		return true, err
	})
}

// Retained visits the retained messages.
func (v *View) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	return v.with(ctx, func(r *reader) error { return r.retained(visit) })
}

// Sizes are how much of what is stored.
type Sizes struct {
	Sessions, Subscriptions int
	Queued                  int   // messages that wait in queues
	QueuedBytes             int64 // of them, by message.Size
	Retained, Delayed       int
	RetainedBytes           int64 // by message.Size
	GroupEntries            int
	Disk                    uint64 // bytes of the directory, without the ballast
	Ending                  int    // ended sessions whose records are not all taken away
}

// Sizes counts everything; it reads all but the queues.
func (v *View) Sizes(ctx context.Context) (Sizes, error) {
	z := Sizes{Disk: v.eng.db.Metrics().DiskSpaceUsage()}
	err := v.with(ctx, func(r *reader) error {
		if err := r.heads(func(_ number, h *store.Head) (bool, error) {
			z.Sessions++
			z.Subscriptions += len(h.Subs)
			z.Queued += h.Queue.Messages
			z.QueuedBytes += h.Queue.Bytes
			return true, nil
		}); err != nil {
			return err
		}
		d, err := r.doomed()
		z.Ending = len(d)
		if err != nil {
			return err
		}
		if err := r.retained(func(m *message.Message) bool {
			z.Retained++
			z.RetainedBytes += int64(m.Size())
			return true
		}); err != nil {
			return err
		}
		for space, n := range map[byte]*int{spaceDelayed: &z.Delayed, spaceGroup: &z.GroupEntries} {
			if err := r.each([]byte{space}, []byte{space}, func(_, _ []byte) (bool, error) { *n++; return true, nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return z, err
}

// Compact rewrites the files of the store in o.Dir, which must not be in use, so
// that nothing that was deleted takes space. It needs up to as much free space as
// the store has.
func Compact(ctx context.Context, o Options) error {
	o.MinFree, o.Ballast = -1, -1
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	a := make(done, 1)
	for { // the committer cleans after each group
		left := 0
		if err = s.with(ctx, func(r *reader) error {
			d, err := r.doomed()
			left = len(d)
			return err
		}); err != nil || left == 0 {
			break
		}
		s.Commit(&store.Batch{}, a)
		if err = <-a; err != nil {
			break
		}
	}
	if err == nil {
		err = s.compact(ctx)
	}
	if err2 := s.Close(); err == nil {
		err = err2
	}
	return err
}

func (s *Store) compact(ctx context.Context) error {
	s.view.RLock()
	eng := s.eng
	ok := eng != nil && eng.enter()
	s.view.RUnlock()
	if !ok {
		return fmt.Errorf("disk store %s: %w", s.opts.Dir, ErrBroken)
	}
	defer eng.leave()
	eng.scheduler.start()
	if err := eng.db.Flush(); err != nil {
		return named(s.opts.Dir, err)
	}
	if err := eng.db.Compact(ctx, []byte{0}, []byte{0xFF}, true); err != nil {
		return named(s.opts.Dir, err)
	}
	return nil
}

// done is a callback that hands its error on.
type done chan error

// Committed implements store.Committed.
func (d done) Committed(err error) { d <- err }
