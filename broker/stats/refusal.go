package stats

import (
	"strings"
	"sync"
)

// MaxRefusals is how many refusals are remembered.
const MaxRefusals = 256

// What was refused, in words of the API.
const (
	Connects   = "connect"
	Publishes  = "publish"
	Subscribes = "subscribe"
)

// Refusal is something that a rule refused, for an operator to look at.
type Refusal struct {
	At       int64  // Unix nanoseconds
	What     string // Connects, Publishes or Subscribes
	Rule     string // that refused
	Client   string // this and the following are empty where they are not known
	User     string
	Remote   string
	Listener string
	Topic    string // or filter
	Code     byte   // reason code, 0 where there is none
}

// Refusals remembers the most recent refusals. The zero value is ready. It is safe for
// concurrent use, and nobody waits for it: of refusals in the same instant some are not
// remembered. Counting them is [Node.Refuse]'s business and the drops'.
type Refusals struct {
	mu   sync.Mutex
	ring []Refusal // at most MaxRefusals
	next int       // of ring, the oldest once it is full
}

// Add remembers a refusal. Its texts may be parts of a read buffer: they are copied.
func (r *Refusals) Add(f Refusal) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	for _, s := range []*string{&f.Rule, &f.Client, &f.User, &f.Remote, &f.Listener, &f.Topic} {
		*s = strings.Clone(*s)
	}
	if len(r.ring) < MaxRefusals {
		r.ring = append(r.ring, f)
		return
	}
	r.ring[r.next] = f
	r.next = (r.next + 1) % MaxRefusals
}

// List answers at most n of them, the newest first.
func (r *Refusals) List(n int) []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, len(r.ring))
	list := make([]Refusal, n)
	for i := range list {
		list[i] = r.ring[(r.next+len(r.ring)-1-i)%len(r.ring)]
	}
	return list
}
