package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/bridge/redis"
)

// link is the way to Redis of one process, and the life of all goroutines that use it.
type link struct {
	client goredis.UniversalClient
	// reader is for reads that block: it is closed first, which ends them.
	reader    goredis.UniversalClient
	clustered bool
	replicas  int
	keys      keys
	log       *slog.Logger

	ctx  context.Context // ends with the bridge
	stop context.CancelFunc

	mu     sync.Mutex // guards closed against wg
	closed bool
	wg     sync.WaitGroup

	out outage
	together
}

// newLink makes a link that lives until close. The context gives values, not its end: a
// bridge outlives the call that opened it.
func newLink(ctx context.Context, o *Options) *link {
	l := &link{client: o.Client, clustered: o.Clustered, replicas: o.MinReplicas, keys: keys{o.Prefix}, log: o.Log}
	l.reader = o.Client
	if c, ok := o.Client.(*redis.Client); ok {
		if fork, err := c.Fork(); err == nil {
			l.reader = fork
		}
	}
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.out.log = o.Log
	l.out.ctx = l.ctx
	l.out.back = make(chan struct{})
	l.out.complained = make(map[string]time.Time)
	return l
}

// spawn runs f in a goroutine that close waits for; its context ends with the bridge. It
// reports false, and runs nothing, after close.
func (l *link) spawn(f func(context.Context)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wg.Go(func() { f(l.ctx) })
	return true
}

// close ends everything that was spawned, and waits for it.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	if l.reader != l.client {
		_ = l.reader.Close() // ends the reads
	}
	l.wg.Wait()
}

// complain logs an error that may come often; what is a constant.
func (l *link) complain(what string, err error) { l.out.complain(what, err) }

// publish is the command for channels.
func (l *link) publish() string {
	if l.clustered {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// shout publishes on a channel and answers how many heard it.
func (l *link) shout(ctx context.Context, channel string, data any) (int64, error) {
	if l.clustered {
		return l.client.SPublish(ctx, channel, data).Result() //nolint:wrapcheck // the caller says what it attempted
	}
	return l.client.Publish(ctx, channel, data).Result() //nolint:wrapcheck // as above
}

// errReplicas is what a write ends with that too few replicas have.
var errReplicas = errors.New("NOREPLICAS too few replicas have the write")

// waitReplicas is how long a write waits for its replicas before it is tried again, at most:
// a connection whose answer is later than its read timeout is given up.
const waitReplicas = time.Second

func (l *link) waitReplicas() time.Duration {
	limit := 2 * waitReplicas
	switch c := l.inner().(type) {
	case *goredis.Client:
		limit = c.Options().ReadTimeout
	case *goredis.ClusterClient:
		limit = c.Options().ReadTimeout
	}
	return max(min(waitReplicas, limit/2), time.Millisecond)
}

// inner is the client without what it is wrapped in.
func (l *link) inner() goredis.UniversalClient {
	if c, ok := l.client.(*redis.Client); ok {
		return c.UniversalClient
	}
	return l.client
}

// write does a step that counts only when enough replicas have it.
func (l *link) write(ctx context.Context, s *redis.Script, keys []string, args ...any) (any, error) {
	if l.replicas == 0 {
		return l.do(ctx, s, keys, args...)
	}
	node, err := l.node(ctx, keys[0])
	if err != nil {
		return nil, err
	}
	pipe := node.Pipeline()
	cmd := s.Run(ctx, pipe, keys, args...)
	wait := pipe.Do(ctx, "wait", l.replicas, l.waitReplicas().Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	return l.waited(ctx, s, cmd, wait)
}

func (l *link) waited(ctx context.Context, s *redis.Script, cmd, wait *goredis.Cmd) (any, error) {
	v, err := cmd.Result()
	switch redis.Classify(err) {
	case redis.None:
	case redis.NoScript: // the connection of a Cluster's node does not send the source
		return nil, errors.Join(err, s.Load(ctx, l.client))
	case redis.Moved:
		if c, ok := l.cluster(); ok {
			c.ReloadState(ctx)
		}
		return nil, err //nolint:wrapcheck // as above
	default:
		return nil, err //nolint:wrapcheck // as above
	}
	if n, err := wait.Int(); err != nil || n < l.replicas {
		return nil, errors.Join(errReplicas, err)
	}
	return v, nil
}

// do does a step together with those of others.
func (l *link) do(ctx context.Context, s *redis.Script, keys []string, args ...any) (any, error) {
	var cmd *goredis.Cmd
	err := l.ask(ctx, func(p goredis.Pipeliner) []goredis.Cmder {
		cmd = s.Run(ctx, p, keys, args...)
		return []goredis.Cmder{cmd}
	})
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// node is the connections on which a key's commands and their WAIT go together.
func (l *link) node(ctx context.Context, key string) (goredis.Cmdable, error) {
	c, ok := l.cluster()
	if !ok {
		return l.client, nil
	}
	node, err := c.MasterForKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("find the server of a key: %w", err)
	}
	return node, nil
}

func (l *link) cluster() (*goredis.ClusterClient, bool) {
	c, ok := l.inner().(*goredis.ClusterClient)
	return c, ok
}

// retry calls f until Redis has answered it, or the context ends. The error is Redis'
// answer, or the context's end.
func (l *link) retry(ctx context.Context, what string, f func(context.Context) error) error {
	for n := 0; ; n++ {
		err := f(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if !isOutage(err) {
			l.out.answered()
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		}
		l.out.failed(what, err)
		if err := l.out.pause(ctx, n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// step is write until it is answered.
func (l *link) step(ctx context.Context, s *redis.Script, keys []string, args ...any) (v any, err error) {
	err = l.retry(ctx, s.Name(), func(ctx context.Context) (err error) {
		v, err = l.write(ctx, s, keys, args...)
		return err
	})
	return v, err
}

func isOutage(err error) bool { return errors.Is(err, errReplicas) || redis.IsUnavailable(err) }

// outage is what everybody knows about whether Redis can be used.
type outage struct {
	ctx  context.Context // that of the bridge
	log  *slog.Logger
	down atomic.Bool

	mu   sync.Mutex
	back chan struct{} // closed when an outage ends
	told time.Time     // when the outage was logged last
	// when each complaint was logged last; there are a few
	complained map[string]time.Time
	errs       atomic.Uint64
}

// tellEvery is how often an outage that goes on is logged.
const tellEvery = time.Minute

func (o *outage) failed(what string, err error) {
	if o.ctx.Err() != nil {
		return // the bridge is closed, and with it the connections
	}
	o.errs.Add(1)
	o.log.Debug("redis did not do a step", "step", what, "error", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down.Store(true)
	if now := time.Now(); now.Sub(o.told) >= tellEvery {
		o.told = now
		o.log.Error("redis cannot be used", "step", what, "kind", redis.Classify(err).String(), "error", err)
	}
}

func (o *outage) answered() {
	if !o.down.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down.Swap(false) {
		close(o.back)
		o.back = make(chan struct{})
	}
}

// pauseMin and pauseMax bound the time between two attempts.
const (
	pauseMin = 10 * time.Millisecond //nolint:revive // the least, no minutes
	pauseMax = time.Second
)

// pause waits before attempt n+1: longer each time, but little more than pauseMin once
// somebody has had an answer.
func (o *outage) pause(ctx context.Context, n int) error {
	o.mu.Lock()
	back := o.back
	o.mu.Unlock()
	if err := sleep(ctx, pauseMin, nil); err != nil {
		return err
	}
	return sleep(ctx, min(pauseMin<<min(n, 10), pauseMax)-pauseMin, back)
}

// complain logs an error that may come often, each message once a minute.
func (o *outage) complain(what string, err error) {
	if o.ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if last, ok := o.complained[what]; ok && now.Sub(last) < tellEvery {
		return
	}
	o.complained[what] = now
	o.log.Error(what, "error", err) //nolint:sloglint // one of a few constants
}

// sleep waits for d, for early (nil is never) or for the end of the context, which is an
// error.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
