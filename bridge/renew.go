package bridge

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

// renewals is how many times in its term a lease is renewed.
const renewals = 4

// maxTaking bounds how many mailboxes are taken over at a time; the others are left to
// others, or to later.
const maxTaking = 4

// run renews the leases until the bridge ends.
func (l *leases) run(ctx context.Context) {
	tick := time.NewTicker(l.beat)
	defer tick.Stop()
	for n := 0; ; {
		if err := l.renew(ctx); err == nil {
			n = 0
		} else if l.out.pause(ctx, n) == nil {
			n++
			continue
		}
		select {
		case <-tick.C:
		case <-l.kicked:
		case <-ctx.Done():
			return
		}
	}
}

// renew is one look at all leases.
func (l *leases) renew(ctx context.Context) error {
	l.mu.Lock()
	held := l.heldsLocked()
	args := make([]any, 2, 2+3*len(held))
	args[0], args[1] = l.owner, l.term.Milliseconds()
	for _, h := range held {
		args = append(args, string(h.box), h.epoch, h.generation)
	}
	l.mu.Unlock()
	before := time.Now()
	v, err := stepLeaseRenew.Run(ctx, l.client, []string{l.keys.leases()}, args...).Slice()
	if err != nil {
		l.out.failed("lease_renew", err)
		return err //nolint:wrapcheck // it was logged, and says only that it is tried again
	}
	l.out.answered()
	now := time.Now()
	a := parseRenewal(v)
	l.offset.Store(int64(time.UnixMilli(a.now).Sub(before.Add(now.Sub(before) / 2))))
	l.mu.Lock()
	if now.Sub(l.contact) > l.term/2 {
		l.careful = now.Add(l.care())
	}
	l.contact = before
	left := l.left
	l.mu.Unlock()
	for i, h := range held {
		if i < len(a.states) && a.states[i] <= 0 && !left {
			l.mend(ctx, h, a.states[i])
		}
	}
	if len(a.bad) > 0 {
		l.log.Error("leases in redis cannot be read", "mailboxes", len(a.bad), "mailbox", a.bad[0])
	}
	l.takeAll(a.out)
	return nil
}

type renewal struct {
	now    int64
	states []int64
	out    []message.MailboxID
	bad    []string
}

func parseRenewal(v []any) (r renewal) {
	if len(v) != 4 {
		return r
	}
	r.now, _ = v[0].(int64)
	r.states = asInts(v[1])
	for _, s := range asTexts(v[2]) {
		r.out = append(r.out, message.MailboxID(s))
	}
	r.bad = asTexts(v[3])
	return r
}

// mend takes a lease again that has run out, or gives it up when another has it.
func (l *leases) mend(ctx context.Context, h *lease, state int64) {
	if state < 0 {
		l.loseIt(h)
		return
	}
	v, err := l.write(ctx, stepLeaseRetake, []string{l.keys.leases(), l.keys.meta()}, string(h.box), l.owner, h.epoch, l.term.Milliseconds())
	if err != nil {
		l.out.failed("lease_retake", err)
		l.kick()
		return
	}
	got := asInts(v)
	if len(got) != 2 || got[0] == 0 {
		l.loseIt(h)
		return
	}
	l.mu.Lock()
	h.generation, h.end = uint64(got[0]), message.Position(got[1])
	l.mu.Unlock()
	l.log.Warn("a lease had run out and was taken again", "mailbox", string(h.box), "generation", got[0])
	l.tell()
}

// loseIt forgets a mailbox that another process has.
func (l *leases) loseIt(h *lease) {
	own := l.mine() == h.box
	if l.forget(h.box) == nil {
		return // it was given up meanwhile
	}
	l.log.Warn("a mailbox belongs to another process", "mailbox", string(h.box), "own", own)
	l.tell()
	if own {
		l.spawn(func(context.Context) { l.tenure.lost(h.box) })
	} else {
		l.spawn(func(context.Context) { l.tenure.gone(h.box) })
	}
}

// takeAll takes over mailboxes whose leases have run out.
func (l *leases) takeAll(boxes []message.MailboxID) {
	if !l.mayEnd() {
		return
	}
	for _, box := range boxes {
		l.mu.Lock()
		busy := !l.taker || l.own == nil || l.taking[box] || len(l.taking) >= maxTaking
		if !busy {
			l.taking[box] = true
		}
		l.mu.Unlock()
		if !busy {
			l.spawn(func(ctx context.Context) { l.takeOver(ctx, box) })
		}
	}
}

func (l *leases) takeOver(ctx context.Context, box message.MailboxID) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.taking, box)
	}()
	// All find it at about the same time; one takes it, and not always the same.
	if sleep(ctx, rand.N(l.beat/4+1), nil) != nil { //nolint:gosec // a delay, no secret
		return
	}
	h := l.win(ctx, box)
	if h == nil {
		return
	}
	err := l.enter(h)
	if err == nil {
		return
	}
	if l.forget(box) == nil {
		return // another has it already
	}
	l.log.Error("a mailbox could not be taken over", "mailbox", string(box), "error", err)
	if _, err := l.step(ctx, stepLeaseRelease, []string{l.keys.leases(), l.keys.signals()}, l.publish(), l.owner, string(box), h.epoch); err != nil {
		l.log.Warn("a lease was not given back and has to run out", "mailbox", string(box), "error", err)
	}
	l.tenure.gone(box)
}

// win is the step that makes a mailbox this process's; nil when another was quicker.
func (l *leases) win(ctx context.Context, box message.MailboxID) *lease {
	v, err := l.step(ctx, stepLeaseTake, []string{l.keys.leases()}, string(box), l.owner, l.term.Milliseconds())
	got := asInts(v)
	if err != nil || len(got) < 2 || got[0] == 0 {
		return nil
	}
	h := &lease{box: box, epoch: uint64(got[0]), generation: uint64(got[1])}
	h.ctx, h.lose = context.WithCancel(l.ctx)
	h.orderly = len(got) > 2 && got[2] == 1
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adopted[box] = h
	return h
}

// enter raises the epoch beside the inbox, which ends what the process before could still
// do there, and has the mailbox taken over.
func (l *leases) enter(h *lease) error {
	v, err := l.step(h.ctx, stepBoxTake, []string{l.keys.box(h.box, boxMeta)}, h.epoch)
	if err != nil {
		return err
	}
	switch v {
	case int64(-1): // its process died before it was made, or while it was deleted
		return l.remove(h.ctx, h.box)
	case int64(0):
		return errBoxLost
	}
	l.log.Info("a mailbox is taken over", "mailbox", string(h.box), "epoch", h.epoch)
	return l.tenure.adopt(h.ctx, h.box, h.epoch)
}

// asInts reads an answer of whole numbers; whatever is none is 0.
func asInts(v any) []int64 {
	list, _ := v.([]any)
	out := make([]int64, len(list))
	for i, e := range list {
		switch e := e.(type) {
		case int64:
			out[i] = e
		case string:
			out[i], _ = strconv.ParseInt(e, 10, 64)
		}
	}
	return out
}

func asTexts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		out[i], _ = e.(string)
	}
	return out
}
