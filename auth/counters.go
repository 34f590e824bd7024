package auth

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Counters count what a [Checker] and its sources did. They outlive reloads.
type Counters struct {
	Allowed   atomic.Int64 // logins
	Denied    atomic.Int64 // logins, for any reason
	BackedOff atomic.Int64 // of those denied: because of failed logins before
	Banned    atomic.Int64
	Busy      atomic.Int64 // because too many waited for a hash or a service
	Failed    atomic.Int64 // because a source could not find out
	Hashed    atomic.Int64 // passwords hashed
	Recalled  atomic.Int64 // passwords remembered to be right

	mu      sync.Mutex
	sources map[loginKind]int64
}

// Reasons of a denial, in metrics: one of few.
const (
	ReasonBackedOff   = "backed_off"
	ReasonBanned      = "banned"
	ReasonBusy        = "busy"
	ReasonFailed      = "failed" // a source could not find out
	ReasonCredentials = "credentials"
	ReasonClientID    = "client_id"
	ReasonMethod      = "method"
	ReasonOther       = "not_authorized"
)

type loginKind struct{ source, reason string }

// Logins are how many logins a source let in, or did not for a reason. No source is one
// that nobody decided: a ban, a back-off, a user whom nobody knows.
type Logins struct {
	Source string
	Reason string // empty for those let in
	Count  int64
}

// Logins returns the counters by source and reason, sorted. There are as many as
// sources and reasons were met, whoever connects.
func (n *Counters) Logins() []Logins {
	n.mu.Lock()
	all := maps.Clone(n.sources)
	n.mu.Unlock()
	list := make([]Logins, 0, len(all))
	for l, count := range all {
		list = append(list, Logins{l.source, l.reason, count})
	}
	slices.SortFunc(list, func(a, b Logins) int {
		if c := strings.Compare(a.Source, b.Source); c != 0 {
			return c
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return list
}

func (n *Counters) add(source, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sources == nil {
		n.sources = map[loginKind]int64{}
	}
	n.sources[loginKind{source, reason}]++
}

// reason is why a login was denied.
func (a *Answer) reason() string {
	switch {
	case a.backedOff:
		return ReasonBackedOff
	case a.Code == CodeBanned:
		return ReasonBanned
	case a.Code == CodeBusy:
		return ReasonBusy
	case a.Code == CodeUnavailable:
		return ReasonFailed
	case a.Code == CodeClientID:
		return ReasonClientID
	case a.Code == CodeBadMethod:
		return ReasonMethod
	case a.Code == CodeBadCredentials:
		return ReasonCredentials
	}
	return ReasonOther
}

func (k *Checker) count(a Answer) Answer {
	n := k.counters
	if a.Outcome == Allow {
		n.Allowed.Add(1)
		n.add(a.source, "")
		return a
	}
	n.Denied.Add(1)
	why := a.reason()
	n.add(a.source, why)
	switch why {
	case ReasonBackedOff:
		n.BackedOff.Add(1)
	case ReasonBanned:
		n.Banned.Add(1)
	case ReasonBusy:
		n.Busy.Add(1)
	case ReasonFailed:
		n.Failed.Add(1)
	}
	return a
}
