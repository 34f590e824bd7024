package auth

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Errors of a Pool.
var (
	// ErrBusy is that too many wait already.
	ErrBusy = errors.New("too many logins at once")
	// ErrStale is that a login was no longer welcome when its turn came.
	ErrStale = errors.New("too many failed logins while it waited")
)

// Pool bounds what password hashes take of the machine. Hashes run on the
// goroutines of those that ask: at most so many at a time, and at most so many
// wait, in the order they came. It outlives reloads.
type Pool struct {
	sem     *semaphore.Weighted
	size    int64
	queue   int64
	waiting atomic.Int64 // also those whose turn it is
}

// DefaultQueue is how many hashes may wait for each one that runs.
const DefaultQueue = 64

// NewPool makes a pool. size is how many cores hashes may keep busy, 0 is half of
// them and at least one; queue is how many may wait, 0 is [DefaultQueue] times size.
func NewPool(size, queue int) *Pool {
	if size <= 0 {
		size = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	if queue <= 0 {
		queue = DefaultQueue * size
	}
	return &Pool{sem: semaphore.NewWeighted(int64(size)), size: int64(size), queue: int64(queue)}
}

// Do runs f when its turn comes, counted as so many cores. It returns [ErrBusy]
// when too many wait, [ErrStale] when still is false by then (so that what a storm
// has queued costs nothing once its sender is backed off), or the error of ctx.
func (p *Pool) Do(ctx context.Context, cores int64, still func() bool, f func()) error {
	cores = min(max(cores, 1), p.size)
	if p.waiting.Add(1) > p.queue+p.size {
		p.waiting.Add(-1)
		return ErrBusy
	}
	defer p.waiting.Add(-1)
	if err := p.sem.Acquire(ctx, cores); err != nil {
		return err
	}
	defer p.sem.Release(cores)
	if !still() {
		return ErrStale
	}
	f()
	return nil
}

// Load returns how many hashes run or wait.
func (p *Pool) Load() int { return int(p.waiting.Load()) }
