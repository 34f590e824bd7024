package bridge

import (
	"context"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// announcer tells the others what one mailbox subscribes to. Its keys are counted; changes
// are written in batches, one after the other, so the last word on a key is the last one
// said here.
type announcer struct {
	r     *routes
	box   message.MailboxID
	epoch uint64

	mu      sync.Mutex
	keys    map[string]*announced
	queue   []*change // to be written; only the last one takes more keys
	seq     uint64
	at      message.Position // of the last change written
	writing bool
	gone    bool // the mailbox is another's, or deleted
}

// announced is a key of a mailbox.
type announced struct {
	count   int32 // who wants it
	online  int32
	told    int32 // online as it was written
	present bool
	at      message.Position // of the change that carried it last
	in      *change          // that is to carry it next; nil when all is written
}

// change is one entry of the route stream in the making.
type change struct {
	seq   uint64
	keys  []string
	force bool // written also when nothing changes
	then  []func(message.Position, error)
}

// changeKeys is how many keys one change has at most.
const changeKeys = 2048

// collectLocked is the change that takes new keys.
func (a *announcer) collectLocked() *change {
	if n := len(a.queue); n > 0 && len(a.queue[n-1].keys) < changeKeys {
		return a.queue[n-1]
	}
	a.seq++
	c := &change{seq: a.seq}
	a.queue = append(a.queue, c)
	return c
}

func (a *announcer) markLocked(key string, k *announced) {
	if k.in != nil && k.in.seq >= a.queuedLocked() {
		return // what it will be is looked at when it is written
	}
	c := a.collectLocked()
	c.keys = append(c.keys, key)
	k.in = c
}

// queuedLocked is the number of the first change that is not under way.
func (a *announcer) queuedLocked() uint64 {
	if len(a.queue) == 0 {
		return a.seq + 1
	}
	return a.queue[0].seq
}

// alter counts adds and dels, and calls then with the position that carries all of them.
// With force a change is written even if there is nothing to change.
func (a *announcer) alter(adds, dels []string, force bool, then func(message.Position, error)) {
	a.mu.Lock()
	if a.gone {
		a.mu.Unlock()
		then(0, errBoxLost)
		return
	}
	at, last := a.countLocked(adds, dels)
	if force {
		last = a.collectLocked()
		last.force = true
	}
	if last != nil {
		last.then = append(last.then, then)
	}
	start := a.startLocked()
	a.mu.Unlock()
	if last == nil {
		then(at, nil)
	}
	a.begin(start)
}

// countLocked answers the position of the newest of adds that are written, and the last
// change that one of the keys is still to be in, if any.
func (a *announcer) countLocked(adds, dels []string) (at message.Position, last *change) {
	later := func(c *change) {
		if c != nil && (last == nil || c.seq > last.seq) {
			last = c
		}
	}
	for _, key := range adds {
		k := a.keys[key]
		if k == nil {
			k = &announced{}
			a.keys[key] = k
		}
		k.count++
		if !k.present {
			a.markLocked(key, k)
		}
		later(k.in)
		at = max(at, k.at)
	}
	for _, key := range dels {
		k := a.keys[key]
		if k == nil || k.count == 0 {
			continue
		}
		if k.count--; k.count == 0 {
			a.markLocked(key, k)
			later(k.in)
		}
	}
	return at, last
}

// online says how many members of a group are connected.
func (a *announcer) online(key string, n int) {
	a.mu.Lock()
	k := a.keys[key]
	if a.gone || k == nil {
		a.mu.Unlock()
		return
	}
	if k.online = int32(min(max(n, 0), maxOnline)); k.online != k.told && k.count > 0 {
		a.markLocked(key, k)
	}
	start := a.startLocked()
	a.mu.Unlock()
	a.begin(start)
}

// startLocked says whether the caller has to begin the writing.
func (a *announcer) startLocked() bool {
	start := !a.writing && len(a.queue) > 0
	a.writing = a.writing || start
	return start
}

func (a *announcer) begin(start bool) {
	if start && !a.r.spawn(a.write) {
		a.end(store.ErrClosed)
	}
}

// end fails everything that waits, and all that comes.
func (a *announcer) end(err error) {
	a.mu.Lock()
	queue := a.queue
	a.queue, a.gone, a.writing = nil, true, false
	a.mu.Unlock()
	for _, c := range queue {
		c.tell(0, err)
	}
}

func (c *change) tell(at message.Position, err error) {
	for _, then := range c.then {
		then(at, err)
	}
}

// write writes changes until there are none.
func (a *announcer) write(ctx context.Context) {
	var changes []store.RouteChange
	for {
		c, some := a.next(&changes)
		if c == nil {
			return
		}
		at, err := a.latest(), error(nil)
		if some {
			at, err = a.r.append(ctx, a.box, a.epoch, c.seq, changes)
		}
		if err != nil {
			if ctx.Err() != nil {
				err = store.ErrClosed
			}
			c.tell(0, err)
			a.end(err)
			return
		}
		a.written(c, at)
		c.tell(at, nil)
	}
}

func (a *announcer) latest() message.Position {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}

// next takes the first change of the queue and fills in what it comes to now; some says
// that it has to be written.
func (a *announcer) next(out *[]store.RouteChange) (c *change, some bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		a.writing = false
		return nil, false
	}
	c = a.queue[0]
	a.queue[0] = nil
	a.queue = a.queue[1:]
	list := (*out)[:0]
	for _, key := range c.keys {
		k := a.keys[key]
		wanted := k.count > 0
		if wanted == k.present && (!wanted || k.online == k.told) {
			continue
		}
		k.present, k.told = wanted, k.online
		list = append(list, store.RouteChange{Box: a.box, Key: key, Delete: !wanted, Online: int(k.online)})
	}
	*out = list
	return c, c.force || len(list) > 0
}

// written notes that a change is in the stream.
func (a *announcer) written(c *change, at message.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = max(a.at, at)
	for _, key := range c.keys {
		k := a.keys[key]
		if k == nil || k.in != c {
			continue // a later change has it, too
		}
		k.in = nil
		k.at = at
		if k.count == 0 && !k.present {
			delete(a.keys, key)
		}
	}
}

// seed enters a key that the mailbox's set has already, for which nobody has asked here.
func (a *announcer) seed(key string, online int, at message.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := int32(min(max(online, 0), maxOnline)) //nolint:gosec // bounded
	a.keys[key] = &announced{online: n, told: n, present: true, at: at}
}

// settle removes keys that nobody has asked for since they were seeded.
func (a *announcer) settle() {
	a.mu.Lock()
	for key, k := range a.keys {
		if k.count == 0 && k.present {
			a.markLocked(key, k)
		}
	}
	start := a.startLocked()
	a.mu.Unlock()
	a.begin(start)
}

// restore writes again what is missing in the set, and removes what is too much there.
func (a *announcer) restore(set map[string]struct{}) {
	a.mu.Lock()
	for key, k := range a.keys {
		_, there := set[key]
		delete(set, key)
		if k.in == nil && k.present && !there {
			k.present = false
			a.markLocked(key, k)
		}
	}
	for key := range set {
		k := &announced{present: true}
		a.keys[key] = k
		a.markLocked(key, k)
	}
	start := a.startLocked()
	a.mu.Unlock()
	a.begin(start)
}

// count is how many keys the mailbox has, and how many changes wait.
func (a *announcer) count() (keys, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.keys), len(a.queue)
}
