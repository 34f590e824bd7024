package broker

import (
	"sync"

	"github.com/skeinmq/skein/broker/api"
)

// readiness says whether clients may be sent to the node.
type readiness struct {
	mu     sync.Mutex
	why    string       // not, and why; empty is ready
	lost   string       // a listener that has ended
	checks []api.Health // further ones, such as the cluster's
}

// Ready implements api.Health.
func (r *readiness) Ready() (ok bool, why string) {
	r.mu.Lock()
	why, lost, checks := r.why, r.lost, r.checks
	r.mu.Unlock()
	if why == "" && lost != "" {
		why = "listener " + lost + " has ended"
	}
	if why != "" {
		return false, why
	}
	for _, c := range checks {
		if ok, why := c.Ready(); !ok {
			return false, why
		}
	}
	return true, ""
}

// set says why clients may not be sent here; empty: they may.
func (r *readiness) set(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// swap puts one reason in the place of another, if that is the one that holds.
func (r *readiness) swap(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == from {
		r.why = to
	}
}

// lose notes that a listener has ended.
func (r *readiness) lose(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = url
}

// also adds a condition.
func (r *readiness) also(c api.Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, c)
}

// Why the node is not ready, in words of /readyz.
const (
	whyStarting = "the node is loading what it keeps"
	whyDraining = "the node is being drained"
	whyStopping = "the node stops"
)
