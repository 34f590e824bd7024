package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// clock tells the time since it was made, whatever happens to the wall clock.
type clock struct {
	base time.Time
	now  func() time.Time
}

func newClock(now func() time.Time) clock { return clock{base: now(), now: now} }

func (c clock) since() time.Duration { return c.now().Sub(c.base) }

// fingerprint stands for a user, a password and the hash that judges it. Nothing
// can be learned from it without the process's key.
type fingerprint [sha256.Size]byte

// PasswordsConfig configures [NewPasswords].
type PasswordsConfig struct {
	Pool     *Pool
	Counters *Counters
	// Now is the time, [time.Now] but in tests.
	Now func() time.Time
	// TTL is how long a right password is remembered; 0 is not at all.
	TTL time.Duration
	// Size is how many are; 0 is 100,000, of about 100 bytes each.
	Size int
}

// Passwords judges passwords by their hashes. It hashes in a [Pool], the same
// password for the same user once at a time however many ask, and remembers right
// ones for a while: not the password but an HMAC under a key that dies with the
// process. A reload makes new ones.
type Passwords struct {
	pool     *Pool
	counters *Counters
	clock    clock
	ttl      time.Duration
	key      [sha256.Size]byte

	mu      sync.Mutex
	right   generations[fingerprint, time.Duration] // until when
	flights map[fingerprint]*flight
}

// flight is one hash that is being made. ok and err are valid once done is closed.
type flight struct {
	done chan struct{}
	err  error
	ok   bool
}

// NewPasswords makes an empty memory.
func NewPasswords(cfg PasswordsConfig) *Passwords {
	if cfg.Size <= 0 {
		cfg.Size = 100_000
	}
	p := &Passwords{
		pool: cfg.Pool, counters: cfg.Counters, clock: newClock(cfg.Now), ttl: cfg.TTL,
		right: newGenerations[fingerprint, time.Duration](cfg.Size), flights: map[fingerprint]*flight{},
	}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// Check reports whether the password of c is the one that was hashed as stored (see
// [ParseHash]). Errors are those of [Pool.Do], or that stored is malformed.
func (p *Passwords) Check(ctx context.Context, c Credentials, stored string) (bool, error) {
	of := p.fingerprint(&c, stored)
	if p.recall(of) {
		p.counters.Recalled.Add(1)
		return true, nil
	}
	for {
		f, mine := p.join(of)
		if mine {
			p.fly(ctx, f, of, &c, stored)
			return f.ok, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if f.err == nil || errors.Is(f.err, ErrBusy) {
			return f.ok, f.err
		}
		// What stopped the other, such as its end, need not stop this one.
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
}

// Recall reports whether Check would say yes at no cost.
func (p *Passwords) Recall(c Credentials, stored string) bool {
	if !p.recall(p.fingerprint(&c, stored)) {
		return false
	}
	p.counters.Recalled.Add(1)
	return true
}

func (p *Passwords) fingerprint(c *Credentials, stored string) (of fingerprint) {
	h := hmac.New(sha256.New, p.key[:])
	var lengths [16]byte
	binary.BigEndian.PutUint64(lengths[:8], uint64(len(c.User)))
	binary.BigEndian.PutUint64(lengths[8:], uint64(len(stored)))
	h.Write(lengths[:])
	h.Write([]byte(c.User))
	h.Write([]byte(stored))
	h.Write(c.Password)
	h.Sum(of[:0])
	return of
}

func (p *Passwords) recall(of fingerprint) bool {
	if p.ttl <= 0 {
		return false
	}
	now := p.clock.since()
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.right.get(of)
	return ok && now < until
}

// join returns the flight of a fingerprint, a new one when it is mine to fly.
func (p *Passwords) join(of fingerprint) (f *flight, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flights[of]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	p.flights[of] = f
	return f, true
}

// fly makes the hash and tells those who wait for it.
func (p *Passwords) fly(ctx context.Context, f *flight, of fingerprint, c *Credentials, stored string) {
	f.err = errors.New("hashing panicked")
	defer func() {
		now := p.clock.since()
		p.mu.Lock()
		defer p.mu.Unlock()
		if f.ok && p.ttl > 0 {
			p.right.put(of, now+p.ttl)
		}
		delete(p.flights, of)
		close(f.done)
	}()
	h, err := ParseHash(stored)
	if err != nil {
		f.err = fmt.Errorf("parsing the stored hash: %w", err)
		return
	}
	f.err = p.pool.Do(ctx, h.threads(), c.stillWelcome, func() {
		p.counters.Hashed.Add(1)
		f.ok = h.Verify(c.Password)
	})
}

// generations is a map of bounded size. When the young half is full it becomes the
// old one, and what the old one had is forgotten.
type generations[K comparable, V any] struct {
	young, old map[K]V
	size       int // of a half
}

// newGenerations keeps at least size/2 and at most size entries.
func newGenerations[K comparable, V any](size int) generations[K, V] {
	return generations[K, V]{young: map[K]V{}, size: max(size/2, 1)}
}

func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if _, ok := g.young[k]; !ok && len(g.young) >= g.size {
		g.young, g.old = map[K]V{}, g.young
	}
	g.young[k] = v
}

func (g *generations[K, V]) remove(k K) {
	delete(g.young, k)
	delete(g.old, k)
}
