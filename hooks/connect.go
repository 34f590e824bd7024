package hooks

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Connect tells hooks of a CONNECT (OnConnect), before it is authenticated. The
// first error refuses it: code is that of CONNACK. An error that is no packets.Code,
// or one that CONNACK cannot carry, is 0x80.
func (c *Chain) Connect(h *Client, pk *packets.Packet) (code byte, why string) {
	for _, k := range c.on[mqtt.OnConnect] {
		if err := k.connect(h.bare(), pk); err != nil {
			return connackCode(err), k.name + ": " + err.Error()
		}
	}
	return CodeSuccess, ""
}

func (k *hook) connect(cl *mqtt.Client, pk *packets.Packet) (err error) {
	err = errPanicked
	defer k.caught(mqtt.OnConnect)
	return k.OnConnect(cl, *pk)
}

// SessionEstablish tells hooks that a connection was authenticated and gets its
// session now, before CONNACK. They cannot refuse any more.
func (c *Chain) SessionEstablish(h *Client, pk *packets.Packet) {
	for _, k := range c.on[mqtt.OnSessionEstablish] {
		func() {
			defer k.caught(mqtt.OnSessionEstablish)
			k.OnSessionEstablish(h.bare(), *pk)
		}()
	}
}

// SessionEstablished tells hooks that a connection has its session and CONNACK was
// sent.
func (c *Chain) SessionEstablished(h *Client, pk *packets.Packet) {
	for _, k := range c.on[mqtt.OnSessionEstablished] {
		func() {
			defer k.caught(mqtt.OnSessionEstablished)
			k.OnSessionEstablished(h.bare(), *pk)
		}()
	}
}

// Disconnect tells hooks that a connection with a session has ended. err is nil
// when the client ended it with DISCONNECT 0x00, else best made with [Ended];
// expire says that its session ended with it.
func (c *Chain) Disconnect(h *Client, err error, expire bool) {
	if cl := h.mochi.Load(); cl != nil {
		cl.Stop(err) // so that its Closed and StopCause tell the truth from now on
	}
	for _, k := range c.on[mqtt.OnDisconnect] {
		func() {
			defer k.caught(mqtt.OnDisconnect)
			k.OnDisconnect(h.bare(), err, expire)
		}()
	}
}

// ClientExpired tells hooks that the session of a client that did not come back has
// ended.
func (c *Chain) ClientExpired(h *Client) {
	for _, k := range c.on[mqtt.OnClientExpired] {
		func() {
			defer k.caught(mqtt.OnClientExpired)
			k.OnClientExpired(h.bare())
		}()
	}
}
