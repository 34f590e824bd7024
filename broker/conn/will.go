package conn

import (
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
)

// willOf is the will of a CONNECT, under the client identifier and the user it was
// accepted with.
func willOf(pk *wire.Packet, id, user string) *router.Will {
	k := &pk.Connect
	p := &k.WillProperties
	w := &router.Will{
		Delay: p.WillDelayInterval, Expiry: p.MessageExpiryInterval, HasExp: p.MessageExpiryInterval > 0,
		Message: &router.Message{
			Topic: k.WillTopic, Payload: k.WillPayload, QoS: k.WillQos, Retain: k.WillRetain,
			Publisher: router.ClientID(id), User: user,
		},
	}
	if pk.ProtocolVersion >= 5 {
		w.Message.Props = wire.AppendWillProperties(nil, pk)
	}
	return w
}
