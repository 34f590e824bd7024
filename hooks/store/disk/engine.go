package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// engine is one opening of the database. Writing goes through a goroutine of its
// own, and so do opening and closing: the database answers a write that failed by
// ending the process, which here ends that goroutine and breaks the engine. What
// an engine that is broken still does cannot change a file any more.
type engine struct {
	db        *pebble.DB
	fs        *cutFS
	log       *slog.Logger
	jobs      chan job
	scheduler *scheduler // of compactions; they begin with its start
	done      chan error // the answer to a job
	gone      chan struct{}

	broken chan struct{} // closed when err is set
	once   sync.Once
	err    error
	given  atomic.Bool // up: nobody waits for it to close

	mu      sync.Mutex
	readers int
	closing bool
	empty   chan struct{} // closed when it is closing and nobody reads
}

type job struct {
	b    *pebble.Batch // nil: sync what was written without
	opts *pebble.WriteOptions
}

// openEngine opens the database in o.Dir.
func openEngine(o *Options, readOnly bool) (*engine, error) {
	e := &engine{
		fs: &cutFS{FS: o.FS}, log: o.Log, jobs: make(chan job), done: make(chan error, 1), gone: make(chan struct{}),
		broken: make(chan struct{}), empty: make(chan struct{}), scheduler: newScheduler(),
	}
	err := e.aside(func() (err error) {
		e.db, err = pebble.Open(o.Dir, o.engine(e, readOnly))
		return err
	})
	if err != nil {
		return nil, err
	}
	go e.write()
	return e, nil
}

// aside runs f on a goroutine that may be ended.
func (e *engine) aside(f func() error) error {
	answer := make(chan error, 1)
	go func() {
		ended := true
		defer func() {
			if r := recover(); r != nil {
				e.fail(fmt.Errorf("panic: %v", r))
			}
			if ended {
				e.fail(errors.New("ended"))
				answer <- e.err
			}
		}()
		err := f()
		ended = false
		answer <- err
	}()
	return <-answer
}

// write is the goroutine that writes.
func (e *engine) write() {
	defer close(e.gone)
	defer func() {
		if r := recover(); r != nil {
			e.fail(fmt.Errorf("panic: %v", r))
		}
	}()
	for j := range e.jobs {
		if j.b == nil {
			e.done <- e.db.LogData(nil, j.opts)
			continue
		}
		e.done <- e.db.Apply(j.b, j.opts)
	}
}

// apply writes b, or answers with why the engine broke; b belongs to the engine
// from then on.
func (e *engine) apply(b *pebble.Batch, opts *pebble.WriteOptions) error {
	select {
	case e.jobs <- job{b, opts}:
	case <-e.broken:
		return e.err
	}
	select {
	case err := <-e.done:
		if err != nil {
			e.fail(err)
			return e.err
		}
		return nil
	case <-e.broken:
		return e.err
	}
}

// fail breaks the engine.
func (e *engine) fail(err error) {
	e.once.Do(func() {
		e.err = fmt.Errorf("%w: %w", ErrBroken, err)
		e.fs.cut.Store(true)
		close(e.broken)
	})
}

// background is told what failed beside the commits. A table that is damaged says
// so to whoever reads it and does not stop the others.
func (e *engine) background(err error) {
	switch {
	case e.given.Load():
		runtime.Goexit() // nobody will stop it from trying again
	case pebble.IsCorruptionError(err):
		e.log.Error("store cannot be compacted: a file is damaged", "error", err)
	default:
		e.fail(err)
	}
}

// damage is told of a file that is damaged, on the goroutine of whoever reads it,
// who gets an error too.
func (e *engine) damage(info pebble.DataCorruptionInfo) {
	e.log.Error("store file is damaged", "file", info.Path, "error", info.Details)
}

// enter lets a reader in; leave must follow if it answers true.
func (e *engine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return false
	}
	e.readers++
	return true
}

func (e *engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.readers--; e.readers == 0 && e.closing {
		close(e.empty)
	}
}

// close waits for the readers and closes the database.
func (e *engine) close() error {
	e.mu.Lock()
	e.closing = true
	if e.readers == 0 {
		close(e.empty)
	}
	e.mu.Unlock()
	<-e.empty
	close(e.jobs)
	<-e.gone
	return e.aside(e.db.Close)
}

// abandon gives up a broken engine: it is closed if that is possible at all.
func (e *engine) abandon() {
	go func() { _ = e.close() }() // it is broken, and said so
}

// engineLog hands on what the database logs.
type engineLog struct{ e *engine }

// Infof implements pebble.Logger.
func (l engineLog) Infof(format string, args ...any) {
	l.e.log.Debug("store engine", "text", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (l engineLog) Errorf(format string, args ...any) {
	l.e.log.Warn("store engine", "text", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It must not return.
func (l engineLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), cause)
		}
	}
	l.e.fail(err)
	runtime.Goexit()
}
