package disk

import (
	"cmp"
	"slices"

	"github.com/skeinmq/skein/broker/message"
)

// bodies are the messages of the group under way and, of those before it, the
// shared ones that may come again. A message is known by its address: it is
// immutable, and what is in here keeps its address from being given to another.
type bodies struct {
	all   []body
	byMsg map[*message.Message]int
	last  *message.Message // and its number, because a publish goes to many at once
	lastN int

	recent map[*message.Message]uint64 // the numbers of shared bodies
	order  []recentBody                // oldest first, by number
	bytes  int                         // of the messages in order

	change map[uint64]int64 // by how much the group changes the count of a body
	counts map[uint64]int64 // some of the counts, as they are after the last group
}

// body is a message of the group under way.
type body struct {
	m      *message.Message
	uses   int    // entries that refer to it
	number uint64 // of the shared body, 0 if it is inline
	fresh  bool   // the group writes it
}

// recentBody is a shared body that was written not long ago.
type recentBody struct {
	m      *message.Message
	number uint64
}

// How many messages may come again without being written again.
const (
	maxRecent      = 4096
	maxRecentBytes = 8 << 20
	// maxCounts is how many counts need not be read.
	maxCounts = 1 << 16
)

// What is written once for all sessions: it has to be worth a reference, and a
// read when an entry goes.
const (
	shareSize = 128 // with at least two sessions
	shareUses = 16  // of any size
)

func newBodies() bodies {
	return bodies{byMsg: map[*message.Message]int{}, recent: map[*message.Message]uint64{}, change: map[uint64]int64{}, counts: map[uint64]int64{}}
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
			b.all[n].number = b.recent[m]
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

// bound forgets the oldest shared bodies.
func (b *bodies) bound() {
	for len(b.order) > maxRecent || b.bytes > maxRecentBytes {
		old := b.order[0]
		b.order[0].m = nil
		b.order = b.order[1:]
		b.bytes -= old.m.Size()
		if b.recent[old.m] == old.number {
			delete(b.recent, old.m)
		}
	}
}

// forget makes sure that a body which is deleted is not referred to again.
func (b *bodies) forget(number uint64) {
	delete(b.counts, number)
	i, ok := slices.BinarySearchFunc(b.order, number, func(r recentBody, n uint64) int { return cmp.Compare(r.number, n) })
	if ok && b.recent[b.order[i].m] == number {
		delete(b.recent, b.order[i].m)
	}
}

// count notes what a body's count is.
func (b *bodies) count(number uint64, n int64) {
	if len(b.counts) >= maxCounts {
		clear(b.counts)
	}
	b.counts[number] = n
}

// writeBodies adds to the batch what entries refer to, and takes away what none
// does any more.
func (c *committer) writeBodies() {
	b := &c.bodies
	old := len(b.order)
	for i := range b.all {
		e := &b.all[i]
		switch {
		case e.number == 0 || e.uses == 0:
		case e.fresh:
			c.key, c.val = appendBody(c.key[:0], spaceBody, e.number), appendMessage(c.val[:0], e.m)
			c.set(c.key, c.val)
			c.putCount(e.number, int64(e.uses))
			b.recent[e.m] = e.number
			b.order = append(b.order, recentBody{e.m, e.number})
			b.bytes += e.m.Size()
		default:
			b.change[e.number] += int64(e.uses)
		}
	}
	slices.SortFunc(b.order[old:], func(x, y recentBody) int { return cmp.Compare(x.number, y.number) })
	b.bound()
	c.changeCounts()
}

func (c *committer) putCount(number uint64, n int64) {
	c.key, c.val = appendBody(c.key[:0], spaceCount, number), appendCount(c.val[:0], n)
	c.set(c.key, c.val)
	c.bodies.count(number, n)
}

func (c *committer) changeCounts() {
	b := &c.bodies
	for number, d := range b.change {
		n, ok := b.counts[number]
		if !ok {
			var err error
			if n, err = c.readCount(number); err != nil {
				c.opts.Log.Error("count of a shared message cannot be read; the message stays", "body", number, "error", err)
				continue
			}
		}
		if n += d; n > 0 {
			c.putCount(number, n)
			continue
		}
		c.key = appendBody(c.key[:0], spaceCount, number)
		c.delete(c.key)
		c.key[0] = spaceBody
		_ = c.batch.SingleDelete(c.key, nil) // it was set once; in memory this does not fail
		b.forget(number)
	}
	clear(b.change)
}

func (c *committer) readCount(number uint64) (int64, error) {
	v, closer, err := c.eng.db.Get(appendBody(nil, spaceCount, number))
	if err != nil {
		return 0, err
	}
	defer func() { _ = closer.Close() }() // it only gives memory back
	return parseCount(v)
}
