package hooks

import (
	"errors"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

// Fate is what becomes of a publish that hooks have seen.
type Fate byte

// Fates of a publish.
const (
	Pass   Fate = iota // it is routed
	Ignore             // it is acknowledged as if it had been, and dropped
	Reject             // it is refused with a reason code, in every version and QoS
)

// Verdict is what hooks say to a publish. The zero value lets it pass.
type Verdict struct {
	Why  string // the hook and its error, for the log
	Fate Fate
	Code byte // with Reject: one that PUBACK and PUBREC can carry
}

// Publish shows hooks a message before it is routed (OnPublish); version is that of
// the publisher's connection. It returns m, or a changed copy: hooks may change
// topic, payload, retain and the properties that travel on, not the QoS, on which
// client and server have agreed. The caller judges a changed topic name, and may
// not route anything unless the verdict is Pass.
//
// The first error decides: packets.CodeSuccessIgnore is Ignore, any other Reject,
// with its code if it is one that PUBACK can carry, else 0x80 (packets.ErrRejectPacket
// is 0x83). A message that could not be sent to subscribers is rejected with 0x83.
func (c *Chain) Publish(h *Client, m *message.Message, version byte) (*message.Message, Verdict) {
	list := c.on[mqtt.OnPublish]
	if len(list) == 0 {
		return m, Verdict{}
	}
	pk := packetOf(m, version)
	for _, k := range list {
		var err error
		if pk, err = k.publish(h.bare(), pk); err != nil {
			return m, verdict(k, err)
		}
	}
	changed, err := apply(m, &pk)
	if err != nil {
		c.log.Error("hooks made a message that cannot be sent", "client", h.id, "error", err)
		return m, Verdict{Fate: Reject, Code: CodeSpecific, Why: "hooks: " + err.Error()}
	}
	return changed, Verdict{}
}

func (k *hook) publish(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	err = errPanicked
	defer k.caught(mqtt.OnPublish)
	return k.OnPublish(cl, pk)
}

func verdict(k *hook, err error) Verdict {
	v := Verdict{Why: k.name + ": " + err.Error()}
	if errors.Is(err, packets.CodeSuccessIgnore) {
		v.Fate = Ignore
		return v
	}
	v.Fate, v.Code = Reject, pubackCode(err)
	return v
}

// Published tells hooks that a message of h was routed to its subscribers.
func (c *Chain) Published(h *Client, m *message.Message, version byte) {
	c.tell(mqtt.OnPublished, h, m, version, func(k *hook, cl *mqtt.Client, pk packets.Packet) { k.OnPublished(cl, pk) })
}

// PublishDropped tells hooks that a message to the subscriber h was dropped.
func (c *Chain) PublishDropped(h *Client, m *message.Message) {
	c.tell(mqtt.OnPublishDropped, h, m, h.version, func(k *hook, cl *mqtt.Client, pk packets.Packet) { k.OnPublishDropped(cl, pk) })
}

// WillSent tells hooks that the will of h was published.
func (c *Chain) WillSent(h *Client, m *message.Message) {
	c.tell(mqtt.OnWillSent, h, m, h.version, func(k *hook, cl *mqtt.Client, pk packets.Packet) { k.OnWillSent(cl, pk) })
}

func (c *Chain) tell(e event, h *Client, m *message.Message, version byte, call func(*hook, *mqtt.Client, packets.Packet)) {
	list := c.on[e]
	if len(list) == 0 {
		return
	}
	pk := packetOf(m, version)
	for _, k := range list {
		func() {
			defer k.caught(e)
			call(k, h.bare(), pk)
		}()
	}
}
