package hooks

import (
	"slices"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Subscribe shows hooks a SUBSCRIBE before it is carried out (OnSubscribe) and puts
// the filters as they changed them into pk. They may not change how many there are:
// SUBACK has a code for each that the client sent [MQTT-3.9.3-1]. A code other than
// 0 refuses all of them.
func (c *Chain) Subscribe(h *Client, pk *packets.Packet) byte {
	return c.filters(mqtt.OnSubscribe, h, pk, func(k *hook, cl *mqtt.Client, pk packets.Packet) packets.Packet {
		return k.OnSubscribe(cl, pk)
	})
}

// Unsubscribe shows hooks an UNSUBSCRIBE before it is carried out (OnUnsubscribe);
// otherwise as Subscribe.
func (c *Chain) Unsubscribe(h *Client, pk *packets.Packet) byte {
	return c.filters(mqtt.OnUnsubscribe, h, pk, func(k *hook, cl *mqtt.Client, pk packets.Packet) packets.Packet {
		return k.OnUnsubscribe(cl, pk)
	})
}

type changeFilters func(*hook, *mqtt.Client, packets.Packet) packets.Packet

func (c *Chain) filters(e event, h *Client, pk *packets.Packet, call changeFilters) byte {
	if len(c.on[e]) == 0 {
		return CodeSuccess
	}
	out := *pk
	out.Filters = slices.Clone(pk.Filters) // hooks may write into it and then panic
	for _, k := range c.on[e] {
		changed, ok := k.changeFilters(e, h.bare(), out, call)
		if !ok {
			return CodeUnspecified
		}
		if !sound(changed.Filters, len(pk.Filters)) {
			k.log.Error("hook made filters that cannot be answered", "event", names[e], "client", h.id)
			return CodeUnspecified
		}
		out.Filters = changed.Filters
	}
	pk.Filters = out.Filters
	return CodeSuccess
}

func (k *hook) changeFilters(e event, cl *mqtt.Client, pk packets.Packet, call changeFilters) (out packets.Packet, ok bool) {
	defer k.caught(e)
	return call(k, cl, pk), true
}

// sound judges filters that a hook made: as many as came, with options that exist.
func sound(list packets.Subscriptions, n int) bool {
	if len(list) != n {
		return false
	}
	for i := range list {
		if list[i].Qos > 2 || list[i].RetainHandling > 2 {
			return false
		}
	}
	return true
}

// Subscribed tells hooks that a SUBSCRIBE was carried out, with the codes of its
// SUBACK.
func (c *Chain) Subscribed(h *Client, pk *packets.Packet, codes []byte) {
	for _, k := range c.on[mqtt.OnSubscribed] {
		func() {
			defer k.caught(mqtt.OnSubscribed)
			k.OnSubscribed(h.bare(), *pk, slices.Clone(codes))
		}()
	}
}

// Unsubscribed tells hooks that an UNSUBSCRIBE was carried out.
func (c *Chain) Unsubscribed(h *Client, pk *packets.Packet) {
	for _, k := range c.on[mqtt.OnUnsubscribed] {
		func() {
			defer k.caught(mqtt.OnUnsubscribed)
			k.OnUnsubscribed(h.bare(), *pk)
		}()
	}
}
