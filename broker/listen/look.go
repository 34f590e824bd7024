package listen

import "time"

const (
	// lookInterval is how late the end of a busy connection is noticed at most.
	lookInterval = 100 * time.Millisecond
	// busyLooks within lookInterval make a connection a busy one.
	busyLooks = 16
)

var (
	noDeadline time.Time
	start      = time.Now()
)

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
	now := time.Now()
	since := int64(now.Sub(start))
	if since-in.window < int64(lookInterval) {
		in.armed = c.armLook(now.Add(lookInterval))
	}
	in.window = since
	return true
}

func (c *Conn) armLook(at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.lookAt = at
	return c.nc.SetReadDeadline(c.nextLocked()) == nil
}

// expired reports whether the deadline that has passed is the one set from
// outside. If it was Pump's own, that is taken away.
func (c *Conn) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return true
	}
	c.in.armed = false
	c.lookAt = noDeadline
	if !c.closed.Load() { // else the deadline that ends Pump stays
		_ = c.nc.SetReadDeadline(c.deadline) // a socket that cannot take it fails its read
	}
	return false
}
