package router

import (
	"sync"
	"unsafe"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
)

const (
	maxRun = 1024 // publishes; bounds how long one target's lock is held
	// maxDeliveries bounds a run times its targets, and with it what a publish to many
	// sessions hands to the store at once.
	maxDeliveries = 64 << 10
	keepBlock     = 256 << 10 // bytes; larger blocks are not kept for reuse
)

// run is a sequence of publishes of one connection to one topic at one QoS,
// without anything that needs each of them looked at. Its slices alias the read
// buffer until the run is flushed.
type run struct {
	p       *Publisher
	rt      *route
	qos     byte
	n       int
	max     int    // publishes that it takes
	raw     []byte // the frames as they came, while they are contiguous and fit to be sent on
	rawOK   bool
	items   []item
	ids     []message.PacketID
	blocks  [6]block           // by form, see blockFor
	msgs    []*message.Message // nil until made
	kept    *copied            // nil until a session is lent the run
	now     int64              // Unix nanoseconds, of all messages of the run; 0 until one is made
	first   message.ID         // of the run's messages; 0 until one is named
	bundle  message.Bundle
	payload int
	trace   *Tracing // nil while nobody traces
}

type item struct {
	payload []byte
	props   []byte
	end     int // of its frame in raw
}

// block is a run encoded once for all subscribers of one form.
type block struct {
	bytes []byte
	ends  []int // offset behind each frame
	ids   []int // offset of each packet identifier
	done  bool
}

var runs = sync.Pool{New: func() any { return new(run) }}

func (u *run) add(p *Publisher, rt *route, pub *message.Publish, raw []byte) {
	if u.n == 0 {
		u.p, u.rt, u.qos = p, rt, pub.QoS
		u.max = min(max(maxDeliveries/max(len(rt.targets), 1), 1), maxRun)
		// A frame of a 3.x publisher without flags is what a 3.x subscriber gets.
		u.rawOK = p.version < message.V5
		u.raw = raw
	} else if u.rawOK {
		if contiguous(u.raw, raw) {
			u.raw = u.raw[:len(u.raw)+len(raw)]
		} else {
			u.rawOK = false
		}
	}
	if pub.Dup {
		u.rawOK = false
	}
	u.items = append(u.items, item{pub.Payload, pub.Props, len(u.raw)})
	u.payload += len(pub.Payload)
	if pub.QoS > 0 {
		u.ids = append(u.ids, pub.ID)
	}
	u.n++
}

// contiguous reports whether b starts where a ends, in the same read buffer.
func contiguous(a, b []byte) bool {
	return cap(a) >= len(a)+len(b) && unsafe.SliceData(b) == (*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(a)), len(a)))
}

func (u *run) reset() {
	for i := range u.blocks {
		b := &u.blocks[i]
		if cap(b.bytes) > keepBlock {
			*b = block{}
		}
		b.bytes, b.ends, b.ids, b.done = b.bytes[:0], b.ends[:0], b.ids[:0], false
	}
	clear(u.items)
	clear(u.msgs)
	u.items, u.ids, u.msgs = u.items[:0], u.ids[:0], u.msgs[:0]
	if u.kept != nil {
		u.kept.release()
		u.kept = nil
	}
	clear(u.bundle.Items)
	u.bundle = message.Bundle{Items: u.bundle.Items[:0]}
	u.n, u.raw, u.rt, u.p, u.now, u.payload, u.first, u.trace = 0, nil, nil, nil, 0, 0, message.ID{}, nil
}

// deliver hands the run to all its targets and groups. It reports whether there
// was any.
func (u *run) deliver() bool {
	rt := u.rt
	for i := range rt.targets {
		t := &rt.targets[i]
		qos := min(u.qos, t.qos)
		switch {
		case t.each && !t.c.r.mayRead(t.c.identity(), rt.name, qos, false):
			t.c.dropRun(stats.DropACL, u)
		case qos == 0:
			t.c.deliverQoS0(u, t)
		default:
			t.c.deliver(u, t, qos)
		}
	}
	for _, g := range rt.groups {
		for i := range u.n {
			g.publish(u.message(i), u.p.pending)
		}
		if u.trace != nil {
			e := u.decided(DecidedQueued, "", u.n)
			e.Target = g.key.record()
			u.trace.decide(e)
		}
	}
	if len(rt.peers)+len(rt.spread) > 0 {
		u.forward()
	}
	return rt.any()
}

// any reports whether somebody gets the topic's messages.
func (rt *route) any() bool { return len(rt.targets)+len(rt.groups)+len(rt.peers)+len(rt.spread) > 0 }

// name gives the run's messages their ids.
func (u *run) name() message.ID {
	if u.first.Seq == 0 {
		u.first = message.ID{Run: u.p.r.run, Seq: u.p.r.seq.Add(uint64(u.max)) - uint64(u.max) + 1}
	}
	return u.first
}

func (u *run) time() int64 {
	if u.now == 0 {
		u.now = u.p.r.now().UnixNano()
	}
	return u.now
}

// blockFor returns the run's frames for a protocol version and QoS, with room
// for identifiers where the QoS has them.
func (u *run) blockFor(version, qos byte) *block {
	k := int(qos)
	if version >= message.V5 {
		k += 3
	}
	b := &u.blocks[k]
	if !b.done {
		b.done = true
		if version < message.V5 && qos == u.qos && u.rawOK {
			b.fromRaw(u)
		} else {
			b.encode(u, version, qos)
		}
	}
	return b
}

func (b *block) fromRaw(u *run) {
	b.bytes = append(b.bytes, u.raw...)
	for i := range u.items {
		it := &u.items[i]
		b.ends = append(b.ends, it.end)
		if u.qos > 0 {
			b.ids = append(b.ids, it.end-len(it.payload)-2)
		}
	}
}

func (b *block) encode(u *run, version, qos byte) {
	f := message.Form{Version: version, QoS: qos}
	m := message.Message{Topic: u.rt.name}
	for i := range u.items {
		it := &u.items[i]
		m.Payload = it.payload
		if version >= message.V5 {
			m.Props = it.forwarded()
		}
		b.bytes = f.Append(b.bytes, &m, 0)
		b.ends = append(b.ends, len(b.bytes))
		if qos > 0 {
			at := len(b.bytes) - len(it.payload) - 2
			if version >= message.V5 {
				at -= len(m.Props) + message.UvarintLen(len(m.Props))
			}
			b.ids = append(b.ids, at)
		}
	}
}

// forwarded returns the properties of an item that travel on. A topic alias is
// stripped here, once.
func (it *item) forwarded() []byte {
	if len(it.props) == 0 || message.Property(it.props, message.PropTopicAlias) == nil {
		return it.props
	}
	it.props = message.AppendForwarded(make([]byte, 0, len(it.props)), it.props)
	return it.props
}

// asks reports whether somebody wants to know what becomes of a message of the run.
func (u *run) asks() bool {
	for i := range u.items {
		if it := &u.items[i]; len(it.props) > 0 {
			if _, asks := message.UserProperty(it.props, message.ReceiptProperty); asks {
				return true
			}
		}
	}
	return false
}

// message returns item i as a message of its own. Messages are made a few at once, so
// that one that stays does not hold many.
func (u *run) message(i int) *message.Message {
	if n := u.n - len(u.msgs); n > 0 {
		u.msgs = append(u.msgs, make([]*message.Message, n)...)
	}
	if u.msgs[i] == nil {
		u.make(i &^ (makeAtOnce - 1))
	}
	return u.msgs[i]
}

const makeAtOnce = 8

// make makes the messages from item i on.
func (u *run) make(i int) {
	first, now := u.name(), u.time()
	items := u.items[i:min(i+makeAtOnce, u.n)]
	size := 0
	for k := range items {
		size += len(items[k].payload) + len(items[k].props)
	}
	buf := make([]byte, 0, size)
	list := make([]message.Message, len(items))
	for k := range items {
		it, m := &items[k], &list[k]
		from := len(buf)
		buf = append(buf, it.payload...)
		to := len(buf)
		buf = message.AppendForwarded(buf, it.props)
		*m = message.Message{
			ID: message.ID{Run: first.Run, Seq: first.Seq + uint64(i+k)}, Topic: u.rt.name,
			Payload: buf[from:to:to], Props: buf[to:len(buf):len(buf)],
			Publisher: u.p.id, User: u.p.user, Created: now, QoS: u.qos,
		}
		u.msgs[i+k] = m
	}
}
