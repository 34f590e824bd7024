package conn

import (
	"context"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
)

// control deals with the packets that are rare.
func (c *Conn) control(h byte, body []byte) {
	pk, err := wire.Decode(c.version, h, body)
	if err != nil {
		c.refuse(err)
		return
	}
	switch h >> 4 {
	case wire.TypeSubscribe:
		c.subscribe(pk)
	case wire.TypeUnsubscribe:
		c.unsubscribe(pk)
	case wire.TypeDisconnect:
		c.disconnect(pk)
	case wire.TypeAuth:
		c.reauthenticate(pk)
	}
}

func (c *Conn) subscribe(pk *wire.Packet) {
	codes := make([]byte, len(pk.Filters))
	if c.s.has.Subscribe {
		if code := c.s.hooks.Subscribe(c.hook, pk); code != codeSuccess {
			for i := range codes {
				codes[i] = code
			}
		}
	}
	subs := make([]router.Subscription, len(pk.Filters))
	for i := range pk.Filters {
		f := &pk.Filters[i]
		subs[i] = router.Subscription{
			Filter: f.Filter, ID: uint32(f.Identifier), QoS: f.Qos, RetainHandling: f.RetainHandling,
			NoLocal: f.NoLocal, RetainAsPub: f.RetainAsPublished,
		}
	}
	c.s.router.Subscribe(c.link, subs, codes, func(dst, codes []byte) []byte {
		return wire.AppendSuback(dst, c.version, pk.PacketID, codes, "", c.maxPacketOut)
	})
	c.scratch.count.Out.Packet(wire.TypeSuback, 4+len(codes))
	if c.s.has.Subscribed {
		c.s.hooks.Subscribed(c.hook, pk, codes)
	}
}

func (c *Conn) unsubscribe(pk *wire.Packet) {
	if c.s.has.Unsubscribe {
		if code := c.s.hooks.Unsubscribe(c.hook, pk); code != codeSuccess {
			codes := make([]byte, len(pk.Filters))
			for i := range codes {
				codes[i] = code
			}
			c.out.End(wire.AppendUnsuback(c.out.Begin(), c.version, pk.PacketID, codes, "", c.maxPacketOut))
			return
		}
	}
	filters := make([]string, len(pk.Filters))
	for i := range pk.Filters {
		filters[i] = pk.Filters[i].Filter
	}
	c.s.router.Unsubscribe(c.link, filters, func(dst, codes []byte) []byte {
		return wire.AppendUnsuback(dst, c.version, pk.PacketID, codes, "", c.maxPacketOut)
	})
	c.scratch.count.Out.Packet(wire.TypeUnsuback, 4)
	if c.s.has.Unsubscribed {
		c.s.hooks.Unsubscribed(c.hook, pk)
	}
}

// disconnect: the will is discarded with 0x00 only [MQTT-3.14.4-3].
func (c *Conn) disconnect(pk *wire.Packet) {
	if pk.Properties.SessionExpiryIntervalFlag {
		c.hasExpiry, c.expiry = true, pk.Properties.SessionExpiryInterval
		if c.connExpiry == 0 && c.expiry > 0 {
			c.hasExpiry = false
			c.end(codeProtocol, "session expiry after 0 in CONNECT (3.14.2.2.2)")
			return
		}
	}
	c.sendWill = pk.ReasonCode != codeSuccess
	c.endBy(&ending{code: pk.ReasonCode, why: "disconnected by the client", peer: true})
}

// reauthenticate takes an AUTH on a living connection [MQTT-4.12.1-1]. The client
// waits for its Authenticator, nobody else does.
func (c *Conn) reauthenticate(pk *wire.Packet) {
	ctx, cancel := context.WithTimeout(goneContext{c}, c.set.HandshakeTimeout)
	defer cancel()
	answer := c.s.hooks.AuthPacket(ctx, c.hook, pk)
	if answer.Code >= codeUnspecified {
		c.end(answer.Code, answer.Why)
		return
	}
	if answer.Code == codeSuccess {
		c.s.router.IdentityChanged()
		c.arm() // the new identity may end sooner
	}
	c.out.End(wire.AppendAuth(c.out.Begin(), answer.Code, answer.Method, answer.Data, "", c.maxPacketOut))
	c.scratch.count.Out.Packet(wire.TypeAuth, 2)
}
