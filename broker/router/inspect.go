package router

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

// ClientInfo is what is known of a session and its connection at one moment. It is a
// copy.
type ClientInfo struct {
	ID         ClientID
	User       string // valid with HasUser
	Remote     string // this and the next two are empty without a connection
	Listener   string
	Transport  string
	Since      int64 // when it connected, Unix nanoseconds; 0 without a connection
	ExpiresAt  int64 // Unix nanoseconds; 0 while connected or never
	Expiry     uint32
	Version    byte
	HasUser    bool
	Connected  bool
	Persistent bool
	Will       bool // of the connection, or one that waits for its delay
	Stalled    bool // the output is full: the peer does not take it

	Subscriptions, Queued, Inflight int
	QueuedBytes                     int64
	Drops                           [stats.NumDropReasons]uint32
}

// Dropped is the number of messages that the client lost.
func (i *ClientInfo) Dropped() uint64 {
	var sum uint64
	for _, n := range i.Drops {
		sum += uint64(n)
	}
	return sum
}

// ClientQuery says which clients are asked for.
type ClientQuery struct {
	After ClientID // with Less nil: only those behind it
	Limit int      // at least 1
	// Keep chooses; nil is all. It is called without a lock.
	Keep func(*ClientInfo) bool
	// Less orders; nil is by identifier.
	Less func(a, b *ClientInfo) int
}

// Clients answers the first clients of an order, at most Limit, and whether there are
// more. It looks at all sessions, but holds no lock longer than it takes to list a
// 64th of them, or to copy the figures of one.
func (r *Router) Clients(q ClientQuery) (list []*ClientInfo, more bool) {
	byID := q.Less == nil
	if byID {
		q.Less = func(a, b *ClientInfo) int { return cmp.Compare(a.ID, b.ID) }
	}
	top := first[*ClientInfo]{limit: q.Limit, less: q.Less}
	var some []*Client
	info := new(ClientInfo)
	for i := range r.reg.shards {
		some = r.reg.shard64(i, some[:0])
		for _, c := range some {
			if byID && (c.ID <= q.After || top.cut && c.ID > top.last().ID) {
				continue
			}
			if !c.inform(info) || q.Keep != nil && !q.Keep(info) || top.cut && q.Less(info, top.last()) > 0 {
				continue // info serves for the next one
			}
			top.add(info)
			info = new(ClientInfo)
		}
	}
	return top.done()
}

// shard64 appends the clients of one shard.
func (g *registry) shard64(i int, list []*Client) []*Client {
	s := &g.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.byID {
		list = append(list, c)
	}
	return list
}

// first gathers the first of an order among many.
type first[T any] struct {
	less  func(a, b T) int
	list  []T
	limit int
	cut   bool // something was left out: list is in order up to limit
}

func (f *first[T]) add(v T) {
	f.list = append(f.list, v)
	if len(f.list) >= 2*f.limit+64 {
		f.shorten()
	}
}

func (f *first[T]) shorten() {
	slices.SortFunc(f.list, f.less)
	if len(f.list) > f.limit {
		clear(f.list[f.limit:])
		f.list, f.cut = f.list[:f.limit], true
	}
}

// last is the last of those that were first when the list was cut: what is behind it
// is not among the first.
func (f *first[T]) last() T { return f.list[f.limit-1] }

func (f *first[T]) done() ([]T, bool) {
	f.shorten()
	return f.list, f.cut
}

// Client answers one client; false when there is no session with the identifier.
func (r *Router) Client(id ClientID) (ClientInfo, bool) {
	c := r.reg.get(id)
	if c == nil {
		return ClientInfo{}, false
	}
	return c.info()
}

// info copies; see inform.
func (c *Client) info() (i ClientInfo, ok bool) {
	ok = c.inform(&i)
	return i, ok
}

// inform copies into i; it reports false for a session that has ended, or that ended with
// the process and has only its will left.
func (c *Client) inform(i *ClientInfo) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.ghost {
		return false
	}
	h := &c.head
	*i = ClientInfo{
		ID: c.ID, User: h.User, HasUser: h.HasUser, Version: h.Version, Expiry: h.Expiry, ExpiresAt: h.ExpiresAt,
		Persistent: c.Persistent(), Will: h.Will != nil, Subscriptions: c.subs.len(),
	}
	i.Queued, i.Inflight, i.QueuedBytes = c.sess.Counts()
	if l := c.link; l != nil {
		i.Connected, i.Since, i.Stalled = true, l.since, l.Out.Room() <= 0
		i.Remote, i.Listener, i.Transport = l.Hook.Remote(), l.Hook.Listener(), l.Hook.ListenerKind()
	}
	if c.drops != nil {
		i.Drops = *c.drops
	}
	return true
}

// Subscriptions answers a client's subscriptions behind a filter, in order, at most
// limit, and whether there are more; false when there is no such session.
func (r *Router) Subscriptions(id ClientID, after string, limit int) (list []Subscription, more, ok bool) {
	c := r.reg.get(id)
	if c == nil {
		return nil, false, false
	}
	top := first[*subscription]{limit: limit, less: func(a, b *subscription) int { return cmp.Compare(a.Filter, b.Filter) }}
	c.mu.Lock()
	all := c.subs.all()
	c.mu.Unlock()
	for s := range all {
		if s.Filter > after {
			top.add(s)
		}
	}
	found, more := top.done()
	for _, s := range found {
		list = append(list, s.Subscription)
	}
	return list, more, true
}

// Subscriber is a session, or a shared group, that the messages of a topic go to.
type Subscriber struct {
	Client ClientID // empty for a group
	Group  string
	Filter string // of the group
	QoS    byte   // the highest granted; 2 for a group
}

// Subscribers answers whom a message to a topic name goes to, at most limit, and
// whether there are more. What the access rules say of each is not asked.
func (r *Router) Subscribers(name string, limit int) (list []Subscriber, more bool) {
	for _, t := range r.own.match(name, nil, nil) {
		list = append(list, Subscriber{Client: t.c.ID, QoS: t.qos})
	}
	for _, g := range r.own.matchGroups(name, nil) {
		list = append(list, Subscriber{Group: g.key.name, Filter: string(g.key.filter), QoS: 2})
	}
	slices.SortFunc(list, func(a, b Subscriber) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Filter, b.Filter))
	})
	if len(list) > limit {
		return list[:limit], true
	}
	return list, false
}

// Held is a message that a session holds.
type Held struct {
	Msg    *Message
	Seq    uint64
	ID     PacketID // 0 while it is queued
	Phase  store.Phase
	QoS    byte
	Retain bool
}

func held(e *session.Entry, id message.PacketID, phase store.Phase) Held {
	return Held{Msg: e.Msg, Seq: e.Seq, ID: id, Phase: phase, QoS: e.QoS, Retain: e.Retain}
}

// maxHeadBytes bounds what a look at a queue reads from the store.
const maxHeadBytes = 16 << 20

// Queue answers at most n of the oldest messages that wait for a client, and whether
// there are more; false when there is no such session. The part that is in the store
// alone is read from there.
func (r *Router) Queue(ctx context.Context, id ClientID, n int) (list []Held, more, ok bool, err error) {
	c := r.reg.get(id)
	if c == nil {
		return nil, false, false, nil
	}
	c.mu.Lock()
	after, tail := c.sess.Head(n, func(e *session.Entry) { list = append(list, held(e, 0, store.Queued)) })
	total, _, _ := c.sess.Counts()
	c.mu.Unlock()
	if tail {
		entries, err := r.store.Page(ctx, id, after, n-len(list), maxHeadBytes)
		if err != nil {
			return nil, false, true, fmt.Errorf("read queue of %q: %w", id, err)
		}
		for i := range entries {
			list = append(list, held(&session.Entry{Entry: entries[i]}, 0, store.Queued))
		}
	}
	return list, total > len(list), true, nil
}

// Inflight answers at most n of the oldest messages that a client has not acknowledged,
// and whether there are more; false when there is no such session. Those whose message
// nobody keeps, QoS 1 and 2 of a session that ends with its connection, are without it.
func (r *Router) Inflight(ctx context.Context, id ClientID, n int) (list []Held, more, ok bool, err error) {
	c := r.reg.get(id)
	if c == nil {
		return nil, false, false, nil
	}
	c.mu.Lock()
	unloaded := c.unloaded
	c.mu.Unlock()
	if unloaded {
		list, more, err = r.storedFlight(ctx, id, n)
		return list, more, true, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sess.Flight(n, func(e *session.Entry, id message.PacketID, phase store.Phase) {
		list = append(list, held(e, id, phase))
	})
	_, total, _ := c.sess.Counts()
	return list, total > len(list), true, nil
}

// storedFlight is Inflight of a session whose client has not been back since the start.
func (r *Router) storedFlight(ctx context.Context, id ClientID, n int) (list []Held, more bool, err error) {
	img, err := r.store.Load(ctx, id)
	if err != nil {
		return nil, false, fmt.Errorf("load session %q: %w", id, err)
	}
	for i := range img.Entries {
		e := &img.Entries[i]
		if e.State.Phase == store.Queued || e.QoS == 0 {
			continue
		}
		if len(list) == n {
			return list, true, nil
		}
		list = append(list, held(&session.Entry{Entry: e.Entry}, e.State.ID, e.State.Phase))
	}
	return list, false, nil
}
