package disk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// ErrNotEmpty is what Import answers for a directory that has a store.
var ErrNotEmpty = errors.New("store is not empty")

// importing stands in place of the format's number while an import is under way:
// a store that was imported in part is not opened.
const importing = 0

// importer writes what Export wrote into an empty store.
type importer struct {
	eng   *engine
	batch *pebble.Batch
	n     int64 // lines so far

	numbers given
	s       *store.Session // whose records come
	id      number
	figures figures
	bodies  map[uint64]*imported
	clients map[message.ClientID]bool

	key, val []byte
}

// imported is a body and how many entries refer to it.
type imported struct {
	count int64
	size  int
}

// Import fills the store in o.Dir, which must be empty and not in use, with what
// Export wrote. An import that did not end has to be done again in an empty
// directory.
func Import(ctx context.Context, o Options, r io.Reader) error {
	o.fill()
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return named(o.Dir, err)
	}
	lock, err := lockDir(&o)
	if err != nil {
		return err
	}
	err = importInto(ctx, &o, r)
	if err2 := lock.Close(); err == nil {
		err = err2
	}
	return err
}

func importInto(ctx context.Context, o *Options, r io.Reader) error {
	eng, err := openEngine(o, false)
	if err != nil {
		return openError(o.Dir, err)
	}
	i := &importer{eng: eng, bodies: map[uint64]*imported{}, clients: map[message.ClientID]bool{}}
	err = i.run(ctx, o.Dir, r)
	if i.batch != nil {
		_ = i.batch.Close() // what is in it is written, or is not to be
	}
	if err2 := eng.close(); err == nil {
		err = err2
	}
	return err
}

func (i *importer) run(ctx context.Context, dir string, r io.Reader) error {
	rd, err := newReader(i.eng.db)
	if err != nil {
		return named(dir, err)
	}
	full := rd.it.First()
	if err := first(rd.it.Error(), rd.close()); err != nil {
		return named(dir, err)
	}
	if full {
		return fmt.Errorf("disk store %s: %w: import into an empty directory", dir, ErrNotEmpty)
	}
	i.batch = i.eng.db.NewBatch()
	i.set(keyFormat, []byte{importing})
	if err := i.flush(pebble.Sync); err != nil {
		return named(dir, err)
	}
	if err := i.lines(ctx, r); err != nil {
		return fmt.Errorf("import into %s: %s: %w", dir, where(i.n), err)
	}
	i.set(keyNode, appendGiven(nil, i.numbers))
	for body, b := range i.bodies {
		if b.count == 0 {
			i.key = appendBody(i.key[:0], spaceBody, body)
			_ = i.batch.SingleDelete(i.key, nil) // in memory
			continue
		}
		i.key, i.val = appendBody(i.key[:0], spaceCount, body), appendCount(i.val[:0], b.count)
		i.set(i.key, i.val)
	}
	i.set(keyFormat, appendFormat(nil))
	return i.flush(pebble.Sync)
}

func (i *importer) set(key, val []byte) { _ = i.batch.Set(key, val, nil) } // in memory

func (i *importer) flush(opts *pebble.WriteOptions) error {
	if err := i.eng.apply(i.batch, opts); err != nil {
		i.batch = nil
		return err
	}
	_ = i.batch.Close() // it was written
	i.batch = i.eng.db.NewBatch()
	return nil
}

// importBytes is how much is written at once.
const importBytes = 4 << 20

func (i *importer) lines(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		b, err := in.ReadBytes('\n')
		if err != nil && (!errors.Is(err, io.EOF) || len(b) == 0) {
			return fmt.Errorf("read: %w", noEOF(err))
		}
		i.n++
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		var l line
		if err := dec.Decode(&l); err != nil {
			return fmt.Errorf("not a record: %w", err)
		}
		if err := i.check(&l); err != nil {
			return err
		}
		if l.Kind == kindEnd {
			i.endSession()
			return nil
		}
		if err := i.record(&l); err != nil {
			return err
		}
		if i.batch.Len() > importBytes {
			if err := first(i.flush(pebble.NoSync), ctx.Err()); err != nil {
				return err
			}
		}
	}
}

// noEOF: before the last line the end is not one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (i *importer) check(l *line) error {
	switch {
	case (i.n == 1) != (l.Kind == kindHeader):
		return errors.New("the header is not the first line")
	case l.Kind == kindHeader && l.Version > exportVersion:
		return fmt.Errorf("export has version %d, known is %d: %w", l.Version, exportVersion, ErrNewer)
	case l.Kind == kindHeader && l.Version < 1:
		return errors.New("header has no version")
	case l.Kind == kindEnd && l.Lines != i.n-2:
		return fmt.Errorf("%d lines were written, %d are here", l.Lines, i.n-2)
	}
	return nil
}

func (i *importer) record(l *line) error {
	switch l.Kind {
	case kindHeader:
		return nil
	case kindBody, kindRetained, kindDelayed, kindGroup:
		if l.Message == nil {
			return fmt.Errorf("%s without a message", l.Kind)
		}
		i.nodeRecord(l)
		return nil
	case kindSession:
		if l.Session == nil || l.Session.Client == "" {
			return errors.New("session without a client")
		}
		i.endSession()
		return i.beginSession(l.Session)
	}
	if i.s == nil {
		return fmt.Errorf("%s without a session", l.Kind)
	}
	switch l.Kind {
	case kindSub, kindCursor:
		if l.Sub == nil {
			return fmt.Errorf("%s without a subscription", l.Kind)
		}
		i.subRecord(l)
	case kindReceived:
		i.key = appendReceived(i.key[:0], i.id, message.PacketID(l.ID))
		i.set(i.key, []byte{valueVersion})
	case kindEntry:
		return i.entry(l)
	default:
		return fmt.Errorf("unknown kind %q", l.Kind)
	}
	return nil
}

func (i *importer) nodeRecord(l *line) {
	m := l.Message.message()
	switch l.Kind {
	case kindBody:
		i.bodies[l.Body] = &imported{size: m.Size()}
		i.numbers.bodies = max(i.numbers.bodies, l.Body)
		i.key, i.val = appendBody(i.key[:0], spaceBody, l.Body), appendMessage(i.val[:0], m)
	case kindRetained:
		i.key, i.val = appendRetained(i.key[:0], string(l.Filter)), appendMessage(i.val[:0], m)
	case kindDelayed:
		i.key, i.val = appendDelayed(i.key[:0], l.Seq), appendDue(i.val[:0], l.At, m)
	default:
		i.key, i.val = appendGroup(i.key[:0], string(l.Group), l.Seq), appendMessage(i.val[:0], m)
	}
	i.set(i.key, i.val)
}

func (i *importer) beginSession(l *sessionLine) error {
	if id := message.ClientID(l.Client); i.clients[id] {
		return fmt.Errorf("session %q comes twice", id)
	}
	i.clients[message.ClientID(l.Client)] = true
	i.numbers.sessions++
	i.id, i.s = number(i.numbers.sessions), l.session()
	i.figures = figures{queue: store.Queue{Messages: l.Messages, Bytes: l.Bytes, Last: l.Last, Asking: l.Asking}, epoch: message.Epoch(l.Fence)}
	i.key = appendClient(i.key[:0], i.s.ID)
	i.set(i.key, appendNumber(nil, valueVersion, i.id))
	i.key, i.val = appendPart(i.key[:0], i.id, partHead), appendHead(i.val[:0], i.s)
	i.set(i.key, i.val)
	return nil
}

func (i *importer) endSession() {
	if i.s == nil {
		return
	}
	i.key, i.val = appendPart(i.key[:0], i.id, partFigure), appendFigures(i.val[:0], &i.figures)
	i.set(i.key, i.val)
	i.s = nil
}

func (i *importer) subRecord(l *line) {
	sub := l.Sub.sub()
	if l.Kind == kindSub {
		i.key, i.val = append(appendPart(i.key[:0], i.id, partSub), sub.Filter...), appendSub(i.val[:0], &sub)
	} else {
		c := store.Cursor{Filter: string(l.Filter), Sub: sub, After: string(l.After), Since: l.At}
		i.key, i.val = append(appendPart(i.key[:0], i.id, partCursor), c.Filter...), appendCursor(i.val[:0], &c)
	}
	i.set(i.key, i.val)
}

func (i *importer) entry(l *line) error {
	e := store.Entry{Msg: l.Message.message(), SubIDs: l.SubIDs, Seq: l.Seq, QoS: l.QoS, Retain: l.Retain}
	lane := &i.figures.lane
	if l.Seq < lane.next {
		return fmt.Errorf("entry %d comes after %d", l.Seq, lane.next-1)
	}
	lane.next = l.Seq + 1
	i.val = appendEntry(i.val[:0], &e, l.Body != 0)
	switch {
	case l.Body == 0 && e.Msg == nil:
		return fmt.Errorf("entry %d has no message", l.Seq)
	case l.Body == 0:
		i.val = appendMessage(i.val, e.Msg)
	default:
		b := i.bodies[l.Body]
		if b == nil {
			return fmt.Errorf("entry %d refers to body %d, which is not there", l.Seq, l.Body)
		}
		b.count++
		lane.shared++
		i.val = appendShared(i.val, l.Body, b.size)
	}
	i.key = appendSeq(i.key[:0], spaceQueue, i.id, l.Seq)
	i.set(i.key, i.val)
	st := store.State{ID: message.PacketID(l.ID), Phase: store.Phase(l.Phase)}
	if st != (store.State{}) {
		if st.Phase > store.Released {
			return fmt.Errorf("entry %d has the unknown phase %d", l.Seq, l.Phase)
		}
		i.key, i.val = appendSeq(i.key[:0], spaceInflight, i.id, l.Seq), appendState(i.val[:0], st)
		i.set(i.key, i.val)
	}
	return nil
}
