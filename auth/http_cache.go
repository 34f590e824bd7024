package auth

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// cacheShards keeps connections from waiting for each other: each has its own lock.
const cacheShards = 16

// ttlCache holds what is worth knowing for a while. It is bounded: past its size what
// was not asked for the longest goes. It is safe for concurrent use.
type ttlCache[V any] struct {
	seed   maphash.Seed
	size   int // of each shard; 0 holds nothing
	shards [cacheShards]cacheShard[V]
}

type cacheShard[V any] struct {
	mu    sync.Mutex
	items map[string]*list.Element // of *cacheItem[V]
	order list.List                // the last asked for first
}

type cacheItem[V any] struct {
	key   string
	value V
	until time.Time
}

// newTTLCache makes a cache of about size items; 0 and less is one that holds none.
func newTTLCache[V any](size int) *ttlCache[V] {
	c := &ttlCache[V]{seed: maphash.MakeSeed(), size: (max(size, 0) + cacheShards - 1) / cacheShards}
	for i := range c.shards {
		c.shards[i].items = make(map[string]*list.Element)
	}
	return c
}

func (c *ttlCache[V]) shard(key []byte) *cacheShard[V] {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get does not allocate.
func (c *ttlCache[V]) get(key []byte, now time.Time) (v V, ok bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[string(key)]
	if e == nil {
		return v, false
	}
	it := e.Value.(*cacheItem[V])
	if !now.Before(it.until) {
		s.removeLocked(e)
		return v, false
	}
	s.order.MoveToFront(e)
	return it.value, true
}

func (c *ttlCache[V]) put(key []byte, v V, until time.Time) {
	if c.size == 0 {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.items[string(key)]; e != nil {
		s.removeLocked(e)
	}
	if s.order.Len() >= c.size {
		s.removeLocked(s.order.Back())
	}
	it := &cacheItem[V]{key: string(key), value: v, until: until}
	s.items[it.key] = s.order.PushFront(it)
}

func (c *ttlCache[V]) drop(key []byte) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.items[string(key)]; e != nil {
		s.removeLocked(e)
	}
}

func (s *cacheShard[V]) removeLocked(e *list.Element) {
	delete(s.items, s.order.Remove(e).(*cacheItem[V]).key)
}

// answerCache holds what a service said: yes and no apart, each with its own
// lifetime, so that a flood of wrong passwords does not push the right ones out.
type answerCache[V any] struct {
	yes, no       *ttlCache[V]
	yesTTL, noTTL time.Duration
}

func newAnswerCache[V any](cfg *HTTPConfig) *answerCache[V] {
	return &answerCache[V]{
		yes: newTTLCache[V](cfg.CacheSize), yesTTL: cfg.AllowTTL,
		no: newTTLCache[V](cfg.CacheSize), noTTL: cfg.DenyTTL,
	}
}

func (c *answerCache[V]) get(key []byte, now time.Time) (V, bool) {
	if v, ok := c.yes.get(key, now); ok {
		return v, true
	}
	return c.no.get(key, now)
}

// put keeps an answer, but not beyond end when that is not zero. A lifetime of 0
// keeps nothing.
func (c *answerCache[V]) put(key []byte, v V, allowed bool, now, end time.Time) {
	to, from, ttl := c.no, c.yes, c.noTTL
	if allowed {
		to, from, ttl = c.yes, c.no, c.yesTTL
	}
	from.drop(key)
	until := now.Add(ttl)
	if !end.IsZero() && end.Before(until) {
		until = end
	}
	if now.Before(until) {
		to.put(key, v, until)
	}
}
