package conn

import (
	"encoding/binary"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
)

// writer is the connection as its output writes to it. While somebody traces, the output
// shows it the packets that leave; the rest of the time it costs a connection nothing.
type writer Conn

// Write implements wire.Writer.
func (w *writer) Write(p []byte) (int, error) { return w.t.Write(p) }

// SetWriteDeadline implements wire.Writer.
func (w *writer) SetWriteDeadline(t time.Time) error { return w.t.SetWriteDeadline(t) }

// Appended implements wire.Tapper. It may be called by anybody who has something for the
// client, with the output locked.
func (w *writer) Appended(p []byte) {
	c := (*Conn)(w)
	t := c.s.router.Tracing()
	if t == nil { // it has just ended
		return
	}
	for len(p) > 0 {
		h, body, n, err := wire.Next(p, 0)
		if err != nil || n == 0 { // nobody appends a part of a packet
			return
		}
		c.traceOut(t, h, body, n)
		p = p[n:]
	}
}

// tap shows the packets of all connections, or no more.
func (s *Server) tap(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tapped = on
	for c := range s.conns {
		c.out.Tap(on)
	}
}

var packetNames = [16]string{
	wire.TypeConnect: "CONNECT", wire.TypeConnack: "CONNACK", wire.TypePublish: "PUBLISH", wire.TypePuback: "PUBACK",
	wire.TypePubrec: "PUBREC", wire.TypePubrel: "PUBREL", wire.TypePubcomp: "PUBCOMP", wire.TypeSubscribe: "SUBSCRIBE",
	wire.TypeSuback: "SUBACK", wire.TypeUnsubscribe: "UNSUBSCRIBE", wire.TypeUnsuback: "UNSUBACK", wire.TypePingreq: "PINGREQ",
	wire.TypePingresp: "PINGRESP", wire.TypeDisconnect: "DISCONNECT", wire.TypeAuth: "AUTH",
}

// traceEvent is an event of this connection.
func (c *Conn) traceEvent() router.TraceEvent {
	if c.hook == nil { // its CONNECT has not come
		return router.TraceEvent{Remote: c.t.RemoteString()}
	}
	return router.TraceEvent{Client: router.ClientID(c.hook.ID()), Remote: c.hook.Remote()}
}

// traceIn shows a packet that came, before it is dealt with. It is called by the reader.
func (c *Conn) traceIn(t *router.Tracing, h byte, body []byte, size int) {
	e := c.traceEvent()
	e.In, e.Size = true, size
	filters := c.describe(&e, h, body, func(alias uint16) string {
		if i := int(alias) - 1; i >= 0 && i < len(c.aliases) {
			return string(c.aliases[i])
		}
		return ""
	})
	t.Packet(&e, filters...)
}

// traceFirst shows a packet of the handshake.
func (c *Conn) traceFirst(h byte, body []byte, size int) {
	if t := c.s.router.Tracing(); t != nil {
		c.traceIn(t, h, body, size)
	}
}

// traceOut shows a packet that leaves. The output is locked.
func (c *Conn) traceOut(t *router.Tracing, h byte, body []byte, size int) {
	e := c.traceEvent()
	e.Size = size
	t.Packet(&e, c.describe(&e, h, body, func(alias uint16) string { return c.link.AliasTopic(alias) })...)
}

// traceDecision shows what is decided about the connection.
func (c *Conn) traceDecision(decision, rule string, code byte) {
	t := c.s.router.Tracing()
	if t == nil {
		return
	}
	e := c.traceEvent()
	e.Packet, e.Decision, e.Rule, e.Code = "CONNECT", decision, rule, code
	if decision == router.DecidedEnded {
		e.Packet = ""
	}
	t.Packet(&e)
}

// describe fills in what a packet says, as far as it can be read: it may be malformed,
// which its receiver judges. It answers the filters of a SUBSCRIBE or UNSUBSCRIBE.
func (c *Conn) describe(e *router.TraceEvent, h byte, body []byte, aliased func(alias uint16) string) (filters []string) {
	typ := h >> 4
	e.Packet = packetNames[typ]
	r := fields{body}
	switch typ {
	case wire.TypePublish:
		c.describePublish(e, h, r, aliased)
	case wire.TypePuback, wire.TypePubrec, wire.TypePubrel, wire.TypePubcomp:
		e.ID = router.PacketID(r.number())
		e.Code = r.byte()
	case wire.TypeConnack:
		r.byte()
		e.Code = r.byte()
	case wire.TypeDisconnect, wire.TypeAuth:
		e.Code = r.byte()
	case wire.TypeSubscribe, wire.TypeUnsubscribe:
		e.ID = router.PacketID(r.number())
		if c.version >= message.V5 {
			r.properties()
		}
		filters = r.filters(typ == wire.TypeSubscribe)
		for i, f := range filters {
			if i > 0 {
				e.Topic += ", "
			}
			e.Topic += f
		}
	case wire.TypeSuback, wire.TypeUnsuback:
		e.ID = router.PacketID(r.number())
		if c.version >= message.V5 {
			r.properties()
		}
		for _, code := range r.b { // the worst of them
			e.Code = max(e.Code, code)
		}
	}
	return filters
}

func (c *Conn) describePublish(e *router.TraceEvent, h byte, r fields, aliased func(alias uint16) string) {
	e.QoS, e.Retain, e.Dup = h>>1&3, h&message.FlagRetain != 0, h&message.FlagDup != 0
	e.Topic = string(r.text())
	if e.QoS > 0 {
		e.ID = router.PacketID(r.number())
	}
	if c.version >= message.V5 {
		props := r.properties()
		if v := message.Property(props, message.PropTopicAlias); e.Topic == "" && len(v) == 2 {
			e.Topic = aliased(binary.BigEndian.Uint16(v))
		}
	}
	e.Payload = r.b
}

// fields are what is left of a packet's body. What is not there reads as nothing.
type fields struct{ b []byte }

func (f *fields) take(n int) []byte {
	n = min(n, len(f.b))
	p := f.b[:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) byte() byte {
	if p := f.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (f *fields) number() uint16 {
	if p := f.take(2); len(p) == 2 {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (f *fields) text() []byte { return f.take(int(f.number())) }

func (f *fields) properties() []byte {
	l, n := message.Uvarint(f.b)
	if n <= 0 {
		f.b = nil
		return nil
	}
	f.take(n)
	return f.take(l)
}

// filters are those of a SUBSCRIBE, each with a byte of options, or an UNSUBSCRIBE.
func (f *fields) filters(options bool) (list []string) {
	for len(f.b) > 2 {
		list = append(list, string(f.text()))
		if options {
			f.byte()
		}
	}
	return list
}
