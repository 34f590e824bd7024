package hooks

import (
	"fmt"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/skeinmq/skein/broker/message"
)

// Will shows hooks a will when it is to be published (OnWill); delay is the one its
// client asked for, in seconds, for information: it has passed. It returns m, or a
// changed copy: hooks may change topic, payload, QoS, retain and user properties.
// An error means that the will is not to be sent. The caller judges a changed topic
// name.
func (c *Chain) Will(h *Client, m *message.Message, delay uint32) (*message.Message, error) {
	list := c.on[mqtt.OnWill]
	if len(list) == 0 {
		return m, nil
	}
	shown := packetOf(m, message.V5)
	w := mqtt.Will{
		TopicName: m.Topic, Payload: shown.Payload, User: shown.Properties.User, Flag: 1, WillDelayInterval: delay, Qos: m.QoS, Retain: m.Retain,
	}
	for _, k := range list {
		var err error
		if w, err = k.will(h.bare(), w); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if w.Qos > 2 {
		return nil, fmt.Errorf("hooks: will with QoS %d", w.Qos)
	}
	pk := packetOf(m, message.V5)
	pk.TopicName, pk.Payload, pk.Properties.User, pk.FixedHeader.Retain = w.TopicName, w.Payload, w.User, w.Retain
	out, err := apply(m, &pk)
	if err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	if w.Qos != out.QoS {
		c := *out
		c.QoS = w.Qos
		out = &c
	}
	return out, nil
}

func (k *hook) will(cl *mqtt.Client, w mqtt.Will) (out mqtt.Will, err error) {
	err = errPanicked
	defer k.caught(mqtt.OnWill)
	return k.OnWill(cl, w)
}
