package bridge

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var stepBarrier = step("barrier")

// barrier waits for the reports of all live processes. One question serves all who wait.
type barrier struct {
	*link
	leases *leases
	signal chan struct{} // one token: a report came that somebody may have waited for

	mu      sync.Mutex
	passed  message.Position // every live process has reported it
	waiting []awaited        // by position
	asking  bool
	heard   map[message.MailboxID]message.Position // reports, as the signals and the last answer tell
	live    []message.MailboxID                    // those that were waited for in the last answer
}

type awaited struct {
	at   message.Position
	done store.Committed
}

func newBarrier(l *link, le *leases) *barrier {
	return &barrier{link: l, leases: le, signal: make(chan struct{}, 1), heard: make(map[message.MailboxID]message.Position)}
}

// await tells done nil when every live process has applied the changes up to at. There is
// no other outcome while the bridge is open.
func (b *barrier) await(at message.Position, done store.Committed) {
	b.mu.Lock()
	if at <= b.passed {
		b.mu.Unlock()
		done.Committed(nil)
		return
	}
	i, _ := slices.BinarySearchFunc(b.waiting, at+1, func(w awaited, at message.Position) int {
		if w.at < at {
			return -1
		}
		return 1
	})
	b.waiting = slices.Insert(b.waiting, i, awaited{at, done})
	start := !b.asking
	b.asking = true
	b.mu.Unlock()
	if start && !b.spawn(b.run) {
		b.fail()
	}
}

func (b *barrier) fail() {
	b.mu.Lock()
	all := b.waiting
	b.waiting, b.asking = nil, false
	b.mu.Unlock()
	for _, w := range all {
		w.done.Committed(store.ErrClosed)
	}
}

// hear takes a signal, "mailbox position".
func (b *barrier) hear(text string) {
	box, num, ok := strings.Cut(text, " ")
	n, err := strconv.ParseUint(num, 10, 64)
	if !ok || err != nil {
		return
	}
	b.mu.Lock()
	at := message.Position(n)
	if b.heard[message.MailboxID(box)] < at && b.asking {
		b.heard[message.MailboxID(box)] = at
	}
	ready := b.readyLocked()
	b.mu.Unlock()
	if ready {
		select {
		case b.signal <- struct{}{}:
		default: // one is waiting
		}
	}
}

func (b *barrier) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.readyLocked()
}

// readyLocked reports that asking may help: all who were live have reported what the first
// waits for.
func (b *barrier) readyLocked() bool {
	if len(b.waiting) == 0 {
		return false
	}
	for _, box := range b.live {
		if b.heard[box] < b.waiting[0].at {
			return false
		}
	}
	return true
}

// quickLook and slowLook bound how long a barrier goes without asking: signals can be
// lost, and a lease that runs out sends none.
const (
	quickLook = 20 * time.Millisecond
	slowLook  = 100 * time.Millisecond
)

// run asks as long as somebody waits.
func (b *barrier) run(ctx context.Context) {
	pause, again := quickLook, true
	for {
		b.mu.Lock()
		if len(b.waiting) == 0 {
			b.asking = false
			b.mu.Unlock()
			return
		}
		wanted := b.waiting[0].at
		b.mu.Unlock()
		low, err := b.ask(ctx, wanted)
		if err != nil {
			if ctx.Err() != nil {
				b.fail()
				return
			}
			b.complain("the reports of other processes cannot be read", err)
		}
		if b.pass(low) {
			pause, again = quickLook, true
			continue
		}
		if again && b.ready() { // a signal was quicker than the answer
			again = false
			continue
		}
		if sleep(ctx, pause, b.signal) != nil {
			b.fail()
			return
		}
		pause = min(2*pause, slowLook)
	}
}

// pass ends the waits up to at; it reports whether there were any.
func (b *barrier) pass(at message.Position) bool {
	b.mu.Lock()
	b.passed = max(b.passed, at)
	n := 0
	for n < len(b.waiting) && b.waiting[n].at <= b.passed {
		n++
	}
	done := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.mu.Unlock()
	for _, w := range done {
		w.done.Committed(nil)
	}
	return n > 0
}

// ask says up to where every live process has reported. Those whose lease has run out are
// ended by the question.
func (b *barrier) ask(ctx context.Context, wanted message.Position) (message.Position, error) {
	mayEnd := 0
	if b.leases.mayEnd() {
		mayEnd = 1
	}
	v, err := b.step(ctx, stepBarrier, []string{b.keys.leases(), b.keys.reports()}, uint64(wanted), mayEnd)
	if err != nil {
		return 0, err
	}
	list, _ := v.([]any)
	if len(list) < 2 {
		return 0, nil
	}
	head := asInts(list[:2])
	if head[1] > 0 {
		b.log.Warn("leases that had run out were ended: their processes are not waited for", "leases", head[1])
	}
	low := wanted // nobody is left to wait for
	if head[0] >= 0 {
		low = message.Position(head[0])
	}
	b.note(list[2:])
	return low, nil
}

func (b *barrier) note(pairs []any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = b.live[:0]
	before := b.heard
	b.heard = make(map[message.MailboxID]message.Position, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		box, _ := pairs[i].(string)
		at, _ := pairs[i+1].(int64)
		b.live = append(b.live, message.MailboxID(box))
		b.heard[message.MailboxID(box)] = max(message.Position(at), before[message.MailboxID(box)])
	}
}
