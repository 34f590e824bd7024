package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Each value begins with the version of its encoding.
const valueVersion = 1

// Flags of a message and of an entry.
const (
	flagQoS    = 0x03
	flagRetain = 0x04
	flagShared = 0x08 // entry: the message is in spaceBody
)

// parser reads fields off a value; the first that does not fit sets bad and
// everything after it is zero.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) byte() byte {
	if len(p.b) < 1 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) uint64() uint64 {
	if len(p.b) < 8 {
		p.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(p.b)
	p.b = p.b[8:]
	return v
}

func (p *parser) bytes() []byte {
	n := p.uvarint()
	if n > uint64(len(p.b)) {
		p.fail()
		return nil
	}
	v := p.b[:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) fail() { p.b, p.bad = nil, true }

// version takes the version off, and answers with an error if it is not known.
func (p *parser) version(what string) error {
	if v := p.byte(); p.bad || v != valueVersion {
		if v > valueVersion {
			return fmt.Errorf("%s of version %d: %w", what, v, ErrNewer)
		}
		return fmt.Errorf("%s without a version: %w", what, ErrDamaged)
	}
	return nil
}

// end answers whether everything fitted and nothing is left.
func (p *parser) end(what string) error {
	if p.bad || len(p.b) > 0 {
		return fmt.Errorf("%s: %w", what, ErrDamaged)
	}
	return nil
}

func appendBytes[T ~string | ~[]byte](dst []byte, v T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// messageRoom is an upper bound of what appendMessage writes.
func messageRoom(m *message.Message) int {
	return 2 + 4*8 + 5*binary.MaxVarintLen32 + len(m.Publisher) + len(m.User) + len(m.Topic) + len(m.Props) + len(m.Payload)
}

// appendMessage writes m: its properties as they stand in an MQTT 5 PUBLISH, and
// what a PUBLISH does not carry. The payload is the rest of the value.
func appendMessage(dst []byte, m *message.Message) []byte {
	flags := m.QoS & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	dst = append(dst, valueVersion, flags)
	dst = binary.LittleEndian.AppendUint64(dst, m.ID.Run)
	dst = binary.LittleEndian.AppendUint64(dst, m.ID.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Created))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Expires))
	dst = appendBytes(dst, m.Publisher)
	dst = appendBytes(dst, m.User)
	dst = appendBytes(dst, m.Topic)
	dst = appendBytes(dst, m.Props)
	return append(dst, m.Payload...)
}

// names keeps the strings of the message before: neighbours in a queue mostly
// have the same topic and publisher.
type names struct{ topic, publisher, user string }

func same(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// message reads a message that shares no memory with b.
func (n *names) message(b []byte) (*message.Message, error) {
	p := parser{b: b}
	if err := p.version("message"); err != nil {
		return nil, err
	}
	flags := p.byte()
	m := &message.Message{QoS: flags & flagQoS, Retain: flags&flagRetain != 0}
	m.ID.Run, m.ID.Seq = p.uint64(), p.uint64()
	m.Created, m.Expires = int64(p.uint64()), int64(p.uint64())
	m.Publisher = message.ClientID(same(&n.publisher, p.bytes()))
	m.User = same(&n.user, p.bytes())
	m.Topic = same(&n.topic, p.bytes())
	props := p.bytes()
	if p.bad || flags&^(flagQoS|flagRetain) != 0 {
		return nil, fmt.Errorf("message: %w", ErrDamaged)
	}
	buf := make([]byte, len(props)+len(p.b))
	copy(buf, props)
	copy(buf[len(props):], p.b)
	if len(props) > 0 {
		m.Props = buf[:len(props):len(props)]
	}
	m.Payload = buf[len(props):]
	return m, nil
}

// appendEntry writes everything of e but its message, which follows, or, if it is
// shared, the number of its body and its size.
func appendEntry(dst []byte, e *store.Entry, shared bool) []byte {
	flags := e.QoS & flagQoS
	if e.Retain {
		flags |= flagRetain
	}
	if shared {
		flags |= flagShared
	}
	dst = append(dst, valueVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(len(e.SubIDs)))
	for _, id := range e.SubIDs {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	return dst
}

// entryValue is a stored entry: its message is inline or, with a body that is not
// 0, in spaceBody.
type entryValue struct {
	store.Entry
	body   uint64
	size   int    // of a shared message, by message.Size
	inline []byte // aliases the value
}

func parseEntry(b []byte, seq uint64) (entryValue, error) {
	p := parser{b: b}
	if err := p.version("entry"); err != nil {
		return entryValue{}, err
	}
	flags := p.byte()
	v := entryValue{Entry: store.Entry{Seq: seq, QoS: flags & flagQoS, Retain: flags&flagRetain != 0}}
	n := p.uvarint()
	if n > uint64(len(p.b)) || flags&^(flagQoS|flagRetain|flagShared) != 0 {
		p.fail()
		n = 0
	}
	if n > 0 {
		v.SubIDs = make([]uint32, n)
		for i := range v.SubIDs {
			v.SubIDs[i] = p.uint32()
		}
	}
	if flags&flagShared == 0 {
		if len(p.b) == 0 {
			p.fail()
		}
		v.inline, p.b = p.b, nil
		return v, p.end("entry")
	}
	v.body, v.size = p.uvarint(), int(p.uint32()&0x7FFFFFFF)
	if v.body == 0 {
		p.fail()
	}
	return v, p.end("entry")
}

func (p *parser) uint32() uint32 {
	v := p.uvarint()
	if v > 0xFFFFFFFF {
		p.fail()
		return 0
	}
	return uint32(v)
}

// sharedBody is the body that a stored entry refers to, or 0.
func sharedBody(b []byte) (uint64, error) {
	if len(b) >= 2 && b[0] == valueVersion && b[1]&flagShared == 0 {
		return 0, nil
	}
	v, err := parseEntry(b, 0)
	return v.body, err
}

func appendShared(dst []byte, body uint64, size int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, body), uint64(size))
}
