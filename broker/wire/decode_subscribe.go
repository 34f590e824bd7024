package wire

import (
	"bytes"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The bits of the subscription options (3.8.3.1).
const (
	optQoS         = 0x03
	optNoLocal     = 0x04
	optRetainAsPub = 0x08
	optRetainShift = 4
	optReserved5   = 0xc0
	optReserved3   = 0xfc
)

func (r *reader) subscribe(pk *packets.Packet) {
	pk.PacketID = r.packetID()
	var identifier int
	if pk.ProtocolVersion == 5 {
		r.properties(&pk.Properties, in(packets.Subscribe))
		if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
			identifier = ids[0]
		}
	}
	// Everything is judged and counted before anything is kept: a packet of
	// short filters becomes many times its size.
	check := reader{b: r.b, bad: r.bad}
	n := 0
	for ; check.bad == nil && len(check.b) > 0; n++ {
		check.filter(pk.ProtocolVersion)
	}
	if r.filters(n, check.bad, "[MQTT-3.8.3-2]"); r.bad != nil {
		return
	}
	pk.Filters = make(packets.Subscriptions, n)
	for i := range pk.Filters {
		filter, opts := r.filter(pk.ProtocolVersion)
		pk.Filters[i] = packets.Subscription{
			Filter:            string(filter),
			Identifier:        identifier,
			Qos:               opts & optQoS,
			NoLocal:           opts&optNoLocal != 0,
			RetainAsPublished: opts&optRetainAsPub != 0,
			RetainHandling:    opts >> optRetainShift & 3,
		}
	}
}

func (r *reader) unsubscribe(pk *packets.Packet) {
	pk.PacketID = r.packetID()
	if pk.ProtocolVersion == 5 {
		r.properties(&pk.Properties, in(packets.Unsubscribe))
	}
	check := reader{b: r.b, bad: r.bad}
	n := 0
	for ; check.bad == nil && len(check.b) > 0; n++ {
		check.filterName()
	}
	if r.filters(n, check.bad, "[MQTT-3.10.3-2]"); r.bad != nil {
		return
	}
	pk.Filters = make(packets.Subscriptions, n)
	for i := range pk.Filters {
		pk.Filters[i].Filter = string(r.filterName())
	}
}

// filters takes over the verdict on the payload, which must have a filter at least.
func (r *reader) filters(n int, bad *Error, rule string) {
	switch {
	case bad != nil:
		r.fail(bad)
	case n == 0:
		r.fail(violation(rule))
	}
}

// filterName reads a topic filter; the router judges its syntax.
func (r *reader) filterName() []byte {
	f := r.str("topic filter")
	if r.bad == nil && len(f) == 0 {
		r.fail(malformed("[MQTT-4.7.3-1]"))
	}
	return f
}

// filter reads a topic filter of a SUBSCRIBE and its options.
func (r *reader) filter(version byte) (filter []byte, opts byte) {
	filter = r.filterName()
	opts = r.u8("subscription options")
	if r.bad != nil {
		return nil, 0
	}
	if bad := checkOptions(version, filter, opts); bad != nil {
		r.fail(bad)
		return nil, 0
	}
	if version == 3 {
		opts &= optQoS // the others are unused there
	}
	return filter, opts
}

func checkOptions(version byte, filter []byte, opts byte) *Error {
	switch {
	case version < 5 && opts&optQoS == 3:
		return malformed("3.1.1 [MQTT-3-8.3-4]")
	case version == 4 && opts&optReserved3 != 0:
		return malformed("3.1.1 [MQTT-3-8.3-4]")
	case version < 5:
		return nil
	case opts&optReserved5 != 0:
		return malformed("[MQTT-3.8.3-5]")
	case opts&optQoS == 3:
		return violation("3.8.3.1 Maximum QoS is 3")
	case opts>>optRetainShift&3 == 3:
		return violation("3.8.3.1 Retain Handling is 3")
	case opts&optNoLocal != 0 && bytes.HasPrefix(filter, []byte("$share/")):
		return violation("[MQTT-3.8.3-4]")
	}
	return nil
}
