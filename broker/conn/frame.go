package conn

import (
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
)

// handle deals with all whole packets in b and answers how many bytes they are. What
// they asked for is done when it returns: nothing of b is referred to any more.
func (c *Conn) handle(b []byte) (used int) {
	for !c.held() {
		h, body, n, err := wire.Next(b[used:], c.set.MaxPacket)
		if err != nil {
			c.refuse(err)
			break
		}
		if n == 0 {
			if len(b) > used { // one that is wrong need not be waited for
				if err := wire.CheckHeader(c.version, b[used]); err != nil {
					c.refuse(err)
				}
			}
			break
		}
		c.frame(h, body, b[used:used+n])
		used += n
	}
	c.flush()
	c.rate()
	return used
}

// flush carries out what was gathered: acknowledgements first, which make room and
// answer what was sent before, then publishes.
func (c *Conn) flush() {
	s := c.scratch
	if len(s.acks) > 0 {
		err := c.s.router.Acked(c.link, s.acks)
		s.acks = s.acks[:0]
		if err != nil {
			c.end(codeProtocol, err.Error())
		}
	}
	if c.pub != nil {
		c.pub.Flush()
	}
}

// frame deals with one packet. raw is all of it.
func (c *Conn) frame(h byte, body, raw []byte) {
	typ := h >> 4
	if t := c.scratch.trace; t != nil && !c.unparking {
		c.traceIn(t, h, body, len(raw))
	}
	switch {
	case typ == wire.TypePublish:
		c.publish(h, body, raw)
		return
	case typ >= wire.TypePuback && typ <= wire.TypePubcomp:
		c.ack(h, body)
	case typ == wire.TypePingreq:
		if err := wire.CheckPing(c.version, h, body); err != nil {
			c.refuse(err)
			return
		}
		c.out.End(wire.AppendPingresp(c.out.Begin()))
		c.scratch.count.Out.Packet(wire.TypePingresp, 2)
	case c.parked() && !c.unparking:
		c.parkFrame(raw) // it keeps its place behind publishes
		return
	default:
		c.flush()
		c.control(h, body)
	}
	c.scratch.count.In.Packet(typ, len(raw))
}

// ack gathers an acknowledgement.
func (c *Conn) ack(h byte, body []byte) {
	id, code, err := wire.DecodeAck(c.version, h, body)
	if err != nil {
		c.refuse(err)
		return
	}
	c.scratch.acks = append(c.scratch.acks, router.Ack{ID: router.PacketID(id), Type: h >> 4, Code: code})
	if answered := h >> 4; answered == wire.TypePubrec || answered == wire.TypePubrel {
		c.scratch.count.Out.Packet(answered+1, 4)
	}
}
