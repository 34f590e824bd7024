package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// BanKind is what a ban is about.
type BanKind byte

// Kinds of a Ban.
const (
	BanAddress BanKind = iota + 1 // an address or a network
	BanUser
	BanClient
)

var banKinds = [...]string{BanAddress: "address", BanUser: "user", BanClient: "client"}

// String is the word for the kind in bans files and logs.
func (k BanKind) String() string {
	if int(k) < len(banKinds) && k > 0 {
		return banKinds[k]
	}
	return "unknown"
}

// ParseBanKind is the kind that a word stands for; network is address.
func ParseBanKind(s string) (BanKind, error) {
	if s == "network" {
		return BanAddress, nil
	}
	if i := slices.Index(banKinds[1:], s); i >= 0 {
		return BanKind(i + 1), nil
	}
	return 0, fmt.Errorf("a ban is about an address, network, user or client, not %q", s)
}

// Ban keeps somebody out.
type Ban struct {
	// Until is when the ban ends; zero is never.
	Until time.Time
	// Value is an address, a network (10.0.0.0/8), a user name or a client id.
	Value string
	// Reason is the operator's note.
	Reason string
	Kind   BanKind
	// FromFile says that the ban is one of [Bans.Replace]. It is not saved.
	FromFile bool
}

// over reports whether the ban has ended.
func (b *Ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// Who is whom a ban may be about.
type Who struct {
	ClientID string
	User     string
	Remote   netip.Addr // invalid when there is none
	HasUser  bool
}

// MaxBans is how many bans may be added while running.
const MaxBans = 100_000

// Errors of Bans.
var (
	ErrTooManyBans = fmt.Errorf("there are %d bans already", MaxBans)
	ErrBanValue    = errors.New("a ban needs whom it is about")
)

// Bans are those of the bans file and those that were added while running. Looking
// one up takes constant time for names, and a step for each length of prefix in use
// for addresses. Bans that are over are forgotten when there is no more room or they
// are listed. It outlives reloads.
type Bans struct {
	mu    sync.RWMutex
	file  banTable
	added banTable
}

// banTable has bans by what they are about.
type banTable struct {
	users, clients map[string]Ban
	nets           map[netip.Prefix]Ban
	count          [2][129]int // of nets by their length; IPv4, IPv6
	lengths        [2][]int    // those in use, longest first
}

func newBanTable() banTable {
	return banTable{users: map[string]Ban{}, clients: map[string]Ban{}, nets: map[netip.Prefix]Ban{}}
}

// NewBans makes an empty list.
func NewBans() *Bans { return &Bans{file: newBanTable(), added: newBanTable()} }

// Match returns the ban that keeps who out at a time.
func (b *Bans) Match(who Who, now time.Time) (Ban, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range [...]*banTable{&b.file, &b.added} {
		if ban, ok := t.match(&who, now); ok {
			return ban, true
		}
	}
	return Ban{}, false
}

// Add adds a ban, or changes one that was added before.
func (b *Bans) Add(ban Ban, now time.Time) error {
	ban.FromFile = false
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.added.has(&ban) && b.added.len() >= MaxBans {
		b.added.expire(now)
		if b.added.len() >= MaxBans {
			return ErrTooManyBans
		}
	}
	return b.added.add(ban)
}

// Remove lifts a ban that was added, and reports whether there was one. Those of the
// file are lifted by a reload.
func (b *Bans) Remove(kind BanKind, value string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.added.remove(kind, value)
}

// Replace puts the bans of a file in the place of those of the file before. With an
// error nothing has changed.
func (b *Bans) Replace(list []Ban) error {
	t := newBanTable()
	for _, ban := range list {
		ban.FromFile = true
		if err := t.add(ban); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file = t
	return nil
}

// List returns all bans that hold at a time, sorted by kind and value.
func (b *Bans) List(now time.Time) []Ban {
	b.mu.Lock()
	b.file.expire(now)
	b.added.expire(now)
	out := b.added.list(b.file.list(nil))
	b.mu.Unlock()
	slices.SortFunc(out, func(x, y Ban) int {
		if x.Kind != y.Kind {
			return int(x.Kind) - int(y.Kind)
		}
		return strings.Compare(x.Value, y.Value)
	})
	return out
}

func (t *banTable) match(who *Who, now time.Time) (Ban, bool) {
	if ban, ok := t.clients[who.ClientID]; ok && !ban.over(now) {
		return ban, true
	}
	if who.HasUser {
		if ban, ok := t.users[who.User]; ok && !ban.over(now) {
			return ban, true
		}
	}
	a := who.Remote.Unmap().WithZone("")
	if !a.IsValid() {
		return Ban{}, false
	}
	for _, bits := range t.lengths[family(a)] {
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		if ban, ok := t.nets[p]; ok && !ban.over(now) {
			return ban, true
		}
	}
	return Ban{}, false
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func (t *banTable) names(kind BanKind) map[string]Ban {
	switch kind {
	case BanUser:
		return t.users
	case BanClient:
		return t.clients
	}
	return nil
}

func (t *banTable) add(ban Ban) error {
	if ban.Kind == BanAddress {
		p, err := parseNetwork(ban.Value)
		if err != nil {
			return err
		}
		ban.Value = networkString(p)
		if _, ok := t.nets[p]; !ok {
			t.measure(p, 1)
		}
		t.nets[p] = ban
		return nil
	}
	m := t.names(ban.Kind)
	if m == nil || ban.Value == "" {
		return ErrBanValue
	}
	m[ban.Value] = ban
	return nil
}

func (t *banTable) has(ban *Ban) bool {
	if ban.Kind == BanAddress {
		p, err := parseNetwork(ban.Value)
		_, ok := t.nets[p]
		return err == nil && ok
	}
	_, ok := t.names(ban.Kind)[ban.Value]
	return ok
}

func (t *banTable) remove(kind BanKind, value string) bool {
	if !t.has(&Ban{Kind: kind, Value: value}) {
		return false
	}
	if kind != BanAddress {
		delete(t.names(kind), value)
		return true
	}
	p, err := parseNetwork(value)
	if err != nil {
		return false
	}
	delete(t.nets, p)
	t.measure(p, -1)
	return true
}

// measure keeps lengths when so many nets of the length of p come or go.
func (t *banTable) measure(p netip.Prefix, more int) {
	f, bits := family(p.Addr()), p.Bits()
	old := t.count[f][bits]
	t.count[f][bits] += more
	if old > 0 && t.count[f][bits] > 0 {
		return
	}
	t.lengths[f] = nil
	for i := 128; i >= 0; i-- {
		if t.count[f][i] > 0 {
			t.lengths[f] = append(t.lengths[f], i)
		}
	}
}

func (t *banTable) len() int { return len(t.users) + len(t.clients) + len(t.nets) }

// expire forgets what is over.
func (t *banTable) expire(now time.Time) {
	for _, m := range [...]map[string]Ban{t.users, t.clients} {
		for k, ban := range m {
			if ban.over(now) {
				delete(m, k)
			}
		}
	}
	for p, ban := range t.nets {
		if ban.over(now) {
			delete(t.nets, p)
			t.measure(p, -1)
		}
	}
}

func (t *banTable) list(out []Ban) []Ban {
	for _, m := range [...]map[string]Ban{t.users, t.clients} {
		for _, ban := range m {
			out = append(out, ban)
		}
	}
	for _, ban := range t.nets {
		out = append(out, ban)
	}
	return out
}

// parseNetwork parses an address or a network. Bits behind the prefix are an error:
// 10.1.2.3/8 is more likely a mistake than 10.0.0.0/8.
func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an address", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: the one of the address is %s", s, p.Masked())
	}
	return p, nil
}

func networkString(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
