package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// dust is a lane that has keys below its head.
type dust struct {
	s  *session
	n  number // which it was then
	at time.Time
}

// How much cleaning is done between two groups.
const (
	cleanDooms   = 64
	cleanEntries = 512
	cleanLanes   = 16
	// fewKeys get tombstones; a range deletion costs every reader a little until it
	// is compacted away.
	fewKeys = 64
	// dustAge is how long a lane keeps what it has consumed.
	dustAge = 5 * time.Second
)

// clean takes away some of what ended sessions and consumed entries left, and
// reports whether it did anything. It is written and not synced: after a crash it
// is done again.
func (c *committer) clean() bool {
	if c.eng == nil || len(c.doomed) == 0 && (len(c.dusty) == 0 || c.now.Sub(c.dusty[0].at) < dustAge) {
		return false
	}
	c.cleanDoomed()
	for i := 0; i < cleanLanes && len(c.dusty) > 0 && c.now.Sub(c.dusty[0].at) >= dustAge; i++ {
		d := c.dusty[0]
		c.dusty = c.dusty[1:]
		if d.s.has && d.s.n == d.n {
			if d.s.lane.dusty = false; d.s.lane.garbage > 0 {
				c.trim(d.s)
				c.putFigures(d.s)
			}
		}
	}
	if c.batch.Empty() {
		return true
	}
	if err := c.write(c.lazily()); err != nil {
		c.breakDown(err)
	}
	return true
}

// lazily writes without waiting for the disk.
func (c *committer) lazily() *pebble.WriteOptions {
	if !c.unsynced {
		c.unsynced, c.syncAt = true, c.now.Add(c.opts.SyncInterval)
	}
	return pebble.NoSync
}

func (c *committer) cleanDoomed() {
	budget := cleanEntries
	for i := 0; i < cleanDooms && len(c.doomed) > 0 && budget > 0; i++ {
		d := &c.doomed[0]
		done := c.cleanOne(d, &budget)
		c.key = appendNumber(c.key[:0], spaceDoomed, d.n)
		if !done {
			c.val = appendDoomed(c.val[:0], d)
			c.set(c.key, c.val)
			break
		}
		c.delete(c.key)
		c.doomed = c.doomed[1:]
	}
	c.changeCounts()
}

// cleanOne goes on with one ended session and reports whether it is done with.
func (c *committer) cleanOne(d *doomed, budget *int) bool {
	if d.shared > 0 {
		c.giveAll(d, budget)
		if d.shared > 0 {
			return false
		}
	}
	for _, space := range [...]byte{spaceSession, spaceInflight, spaceReceived, spaceQueue} {
		c.cleanSpace(space, d.n, budget)
	}
	return true
}

// giveAll gives back the bodies of a page of an ended session's entries.
func (c *committer) giveAll(d *doomed, budget *int) {
	c.scan(spaceQueue, d.n, func(it *pebble.Iterator) {
		c.key = appendSeq(c.key[:0], spaceQueue, d.n, d.from)
		ok := it.SeekGE(c.key)
		for ; ok && *budget > 0 && d.shared > 0; ok = it.Next() {
			*budget--
			c.giveBody(it, &d.shared)
			d.from = keySeq(it.Key()) + 1
		}
		if !ok {
			d.shared = 0 // there are no more, or they cannot be read
		}
	})
}

// cleanSpace deletes all keys of a session in one space.
func (c *committer) cleanSpace(space byte, n number, budget *int) {
	c.scan(space, n, func(it *pebble.Iterator) {
		few := 0
		for ok := it.First(); ok; ok = it.Next() {
			if few++; few > fewKeys {
				c.deleteRange(appendNumber(nil, space, n), appendNumber(nil, space, n+1))
				return
			}
			c.delete(it.Key())
			*budget--
		}
	})
}
