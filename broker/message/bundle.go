package message

import (
	"encoding/binary"
	"errors"
)

// Position is a place in the cluster's stream of route changes, or in a mailbox's
// inbox. It only grows; 0 is before everything.
type Position uint64

// Bundle is a run of messages of one publisher on one topic at one QoS, on its way to
// another mailbox. Its messages are numbered from First on.
type Bundle struct {
	Topic     string
	Publisher ClientID
	User      string
	First     ID // of the first message; those behind it count Seq up
	Created   int64
	Matched   Position // of the route table that its target was found with
	QoS       byte
	Again     bool        // may have been routed before: who knows a message's ID skips it
	Match     bool        // for the mailbox's own subscriptions
	Taken     bool        // of a group, from a mailbox that was taken over: who has only handed the message on does not know it
	Group     string      // "group/filter" whose member gets it; empty is none
	Tried     []MailboxID // mailboxes of the group that had no member online
	Items     []BundleItem
}

// BundleItem is what the messages of a bundle differ in.
type BundleItem struct {
	Payload []byte
	Props   []byte // forwarded, as in Message
	Expires int64  // Unix nanoseconds, 0 is never
	Retain  bool
}

const bundleVersion = 1

const (
	bundleAgain = 1 << iota
	bundleMatch
	bundleGroup
	bundleTaken
)

const (
	itemRetain = 1 << iota
	itemExpires
)

// ErrBundle is what a damaged bundle, or one of a newer format, is answered with.
var ErrBundle = errors.New("message: damaged bundle")

// Message returns item i as a message of its own; it shares the bundle's memory.
func (b *Bundle) Message(i int) *Message {
	it := &b.Items[i]
	return &Message{
		ID: ID{b.First.Run, b.First.Seq + uint64(i)}, Topic: b.Topic, Payload: it.Payload, Props: it.Props, Publisher: b.Publisher,
		User: b.User, Created: b.Created, Expires: it.Expires, QoS: b.QoS, Retain: it.Retain,
	}
}

// Append encodes the bundle behind dst. Format, numbers little endian, lengths as
// unsigned varints: version, QoS, flags, Matched, Run, Seq, Created (8 bytes each), topic,
// publisher, user, [group, number of Tried, each], number of items, each: flags, [Expires],
// properties, payload.
func (b *Bundle) Append(dst []byte) []byte {
	var flags byte
	if b.Again {
		flags |= bundleAgain
	}
	if b.Match {
		flags |= bundleMatch
	}
	if b.Group != "" {
		flags |= bundleGroup
	}
	if b.Taken {
		flags |= bundleTaken
	}
	dst = append(dst, bundleVersion, b.QoS, flags)
	for _, n := range [...]uint64{uint64(b.Matched), b.First.Run, b.First.Seq, uint64(b.Created)} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	dst = appendText(appendText(appendText(dst, b.Topic), string(b.Publisher)), b.User)
	if b.Group != "" {
		dst = binary.AppendUvarint(appendText(dst, b.Group), uint64(len(b.Tried)))
		for _, t := range b.Tried {
			dst = appendText(dst, string(t))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Items)))
	for i := range b.Items {
		dst = b.Items[i].append(dst)
	}
	return dst
}

func (it *BundleItem) append(dst []byte) []byte {
	var flags byte
	if it.Retain {
		flags |= itemRetain
	}
	if it.Expires != 0 {
		flags |= itemExpires
	}
	dst = append(dst, flags)
	if it.Expires != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(it.Expires))
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(it.Props))), it.Props...)
	return append(binary.AppendUvarint(dst, uint64(len(it.Payload))), it.Payload...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader takes a bundle apart; after a fault everything it answers is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.bad, r.b = true, nil
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// count reads a number of things that take at least one byte each.
func (r *reader) count() int {
	n, k := binary.Uvarint(r.b)
	if k <= 0 || n > uint64(len(r.b)-k) {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.count()
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Parse reads a bundle from the beginning of b and answers what follows it. Payloads and
// properties alias b. Items is reused.
func (b *Bundle) Parse(data []byte) (rest []byte, err error) {
	r := reader{b: data}
	if r.byte() != bundleVersion {
		return nil, ErrBundle
	}
	items := b.Items[:0]
	*b = Bundle{QoS: r.byte()}
	flags := r.byte()
	b.Again, b.Match, b.Taken = flags&bundleAgain != 0, flags&bundleMatch != 0, flags&bundleTaken != 0
	b.Matched = Position(r.uint64())
	b.First = ID{r.uint64(), r.uint64()}
	b.Created = int64(r.uint64())
	b.Topic, b.Publisher, b.User = string(r.bytes()), ClientID(r.bytes()), string(r.bytes())
	if flags&bundleGroup != 0 {
		b.Group = string(r.bytes())
		for range r.count() {
			b.Tried = append(b.Tried, MailboxID(r.bytes()))
		}
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		items = append(items, r.item())
	}
	b.Items = items
	if r.bad || b.QoS > 2 || b.Topic == "" {
		return nil, ErrBundle
	}
	return r.b, nil
}

func (r *reader) item() (it BundleItem) {
	flags := r.byte()
	it.Retain = flags&itemRetain != 0
	if flags&itemExpires != 0 {
		it.Expires = int64(r.uint64())
	}
	it.Props, it.Payload = r.bytes(), r.bytes()
	return it
}
