package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Store implements store.Store, and Grouper, Pager and Groups of package store.
type Store struct {
	opts Options
	lock *pebble.Lock
	in   intake

	messages, bytes atomic.Int64 // of all queues

	closed  atomic.Bool
	once    sync.Once
	stopped chan struct{} // closed when the committer ended
	failure error         // what its end met; to be read after stopped

	view sync.RWMutex // held for writing while a group is written: readers see whole groups that are durable
	eng  *engine      // nil while the store is broken, and after its end
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Grouper = (*Store)(nil)
	_ store.Pager   = (*Store)(nil)
	_ store.Groups  = (*Store)(nil)
)

// formatNumber is the format that this package writes: the layout of the keys. A
// value has a version of its own.
const formatNumber = 1

// Open opens the store in o.Dir and makes one if there is none. It reads what is
// known of each session besides its queue. Errors name the directory and what to
// do; no data is deleted.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.fill()
	s := &Store{opts: o, stopped: make(chan struct{})}
	s.in.wake = make(chan struct{}, 1)
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, named(o.Dir, err)
	}
	lock, err := lockDir(&o)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	c := &committer{Store: s, guard: newGuard(&o), bodies: newBodies(), joined: map[uint64][]*session{}}
	c.now = o.Now()
	if err := c.open(ctx); err != nil {
		_ = lock.Close() // the first error counts
		return nil, err
	}
	go c.run()
	return s, nil
}

func lockDir(o *Options) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(o.Dir, o.FS)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), full(err), readOnlyFS(err):
		return nil, named(o.Dir, err)
	}
	return nil, fmt.Errorf("disk store %s: %w: stop the process that uses it or choose another directory: %w", o.Dir, ErrLocked, err)
}

// Close waits until everything handed in is answered and releases the directory.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed.Store(true)
		s.in.close()
		<-s.stopped
		if err := s.lock.Close(); err != nil && s.failure == nil {
			s.failure = err
		}
		if s.failure != nil {
			s.failure = fmt.Errorf("disk store %s: close: %w", s.opts.Dir, s.failure)
		}
	})
	<-s.stopped
	return s.failure
}

// Totals are the messages and bytes, by message.Size, that wait in all queues.
func (s *Store) Totals() (messages, bytes int64) { return s.messages.Load(), s.bytes.Load() }

// open opens the engine and learns what is there.
func (c *committer) open(ctx context.Context) error {
	if err := c.guard.room(); err != nil {
		return err
	}
	eng, err := openEngine(&c.opts, false)
	if err != nil {
		return openError(c.opts.Dir, err)
	}
	c.guard.look(c.now) // nothing is added to a store that does not open
	c.batch = eng.db.NewBatch()
	if err := c.learn(ctx, eng); err != nil {
		_ = c.batch.Close()
		c.batch = nil
		err = named(c.opts.Dir, err)
		if err2 := eng.close(); err2 != nil {
			c.opts.Log.Warn("store cannot be closed", "dir", c.opts.Dir, "error", err2)
		}
		return err
	}
	c.view.Lock()
	c.eng = eng
	c.view.Unlock()
	c.compactAt = c.now.Add(compactAfter)
	return nil
}

// compactAfter is how long after opening compactions begin: who opened it has more to
// read, and somebody waits for that.
const compactAfter = 5 * time.Second

// openError names what opening the engine met.
func openError(dir string, err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "format major version"):
		return fmt.Errorf("disk store %s: %w: run the version that wrote it, or a later one: %w", dir, ErrNewer, err)
	case strings.Contains(text, "merger name"), strings.Contains(text, "comparer name"):
		return fmt.Errorf("disk store %s: %w: it is another program's: choose another directory: %w", dir, ErrDamaged, err)
	}
	return named(dir, err)
}

// learn reads the format, the numbers and the figures of all sessions.
func (c *committer) learn(ctx context.Context, eng *engine) error {
	start := c.opts.Now()
	r, err := newReader(eng.db)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }() // r.err was looked at
	fresh, err := r.format(c.opts.Dir)
	if err != nil {
		return err
	}
	if c.given, err = r.given(); err != nil {
		return err
	}
	c.next = c.given
	if err := c.learnSessions(ctx, r); err != nil {
		return err
	}
	c.doomed, err = r.doomed()
	if err != nil {
		return err
	}
	if fresh {
		c.set(keyFormat, appendFormat(nil))
	}
	c.opts.Log.Info("store is open", "dir", c.opts.Dir, "sessions", len(c.sessions), "queued", c.messages.Load(), "took", c.opts.Now().Sub(start))
	return nil
}

// progressEvery is how many sessions are read between two lines in the log.
const progressEvery = 50_000

func (c *committer) learnSessions(ctx context.Context, r *reader) error {
	c.sessions = map[message.ClientID]*session{}
	c.messages.Store(0)
	c.bytes.Store(0)
	return r.figures(func(n number, id message.ClientID, f figures) error {
		s := &session{id: id, exists: true, epoch: f.epoch, n: n, has: true, figures: f, unused: f.lane.next}
		c.sessions[id] = s
		c.total(s)
		if len(c.sessions)%progressEvery != 0 {
			return nil
		}
		c.opts.Log.Info("reading store", "dir", c.opts.Dir, "sessions", len(c.sessions))
		return ctx.Err()
	})
}

// numbersAhead is how many numbers are taken at once; those that were not used
// when the process ends are never given out.
const numbersAhead = 1 << 20

// reserve makes sure that every number of the batch is below the limits on disk.
func (c *committer) reserve() {
	if c.next.sessions <= c.given.sessions && c.next.bodies <= c.given.bodies {
		return
	}
	c.given = given{c.next.sessions + numbersAhead, c.next.bodies + numbersAhead}
	c.set(keyNode, appendGiven(nil, c.given))
}

// Back-off of opening a broken store again.
const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 30 * time.Second
)

// breakDown gives the engine up and refuses everything that waits.
func (c *committer) breakDown(err error) {
	if c.eng == nil {
		return
	}
	c.opts.Log.Error("store is broken; it is opened again", "dir", c.opts.Dir, "error", err)
	eng := c.eng
	c.view.Lock()
	c.eng = nil
	c.view.Unlock()
	if c.batch != nil {
		_ = c.batch.Close() // nothing of it was handed over
		c.batch = nil
	}
	eng.fail(err)
	eng.abandon()
	c.failHeld(err)
	c.sessions, c.lingering, c.doomed, c.dusty = map[message.ClientID]*session{}, nil, nil, nil
	clear(c.touched)
	c.touched, c.dooms, c.unsynced = c.touched[:0], nil, false
	clear(c.joined)
	c.bodies = newBodies()
	c.retry, c.retryAt = retryFirst, c.now.Add(retryFirst)
}

// failHeld answers what lingers.
func (c *committer) failHeld(err error) {
	for _, w := range c.lingering {
		if w.s.held == nil {
			continue
		}
		for _, h := range w.s.held.works {
			if h.err == nil {
				h.err = err
			}
			c.in.answer(&h)
		}
		w.s.held = nil
	}
}

// reopen tries to open a broken store again.
func (c *committer) reopen() {
	err := c.open(context.Background())
	if err == nil {
		c.retry = 0
		return
	}
	c.retry = min(2*c.retry, retryMax)
	c.retryAt = c.now.Add(c.retry)
	c.opts.Log.Error("store cannot be opened again", "dir", c.opts.Dir, "error", err, "next", c.retry)
}
