package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Fields of a session's head, {sID}:s. Who makes a record writes the owner first; a
// record with an owner and without figures is a client id in use and no session.
const (
	fieldOwner    = "o" // "MAILBOX EPOCH"
	fieldHead     = "h" // store.Session
	fieldFigures  = "g" // number of the last batch, store.Queue, fence within the process
	fieldAt       = "a" // position in the mailbox's inbox, decimal; missing is 0
	fieldToken    = "t" // claim under way
	fieldTokenBox = "b" // "MAILBOX EPOCH" of who claims
	fieldReady    = "p" // claim that the owner is ready for
	fieldSince    = "since"
	fieldOverlap  = "overlap" // message ids, 16 bytes each
)

// Errors of what stands in Redis. They come with the key.
var (
	ErrRecord = errors.New("bridge: damaged record")
	ErrNewer  = errors.New("bridge: record of a newer version")
)

// damaged names a record that cannot be read.
func damaged(key string, err error) error { return fmt.Errorf("key %q: %w", key, err) }

// Every value begins with the version of its encoding; numbers are little endian or
// varints.
const recordVersion = 1

// Flags of messages and entries.
const (
	flagQoS     = 0x03
	flagRetain  = 0x04
	flagExpires = 0x08
)

// Flags of heads.
const (
	flagHasUser = 1 << iota
	flagWill
	flagWillExpiry
	flagWillMessage
)

// Flags of subscriptions.
const (
	flagNoLocal = 1 << iota
	flagRetainAsPub
)

func appendText[T ~string | ~[]byte](dst []byte, v T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// appendMessage writes version, flags, id, time, [expiry], publisher, user, topic and
// properties. The payload is the rest.
func appendMessage(dst []byte, m *message.Message) []byte {
	flags := m.QoS & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if m.Expires != 0 {
		flags |= flagExpires
	}
	dst = append(dst, recordVersion, flags)
	dst = appendID(dst, m.ID)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Created))
	if m.Expires != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Expires))
	}
	dst = appendText(appendText(appendText(dst, m.Publisher), m.User), m.Topic)
	return append(appendText(dst, m.Props), m.Payload...)
}

// texts keeps the strings of the message before: neighbours in a queue mostly have the
// same topic and publisher.
type texts struct{ topic, publisher, user string }

func again(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// message reads a message that shares no memory with b.
func (t *texts) message(b []byte) (*message.Message, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return nil, err
	}
	flags := d.flags(flagQoS | flagRetain | flagExpires)
	m := &message.Message{QoS: flags & flagQoS, Retain: flags&flagRetain != 0}
	m.ID = d.id()
	m.Created = int64(d.uint64())
	if flags&flagExpires != 0 {
		m.Expires = int64(d.uint64())
	}
	m.Publisher = message.ClientID(again(&t.publisher, d.bytes()))
	m.User = again(&t.user, d.bytes())
	m.Topic = again(&t.topic, d.bytes())
	props := d.bytes()
	if d.bad || m.QoS > 2 {
		return nil, ErrRecord
	}
	buf := make([]byte, len(props)+len(d.b))
	copy(buf[copy(buf, props):], d.b)
	if len(props) > 0 {
		m.Props = buf[:len(props):len(props)]
	}
	m.Payload = buf[len(props):]
	return m, nil
}

func parseMessage(b []byte) (*message.Message, error) { return new(texts).message(b) }

func appendID(dst []byte, id message.ID) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, id.Run), id.Seq)
}

func (d *decoder) id() message.ID { return message.ID{Run: d.uint64(), Seq: d.uint64()} }

// appendIDs writes a set of message ids.
func appendIDs(dst []byte, ids []message.ID) []byte {
	for _, id := range ids {
		dst = appendID(dst, id)
	}
	return dst
}

func parseIDs(b []byte) ([]message.ID, error) {
	if len(b)%16 != 0 {
		return nil, ErrRecord
	}
	d := decoder{b: b}
	ids := make([]message.ID, len(b)/16)
	for i := range ids {
		ids[i] = d.id()
	}
	return ids, nil
}

// appendEntry writes version, flags, subscription identifiers and the message.
func appendEntry(dst []byte, e *store.Entry) []byte {
	flags := e.QoS & flagQoS
	if e.Retain {
		flags |= flagRetain
	}
	dst = binary.AppendUvarint(append(dst, recordVersion, flags), uint64(len(e.SubIDs)))
	for _, id := range e.SubIDs {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	return appendMessage(dst, e.Msg)
}

func (t *texts) entry(b []byte, seq uint64) (store.Entry, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return store.Entry{}, err
	}
	flags := d.flags(flagQoS | flagRetain)
	e := store.Entry{Seq: seq, QoS: flags & flagQoS, Retain: flags&flagRetain != 0}
	n := d.uvarint()
	if n > uint64(len(d.b)) || e.QoS > 2 {
		return e, ErrRecord
	}
	if n > 0 {
		e.SubIDs = make([]uint32, n)
		for i := range e.SubIDs {
			e.SubIDs[i] = d.uint32()
		}
	}
	if d.bad {
		return e, ErrRecord
	}
	var err error
	e.Msg, err = t.message(d.b)
	return e, err
}

func appendState(dst []byte, s store.State) []byte {
	return append(dst, recordVersion, byte(s.Phase), byte(s.ID), byte(s.ID>>8))
}

func parseState(b []byte) (store.State, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return store.State{}, err
	}
	s := store.State{Phase: store.Phase(d.byte())}
	s.ID = message.PacketID(d.byte())
	s.ID |= message.PacketID(d.byte()) << 8
	if s.Phase > store.Released {
		d.fail()
	}
	return s, d.end()
}

func appendHead(dst []byte, s *store.Session) []byte {
	var flags byte
	if s.HasUser {
		flags |= flagHasUser
	}
	w := s.Will
	if w != nil {
		flags |= flagWill
		if w.HasExp {
			flags |= flagWillExpiry
		}
		if w.Message != nil {
			flags |= flagWillMessage
		}
	}
	dst = append(dst, recordVersion, flags, s.Version)
	dst = appendText(appendText(dst, s.ID), s.User)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(s.Epoch)), uint64(s.Expiry))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.ExpiresAt))
	if w == nil {
		return dst
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(w.Delay)), uint64(w.Expiry))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.At))
	if w.Message != nil {
		dst = appendMessage(dst, w.Message)
	}
	return dst
}

func parseHead(b []byte) (s store.Session, err error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return s, err
	}
	flags := d.flags(flagHasUser | flagWill | flagWillExpiry | flagWillMessage)
	s.HasUser, s.Version = flags&flagHasUser != 0, d.byte()
	s.ID, s.User = message.ClientID(d.bytes()), string(d.bytes())
	s.Epoch, s.Expiry = message.Epoch(d.uvarint()), d.uint32()
	s.ExpiresAt = int64(d.uint64())
	if flags&flagWill == 0 {
		return s, d.end()
	}
	w := &store.Will{HasExp: flags&flagWillExpiry != 0, Delay: d.uint32(), Expiry: d.uint32()}
	w.At = int64(d.uint64())
	s.Will = w
	if flags&flagWillMessage == 0 || d.bad {
		return s, d.end()
	}
	w.Message, err = parseMessage(d.b)
	return s, err
}

// figures are written with every batch.
type figures struct {
	n     uint64 // the batch
	queue store.Queue
	fence message.Epoch // batches of a lower epoch are those of an ended session
}

// appendFigures begins with version and number, which steps read.
func appendFigures(dst []byte, f *figures) []byte {
	dst = binary.LittleEndian.AppendUint64(append(dst, recordVersion), f.n)
	dst = binary.AppendVarint(binary.AppendVarint(dst, int64(f.queue.Messages)), f.queue.Bytes)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.queue.Last), uint64(max(0, f.queue.Asking)))
	return binary.AppendUvarint(dst, uint64(f.fence))
}

func parseFigures(b []byte) (figures, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return figures{}, err
	}
	f := figures{n: d.uint64()}
	f.queue.Messages, f.queue.Bytes = int(d.varint()), d.varint()
	f.queue.Last, f.queue.Asking = d.uvarint(), d.int()
	f.fence = message.Epoch(d.uvarint())
	return f, d.end()
}

func appendSub(dst []byte, s *store.Subscription) []byte {
	var flags byte
	if s.NoLocal {
		flags |= flagNoLocal
	}
	if s.RetainAsPub {
		flags |= flagRetainAsPub
	}
	return binary.AppendUvarint(append(dst, recordVersion, flags, s.QoS, s.RetainHandling), uint64(s.ID))
}

func parseSub(b []byte, filter string) (store.Subscription, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return store.Subscription{}, err
	}
	s := d.sub(filter)
	return s, d.end()
}

func (d *decoder) sub(filter string) store.Subscription {
	flags := d.flags(flagNoLocal | flagRetainAsPub)
	s := store.Subscription{Filter: filter, NoLocal: flags&flagNoLocal != 0, RetainAsPub: flags&flagRetainAsPub != 0}
	s.QoS, s.RetainHandling = d.byte(), d.byte()
	s.ID = d.uint32()
	return s
}

func appendCursor(dst []byte, c *store.Cursor) []byte {
	dst = binary.LittleEndian.AppendUint64(append(dst, recordVersion), uint64(c.Since))
	return appendSub(appendText(appendText(dst, c.After), c.Sub.Filter), &c.Sub)
}

func parseCursor(b []byte, filter string) (store.Cursor, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return store.Cursor{}, err
	}
	c := store.Cursor{Filter: filter, Since: int64(d.uint64())}
	c.After = string(d.bytes())
	of := string(d.bytes())
	if d.bad {
		return c, ErrRecord
	}
	var err error
	c.Sub, err = parseSub(d.b, of)
	return c, err
}

// appendReceived writes the message of a packet identifier, until it is routed.
func appendReceived(dst []byte, m *message.Message) []byte {
	dst = append(dst, recordVersion)
	if m != nil {
		dst = appendMessage(dst, m)
	}
	return dst
}

func parseReceived(b []byte) (*message.Message, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil || len(d.b) == 0 {
		return nil, err
	}
	return parseMessage(d.b)
}

// appendDue writes a delayed message.
func appendDue(dst []byte, at int64, m *message.Message) []byte {
	return appendMessage(binary.LittleEndian.AppendUint64(append(dst, recordVersion), uint64(at)), m)
}

func parseDue(b []byte) (int64, *message.Message, error) {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return 0, nil, err
	}
	at := int64(d.uint64())
	if d.bad {
		return 0, nil, ErrRecord
	}
	m, err := parseMessage(d.b)
	return at, m, err
}

// parsePosition reads a position as Redis has it; missing is 0.
func parsePosition(s string) (message.Position, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: position: %w", ErrRecord, err)
	}
	return message.Position(n), nil
}
