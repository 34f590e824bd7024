package disk

import "github.com/skeinmq/skein/broker/message"

// bodies are the messages of the group under way and, of those before it, the
// shared ones that may come again. A message is known by its address: it is
// immutable, and what is in here keeps its address from being given to another.
type bodies struct {
	all   []body
	byMsg map[*message.Message]int
	last  *message.Message // and its number, because a publish goes to many at once
	lastN int

	recent  map[*message.Message]*sharedBodyRefs
	byBody  map[uint64]*sharedBodyRefs
	order   []*sharedBodyRefs // oldest first
	bytes   int               // of the messages in order
	release map[uint64]int64  // references that the group gives back
}

// body is a message of the group under way.
type body struct {
	m      *message.Message
	uses   int    // entries that refer to it
	number uint64 // of the shared body, 0 if it is inline
	fresh  bool   // the group writes it
}

// sharedBodyRefs is a shared body that was written not long ago.
type sharedBodyRefs struct {
	m      *message.Message
	number uint64
	live   int64 // entries that refer to it; without any it must not be used again
}

// How many messages may come again without being written again.
const (
	maxRecent      = 4096
	maxRecentBytes = 8 << 20
)

// What is written once for all sessions: it has to be worth a reference, and a
// read when an entry goes.
const (
	shareSize = 128 // with at least two sessions
	shareUses = 16  // of any size
)

func newBodies() bodies {
	return bodies{
		byMsg: map[*message.Message]int{}, recent: map[*message.Message]*sharedBodyRefs{},
		byBody: map[uint64]*sharedBodyRefs{}, release: map[uint64]int64{},
	}
}

// begin forgets the group before.
func (b *bodies) begin() {
	clear(b.all)
	b.all, b.last = b.all[:0], nil
	if len(b.byMsg) > 0 {
		clear(b.byMsg)
	}
}

// use counts an entry that refers to m.
func (b *bodies) use(m *message.Message) int {
	if m == b.last {
		b.all[b.lastN].uses++
		return b.lastN
	}
	n, ok := b.byMsg[m]
	if !ok {
		n = len(b.all)
		b.all = append(b.all, body{m: m})
		b.byMsg[m] = n
		if len(b.recent) > 0 {
			if r := b.recent[m]; r != nil && r.live > 0 {
				b.all[n].number = r.number
			}
		}
	}
	b.all[n].uses++
	b.last, b.lastN = m, n
	return n
}

// drop takes one use back.
func (b *bodies) drop(n int) { b.all[n].uses-- }

// share decides, when the first entry with it is written, whether a message is
// shared, and answers with its number or 0. next gives a new number.
func (b *bodies) share(n int, next *uint64) uint64 {
	e := &b.all[n]
	if e.number == 0 && (e.uses >= shareUses || e.uses > 1 && messageRoom(e.m) >= shareSize) {
		*next++
		e.number, e.fresh = *next, true
	}
	return e.number
}

// keep remembers what the group shared.
func (b *bodies) keep(e *body) {
	if !e.fresh {
		b.byBody[e.number].live += int64(e.uses)
		return
	}
	r := &sharedBodyRefs{m: e.m, number: e.number, live: int64(e.uses)}
	b.recent[e.m], b.byBody[e.number] = r, r
	b.order = append(b.order, r)
	b.bytes += e.m.Size()
	for len(b.order) > maxRecent || b.bytes > maxRecentBytes {
		old := b.order[0]
		b.order[0] = nil
		b.order = b.order[1:]
		b.bytes -= old.m.Size()
		b.forget(old)
	}
}

func (b *bodies) forget(r *sharedBodyRefs) {
	delete(b.byBody, r.number)
	if b.recent[r.m] == r {
		delete(b.recent, r.m)
	}
}

// give counts references that are given back.
func (b *bodies) give(number uint64) {
	b.release[number]++
}

// writeBodies adds to the batch what entries refer to, and what they do no more.
func (c *committer) writeBodies() {
	b := &c.bodies
	for i := range b.all {
		e := &b.all[i]
		if e.number == 0 || e.uses == 0 {
			continue
		}
		c.key = appendBody(c.key[:0], e.number)
		c.val = appendRefs(c.val[:0], int64(e.uses))
		if e.fresh {
			c.val = appendMessage(c.val, e.m)
		}
		_ = c.batch.Merge(c.key, c.val, nil) // in memory
		b.keep(e)
	}
	c.releaseBodies()
}

func (c *committer) releaseBodies() {
	b := &c.bodies
	for number, n := range b.release {
		c.key = appendBody(c.key[:0], number)
		c.val = appendRefs(c.val[:0], -n)
		_ = c.batch.Merge(c.key, c.val, nil) // in memory
		if r := b.byBody[number]; r != nil {
			if r.live -= n; r.live <= 0 {
				b.forget(r)
			}
		}
	}
	clear(b.release)
}
