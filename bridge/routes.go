package bridge

import (
	"context"
	"fmt"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var (
	stepRouteChange = step("route_change")
	stepRouteReport = step("route_report")
	stepRouteEnd    = step("route_end")
)

// routes tells the others what the mailboxes of this process subscribe to, and brings here
// what the others do.
type routes struct {
	*link
	leases *leases
	// flush returns when everything that was handed over for other mailboxes before the
	// call is there, or has been given up.
	flush func(ctx context.Context)

	barrier *barrier
	applied mark // up to there the router has the route changes

	mu    sync.Mutex
	boxes map[message.MailboxID]*announcer

	table table // the follower's, which is one goroutine at a time
}

func newRoutes(l *link, le *leases, flush func(context.Context)) *routes {
	r := &routes{link: l, leases: le, flush: flush, boxes: make(map[message.MailboxID]*announcer)}
	r.barrier = newBarrier(l, le)
	r.table.keys = make(map[message.MailboxID]map[string]int32)
	return r
}

// streamLength is about how many route changes Redis keeps. Who falls further behind loads
// the sets again.
const streamLength = 100_000

// append writes one change of a mailbox and answers its position. Numbers of an epoch rise.
func (r *routes) append(ctx context.Context, box message.MailboxID, epoch, number uint64, changes []store.RouteChange) (message.Position, error) {
	args := make([]any, 7, 7+2*len(changes))
	args[0], args[1], args[2], args[3] = string(box), r.leases.owner, epoch, number
	args[4], args[5] = appendRoutes(nil, box, changes), streamLength
	for i := range changes {
		if changes[i].Delete {
			args = append(args, changes[i].Key)
		}
	}
	args[6] = len(args) - 7
	for i := range changes {
		if c := &changes[i]; !c.Delete {
			args = append(args, c.Key, setValue(c.Key, c.Online))
		}
	}
	v, err := r.step(ctx, stepRouteChange, []string{r.keys.leases(), r.keys.meta(), r.keys.routes(), r.keys.set(box)}, args...)
	if err != nil {
		return 0, err
	}
	at, _ := v.(int64)
	if at == 0 {
		r.leases.kick()
		return 0, errBoxLost
	}
	return message.Position(at), nil
}

// announcer is that of a mailbox; nil when this process has not got it.
func (r *routes) announcer(box message.MailboxID) *announcer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.boxes[box]; a != nil {
		return a
	}
	_, epoch, ok := r.leases.epoch(box)
	if !ok {
		return nil
	}
	a := &announcer{r: r, box: box, epoch: epoch, keys: make(map[string]*announced)}
	r.boxes[box] = a
	return a
}

// Join adds keys. done is told nil once every live instance routes by them.
func (r *routes) Join(box message.MailboxID, keys []string, done store.Committed) {
	a := r.announcer(box)
	if a == nil {
		done.Committed(errBoxLost)
		return
	}
	a.alter(keys, nil, false, func(at message.Position, err error) {
		if err != nil {
			done.Committed(err)
			return
		}
		r.barrier.await(at, done)
	})
}

// Leave takes keys back. The last Leave of a key removes it.
func (r *routes) Leave(box message.MailboxID, keys []string) {
	if a := r.announcer(box); a != nil {
		a.alter(nil, keys, false, func(message.Position, error) {})
	}
}

// Online says how many members of a shared group are connected in a mailbox.
func (r *routes) Online(box message.MailboxID, key string, n int) {
	if a := r.announcer(box); a != nil {
		a.online(key, n)
	}
}

// change is Join and Leave in one, and answers the position that carries all of it without
// waiting for a barrier. With force there is a change of its own, also when nothing is to
// be changed.
func (r *routes) change(ctx context.Context, box message.MailboxID, adds, dels []string, force bool) (message.Position, error) {
	a := r.announcer(box)
	if a == nil {
		return 0, errBoxLost
	}
	type answer struct {
		at  message.Position
		err error
	}
	ch := make(chan answer, 1) // takes the only answer, also when nobody waits any more
	a.alter(adds, dels, force, func(at message.Position, err error) { ch <- answer{at, err} })
	select {
	case got := <-ch:
		return got.at, got.err
	case <-ctx.Done():
		return 0, fmt.Errorf("change routes: %w", context.Cause(ctx))
	}
}

// pass waits until every live instance has applied the route changes up to at, and has
// appended what it had routed before.
func (r *routes) pass(ctx context.Context, at message.Position) error {
	w := waiter(make(chan error, 1))
	r.barrier.await(at, w)
	return w.wait(ctx)
}

// waiter is told an outcome and waits for it. It takes one.
type waiter chan error

// Committed is told the outcome.
func (w waiter) Committed(err error) { w <- err }

func (w waiter) wait(ctx context.Context) error {
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seed reads what an adopted mailbox subscribes to. Its keys stay as they are until settle,
// which removes those that nobody has joined again.
func (r *routes) seed(ctx context.Context, box message.MailboxID) error {
	end, err := r.end(ctx, 0)
	if err != nil {
		return err
	}
	a := r.announcer(box)
	if a == nil {
		return errBoxLost
	}
	return r.scan(ctx, box, func(c store.RouteChange) { a.seed(c.Key, c.Online, end) })
}

func (r *routes) settle(box message.MailboxID) {
	if a := r.announcer(box); a != nil {
		a.settle()
	}
}

// forget ends the changes of a mailbox that this process has no longer.
func (r *routes) forget(box message.MailboxID) {
	r.mu.Lock()
	a := r.boxes[box]
	delete(r.boxes, box)
	r.mu.Unlock()
	if a != nil {
		a.end(errBoxLost)
	}
}

// end is the position of the last route change in Redis. What was applied here and is
// lost there keeps its numbers.
func (r *routes) end(ctx context.Context, applied message.Position) (message.Position, error) {
	v, err := r.step(ctx, stepRouteEnd, []string{r.keys.meta(), r.keys.routes()}, uint64(applied))
	if err != nil {
		return 0, err
	}
	n, _ := v.(int64)
	return message.Position(max(n, 0)), nil
}

// scanCount is about how many fields of a set are read at a time.
const scanCount = 1000

// scan reads the set of a mailbox; a field that is changed meanwhile may come twice or not
// at all.
func (r *routes) scan(ctx context.Context, box message.MailboxID, visit func(store.RouteChange)) error {
	for cursor := uint64(0); ; {
		var kv []string
		err := r.retry(ctx, "read the routes of a mailbox", func(ctx context.Context) (err error) {
			var next uint64
			kv, next, err = r.client.HScan(ctx, r.keys.set(box), cursor, "", scanCount).Result()
			if err == nil {
				cursor = next
			}
			return err //nolint:wrapcheck // retry says what was attempted
		})
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(kv); i += 2 {
			if kv[i] != "" {
				visit(fromSet(box, kv[i], kv[i+1]))
			}
		}
		if cursor == 0 {
			return nil
		}
	}
}
