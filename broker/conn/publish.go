package conn

import (
	"bytes"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/router"
)

// publish deals with a PUBLISH.
func (c *Conn) publish(h byte, body, raw []byte) {
	p := &c.scratch.pub
	if err := p.Parse(c.version, h, body); err != nil {
		c.refuse(err)
		return
	}
	if c.mustPark(p.QoS) {
		c.parkFrame(raw)
		return
	}
	if c.version >= 5 && !c.mayPublish(p) {
		return
	}
	c.scratch.count.In.Message(p.QoS, len(raw), len(p.Payload))
	out := c.publisher().Publish(p, raw)
	if out.Close {
		c.end(out.Code, out.Why)
	}
}

// publisher is made by the first PUBLISH: most connections only listen.
func (c *Conn) publisher() *router.Publisher {
	if c.pub == nil {
		c.pub = c.s.router.NewPublisher(c.link, &c.acks)
	}
	return c.pub
}

// mayPublish resolves a topic alias and minds the Receive Maximum.
func (c *Conn) mayPublish(p *message.Publish) bool {
	switch {
	case p.Alias > c.set.AliasMaximum: // [MQTT-3.3.2-9]
		c.end(codeAliasInvalid, "topic alias above the maximum [MQTT-3.3.2-9]")
		return false
	case p.Alias > 0 && !c.alias(p):
		c.end(codeProtocol, "topic alias is not known [MQTT-3.3.4]")
		return false
	case p.QoS > 0 && c.overReceiveMaximum(p):
		c.end(codeReceiveMax, "Receive Maximum exceeded [MQTT-3.3.4-7]")
		return false
	}
	return true
}

// alias sets or uses a topic alias [MQTT-3.3.2-12].
func (c *Conn) alias(p *message.Publish) bool {
	i := int(p.Alias) - 1
	if len(p.Topic) == 0 {
		if i >= len(c.aliases) || c.aliases[i] == nil {
			return false
		}
		p.Topic = c.aliases[i]
		return true
	}
	for len(c.aliases) <= i {
		c.aliases = append(c.aliases, nil)
	}
	if !bytes.Equal(c.aliases[i], p.Topic) {
		c.aliases[i] = bytes.Clone(p.Topic)
	}
	return true
}

// overReceiveMaximum reports whether the client has more QoS 1 and 2 publishes under
// way than it was told it may. One sent again is not another.
func (c *Conn) overReceiveMaximum(p *message.Publish) bool {
	waiting := int(c.acks.waiting.Load())
	if p.QoS == 1 {
		return waiting >= c.set.ReceiveMaximum
	}
	known, n := c.publisher().Received(p.ID)
	return !known && max(n, waiting) >= c.set.ReceiveMaximum
}
