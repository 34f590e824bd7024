package bridge

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var (
	stepCommit  = step("record_commit")
	stepFull    = variant("record_commit", "record_commit_full", "#!lua\n", "#!lua flags=allow-oom\n")
	stepMembers = step("box_members")
)

// sender is what send keeps between groups. All of it belongs to that goroutine.
type sender struct {
	*records
	ctx context.Context // ends when the bridge does and Redis stayed away

	// While Redis has no memory left, what needs more waits here, in order. What gives
	// memory back goes on, unless it is of a session that waits.
	held   []*group
	heldOf map[message.ClientID]int
	flush  []work
}

// send is the goroutine that writes groups, one after the other, and answers them.
func (r *records) send() {
	defer close(r.stopped)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	defer cancel()
	defer r.limit(cancel)()
	s := &sender{records: r, ctx: ctx, heldOf: map[message.ClientID]int{}}
	for {
		g, more := s.take()
		if g != nil {
			s.write(g)
		}
		s.leave()
		if !more && len(s.held) == 0 {
			return
		}
	}
}

// limit ends a context closeWait after the end began.
func (r *records) limit(cancel context.CancelFunc) (stop func()) {
	end := make(chan struct{})
	go func() {
		select {
		case <-end:
			return
		case <-r.in.closing:
		}
		t := time.NewTimer(closeWait)
		defer t.Stop()
		select {
		case <-end:
		case <-t.C:
			cancel()
		}
	}()
	return func() { close(end) }
}

// take waits for a group. While some are held, it tries these now and then.
func (s *sender) take() (g *group, more bool) {
	if len(s.held) == 0 {
		g, more = <-s.steps
		return g, more
	}
	t := time.NewTimer(pauseMax)
	defer t.Stop()
	select {
	case g, more = <-s.steps:
		if !more {
			_ = sleep(s.ctx, pauseMin, nil) // nothing else comes: its end is seen below
		}
	case <-t.C:
		more = true
	}
	s.retryHeld()
	return g, more
}

// write brings a group to its end, or to those that are held.
func (s *sender) write(g *group) {
	started := time.Now()
	s.answer(s.drop(g)) // what has nothing to write
	if len(s.held) > 0 {
		s.splitFull(g)
	} else if left := s.push(g.parts, stepCommit); len(left) > 0 {
		s.splitFull(&group{parts: left})
	}
	s.flush = append(s.flush, g.flush...)
	s.flushed()
	s.stats.group(g, time.Since(started))
}

// drop takes the parts out of a group that have nothing to write and nothing to wait for.
func (s *sender) drop(g *group) (void []*part) {
	n := 0
	for _, p := range g.parts {
		if len(p.first) == 0 && s.heldOf[p.id] == 0 {
			void = append(void, p)
			continue
		}
		g.parts[n] = p
		n++
	}
	g.parts = g.parts[:n]
	return void
}

func (s *sender) flushed() {
	if len(s.held) > 0 {
		return
	}
	for i := range s.flush {
		s.in.answer(&s.flush[i])
	}
	s.flush = s.flush[:0]
}

// push writes parts until each has its outcome, and answers them. It gives back those for
// which Redis has no memory.
func (s *sender) push(parts []*part, script *redis.Script) []*part {
	for n := 0; len(parts) > 0; n++ {
		err := s.attempt(parts, script)
		parts = s.settle(parts)
		if len(parts) == 0 {
			s.out.answered()
			return nil
		}
		if err == nil {
			n = -1 // it was another step of the way
			continue
		}
		s.out.failed("record_commit", err)
		if redis.Classify(err) == redis.OutOfMemory && script == stepCommit {
			return parts
		}
		if s.out.pause(s.ctx, n) != nil {
			s.abandon(parts)
			return nil
		}
	}
	return nil
}

// abandon ends parts of which it is not known whether they were written.
func (s *sender) abandon(parts []*part) {
	for _, p := range parts {
		p.err = fmt.Errorf("redis was away until the end: %w", store.ErrClosed)
		p.state = stateDone
	}
	s.answer(parts)
}

// settle answers the parts that have their outcome and gives back the others.
func (s *sender) settle(parts []*part) []*part {
	var ready, left []*part
	for _, p := range parts {
		if p.state == stateDone {
			ready = append(ready, p)
		} else {
			left = append(left, p)
		}
	}
	s.answer(ready)
	return left
}

// attempt takes every part one step further.
func (s *sender) attempt(parts []*part, script *redis.Script) error {
	if err := s.enter(parts); err != nil {
		return err
	}
	encs := make([]*enc, 0, len(parts))
	for _, p := range parts {
		switch {
		case p.state == stateDone:
		case p.state == stateHalf:
			encs = append(encs, p.after)
		case len(p.first) == 0:
			p.state = stateDone
		default:
			encs = append(encs, p.first...)
		}
	}
	if len(encs) == 0 {
		return nil
	}
	if s.clustered {
		return s.apart(encs, script)
	}
	return s.together(encs, script)
}

// enter puts sessions that begin into the sets of their mailboxes.
func (s *sender) enter(parts []*part) error {
	var come map[message.MailboxID][]*part
	for _, p := range parts {
		if p.joins && p.state == stateWaits {
			if come == nil {
				come = map[message.MailboxID][]*part{}
			}
			come[p.home.box] = append(come[p.home.box], p)
		}
	}
	for box, parts := range come {
		ids := make([]any, len(parts))
		for i, p := range parts {
			ids[i] = string(p.id)
		}
		ok, err := s.members(box, parts[0].home.epoch, ids, nil)
		if err != nil {
			return err
		}
		for _, p := range parts {
			p.joins = false
			if !ok {
				p.err, p.state = store.ErrFenced, stateDone
			}
		}
	}
	return nil
}

// members changes the set of a mailbox; it reports false if that is another's. Each that is
// gone is followed by the number of its change.
func (s *sender) members(box message.MailboxID, epoch uint64, come, gone []any) (bool, error) {
	args := append(append([]any{epoch, s.entries.next(), len(come)}, come...), gone...)
	v, err := s.link.write(s.ctx, stepMembers, []string{s.keys.box(box, boxMeta)}, args...)
	if err != nil {
		return false, fmt.Errorf("change the sessions of a mailbox: %w", err)
	}
	return v == int64(1), nil
}

// leave takes sessions that ended out of the sets of their mailboxes. Redis away, they
// stay for the next time; at the end for whoever takes the mailbox over.
func (s *sender) leave() {
	s.mu.Lock()
	if len(s.gone) == 0 {
		s.mu.Unlock()
		return
	}
	all, epochs := s.gone, map[message.MailboxID]uint64{}
	s.gone = map[message.MailboxID]map[message.ClientID]uint64{}
	lists := map[message.MailboxID][]any{}
	for box, ids := range all {
		for id, number := range ids {
			if h := s.homes[id]; h == nil || h.box != box || !h.member {
				lists[box] = append(lists[box], string(id), number)
			}
		}
		epochs[box] = s.boxes[box]
	}
	s.mu.Unlock()
	for box, ids := range lists {
		if _, err := s.members(box, epochs[box], nil, ids); err != nil {
			s.mu.Lock()
			for id, number := range all[box] {
				s.goneLocked(box, id, number)
			}
			s.mu.Unlock()
		}
	}
}

func (r *records) goneLocked(box message.MailboxID, id message.ClientID, number uint64) {
	if r.gone[box] == nil {
		r.gone[box] = map[message.ClientID]uint64{}
	}
	r.gone[box][id] = max(r.gone[box][id], number)
}

// stepArgs are what all parts of a step begin with.
func (s *sender) stepArgs(more int) []any {
	args := make([]any, 3, 3+more)
	args[0], args[1], args[2] = s.clock().Unix(), max(1, int64(s.window/time.Second)), "1"
	if s.clustered { // a step each: one may be done before another that it should follow
		args[2] = "0"
	}
	return args
}

// together writes parts in one step.
func (s *sender) together(encs []*enc, script *redis.Script) error {
	keys := make([]string, len(encs))
	n := 0
	for _, e := range encs {
		n += 2 + len(e.args)
	}
	args := s.stepArgs(n)
	for i, e := range encs {
		keys[i] = e.key
		args = append(append(args, e.tag, e.header), e.args...)
	}
	v, err := s.link.write(s.ctx, script, keys, args...)
	if err != nil {
		return err
	}
	return outcomes(encs, v)
}

// apart writes parts in a step each.
func (s *sender) apart(encs []*enc, script *redis.Script) error {
	var first error
	note := func(e *enc, v any, err error) {
		if err == nil {
			err = outcomes([]*enc{e}, v)
		}
		if err != nil && (first == nil || redis.Classify(first) == redis.OutOfMemory) {
			first = err
		}
	}
	if s.replicas > 0 {
		for _, e := range encs {
			v, err := s.link.write(s.ctx, script, []string{e.key}, s.argsOf(e)...)
			note(e, v, err)
		}
		return first
	}
	pipe := s.client.Pipeline()
	cmds := make([]*goredis.Cmd, len(encs))
	for i, e := range encs {
		cmds[i] = script.Run(s.ctx, pipe, []string{e.key}, s.argsOf(e)...)
	}
	_, _ = pipe.Exec(s.ctx) // each command has its own error
	for i, e := range encs {
		v, err := cmds[i].Result()
		note(e, v, err)
	}
	return first
}

func (s *sender) argsOf(e *enc) []any {
	return append(append(s.stepArgs(2+len(e.args)), e.tag, e.header), e.args...)
}
