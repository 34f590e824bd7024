package listen

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	maxHandshakes  = 1024            // at a time and listener
	handshakeGrace = 2 * time.Second // this long a handshake keeps its slot against others
)

// slot is the place of one connection among those in handshake.
type slot struct {
	c     *Conn
	since time.Time
}

// slots are the handshakes of a listener, oldest first.
type slots struct {
	freed chan struct{} // a hint that one ended; full when a hint is there already

	mu     sync.Mutex
	max    int
	grace  time.Duration
	order  list.List // of *slot
	closed bool
}

func (s *slots) init() {
	s.max, s.grace = maxHandshakes, handshakeGrace
	s.freed = make(chan struct{}, 1)
}

// tryAdd gives c a slot, closing the oldest if that has had its time. Otherwise
// wait is how long until that is so.
func (s *slots) tryAdd(c *Conn, now time.Time) (e *list.Element, evicted *Conn, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, 0
	}
	if s.order.Len() >= s.max {
		oldest := s.order.Front()
		o := oldest.Value.(*slot)
		if age := now.Sub(o.since); age < s.grace {
			return nil, nil, s.grace - age
		}
		s.order.Remove(oldest)
		o.since, evicted = time.Time{}, o.c
	}
	return s.order.PushBack(&slot{c: c, since: now}), evicted, 0
}

// leave gives the slot back. False: it was taken away and the connection closed.
func (s *slots) leave(e *list.Element) bool {
	s.mu.Lock()
	kept := !s.closed && !e.Value.(*slot).since.IsZero()
	s.order.Remove(e)
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
	return kept
}

// close takes all slots away.
func (s *slots) close() {
	s.mu.Lock()
	s.closed = true
	var cs []*Conn
	for e := s.order.Front(); e != nil; e = e.Next() {
		cs = append(cs, e.Value.(*slot).c)
	}
	s.mu.Unlock()
	for _, c := range cs {
		c.abort()
	}
}

// enter waits for a slot; nil when the listener is closed.
func (l *Listener) enter(c *Conn) *list.Element {
	for {
		e, evicted, wait := l.slots.tryAdd(c, time.Now())
		if evicted != nil {
			l.stats.Evicted.Add(1)
			evicted.abort()
		}
		if e != nil {
			l.stats.Handshakes.Add(1)
			return e
		}
		if wait == 0 {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-l.slots.freed:
		case <-t.C:
		case <-l.closed:
		}
		t.Stop()
	}
}

// handshake makes c a transport and starts handle. Its goroutine, whose stack has
// grown by then, ends: the reader starts with a small one.
func (l *Listener) handshake(c *Conn, e *list.Element, handle func(*Conn)) {
	err := l.establish(c)
	kept := l.slots.leave(e)
	l.stats.Handshakes.Add(-1)
	if err == nil && kept {
		l.stats.Established.Add(1)
		go handle(c)
		return
	}
	_ = c.Close() // refused
	l.refused(c, err, kept)
}

func (l *Listener) establish(c *Conn) error {
	c.handshaking = true
	defer func() { c.handshaking = false }()
	if err := c.nc.SetDeadline(time.Now().Add(l.opts.HandshakeTimeout)); err != nil {
		return err
	}
	if l.opts.Proxy.Enabled {
		if err := l.proxyHeader(c); err != nil {
			return err
		}
	}
	if l.target.kind.tls() {
		t := tls.Server((*transport)(c), l.tls.Load())
		if err := t.HandshakeContext(context.Background()); err != nil {
			return err
		}
		c.tls = t
	}
	if l.target.kind.webSocket() {
		if err := l.upgrade(c); err != nil {
			return err
		}
	}
	return c.nc.SetDeadline(time.Time{})
}

// refused counts and logs why a connection was not established.
func (l *Listener) refused(c *Conn, err error, kept bool) {
	l.stats.Failed.Add(1)
	switch {
	case !kept && l.isClosed():
		return
	case !kept:
		err = errors.New("handshake too slow while many wait")
	case errors.Is(err, errUntrusted):
		l.stats.Untrusted.Add(1)
		l.log.Warn("connection refused", "remote", c.RemoteString(), "error", err)
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.stats.TimedOut.Add(1)
		err = errors.New("handshake timeout")
	case errors.Is(err, io.EOF): // a port scan, a health check
		l.log.Debug("connection closed in handshake", "remote", c.RemoteString())
		return
	}
	l.log.Info("connection refused", "remote", c.RemoteString(), "error", err)
}
