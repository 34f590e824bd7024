package wire

import "github.com/mochi-mqtt/server/v2/packets"

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP (typ): 4 bytes, or 5 where
// an MQTT 5 client gets a reason other than success. 3.x has no reasons.
func AppendAck(dst []byte, version, typ byte, id uint16, reason byte) []byte {
	h := ackHeader(typ)
	if version < 5 || reason == 0 {
		return append(dst, h, 2, byte(id>>8), byte(id))
	}
	return append(dst, h, 3, byte(id>>8), byte(id), reason)
}

// AppendAckReason is AppendAck with a reason string for MQTT 5. It is left out if
// it is empty or not an MQTT string, and if it would make the packet larger than
// maxPacket, the client's Maximum Packet Size in bytes (0 none) [MQTT-3.4.2-2]
// [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2]. A caller passes "" to a client that
// set Request Problem Information to 0 [MQTT-3.1.2-29].
func AppendAckReason(dst []byte, version, typ byte, id uint16, reason byte, reasonString string, maxPacket uint32) []byte {
	if version < 5 || reasonString == "" {
		return AppendAck(dst, version, typ, id, reason)
	}
	r := reply{
		first: ackHeader(typ), head: [3]byte{byte(id >> 8), byte(id), reason}, headLen: 3,
		limit: maxPacket, short: true,
	}
	return r.append(dst, nil, reasonString, nil, nil)
}

// ackHeader is the first byte: PUBREL alone has a flag [MQTT-3.6.1-1].
func ackHeader(typ byte) byte {
	if typ == packets.Pubrel {
		return packets.Pubrel<<4 | 2
	}
	return typ << 4
}

// AppendPingresp appends a PINGRESP.
func AppendPingresp(dst []byte) []byte { return append(dst, packets.Pingresp<<4, 0) }

// AppendConnack3 appends a CONNACK of 3.1.1 or 3.1 with the return code of V3Code.
// Session Present is told with code 0 only [MQTT-3.2.2-6]; 3.1 does not have it, so
// its callers pass false.
func AppendConnack3(dst []byte, sessionPresent bool, code byte) []byte {
	var present byte
	if sessionPresent && code == 0 {
		present = 1
	}
	return append(dst, packets.Connack<<4, 2, present, code)
}

// appendVarint appends a Variable Byte Integer of at most 28 bits, minimal [MQTT-1.5.5-1].
func appendVarint(dst []byte, v int) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func lenVarint(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
