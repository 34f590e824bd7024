package auth

import (
	"sync"
	"time"
)

// breaker keeps a service that fails from being asked: after a number of failures in
// a row it is open for a while, in which nobody waits for an answer that will not
// come. Then one probe is let through; its success closes the breaker, its failure
// opens it again. The time is an argument.
type breaker struct {
	after int // failures in a row
	pause time.Duration

	mu       sync.Mutex
	failures int
	until    time.Time // open until then; zero when closed
	probing  bool      // the probe is under way
}

// callTicket is the permission to ask once. It must be given back with leave.
type callTicket struct{ probe bool }

// callResult is how a call ended.
type callResult byte

const (
	callAnswered callResult = iota
	callFailed
	callUndecided // the caller went away; it says nothing of the service
)

// breakerChange is what a result did to the breaker.
type breakerChange byte

const (
	breakerSame breakerChange = iota
	breakerOpened
	breakerClosed
)

func (b *breaker) enter(now time.Time) (t callTicket, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return callTicket{}, true
	case b.probing || now.Before(b.until):
		return callTicket{}, false
	}
	b.probing = true
	return callTicket{probe: true}, true
}

func (b *breaker) leave(now time.Time, t callTicket, r callResult) breakerChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.until.IsZero() && !t.probe {
		return breakerSame // it began before the breaker opened
	}
	if t.probe {
		b.probing = false
	}
	switch r {
	case callUndecided:
		return breakerSame
	case callAnswered:
		b.failures = 0
		if !t.probe {
			return breakerSame
		}
		b.until = time.Time{}
		return breakerClosed
	}
	b.failures++
	if !t.probe && b.failures < b.after {
		return breakerSame
	}
	b.until = now.Add(b.pause)
	if t.probe {
		return breakerSame
	}
	return breakerOpened
}
