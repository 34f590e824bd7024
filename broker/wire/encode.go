package wire

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Append appends a packet in the given protocol version (3, 4 or 5) to dst and
// leaves pk as it is. On an error dst comes back as it was.
//
// pk.Mods says what the client asked for. Beyond its Maximum Packet Size (MaxSize,
// in bytes, 0 none) first the user properties and then the reason string are left
// out [MQTT-3.2.2-19] [MQTT-3.2.2-20] (not in PUBLISH); what is still larger
// is an *Error with ErrPacketTooLarge [MQTT-3.1.2-24]. With DisallowProblemInfo both
// stand only in CONNACK, DISCONNECT and PUBLISH [MQTT-3.1.2-29]. Response
// Information stands in CONNACK with AllowResponseInfo only [MQTT-3.1.2-28].
//
// A reason string or user property that is not an MQTT string is left out; any
// other such field, a packet identifier of 0 where one is needed and an unknown type
// are errors.
func Append(dst []byte, version byte, pk *packets.Packet) ([]byte, error) {
	p := *pk
	p.ProtocolVersion = version
	typ := p.FixedHeader.Type
	limit := p.Mods.MaxSize
	if limit == 0 {
		limit = maxRemaining + 1 + maxLengthBytes
	}
	trim(&p)
	if err := encodable(&p); err != nil {
		return dst, err
	}
	for {
		out, err := encode(dst, &p)
		if err != nil {
			return dst, fmt.Errorf("wire: encode %s: %w", packets.PacketNames[typ], err)
		}
		if uint64(len(out)-len(dst)) <= uint64(limit) {
			return out, nil
		}
		switch {
		case typ == packets.Publish:
			return dst, tooLarge()
		case len(p.Properties.User) > 0:
			p.Properties.User = nil
		case p.Properties.ReasonString != "":
			p.Properties.ReasonString = ""
		default:
			return dst, tooLarge()
		}
	}
}

func tooLarge() *Error {
	return &Error{Code: packets.ErrPacketTooLarge, Rule: "[MQTT-3.1.2-24]"}
}

// trim takes away what must not be sent and sets Mods so that mochi's encoder takes
// away nothing else: its own size rule forgets half of the packet, and it drops the
// response topic of a PUBLISH with Response Information.
func trim(p *packets.Packet) {
	typ := p.FixedHeader.Type
	mods := p.Mods
	p.Mods = packets.Mods{AllowResponseInfo: typ != packets.Connack || mods.AllowResponseInfo}
	props := &p.Properties
	if mods.DisallowProblemInfo &&
		typ != packets.Connack && typ != packets.Disconnect && typ != packets.Publish {
		props.ReasonString, props.User = "", nil
	}
	if !isString(props.ReasonString) {
		props.ReasonString = ""
	}
	for i, u := range props.User {
		if isString(u.Key) && isString(u.Val) {
			continue
		}
		kept := append([]packets.UserProperty{}, props.User[:i]...)
		for _, u := range props.User[i+1:] {
			if isString(u.Key) && isString(u.Val) {
				kept = append(kept, u)
			}
		}
		props.User = kept
		return
	}
}

// encode hands the packet to its encoder. Acks without properties have their own:
// mochi's leaves out reason codes below 0x80.
func encode(dst []byte, p *packets.Packet) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	var err error
	switch typ := p.FixedHeader.Type; typ {
	case packets.Connect:
		err = p.ConnectEncode(buf)
	case packets.Connack:
		err = p.ConnackEncode(buf)
	case packets.Publish:
		err = p.PublishEncode(buf)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		if p.Properties.ReasonString == "" && len(p.Properties.User) == 0 {
			return AppendAck(dst, p.ProtocolVersion, typ, p.PacketID, p.ReasonCode), nil
		}
		err = p.PubackEncode(buf)
	case packets.Subscribe:
		err = p.SubscribeEncode(buf)
	case packets.Suback:
		err = p.SubackEncode(buf)
	case packets.Unsubscribe:
		err = p.UnsubscribeEncode(buf)
	case packets.Unsuback:
		err = p.UnsubackEncode(buf)
	case packets.Pingreq, packets.Pingresp:
		p.FixedHeader.Remaining = 0
		err = p.PingreqEncode(buf)
	case packets.Disconnect:
		err = p.DisconnectEncode(buf)
	case packets.Auth:
		err = p.AuthEncode(buf)
	default:
		err = packets.ErrNoValidPacketAvailable
	}
	return buf.Bytes(), err
}

// encodable refuses what would be cut to 16 bits of length, or refused by the
// client as malformed.
func encodable(p *packets.Packet) error {
	props, c := &p.Properties, &p.Connect
	for _, s := range [...]string{
		p.TopicName, props.ContentType, props.ResponseTopic, props.AssignedClientID,
		props.AuthenticationMethod, props.ResponseInfo, props.ServerReference,
		c.ClientIdentifier, c.WillTopic, c.WillProperties.ContentType, c.WillProperties.ResponseTopic,
	} {
		if !isString(s) {
			return fmt.Errorf("wire: encode %s: not an MQTT string", packets.PacketNames[p.FixedHeader.Type])
		}
	}
	for i := range p.Filters {
		if !isString(p.Filters[i].Filter) {
			return fmt.Errorf("wire: encode %s: filter is not an MQTT string", packets.PacketNames[p.FixedHeader.Type])
		}
	}
	for _, b := range [...][]byte{
		props.CorrelationData, props.AuthenticationData, c.Username, c.Password, c.WillPayload,
		c.WillProperties.CorrelationData,
	} {
		if len(b) > math.MaxUint16 {
			return fmt.Errorf("wire: encode %s: binary data of more than 65535 bytes", packets.PacketNames[p.FixedHeader.Type])
		}
	}
	return nil
}

// isString says whether s can be sent as a UTF-8 Encoded String (1.5.4).
func isString(s string) bool {
	return len(s) <= math.MaxUint16 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
