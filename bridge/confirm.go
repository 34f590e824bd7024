package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Confirm tells done nil once what was routed by the table at matched may be acknowledged:
// the lease was this process's own after all of it was stored. One read serves all who
// asked before it began. An error means that it must never be acknowledged.
func (l *leases) Confirm(matched message.Position, done store.Committed) {
	l.mu.Lock()
	l.asking = append(l.asking, asking{matched, done})
	start := !l.checking
	l.checking = true
	l.mu.Unlock()
	if start && !l.spawn(l.check) {
		l.failAsking(store.ErrClosed)
	}
}

// check reads the own lease as long as somebody asks. Redis away, they wait.
func (l *leases) check(ctx context.Context) {
	for {
		l.mu.Lock()
		asked, own, changed := l.asking, l.own, l.changed
		l.asking = nil
		l.checking = len(asked) > 0
		l.mu.Unlock()
		if len(asked) == 0 {
			return
		}
		if l.judge(ctx, asked, own) {
			continue
		}
		l.kick()
		l.putBack(asked)
		select {
		case <-changed:
		case <-ctx.Done():
			l.failAsking(store.ErrClosed)
			return
		}
	}
}

// judge answers those who asked, or reports false: the lease is between two generations.
func (l *leases) judge(ctx context.Context, asked []asking, own *lease) bool {
	if own == nil {
		answerAll(asked, errBoxLost)
		return true
	}
	end, ok, err := l.ask(ctx, own)
	switch {
	case err != nil && ctx.Err() != nil:
		answerAll(asked, store.ErrClosed)
	case err != nil:
		answerAll(asked, err)
	case !ok:
		return false
	default:
		for _, a := range asked {
			if a.matched < end {
				a.done.Committed(errTooStale)
			} else {
				a.done.Committed(nil)
			}
		}
	}
	return true
}

func answerAll(asked []asking, err error) {
	for _, a := range asked {
		a.done.Committed(err)
	}
}

func (l *leases) failAsking(err error) {
	l.mu.Lock()
	asked := l.asking
	l.asking, l.checking = nil, false
	l.mu.Unlock()
	answerAll(asked, err)
}

// putBack lets them be the first to be answered next time.
func (l *leases) putBack(asked []asking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = append(asked, l.asking...)
}

// ask reads the row of the own mailbox. ok means that it is this process's, of the
// generation that is known here, and not ended; end is where the route changes ended when
// that generation began. Neither ok nor an error means that it will be one of them.
//
// The deadline is not compared: whoever acts on a lease that has run out has written so
// into the row.
func (l *leases) ask(ctx context.Context, own *lease) (end message.Position, ok bool, err error) {
	var row string
	err = l.retry(ctx, "read the lease", func(ctx context.Context) (err error) {
		row, err = l.row(ctx, own.box)
		return err
	})
	if errors.Is(err, goredis.Nil) {
		row, err = "", nil
	}
	if err != nil {
		return 0, false, err
	}
	r, readable := parseRow(row)
	if !readable || r.owner != l.owner || r.epoch != own.epoch {
		l.kick()
		return 0, false, errBoxLost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return own.end, r.deadline > ended && r.generation == own.generation, nil
}

// row reads a row from a server that is the primary. One that stood still while its replica
// was promoted answers as if nothing had happened, until it is told; but it has no replica.
func (l *leases) row(ctx context.Context, box message.MailboxID) (string, error) {
	if l.replicas == 0 {
		return l.client.HGet(ctx, l.keys.leases(), string(box)).Result() //nolint:wrapcheck // the caller says what it attempted
	}
	node, err := l.node(ctx, l.keys.leases())
	if err != nil {
		return "", err
	}
	pipe := node.Pipeline()
	row := pipe.HGet(ctx, l.keys.leases(), string(box))
	wait := pipe.Do(ctx, "wait", l.replicas, waitReplicas.Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	if err := row.Err(); err != nil && !errors.Is(err, goredis.Nil) {
		return "", err //nolint:wrapcheck // as above
	}
	if n, err := wait.Int(); err != nil || n < l.replicas {
		return "", errors.Join(errReplicas, err)
	}
	return row.Result() //nolint:wrapcheck // as above
}

// row is a lease as it stands in Redis.
type row struct {
	owner             string
	epoch, generation uint64
	deadline          int64 // ms; up to ended nobody waits for it any more
	own               bool  // the process's own mailbox, not one that it adopted
}

// ended is the deadline of a lease that somebody did not wait for any more; 0 is that of
// one that was given free.
const ended = 1

func parseRow(s string) (row, bool) {
	f := strings.Split(s, " ")
	if len(f) != 5 || f[0] == "" {
		return row{}, false
	}
	r := row{owner: f[0], own: f[4] == "p"}
	var errs [3]error
	r.epoch, errs[0] = strconv.ParseUint(f[1], 10, 64)
	r.generation, errs[1] = strconv.ParseUint(f[2], 10, 64)
	r.deadline, errs[2] = strconv.ParseInt(f[3], 10, 64)
	return r, errors.Join(errs[:]...) == nil
}

// String is the row as the steps write it.
func (r row) String() string {
	kind := "a"
	if r.own {
		kind = "p"
	}
	return fmt.Sprintf("%s %d %d %d %s", r.owner, r.epoch, r.generation, r.deadline, kind)
}
