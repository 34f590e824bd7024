package topic

import (
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Tree is an index of subscriptions: of values by filter and key. It is safe for
// concurrent use. Make one with [New].
type Tree[K comparable, V any] struct {
	seed maphash.Seed

	// A filter lies in one part, by the literal levels it begins with: without a
	// wildcard in exact, with two literal levels or more in second, with one in
	// first, with none in top. So a name is looked for in at most four parts, and
	// those who subscribe to dev/ID/# do not wait for each other.
	exact  [parts]exactPart[K, V]
	second [parts]wildPart[K, V]
	first  [parts]wildPart[K, V]
	top    wildPart[K, V]

	changes changes
}

// parts is the number of parts of each kind. A power of two.
const parts = 64

// exactPart is a map of the filters without a wildcard.
type exactPart[K comparable, V any] struct {
	size atomic.Int64 // subscriptions; changed under mu, so that a match of none needs no lock

	mu   sync.RWMutex
	subs map[string]*subs[K, V]
	peak int // of subs since it was made

	_ [64]byte // parts are locked by different cores at the same time
}

// wildPart is a tree of filters with wildcards.
type wildPart[K comparable, V any] struct {
	size atomic.Int64 // as in exactPart

	mu   sync.RWMutex
	root node[K, V] // without a label

	_ [64]byte
}

// New makes an empty tree.
func New[K comparable, V any]() *Tree[K, V] {
	return &Tree[K, V]{seed: maphash.MakeSeed()}
}

// Len is the number of subscriptions: of pairs of filter and key.
func (t *Tree[K, V]) Len() int {
	n := t.top.size.Load()
	for i := range parts {
		n += t.exact[i].size.Load() + t.second[i].size.Load() + t.first[i].size.Load()
	}
	return int(n)
}

// Subscribe adds a subscription or replaces its value. f is a valid filter; its
// memory is kept as long as anybody subscribes to it.
func (t *Tree[K, V]) Subscribe(f Filter, k K, v V) (replaced bool) {
	p := t.place(f)
	if p.exact != nil {
		replaced = p.exact.subscribe(f, k, v)
	} else {
		replaced = p.wild.subscribe(f, k, v)
	}
	p.changed.Add(1) // after the change and before the return, see watch.go
	return replaced
}

// Unsubscribe removes a subscription and reports whether there was one.
func (t *Tree[K, V]) Unsubscribe(f Filter, k K) bool {
	p := t.place(f)
	var removed bool
	if p.exact != nil {
		removed = p.exact.unsubscribe(f, k)
	} else {
		removed = p.wild.unsubscribe(f, k)
	}
	if removed {
		p.changed.Add(1)
	}
	return removed
}

// Match calls visit once for each subscription whose filter matches a name, in no
// order. visit must not call the tree, and v is the tree's own: it must be neither
// changed nor kept. A name of more than 128 levels costs an allocation.
func (t *Tree[K, V]) Match(name string, visit func(f Filter, k K, v *V)) {
	var (
		ends   [inlineLevels]int32
		inline [inlineLevels + 1]branch[K, V]
	)
	l, stack := split(name, ends[:0]), inline[:0]
	t.exact[t.hash(name)%parts].match(name, visit)
	if l.count() >= 2 {
		t.second[t.hash(l.prefix(2))%parts].match(&l, stack, visit)
	}
	t.first[t.hash(l.prefix(1))%parts].match(&l, stack, visit)
	if !strings.HasPrefix(name, "$") { // [MQTT-4.7.2-1]
		t.top.match(&l, stack, visit)
	}
}

// place is where a filter belongs: one part and the counter of its changes.
type place[K comparable, V any] struct {
	exact   *exactPart[K, V]
	wild    *wildPart[K, V]
	changed *atomic.Uint64
}

func (t *Tree[K, V]) place(f Filter) place[K, V] {
	w := strings.IndexAny(string(f), "+#")
	if w < 0 {
		h := t.hash(string(f))
		return place[K, V]{exact: &t.exact[h%parts], changed: t.changes.ofExact(h)}
	}
	// What comes before the first wildcard are whole levels, each with its /.
	literal := string(f[:w])
	one := levelEnd(literal, 0)
	if one == len(literal) {
		return place[K, V]{wild: &t.top, changed: &t.changes.top}
	}
	two := levelEnd(literal, one+1)
	if two == len(literal) {
		h := t.hash(literal[:one])
		return place[K, V]{wild: &t.first[h%parts], changed: t.changes.ofFirst(h)}
	}
	h := t.hash(literal[:two])
	return place[K, V]{wild: &t.second[h%parts], changed: t.changes.ofSecond(h)}
}

func (t *Tree[K, V]) hash(s string) uint64 { return maphash.String(t.seed, s) }

func (p *exactPart[K, V]) subscribe(f Filter, k K, v V) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subs[string(f)]
	if s == nil {
		if p.subs == nil {
			p.subs = map[string]*subs[K, V]{}
		}
		s = &subs[K, V]{}
		p.subs[string(f)] = s
		p.peak = max(p.peak, len(p.subs))
	}
	replaced := s.put(f, k, v)
	if !replaced {
		p.size.Add(1)
	}
	return replaced
}

func (p *exactPart[K, V]) unsubscribe(f Filter, k K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subs[string(f)]
	if s == nil || !s.remove(k) {
		return false
	}
	p.size.Add(-1)
	if s.empty() {
		delete(p.subs, string(f))
		p.shrinkLocked()
	}
	return true
}

// shrinkLocked gives memory of the map back, which a map by itself does not.
func (p *exactPart[K, V]) shrinkLocked() {
	n := len(p.subs)
	if n > 0 && (p.peak < parts || n >= p.peak/shrinkBelow) {
		return
	}
	old := p.subs
	p.subs, p.peak = nil, n
	if n == 0 {
		return
	}
	p.subs = make(map[string]*subs[K, V], n)
	maps.Copy(p.subs, old)
}

func (p *exactPart[K, V]) match(name string, visit func(Filter, K, *V)) {
	if p.size.Load() == 0 {
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if s := p.subs[name]; s != nil {
		s.visit(visit)
	}
}

func (p *wildPart[K, V]) subscribe(f Filter, k K, v V) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	replaced := p.root.subscribe(f, k, v)
	if !replaced {
		p.size.Add(1)
	}
	return replaced
}

func (p *wildPart[K, V]) unsubscribe(f Filter, k K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	removed := p.root.unsubscribe(f, k)
	if removed {
		p.size.Add(-1)
	}
	return removed
}

func (p *wildPart[K, V]) match(l *levels, stack []branch[K, V], visit func(Filter, K, *V)) {
	if p.size.Load() == 0 {
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.root.match(l, stack, visit)
}
