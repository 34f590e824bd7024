package wire

import "github.com/mochi-mqtt/server/v2/packets"

// Decode reads a packet that a client of the given protocol version (3, 4 or 5)
// sent after its CONNECT: h is the first byte of the frame and body what follows the
// fixed header, as Next splits it. The answer holds nothing of body. Errors are *Error.
//
// A second CONNECT and what only a server sends are protocol errors. PUBLISH is
// read too, see DecodePublish; connections have a faster way for it.
func Decode(version, h byte, body []byte) (pk *packets.Packet, err error) {
	defer rescue(&pk, &err)
	if bad := checkHeader(version, h); bad != nil {
		return nil, bad
	}
	pk = newPacket(version, h, body)
	r := reader{b: body}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		r.publish(pk)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		r.ack(pk)
	case packets.Subscribe:
		r.subscribe(pk)
	case packets.Unsubscribe:
		r.unsubscribe(pk)
	case packets.Disconnect:
		r.disconnect(pk)
	case packets.Auth:
		r.auth(pk)
	}
	r.end() // and PINGREQ has nothing to read
	if r.bad != nil {
		return nil, r.bad
	}
	return pk, nil
}

// DecodePublish reads a PUBLISH that a client sent, as Decode; any other type is a
// protocol error. It is the way for hooks and tests.
func DecodePublish(version, h byte, body []byte) (*packets.Packet, error) {
	if h>>4 != packets.Publish {
		return nil, violation("not a PUBLISH")
	}
	return Decode(version, h, body)
}

// DecodeAck reads a PUBACK, PUBREC, PUBREL or PUBCOMP as Decode does, and answers
// what a connection needs of it: packet identifier and reason code. It makes no
// packet for the forms that clients send: without properties, or with none in them.
func DecodeAck(version, h byte, body []byte) (id uint16, reason byte, err error) {
	if typ := h >> 4; typ < packets.Puback || typ > packets.Pubcomp {
		return 0, 0, violation("not an acknowledgement")
	}
	if len(body) > 3 && (len(body) > 4 || body[3] != 0) {
		pk, err := Decode(version, h, body)
		if err != nil {
			return 0, 0, err
		}
		return pk.PacketID, pk.ReasonCode, nil
	}
	if bad := checkHeader(version, h); bad != nil {
		return 0, 0, bad
	}
	r := reader{b: body}
	id = r.packetID()
	if version == 5 && len(r.b) > 0 {
		reason = r.reason(h >> 4)
		r.b = r.b[min(len(r.b), 1):] // a property length of 0
	}
	if r.end(); r.bad != nil {
		return 0, 0, r.bad
	}
	return id, reason, nil
}

// CheckPing judges a PINGREQ as Decode does, and makes no packet of it.
func CheckPing(version, h byte, body []byte) error {
	r := reader{b: body}
	r.end()
	switch bad := checkHeader(version, h); {
	case h>>4 != packets.Pingreq:
		return violation("not a PINGREQ")
	case bad != nil:
		return bad
	case r.bad != nil:
		return r.bad
	}
	return nil
}

// newPacket has the fields that come from the fixed header.
func newPacket(version, h byte, body []byte) *packets.Packet {
	return &packets.Packet{
		ProtocolVersion: version,
		FixedHeader: packets.FixedHeader{
			Remaining: len(body),
			Type:      h >> 4,
			Dup:       h&0x08 != 0,
			Qos:       h >> 1 & 3,
			Retain:    h&0x01 != 0,
		},
	}
}

func (r *reader) publish(pk *packets.Packet) {
	topic := r.str("topic name")
	if pk.FixedHeader.Qos > 0 {
		pk.PacketID = r.packetID()
	}
	if pk.ProtocolVersion == 5 {
		r.properties(&pk.Properties, in(packets.Publish))
	}
	if r.bad != nil {
		return
	}
	if len(topic) > 0 || !pk.Properties.TopicAliasFlag {
		if bad := topicName(topic, "[MQTT-3.3.2-2]"); bad != nil {
			r.fail(bad)
			return
		}
	}
	pk.TopicName = string(topic)
	pk.Payload = append([]byte{}, r.b...) // empty and not nil
	r.b = nil
}

// ack reads PUBACK, PUBREC, PUBREL and PUBCOMP. In MQTT 5 the properties may be
// missing, and so may the reason code before them.
func (r *reader) ack(pk *packets.Packet) {
	pk.PacketID = r.packetID()
	if pk.ProtocolVersion < 5 || len(r.b) == 0 {
		return
	}
	pk.ReasonCode = r.reason(pk.FixedHeader.Type)
	if len(r.b) > 0 {
		r.properties(&pk.Properties, in(pk.FixedHeader.Type))
	}
}

// disconnect: in MQTT 5 the properties may be missing, and so may the reason code
// (3.14.2.1, 3.14.2.2.1).
func (r *reader) disconnect(pk *packets.Packet) {
	if pk.ProtocolVersion < 5 || len(r.b) == 0 {
		return
	}
	pk.ReasonCode = r.reason(packets.Disconnect)
	if len(r.b) > 0 {
		r.properties(&pk.Properties, in(packets.Disconnect))
	}
}

// auth: an empty body means Success without properties (3.15.2.1). A client may not
// say Success, nor leave out the method.
func (r *reader) auth(pk *packets.Packet) {
	if len(r.b) == 0 {
		r.fail(violation("[MQTT-3.15.2-1]"))
		return
	}
	pk.ReasonCode = r.reason(packets.Auth)
	r.properties(&pk.Properties, in(packets.Auth))
	if r.bad == nil && pk.Properties.AuthenticationMethod == "" {
		r.fail(violation("3.15.2.2.2 Authentication Method missing"))
	}
}
