package bridge

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/hooks/store"
)

// together sends the commands of many goroutines in few pipelines: whoever asks while
// others are answered goes with the next one. A storm of connects then needs a few
// connections to Redis and as many round trips as a quiet one.
type together struct {
	mu      sync.Mutex
	waiting []*asked
	flying  int // pipelines under way
}

// asked is commands that one goroutine waits for.
type asked struct {
	add  func(goredis.Pipeliner) []goredis.Cmder
	cmds []goredis.Cmder // valid when done is closed
	done chan struct{}
}

const (
	maxFlying = 4   // pipelines at a time
	maxFlock  = 256 // askers of one pipeline
)

// ask sends what add adds and waits for the answers; the error is the first of them. When
// the context ends before, they may still be sent. Who sends the pipeline itself sees the end
// of the context only with the answers, or when the connection gives up.
func (l *link) ask(ctx context.Context, add func(goredis.Pipeliner) []goredis.Cmder) error {
	if l.clustered { // a slow server would hold back the others' answers
		pipe := l.client.Pipeline()
		cmds := add(pipe)
		_, _ = pipe.Exec(ctx) // each command has its own error
		return firstError(cmds)
	}
	a := &asked{add: add, done: make(chan struct{})}
	t := &l.together
	t.mu.Lock()
	t.waiting = append(t.waiting, a)
	start := t.flying < maxFlying
	if start {
		t.flying++
	}
	t.mu.Unlock()
	if start && !l.lead() {
		return store.ErrClosed
	}
	select {
	case <-a.done:
		return firstError(a.cmds)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ctx.Done():
		return store.ErrClosed
	}
}

func firstError(cmds []goredis.Cmder) error {
	for _, c := range cmds {
		if err := c.Err(); err != nil {
			return err //nolint:wrapcheck // the caller says what it attempted
		}
	}
	return nil
}

// lead sends the first pipeline from the goroutine of who began it: nobody else has to
// wake up for a command that is alone. If there is more by then, another goroutine goes on.
// It reports false after close.
func (l *link) lead() bool {
	t := &l.together
	t.mu.Lock()
	flock := t.next()
	t.mu.Unlock()
	l.carry(l.ctx, flock)
	t.mu.Lock()
	more := len(t.waiting) > 0
	if !more {
		t.flying--
	}
	t.mu.Unlock()
	return !more || l.spawn(l.fly)
}

// fly sends pipelines while somebody waits.
func (l *link) fly(ctx context.Context) {
	t := &l.together
	for {
		t.mu.Lock()
		flock := t.next()
		if len(flock) == 0 {
			t.flying--
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		l.carry(ctx, flock)
	}
}

// next takes those who go with the next pipeline.
func (t *together) next() []*asked {
	n := min(len(t.waiting), maxFlock)
	flock := t.waiting[:n:n]
	if t.waiting = t.waiting[n:]; len(t.waiting) == 0 {
		t.waiting = nil
	}
	return flock
}

// carry sends one pipeline and gives everybody the answers.
func (l *link) carry(ctx context.Context, flock []*asked) {
	if len(flock) == 0 {
		return
	}
	pipe := l.client.Pipeline()
	for _, a := range flock {
		a.cmds = a.add(pipe)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for _, a := range flock {
		close(a.done)
	}
}
