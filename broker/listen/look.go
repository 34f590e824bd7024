package listen

import (
	"cmp"
	"time"
)

const (
	// lookInterval is how late the end of a busy connection is noticed at most.
	lookInterval = 100 * time.Millisecond
	// busyLooks within lookInterval make a connection a busy one.
	busyLooks = 16
)

// instant is a time as nanoseconds since start, a third of a time.Time's size.
// Zero is none.
type instant int64

var start = time.Now()

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return cmp.Or(instant(t.Sub(start)), 1)
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return start.Add(time.Duration(i))
}

// mayWait makes sure that nothing that is there already would be waited for. A
// connection with little to do is looked at each time. A busy one gets a deadline
// instead, after which it is looked at; most of its waits cost no system call then.
func (c *Conn) mayWait(fd uintptr) bool {
	in := &c.in
	if in.armed {
		return true
	}
	if readable(fd) {
		return false
	}
	if in.looks++; in.looks < busyLooks {
		return true
	}
	in.looks = 0
	now := instantOf(time.Now())
	if now-in.window < instant(lookInterval) {
		in.armed = c.armLook(now + instant(lookInterval))
	}
	in.window = now
	return true
}

func (c *Conn) armLook(at instant) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.lookAt = at
	return c.nc.SetReadDeadline(c.nextLocked().time()) == nil
}

// expired reports whether the deadline that has passed is the one set from
// outside. If it was Pump's own, that is taken away.
func (c *Conn) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline != 0 && instantOf(time.Now()) >= c.deadline {
		return true
	}
	c.in.armed = false
	c.lookAt = 0
	if !c.closed.Load() { // else the deadline that ends Pump stays
		_ = c.nc.SetReadDeadline(c.deadline.time()) // a socket that cannot take it fails its read
	}
	return false
}
