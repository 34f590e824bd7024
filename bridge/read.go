package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var (
	stepLoad = step("record_load")
	stepPage = step("record_page")
	stepHead = step("record_head")
)

// loaded is a session with what only the bridge wants to know of it.
type loaded struct {
	store.Image
	owner   string // tag
	n       uint64 // of the last batch
	fence   message.Epoch
	unused  uint64 // no entry with this Seq or a higher one was ever written
	since   message.Position
	overlap []message.ID
	fields  map[string]string // of the head
}

// asks calls f until Redis has answered it, the context ends or the bridge is closed.
func (r *records) asks(ctx context.Context, what string, f func(context.Context) error) error {
	if r.in.isClosed() {
		return store.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(store.ErrClosed) })()
	return r.retry(ctx, what, f)
}

// read does a step that reads, until it is answered.
func (r *records) read(ctx context.Context, s *redis.Script, key string, args ...any) (v any, err error) {
	err = r.asks(ctx, s.Name(), func(ctx context.Context) (err error) {
		v, err = r.do(ctx, s, []string{key}, args...)
		return err
	})
	return v, r.readError(key, err)
}

// readError tells a damaged record from what else may be wrong.
func (r *records) readError(key string, err error) error {
	switch {
	case err == nil || redis.IsUnavailable(err):
		return err
	case strings.Contains(err.Error(), "WRONGTYPE"):
		return damaged(key, fmt.Errorf("%w: %w", ErrRecord, err))
	}
	return err
}

// Load implements store.Sessions. Of the entries, those whose delivery has begun are read;
// Page has the others.
func (r *records) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	l, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return &l.Image, nil
}

// load is Load with more. Of a resident session the owner must be as it is here.
func (r *records) load(ctx context.Context, id message.ClientID) (*loaded, error) {
	r.mu.Lock()
	tag := ""
	h := r.homes[id]
	if h != nil && !h.fresh {
		tag = h.tag
	}
	r.mu.Unlock()
	l, err := r.loadOf(ctx, id, tag)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h != nil && r.homes[id] == h {
		h.learn(l)
	}
	return l, nil
}

// loadOf reads a session whose owner must be tag, unless that is empty.
func (r *records) loadOf(ctx context.Context, id message.ClientID, tag string) (*loaded, error) {
	base := r.keys.session(id)
	v, err := r.read(ctx, stepLoad, base+sessionHead, tag)
	if err != nil {
		return nil, fmt.Errorf("load a session: %w", err)
	}
	switch v {
	case int64(0):
		return nil, store.ErrNotFound
	case int64(1):
		return nil, store.ErrFenced
	}
	l, err := decodeLoaded(base, v)
	if err != nil {
		return nil, fmt.Errorf("load a session: %w", err)
	}
	return l, nil
}

// learn takes what a record says, unless it is known already.
func (h *resident) learn(l *loaded) {
	h.fence = max(h.fence, l.fence)
	if h.session == unsure {
		h.session = present
	}
	if !h.bounded {
		h.bounded, h.unused = true, max(h.unused, l.unused)
	}
}

func decodeLoaded(base string, v any) (*loaded, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 6 {
		return nil, damaged(base, ErrRecord)
	}
	l := new(loaded)
	if err := l.decodeHead(base, list[0]); err != nil {
		return nil, err
	}
	var err error
	if l.Subs, err = decodeSubs(base, list[1]); err != nil {
		return nil, err
	}
	if err := l.decodeEntries(base, list[2]); err != nil {
		return nil, err
	}
	if err := l.decodeReceived(base, list[3]); err != nil {
		return nil, err
	}
	if err := l.decodeCursors(base, list[4]); err != nil {
		return nil, err
	}
	if last, _ := list[5].(string); last != "" {
		seq, err := parseEntryID(last)
		if err != nil {
			return nil, damaged(base+sessionQueue, err)
		}
		if l.unused = seq + 1; seq == math.MaxUint64 {
			l.unused = seq
		}
	}
	return l, nil
}

func (l *loaded) decodeHead(base string, v any) error {
	key := base + sessionHead
	fields, err := fieldPairs(v)
	if err != nil {
		return damaged(key, err)
	}
	l.fields = make(map[string]string, len(fields)/2)
	for i := 0; i < len(fields); i += 2 {
		l.fields[fields[i]] = fields[i+1]
	}
	l.owner = l.fields[fieldOwner]
	if _, ok := l.fields[fieldFigures]; !ok {
		return nil // in use, and no session
	}
	f, err := parseFigures([]byte(l.fields[fieldFigures]))
	if err != nil {
		return damaged(key, err)
	}
	l.n, l.fence, l.Queue = f.n, f.fence, f.queue
	if l.Session, err = parseHead([]byte(l.fields[fieldHead])); err != nil {
		return damaged(key, err)
	}
	at, err1 := parsePosition(l.fields[fieldAt])
	since, err2 := parsePosition(l.fields[fieldSince])
	overlap, err3 := parseIDs([]byte(l.fields[fieldOverlap]))
	l.At, l.since, l.overlap = at, since, overlap
	if err := errors.Join(err1, err2, err3); err != nil {
		return damaged(key, fmt.Errorf("%w: %w", ErrRecord, err))
	}
	return nil
}

// parseEntryID reads the id of an entry.
func parseEntryID(s string) (uint64, error) {
	ms, _, ok := strings.Cut(s, "-")
	n, err := strconv.ParseUint(ms, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("%w: id of an entry", ErrRecord)
	}
	return n, nil
}

// fieldPairs are names and values.
func fieldPairs(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, ErrRecord
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, ErrRecord
		}
	}
	return out, nil
}

func decodeSubs(base string, v any) ([]store.Subscription, error) {
	fields, err := fieldPairs(v)
	if err != nil {
		return nil, damaged(base+sessionFilters, err)
	}
	subs := make([]store.Subscription, 0, len(fields)/2)
	for i := 0; i < len(fields); i += 2 {
		s, err := parseSub([]byte(fields[i+1]), fields[i])
		if err != nil {
			return nil, damaged(base+sessionFilters, err)
		}
		subs = append(subs, s)
	}
	return subs, nil
}

func (l *loaded) decodeEntries(base string, v any) error {
	list, _ := v.([]any)
	var t texts
	for _, e := range list {
		item, _ := e.([]any)
		if len(item) != 3 {
			return damaged(base+sessionWindow, ErrRecord)
		}
		id, _ := item[0].(string)
		state, _ := item[1].(string)
		value, _ := item[2].(string)
		seq, err := parseEntryID(id)
		if err != nil {
			return damaged(base+sessionWindow, err)
		}
		st, err := parseState([]byte(state))
		if err != nil {
			return damaged(base+sessionWindow, err)
		}
		entry, err := t.entry([]byte(value), seq)
		if err != nil {
			return damaged(base+sessionQueue, err)
		}
		l.Entries = append(l.Entries, store.StoredEntry{Entry: entry, State: st})
	}
	sortEntries(l.Entries)
	return nil
}

func (l *loaded) decodeReceived(base string, v any) error {
	fields, err := fieldPairs(v)
	if err != nil {
		return damaged(base+sessionReceived, err)
	}
	for i := 0; i < len(fields); i += 2 {
		n, err := strconv.ParseUint(fields[i], 10, 16)
		if err != nil {
			return damaged(base+sessionReceived, ErrRecord)
		}
		m, err := parseReceived([]byte(fields[i+1]))
		if err != nil {
			return damaged(base+sessionReceived, err)
		}
		l.Received = append(l.Received, message.PacketID(n))
		if m != nil {
			l.Unrouted = append(l.Unrouted, store.Unrouted{ID: message.PacketID(n), Msg: m})
		}
	}
	sortUnrouted(l.Unrouted)
	return nil
}

// sortUnrouted puts messages in the order in which they were published. Numbers of one
// process tell; of several, which have one after the other received from the client, the
// times of the first.
func sortUnrouted(list []store.Unrouted) {
	begun := make(map[uint64]int64)
	for _, u := range list {
		if at, ok := begun[u.Msg.ID.Run]; !ok || u.Msg.Created < at {
			begun[u.Msg.ID.Run] = u.Msg.Created
		}
	}
	slices.SortFunc(list, func(a, b store.Unrouted) int {
		x, y := a.Msg.ID, b.Msg.ID
		if x.Run == y.Run {
			return cmp.Compare(x.Seq, y.Seq)
		}
		return cmp.Or(cmp.Compare(begun[x.Run], begun[y.Run]), cmp.Compare(x.Run, y.Run))
	})
}

func (l *loaded) decodeCursors(base string, v any) error {
	fields, err := fieldPairs(v)
	if err != nil {
		return damaged(base+sessionCursors, err)
	}
	for i := 0; i < len(fields); i += 2 {
		c, err := parseCursor([]byte(fields[i+1]), fields[i])
		if err != nil {
			return damaged(base+sessionCursors, err)
		}
		l.Cursors = append(l.Cursors, c)
	}
	sortCursors(l.Cursors)
	return nil
}
