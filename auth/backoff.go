package auth

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Steps is how failed logins of one kind are slowed down: Free of them are, the
// next one must be followed by a pause of First, and each further one by twice the
// pause of the one before, at most Max. One failure is forgiven every Forgive, so
// that Forgive is also the pace at which failures can go on. Max 0 is no back-off.
type Steps struct {
	First, Max, Forgive time.Duration
	Free                int
}

// BackoffConfig configures [NewBackoff].
type BackoffConfig struct {
	// Pair is for the failures of a user from an address (of IPv6, from a /64).
	Pair Steps
	// Address is for all failures from an address, whatever the user.
	Address Steps
	// User is for all failures of a user, whatever the address.
	User Steps
	// Now is the time, [time.Now] but in tests.
	Now func() time.Time
	// Size bounds each of four tables; 0 is 65,536 entries, of about 50 bytes each.
	Size int
}

// DefaultBackoff is what is right unless there are reasons. Many clients behind one
// address (a proxy that does not tell theirs, a NAT) may need Address.Max 0.
func DefaultBackoff(now func() time.Time) BackoffConfig {
	return BackoffConfig{
		Pair:    Steps{Free: 3, First: time.Second, Max: 5 * time.Minute, Forgive: 10 * time.Minute},
		Address: Steps{Free: 20, First: time.Second, Max: time.Minute, Forgive: 10 * time.Second},
		User:    Steps{Free: 20, First: time.Second, Max: 30 * time.Second, Forgive: 10 * time.Second},
		Now:     now,
	}
}

const (
	rememberSuccess = 24 * time.Hour
	strangersOdds   = 16
)

// Backoff slows down those who guess passwords. It outlives reloads. A login that
// is refused here costs nothing and does not count.
//
// Nobody can lock out somebody else's user for ever from another address. What a
// user fails from one address counts there alone. All failures of a user together
// only matter to addresses that the user has not come in from lately, and of these
// one attempt in 16 is let through at random: whoever guesses from a thousand
// addresses is slowed down, and the true user comes in with some patience. Whoever
// has come in from an address lately is not held up by others who fail there.
//
// Unknown users are counted as known ones are, so that nothing can be learned from
// being backed off. A right password that is still remembered needs no leave from
// here, see [Recaller].
type Backoff struct {
	cfg      BackoffConfig
	clock    clock
	seed     maphash.Seed
	stranger func() bool // whether one who would be backed off is lucky

	mu        sync.Mutex
	pairs     failures
	addresses failures
	users     failures
	good      generations[uint64, time.Duration] // when a user last came in from an address
}

// failures are the failed logins by what they are counted for. Keys are hashes, so
// that an entry is small however long a name is.
type failures struct {
	of    generations[uint64, failure]
	steps Steps
}

type failure struct {
	count int
	last  time.Duration
	until time.Duration // refused before
}

// NewBackoff makes one without failures.
func NewBackoff(cfg BackoffConfig) *Backoff {
	if cfg.Size <= 0 {
		cfg.Size = 1 << 16
	}
	table := func(s Steps) failures {
		return failures{of: newGenerations[uint64, failure](cfg.Size), steps: s}
	}
	return &Backoff{
		cfg: cfg, clock: newClock(cfg.Now), seed: maphash.MakeSeed(),
		stranger: func() bool { return rand.IntN(strangersOdds) == 0 },
		pairs:    table(cfg.Pair), addresses: table(cfg.Address), users: table(cfg.User),
		good: newGenerations[uint64, time.Duration](cfg.Size),
	}
}

// keys are what a login is counted for.
type keys struct {
	pair, address, user uint64
	hasAddress          bool
}

func (b *Backoff) keys(user string, from netip.Addr) keys {
	from = network(from)
	type of struct {
		user string
		from netip.Addr
	}
	return keys{
		pair:       maphash.Comparable(b.seed, of{user, from}),
		address:    maphash.Comparable(b.seed, from),
		user:       maphash.String(b.seed, user),
		hasAddress: from.IsValid(),
	}
}

// network is what of an address belongs to one host: of IPv6 the first 64 bits.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// Welcome reports whether a login may be tried, and names what backs it off if not.
func (b *Backoff) Welcome(user string, from netip.Addr) (why string, ok bool) {
	k, now := b.keys(user, from), b.clock.since()
	b.mu.Lock()
	defer b.mu.Unlock()
	if why, ok := b.welcomeLocked(k, now); !ok {
		return why, false
	}
	if b.users.refuses(k.user, now) && !b.goodLocked(k, now) && !b.stranger() {
		return "too many failed logins of the user", false
	}
	return "", true
}

// still is Welcome without chance, for a login that was welcome and has waited.
func (b *Backoff) still(user string, from netip.Addr) bool {
	k, now := b.keys(user, from), b.clock.since()
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.welcomeLocked(k, now)
	return ok
}

func (b *Backoff) welcomeLocked(k keys, now time.Duration) (why string, ok bool) {
	if b.pairs.refuses(k.pair, now) {
		return "too many failed logins of the user from the address", false
	}
	if k.hasAddress && b.addresses.refuses(k.address, now) && !b.goodLocked(k, now) {
		return "too many failed logins from the address", false
	}
	return "", true
}

func (b *Backoff) goodLocked(k keys, now time.Duration) bool {
	at, ok := b.good.get(k.pair)
	return ok && now-at < rememberSuccess
}

// Failed counts a failed login.
func (b *Backoff) Failed(user string, from netip.Addr) {
	k, now := b.keys(user, from), b.clock.since()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pairs.fail(k.pair, now)
	b.users.fail(k.user, now)
	if k.hasAddress {
		b.addresses.fail(k.address, now)
	}
}

// Succeeded forgets what the user failed from the address. Failures of the address
// and of the user elsewhere are left to time: else one who has an account, or waits
// for the user to come, could go on guessing.
func (b *Backoff) Succeeded(user string, from netip.Addr) {
	k, now := b.keys(user, from), b.clock.since()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pairs.of.remove(k.pair)
	b.good.put(k.pair, now)
}

func (f *failures) refuses(k uint64, now time.Duration) bool {
	e, ok := f.of.get(k)
	return ok && now < e.until
}

func (f *failures) fail(k uint64, now time.Duration) {
	s := &f.steps
	if s.Max <= 0 {
		return
	}
	e, _ := f.of.get(k)
	if s.Forgive > 0 {
		forgiven := (now - e.last) / s.Forgive
		e.count = int(max(time.Duration(e.count)-forgiven, 0))
	}
	e.last = now
	e.count = min(e.count+1, s.Free+maxDoublings)
	if over := e.count - s.Free; over > 0 {
		e.until = now + s.pause(over)
	}
	f.of.put(k, e)
}

const maxDoublings = 32

// pause is how long to wait after failure number over that was not free.
func (s *Steps) pause(over int) time.Duration {
	d := s.First
	for ; over > 1 && d < s.Max; over-- {
		d *= 2
	}
	return min(d, s.Max)
}
