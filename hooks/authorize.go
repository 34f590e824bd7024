package hooks

import (
	mqtt "github.com/mochi-mqtt/server/v2"
)

// Authorize asks whether a connection may do something: the Authorizer first, then
// every hook with OnACLCheck. All must say yes. Hooks are asked for each request:
// mochi does so, and their rules may change unseen.
func (c *Chain) Authorize(h *Client, q Request) Decision {
	if c.allowsAll {
		return Decision{}
	}
	d := c.ask(h, q)
	acl := c.on[mqtt.OnACLCheck]
	if d.Code != 0 || len(acl) == 0 {
		return d
	}
	d.PerMessage = true
	cl := h.bare()
	for _, k := range acl {
		if !k.allows(cl, q.Topic, q.Action == Publish) {
			d.Code, d.Rule = CodeNotAuthorized, k.name
			return d
		}
	}
	return d
}

// Judges reports whether something is configured that may refuse a request: without
// it only what a client brought with itself may.
func (c *Chain) Judges() bool {
	x, ok := c.authorizer.(*Auth)
	return !c.allowsAll && (!ok || len(c.on[mqtt.OnACLCheck]) > 0 || x.judges())
}

func (c *Chain) ask(h *Client, q Request) (d Decision) {
	d = Decision{Code: CodeNotAuthorized, Rule: "authorizer panicked", PerMessage: true}
	defer c.caughtPort("Authorize")
	return c.authorizer.Authorize(h, q)
}

func (k *hook) allows(cl *mqtt.Client, topic string, write bool) (yes bool) {
	defer k.caught(mqtt.OnACLCheck)
	return k.OnACLCheck(cl, topic, write)
}

// caughtPort is deferred around every call of a port.
func (c *Chain) caughtPort(name string) {
	if r := recover(); r != nil {
		report(c.log, &c.portPanics, name, r)
	}
}
