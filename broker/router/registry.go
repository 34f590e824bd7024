package router

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/skeinmq/skein/broker/message"
)

const registryShards = 64

// registry is all sessions by client id.
type registry struct {
	gates  gates
	seed   maphash.Seed
	shards [registryShards]struct {
		mu   sync.Mutex
		byID map[message.ClientID]*Client
	}
}

func (g *registry) init() {
	g.seed = maphash.MakeSeed()
	for i := range g.shards {
		g.shards[i].byID = map[message.ClientID]*Client{}
	}
}

func (g *registry) shard(id message.ClientID) int {
	return int(maphash.String(g.seed, string(id)) % registryShards)
}

func (g *registry) get(id message.ClientID) *Client {
	s := &g.shards[g.shard(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// remove takes c out if it is still the one registered.
func (g *registry) remove(c *Client) {
	s := &g.shards[g.shard(c.ID)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[c.ID] == c {
		delete(s.byID, c.ID)
	}
}

// put registers c in the place of whatever stood there.
func (g *registry) put(c *Client) {
	s := &g.shards[g.shard(c.ID)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[c.ID] = c
}

// gates serialise the connects of one client id: whoever is inside has taken the
// old connection's place before the next one looks.
type gates struct {
	mu   sync.Mutex
	byID map[message.ClientID]*gate
}

type gate struct {
	ch chan struct{} // holds a token while somebody is inside; full: wait
	n  int           // inside or waiting
}

// try enters only if nobody is inside or waiting.
func (g *gates) try(id message.ClientID) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byID[id] != nil {
		return nil, false
	}
	t := g.addLocked(id)
	t.ch <- struct{}{}
	return func() { <-t.ch; g.out(id, t) }, true
}

func (g *gates) addLocked(id message.ClientID) *gate {
	if g.byID == nil {
		g.byID = map[message.ClientID]*gate{}
	}
	t := g.byID[id]
	if t == nil {
		t = &gate{ch: make(chan struct{}, 1)}
		g.byID[id] = t
	}
	t.n++
	return t
}

func (g *gates) out(id message.ClientID, t *gate) {
	g.mu.Lock()
	if t.n--; t.n == 0 {
		delete(g.byID, id)
	}
	g.mu.Unlock()
}

// enter waits for its turn or ctx; leave must follow when err is nil.
func (g *gates) enter(ctx context.Context, id message.ClientID) (leave func(), err error) {
	g.mu.Lock()
	t := g.addLocked(id)
	g.mu.Unlock()
	select {
	case t.ch <- struct{}{}: // nobody is inside
		return func() { <-t.ch; g.out(id, t) }, nil
	default:
	}
	select {
	case t.ch <- struct{}{}:
		return func() { <-t.ch; g.out(id, t) }, nil
	case <-ctx.Done():
		g.out(id, t)
		return nil, ctx.Err()
	}
}
