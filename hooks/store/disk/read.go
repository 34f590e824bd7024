package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// reader reads one state of the store: what was durable when it was made.
type reader struct {
	it      *pebble.Iterator
	names   names
	bounded bool // the iterator has bounds
	end     func()
	stop    func() error // says why to end early
}

func newReader(db pebble.Reader) (*reader, error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	return &reader{it: it, end: func() {}, stop: func() error { return nil }}, nil
}

func (r *reader) close() error {
	defer r.end()
	return r.it.Close()
}

// read begins a read of the open store.
func (s *Store) read(ctx context.Context) (*reader, error) {
	stop := func() error {
		if s.closed.Load() {
			return store.ErrClosed
		}
		return ctx.Err()
	}
	if err := stop(); err != nil {
		return nil, err
	}
	s.view.RLock()
	defer s.view.RUnlock()
	eng := s.eng
	if eng == nil || !eng.enter() {
		if s.closed.Load() {
			return nil, store.ErrClosed
		}
		return nil, fmt.Errorf("disk store %s: %w", s.opts.Dir, ErrBroken)
	}
	r, err := newReader(eng.db)
	if err != nil {
		eng.leave()
		return nil, named(s.opts.Dir, err)
	}
	r.end, r.stop = eng.leave, stop
	return r, nil
}

// with runs f on a reader and names what it met.
func (s *Store) with(ctx context.Context, f func(r *reader) error) error {
	r, err := s.read(ctx)
	if err != nil {
		return err
	}
	err = f(r)
	if err2 := r.close(); err == nil {
		err = err2
	}
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return named(s.opts.Dir, err)
}

// get answers the value of a key; it is valid until the reader moves.
func (r *reader) get(key []byte) ([]byte, bool, error) {
	if r.bounded {
		r.it.SetBounds(nil, nil)
		r.bounded = false
	}
	if !r.it.SeekPrefixGE(key) {
		return nil, false, r.it.Error()
	}
	v, err := r.it.ValueAndErr()
	return v, err == nil, err
}

// each visits the keys that begin with prefix, from the key from on. The bound
// keeps it from walking through the dead keys of the space behind.
func (r *reader) each(prefix, from []byte, visit func(key, val []byte) (bool, error)) error {
	r.it.SetBounds(from, after(prefix))
	r.bounded = true
	for ok := r.it.First(); ok; ok = r.it.Next() {
		if err := r.stop(); err != nil {
			return err
		}
		v, err := r.it.ValueAndErr()
		if err != nil {
			return err
		}
		more, err := visit(r.it.Key(), v)
		if err != nil {
			return fmt.Errorf("key %x: %w", r.it.Key(), err)
		}
		if !more {
			return nil
		}
	}
	return r.it.Error()
}

func appendFormat(dst []byte) []byte { return append(dst, formatNumber) }

// format reads the number of the format; fresh says that nothing is stored.
func (r *reader) format(dir string) (fresh bool, err error) {
	v, ok, err := r.get(keyFormat)
	switch {
	case err != nil:
		return false, err
	case !ok && !r.it.First():
		return true, r.it.Error()
	case !ok || len(v) != 1:
		return false, fmt.Errorf("disk store %s: %w: it has no format number; it is another program's, or restore it from a backup", dir, ErrDamaged)
	case v[0] == importing:
		return false, fmt.Errorf("disk store %s: %w: an import into it did not end; import again into an empty directory", dir, ErrDamaged)
	case v[0] > formatNumber:
		return false, fmt.Errorf("disk store %s: %w: it has format %d, known is %d; run the version that wrote it, or a later one", dir, ErrNewer, v[0], formatNumber)
	}
	return false, nil
}

func (r *reader) given() (given, error) {
	v, ok, err := r.get(keyNode)
	if err != nil || !ok {
		return given{}, err
	}
	return parseGiven(v)
}

func (r *reader) doomed() ([]doomed, error) {
	var all []doomed
	prefix := []byte{spaceDoomed}
	err := r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) != lenNumbered {
			return false, ErrDamaged
		}
		d, err := parseDoomed(val, keyNumber(key))
		all = append(all, d)
		return true, err
	})
	return all, err
}

// session finds the number of a client's session.
func (r *reader) session(id message.ClientID) (number, error) {
	v, ok, err := r.get(appendClient(nil, id))
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, store.ErrNotFound
	case len(v) != lenNumbered || v[0] != valueVersion:
		return 0, fmt.Errorf("number of session %q: %w", id, ErrDamaged)
	}
	return keyNumber(v), nil
}

// Load implements store.Sessions. Of the queue it reads what is in flight.
func (s *Store) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	var img *store.Image
	err := s.with(ctx, func(r *reader) (err error) {
		img, err = r.image(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

func (r *reader) image(id message.ClientID) (*store.Image, error) {
	n, err := r.session(id)
	if err != nil {
		return nil, err
	}
	img := new(store.Image)
	var head store.Head
	f, err := r.top(n, &head, &img.Cursors)
	if err != nil {
		return nil, err
	}
	img.Session, img.Queue, img.Subs = head.Session, head.Queue, head.Subs
	if img.Received, err = r.received(n); err != nil {
		return nil, err
	}
	img.Entries, err = r.inflight(n, f.lane.head)
	return img, err
}

// top reads everything of a session that is in spaceSession.
func (r *reader) top(n number, h *store.Head, cursors *[]store.Cursor) (figures, error) {
	var f figures
	found := false
	prefix := appendNumber(nil, spaceSession, n)
	err := r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) < lenPart {
			return false, ErrDamaged
		}
		part, err := addPart(key, val, h, &f)
		found = found || part == partHead
		if part == partCursor && err == nil {
			var c store.Cursor
			c, err = parseCursor(val, string(key[lenPart:]))
			*cursors = append(*cursors, c)
		}
		return true, err
	})
	if err == nil && !found {
		err = fmt.Errorf("session %d without a head: %w", n, ErrDamaged)
	}
	return f, err
}

// addPart adds a record of spaceSession to h and f and answers which part it is.
func addPart(key, val []byte, h *store.Head, f *figures) (part byte, err error) {
	switch part = key[lenPart-1]; part {
	case partHead:
		h.Session, err = parseHead(val)
	case partFigure:
		*f, err = parseFigures(val)
		h.Queue = f.queue
	case partSub:
		var sub store.Subscription
		sub, err = parseSub(val, string(key[lenPart:]))
		h.Subs = append(h.Subs, sub)
	case partCursor:
	default:
		err = fmt.Errorf("part %d: %w", part, ErrDamaged)
	}
	return part, err
}

func (r *reader) received(n number) ([]message.PacketID, error) {
	var ids []message.PacketID
	prefix := appendNumber(nil, spaceReceived, n)
	err := r.each(prefix, prefix, func(key, _ []byte) (bool, error) {
		if len(key) != lenReceived {
			return false, ErrDamaged
		}
		ids = append(ids, message.PacketID(key[9])<<8|message.PacketID(key[10]))
		return true, nil
	})
	return ids, err
}

// states reads the states of the entries from a Seq on.
func (r *reader) states(n number, from uint64) ([]store.StoredEntry, error) {
	var all []store.StoredEntry
	err := r.each(appendNumber(nil, spaceInflight, n), appendSeq(nil, spaceInflight, n, from), func(key, val []byte) (bool, error) {
		if len(key) != lenSeq {
			return false, ErrDamaged
		}
		st, err := parseState(val)
		all = append(all, store.StoredEntry{Entry: store.Entry{Seq: keySeq(key)}, State: st})
		return true, err
	})
	return all, err
}

// inflight reads the entries that have a state. A state without an entry is
// nothing.
func (r *reader) inflight(n number, head uint64) ([]store.StoredEntry, error) {
	states, err := r.states(n, head)
	if err != nil || len(states) == 0 {
		return nil, err
	}
	var page page
	all := states[:0]
	for _, st := range states {
		if st.State.Phase == store.Queued {
			continue
		}
		v, ok, err := r.get(appendSeq(nil, spaceQueue, n, st.Seq))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := page.add(r, v, st.Seq); err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	if err := page.resolve(r); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Entry = page.entries[i]
	}
	return all, nil
}

// Heads implements store.Sessions. It holds one session at a time.
func (s *Store) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	return s.with(ctx, func(r *reader) error {
		return r.heads(func(_ number, h *store.Head) (bool, error) { return visit(h), nil })
	})
}

// heads visits all sessions. What a session that ended left is passed over.
func (r *reader) heads(visit func(n number, h *store.Head) (bool, error)) error {
	h := new(store.Head) // the visitor may keep it
	var f figures
	var n number // of h; 0 is none
	more := true
	flush := func() (err error) {
		if n != 0 {
			more, err = visit(n, h)
			h, n = new(store.Head), 0
		}
		return err
	}
	prefix := []byte{spaceSession}
	err := r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) < lenPart {
			return false, ErrDamaged
		}
		now := keyNumber(key)
		if now != n {
			if err := flush(); err != nil || !more {
				return false, err
			}
			if key[lenPart-1] != partHead {
				return true, nil
			}
			n = now
		}
		_, err := addPart(key, val, h, &f)
		return true, err
	})
	if err != nil || !more {
		return err
	}
	return flush()
}

// figures visits what start-up needs of all sessions.
func (r *reader) figures(visit func(n number, id message.ClientID, f figures) error) error {
	var id message.ClientID
	var head number
	prefix := []byte{spaceSession}
	return r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) < lenPart {
			return false, ErrDamaged
		}
		switch key[lenPart-1] {
		case partHead:
			h, err := parseHead(val)
			id, head = h.ID, keyNumber(key)
			return true, err
		case partFigure:
			if keyNumber(key) != head || head == 0 {
				return true, nil // it ended
			}
			f, err := parseFigures(val)
			if err != nil {
				return false, err
			}
			return true, visit(head, id, f)
		}
		return true, nil
	})
}
