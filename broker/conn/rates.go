package conn

import (
	"net/netip"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/wire"
)

// buckets are the rates that hold a client's reading back. They are made when one is
// limited.
type buckets struct {
	messages, bytes bucket
	user, address   *shared // nil where it is not limited
	told            bool    // that reading rests
}

// shared is a rate of several connections.
type shared struct {
	mu     sync.Mutex
	bucket bucket
	users  int // guarded by pool.mu
}

func (s *shared) spend(now time.Time, n, rate float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bucket.spend(now, n, rate)
}

// pool has the shared rates of those that are connected. A rate goes with the last
// connection that it is of: who disconnects and comes back begins with a second's worth,
// as the rates of connects allow.
type pool[K comparable] struct {
	mu sync.Mutex
	m  map[K]*shared
}

func (p *pool[K]) enter(k K) *shared {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.m[k]
	if s == nil {
		if p.m == nil {
			p.m = map[K]*shared{}
		}
		s = &shared{}
		p.m[k] = s
	}
	s.users++
	return s
}

func (p *pool[K]) leave(k K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.m[k]
	if s.users--; s.users == 0 {
		delete(p.m, k)
	}
}

// shareRates joins the rates of the connection's user and address, once both are known.
// leaveRates must follow.
func (c *Conn) shareRates() {
	set := c.set
	if set.PublishRate == 0 && set.PublishBytes == 0 && set.UserRate == 0 && set.AddressRate == 0 {
		return
	}
	b := &buckets{}
	if user := c.user(); set.UserRate > 0 && user != "" {
		b.user = c.s.users.enter(user)
	}
	if a := c.address(); set.AddressRate > 0 && a.IsValid() {
		b.address = c.s.addresses.enter(a)
	}
	c.buckets = b
}

func (c *Conn) leaveRates() {
	b := c.buckets
	if b == nil {
		return
	}
	if b.user != nil {
		c.s.users.leave(c.user())
	}
	if b.address != nil {
		c.s.addresses.leave(c.address())
	}
}

// user is as whom the connection came in; a re-authentication keeps it.
func (c *Conn) user() string { return c.hook.Identity().User }

func (c *Conn) address() netip.Addr { return c.t.RemoteAddr().Addr().Unmap().WithZone("") }

// rate makes reading rest when the client, its user or its address has published more
// than it may.
func (c *Conn) rate() {
	defer c.s.stats.Add(&c.scratch.count)
	b := c.buckets
	if b == nil {
		return
	}
	count := &c.scratch.count.In
	n, bytes := float64(count.TotalPublish()), float64(count.Bytes[wire.TypePublish])
	if n == 0 {
		return
	}
	now := c.s.time(c.lastRead)
	rest := func(pause time.Duration, rule string) {
		if pause <= 0 {
			return
		}
		c.pause = max(c.pause, pause)
		c.s.stats.Throttled.Inc(rule)
		if !b.told {
			b.told = true
			c.s.log.Info("publishing is slowed down", "rule", rule, "client", c.hook.ID(), "user", c.user(), "remote", c.t.RemoteString())
		}
	}
	if r := float64(c.set.PublishRate); r > 0 {
		rest(b.messages.spend(now, n, r), "limits.publish_rate")
	}
	if r := float64(c.set.PublishBytes); r > 0 {
		rest(b.bytes.spend(now, bytes, r), "limits.publish_bytes")
	}
	if b.user != nil {
		rest(b.user.spend(now, n, float64(c.set.UserRate)), "limits.publish_rate_per_user")
	}
	if b.address != nil {
		rest(b.address.spend(now, n, float64(c.set.AddressRate)), "limits.publish_rate_per_address")
	}
}
