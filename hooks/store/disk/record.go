package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

const (
	flagHasUser = 0x01
	flagWill    = 0x02
	flagWillExp = 0x04

	flagNoLocal     = 0x01
	flagRetainAsPub = 0x02
)

func appendHead(dst []byte, s *store.Session) []byte {
	var flags byte
	if s.HasUser {
		flags |= flagHasUser
	}
	if s.Will != nil {
		flags |= flagWill
		if s.Will.HasExp {
			flags |= flagWillExp
		}
	}
	dst = append(dst, valueVersion, flags, s.Version)
	dst = appendBytes(dst, s.ID)
	dst = appendBytes(dst, s.User)
	dst = binary.AppendUvarint(dst, uint64(s.Epoch))
	dst = binary.AppendUvarint(dst, uint64(s.Expiry))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.ExpiresAt))
	if w := s.Will; w != nil {
		dst = binary.AppendUvarint(dst, uint64(w.Delay))
		dst = binary.AppendUvarint(dst, uint64(w.Expiry))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(w.At))
		if w.Message != nil {
			dst = appendMessage(dst, w.Message)
		}
	}
	return dst
}

func parseHead(b []byte) (store.Session, error) {
	p := parser{b: b}
	if err := p.version("session"); err != nil {
		return store.Session{}, err
	}
	flags := p.byte()
	s := store.Session{HasUser: flags&flagHasUser != 0, Version: p.byte()}
	s.ID, s.User = message.ClientID(p.bytes()), string(p.bytes())
	s.Epoch, s.Expiry = message.Epoch(p.uvarint()), p.uint32()
	s.ExpiresAt = int64(p.uint64())
	if flags&^(flagHasUser|flagWill|flagWillExp) != 0 {
		p.fail()
	}
	if flags&flagWill != 0 && !p.bad {
		w := &store.Will{HasExp: flags&flagWillExp != 0, Delay: p.uint32(), Expiry: p.uint32(), At: int64(p.uint64())}
		if len(p.b) > 0 {
			m, err := new(names).message(p.b)
			if err != nil {
				return s, fmt.Errorf("will: %w", err)
			}
			w.Message, p.b = m, nil
		}
		s.Will = w
	}
	return s, p.end("session")
}

// figures are what the store must know of a session before it reads its queue.
type figures struct {
	queue store.Queue
	epoch message.Epoch // the highest that committed
	lane  lane
}

// askingVersion is of figures that end with store.Queue.Asking; without, it is 0.
const askingVersion = 2

func appendFigures(dst []byte, f *figures) []byte {
	version := byte(valueVersion)
	if f.queue.Asking > 0 {
		version = askingVersion
	}
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, int64(f.queue.Messages))
	dst = binary.AppendVarint(dst, f.queue.Bytes)
	dst = binary.AppendUvarint(dst, f.queue.Last)
	dst = binary.AppendUvarint(dst, uint64(f.epoch))
	dst = binary.AppendUvarint(dst, f.lane.head)
	dst = binary.AppendUvarint(dst, f.lane.next)
	dst = binary.AppendUvarint(dst, f.lane.trimmed)
	dst = binary.AppendUvarint(dst, f.lane.shared)
	if version == askingVersion {
		dst = binary.AppendUvarint(dst, uint64(f.queue.Asking))
	}
	return dst
}

func parseFigures(b []byte) (figures, error) {
	p := parser{b: b}
	asking := len(b) > 0 && b[0] == askingVersion
	if asking {
		p.b = b[1:]
	} else if err := p.version("figures"); err != nil {
		return figures{}, err
	}
	var f figures
	f.queue = store.Queue{Messages: int(p.varint()), Bytes: p.varint(), Last: p.uvarint()}
	f.epoch = message.Epoch(p.uvarint())
	f.lane.head, f.lane.next, f.lane.trimmed, f.lane.shared = p.uvarint(), p.uvarint(), p.uvarint(), p.uvarint()
	if asking {
		f.queue.Asking = int(p.uint32() & 0x7FFFFFFF)
	}
	return f, p.end("figures")
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func appendSub(dst []byte, s *store.Subscription) []byte {
	var flags byte
	if s.NoLocal {
		flags |= flagNoLocal
	}
	if s.RetainAsPub {
		flags |= flagRetainAsPub
	}
	dst = append(dst, valueVersion, flags, s.QoS, s.RetainHandling)
	return binary.AppendUvarint(dst, uint64(s.ID))
}

func (p *parser) sub(filter string) store.Subscription {
	flags := p.byte()
	if flags&^(flagNoLocal|flagRetainAsPub) != 0 {
		p.fail()
	}
	return store.Subscription{
		Filter: filter, NoLocal: flags&flagNoLocal != 0, RetainAsPub: flags&flagRetainAsPub != 0,
		QoS: p.byte(), RetainHandling: p.byte(), ID: p.uint32(),
	}
}

func parseSub(b []byte, filter string) (store.Subscription, error) {
	p := parser{b: b}
	if err := p.version("subscription"); err != nil {
		return store.Subscription{}, err
	}
	s := p.sub(filter)
	return s, p.end("subscription")
}

func appendCursor(dst []byte, c *store.Cursor) []byte {
	dst = append(dst, valueVersion)
	dst = appendBytes(dst, c.After)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Since))
	dst = appendBytes(dst, c.Sub.Filter)
	return appendSub(dst, &c.Sub)
}

func parseCursor(b []byte, filter string) (store.Cursor, error) {
	p := parser{b: b}
	if err := p.version("cursor"); err != nil {
		return store.Cursor{}, err
	}
	c := store.Cursor{Filter: filter, After: string(p.bytes()), Since: int64(p.uint64())}
	ofSub := string(p.bytes())
	if err := p.version("cursor's subscription"); err != nil {
		return c, err
	}
	c.Sub = p.sub(ofSub)
	return c, p.end("cursor")
}

func appendState(dst []byte, s store.State) []byte {
	return append(dst, valueVersion, byte(s.Phase), byte(s.ID>>8), byte(s.ID))
}

func parseState(b []byte) (store.State, error) {
	p := parser{b: b}
	if err := p.version("state"); err != nil {
		return store.State{}, err
	}
	s := store.State{Phase: store.Phase(p.byte()), ID: message.PacketID(p.byte()) << 8}
	s.ID |= message.PacketID(p.byte())
	if s.Phase > store.Released {
		p.fail()
	}
	return s, p.end("state")
}

func appendDue(dst []byte, at int64, m *message.Message) []byte {
	return appendMessage(binary.LittleEndian.AppendUint64(append(dst, valueVersion), uint64(at)), m)
}

func parseDue(b []byte) (int64, *message.Message, error) {
	p := parser{b: b}
	if err := p.version("delayed message"); err != nil {
		return 0, nil, err
	}
	at := int64(p.uint64())
	if p.bad {
		return 0, nil, p.end("delayed message")
	}
	m, err := new(names).message(p.b)
	return at, m, err
}

// doomed is what is left to do for a session that ended.
type doomed struct {
	n      number
	from   uint64 // the entries below it are done
	shared uint64 // how many entries with a shared body are left
}

func appendDoomed(dst []byte, d *doomed) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, valueVersion), d.from), d.shared)
}

func parseDoomed(b []byte, n number) (doomed, error) {
	p := parser{b: b}
	if err := p.version("ended session"); err != nil {
		return doomed{}, err
	}
	d := doomed{n: n, from: p.uvarint(), shared: p.uvarint()}
	return d, p.end("ended session")
}

// given are the limits below which session and body numbers have been given out.
type given struct{ sessions, bodies uint64 }

func appendGiven(dst []byte, g given) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, valueVersion), g.sessions), g.bodies)
}

func parseGiven(b []byte) (given, error) {
	p := parser{b: b}
	if err := p.version("numbers"); err != nil {
		return given{}, err
	}
	g := given{p.uvarint(), p.uvarint()}
	return g, p.end("numbers")
}

func appendCount(dst []byte, n int64) []byte {
	return binary.AppendUvarint(append(dst, valueVersion), uint64(n))
}

func parseCount(b []byte) (int64, error) {
	p := parser{b: b}
	if err := p.version("count"); err != nil {
		return 0, err
	}
	n := int64(p.uvarint())
	return n, p.end("count")
}
