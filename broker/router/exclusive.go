package router

import (
	"sync"

	"github.com/skeinmq/skein/broker/topic"
)

const exclusivePrefix = "$exclusive/"

// exclusive are the holders of $exclusive filters: one client each at a time,
// until it unsubscribes or its session ends.
type exclusive struct {
	mu      sync.Mutex
	holders map[topic.Filter]*Client
}

// take makes c the holder of f. It reports false if another client is.
func (e *exclusive) take(f topic.Filter, c *Client) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.holders[f]; h != nil && h != c {
		return false
	}
	e.holders[f] = c
	return true
}

func (e *exclusive) release(f topic.Filter, c *Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.holders[f] == c {
		delete(e.holders, f)
		if c.recorded { // else it holds it elsewhere
			c.r.cluster.Let(string(f), c.ID)
		}
	}
}
