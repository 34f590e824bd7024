package wire

import "github.com/mochi-mqtt/server/v2/packets"

// Packet types as they stand in the fixed header (2.1.2).
const (
	TypeConnect     byte = 1
	TypeConnack     byte = 2
	TypePublish     byte = 3
	TypePuback      byte = 4
	TypePubrec      byte = 5
	TypePubrel      byte = 6
	TypePubcomp     byte = 7
	TypeSubscribe   byte = 8
	TypeSuback      byte = 9
	TypeUnsubscribe byte = 10
	TypeUnsuback    byte = 11
	TypePingreq     byte = 12
	TypePingresp    byte = 13
	TypeDisconnect  byte = 14
	TypeAuth        byte = 15
)

// AppendWillProperties appends the properties of a CONNECT's will that travel with
// it as a PUBLISH, encoded, without length prefix: all but its delay and its expiry
// (3.1.3.2). pk has been decoded by DecodeConnect.
func AppendWillProperties(dst []byte, pk *packets.Packet) []byte {
	p := &pk.Connect.WillProperties
	if p.PayloadFormatFlag {
		dst = append(dst, packets.PropPayloadFormat, p.PayloadFormat)
	}
	dst = appendString(dst, packets.PropContentType, p.ContentType)
	dst = appendString(dst, packets.PropResponseTopic, p.ResponseTopic)
	dst = appendBinary(dst, packets.PropCorrelationData, p.CorrelationData)
	for i := range p.User {
		dst = appendUser(dst, &p.User[i])
	}
	return dst
}
