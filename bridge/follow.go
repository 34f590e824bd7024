package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// table is the routes of all mailboxes but the own one, as the router has them: what a
// reload is compared with. It costs about 40 bytes a key beside the router's own.
type table struct {
	at   message.Position
	keys map[message.MailboxID]map[string]int32

	wanted  atomic.Uint64 // reloads that were asked for
	loaded  mark          // those that were done
	reloads atomic.Uint64 // for metrics
}

// blockFor is how long a read of a stream waits for an entry. It bounds how long a mailbox
// that was lost is read, as nothing but its end ends a blocked read.
const blockFor = time.Second

// errBehind says that entries are missing between the applied ones and those there are.
var errBehind = errors.New("bridge: route changes were missed")

// follow brings the route changes to the router until the bridge ends.
func (r *routes) follow(ctx context.Context, in Follower) {
	f := &follower{routes: r, in: in, origin: origin{link: r.link, key: r.keys.routes()}}
	for n := 0; ctx.Err() == nil; {
		err := f.once(ctx)
		switch {
		case err == nil:
			n = 0
		case errors.Is(err, errBehind), errors.Is(err, errRoute):
			r.log.Warn("all routes are loaded again", "reason", err)
			r.table.wanted.Add(1)
		default:
			if isOutage(err) {
				r.out.failed("follow the routes", err)
			} else {
				r.complain("route changes cannot be read", err)
			}
			if r.out.pause(ctx, n) != nil {
				return
			}
			n++
			f.lost = true
		}
	}
}

// join waits until all routes have been loaded by the follower after the call.
func (r *routes) join(ctx context.Context) error {
	n := r.table.wanted.Add(1)
	return r.table.loaded.wait(ctx, message.Position(n))
}

// follower is the goroutine that applies route changes.
type follower struct {
	*routes
	in      Follower
	origin  origin
	lost    bool // the last read failed
	changes []store.RouteChange
}

func (f *follower) once(ctx context.Context) error {
	another, err := f.origin.changed(ctx, f.lost)
	if err != nil {
		return err
	}
	f.lost = false
	if another { // it may have lost changes that were applied here, and others have their places
		f.log.Warn("the server of the routes is another, or was started again: all routes are loaded")
		f.table.wanted.Add(1)
		if err := f.restore(ctx); err != nil {
			return err
		}
	}
	if n := message.Position(f.table.wanted.Load()); n > f.table.loaded.now() {
		if err := f.reload(ctx); err != nil {
			return err
		}
		f.table.loaded.reach(n)
	}
	ctx, cancel := context.WithTimeout(ctx, blockFor+readTimeout)
	defer cancel()
	read, err := f.reader.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{f.keys.routes(), entryID(f.table.at)}, Count: followCount, Block: blockFor,
	}).Result()
	if errors.Is(err, goredis.Nil) {
		f.out.answered()
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the route stream: %w", err)
	}
	f.out.answered()
	if len(read) != 1 {
		return nil
	}
	return f.apply(ctx, read[0].Messages)
}

// restore writes what the sets of this process's mailboxes have lost.
func (r *routes) restore(ctx context.Context) error {
	r.mu.Lock()
	all := make([]*announcer, 0, len(r.boxes))
	for _, a := range r.boxes {
		all = append(all, a)
	}
	r.mu.Unlock()
	for _, a := range all {
		set := make(map[string]struct{})
		if err := r.scan(ctx, a.box, func(c store.RouteChange) { set[c.Key] = struct{}{} }); err != nil {
			return err
		}
		a.restore(set)
	}
	return nil
}

// readTimeout is how long the answer of a blocked read may be late.
const readTimeout = 2 * time.Second

// followCount is how many changes are read at a time.
const followCount = 512

// apply hands over changes as one, as far as they can be read.
func (f *follower) apply(ctx context.Context, entries []goredis.XMessage) error {
	f.changes = f.changes[:0]
	at, own := f.table.at, f.leases.mine()
	var bad error
	for i := range entries {
		pos, err := position(entries[i].ID)
		if err == nil && pos != at+1 {
			err = errBehind
		}
		var box message.MailboxID
		n := len(f.changes)
		if err == nil {
			data, _ := entries[i].Values["b"].(string)
			f.changes, box, err = parseRoutes(f.changes, data)
		}
		if err != nil {
			bad = err
			break
		}
		if box == own {
			f.changes = f.changes[:n]
		}
		at = pos
	}
	f.table.note(f.changes)
	f.done(at, f.changes)
	if bad != nil && !errors.Is(bad, errBehind) {
		bad = errors.Join(errRoute, bad)
	}
	return bad
}

// done hands changes over and reports the position.
func (f *follower) done(at message.Position, changes []store.RouteChange) {
	f.table.at = at
	f.in.Route(at, changes)
	f.applied.reach(at)
	f.flush(f.ctx)
	own := f.leases.mine()
	if own == "" {
		return
	}
	_, err := f.step(f.ctx, stepRouteReport, []string{f.keys.reports(), f.keys.signals()}, f.publish(), string(own), uint64(at))
	if err != nil && f.ctx.Err() == nil {
		f.complain("a report of applied route changes is refused: others wait for it", err)
	}
}

// note keeps what the router is told.
func (t *table) note(changes []store.RouteChange) {
	for i := range changes {
		c := &changes[i]
		keys := t.keys[c.Box]
		if c.Delete {
			if delete(keys, c.Key); len(keys) == 0 {
				delete(t.keys, c.Box)
			}
			continue
		}
		if keys == nil {
			keys = make(map[string]int32)
			t.keys[c.Box] = keys
		}
		keys[c.Key] = int32(c.Online) //nolint:gosec // bounded where it is read
	}
}

// reload reads all sets, after the position from which the stream is followed then, and
// tells the router what is different. A newcomer has taken its lease before, so whoever
// changes a route later waits for its report.
func (f *follower) reload(ctx context.Context) error {
	f.table.reloads.Add(1)
	end, err := f.end(ctx, f.table.at)
	if err != nil {
		return err
	}
	end = max(end, f.table.at)
	f.leases.since(end)
	var boxes []string
	err = f.retry(ctx, "read the mailboxes", func(ctx context.Context) (err error) {
		boxes, err = f.client.HKeys(ctx, f.keys.leases()).Result()
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if err != nil {
		return err
	}
	own := f.leases.mine()
	old := f.table.keys
	fresh := make(map[message.MailboxID]map[string]int32, len(boxes))
	f.changes = f.changes[:0]
	for _, name := range boxes {
		box := message.MailboxID(name)
		if box == own {
			continue
		}
		keys := make(map[string]int32)
		err := f.scan(ctx, box, func(c store.RouteChange) {
			n := int32(c.Online) //nolint:gosec // bounded where it is read
			if before, ok := old[box][c.Key]; !ok || before != n {
				f.changes = append(f.changes, c)
			}
			keys[c.Key] = n
		})
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			fresh[box] = keys
		}
	}
	for box, keys := range old {
		for key := range keys {
			if _, ok := fresh[box][key]; !ok {
				f.changes = append(f.changes, store.RouteChange{Box: box, Key: key, Delete: true})
			}
		}
	}
	f.table.keys = fresh
	f.done(end, f.changes)
	return nil
}
