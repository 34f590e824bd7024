package wire

import "github.com/mochi-mqtt/server/v2/packets"

// Names for connections, which know no other package's packets.
type (
	// Packet is a decoded packet.
	Packet = packets.Packet
	// Subscription is a filter of a SUBSCRIBE or UNSUBSCRIBE with its options.
	Subscription = packets.Subscription
	// UserProperty is a name and a value.
	UserProperty = packets.UserProperty
)

// Connack is what a CONNACK says, for all versions. Optional fields that have their
// zero value are not sent.
type Connack struct {
	SessionPresent bool // sent with CodeSuccess only [MQTT-3.2.2-6]
	Code           byte // an MQTT 5 reason code, also for a 3.x client

	// With any code.
	ReasonString    string
	ServerReference string
	User            []UserProperty

	// With CodeSuccess only.
	SessionExpiry    uint32 // seconds
	HasSessionExpiry bool
	KeepAlive        uint16 // seconds, Server Keep Alive
	HasKeepAlive     bool
	ReceiveMaximum   uint16 // 0 and 65,535 are not sent
	MaximumQoS       byte   // 2 is not sent [MQTT-3.2.2-9]
	RetainAvailable  bool   // these four are sent when they are false
	Wildcards        bool
	SubIDs           bool
	Shared           bool
	MaxPacket        uint32 // bytes, what the server accepts
	AliasMaximum     uint16
	AssignedID       string // client identifier
	ResponseInfo     string // for a client that asked for it [MQTT-3.1.2-28]
	AuthMethod       string
	AuthData         []byte // nil is none

	// ClientMaxPacket is the client's Maximum Packet Size in bytes, 0 is none.
	ClientMaxPacket uint32
}

// AppendConnack appends a CONNACK. What does not fit into the client's Maximum
// Packet Size is left out: the user properties, then the reason string
// [MQTT-3.2.2-19], [MQTT-3.2.2-20]; if the packet is still larger, nothing is
// appended [MQTT-3.1.2-24]. A 3.x client gets its return code (see [V3Code]), or
// nothing where it has none. Request Problem Information does not matter to a
// CONNACK [MQTT-3.1.2-29].
func AppendConnack(dst []byte, version byte, c *Connack) []byte {
	if version < 5 {
		if silent(c.Code) {
			return dst
		}
		return AppendConnack3(dst, c.SessionPresent && version > 3, V3Code(c.Code))
	}
	var scratch [256]byte
	p := scratch[:0]
	if c.Code == CodeSuccess {
		p = c.appendTerms(p)
	}
	p = appendString(p, packets.PropServerReference, c.ServerReference)
	r := reply{first: packets.Connack << 4, head: [3]byte{0, c.Code}, headLen: 2, limit: c.ClientMaxPacket}
	if c.SessionPresent && c.Code == CodeSuccess {
		r.head[0] = 1
	}
	return r.append(dst, p, c.ReasonString, c.User, nil)
}

// appendTerms appends the properties that only an accepted connection has.
func (c *Connack) appendTerms(p []byte) []byte {
	if c.HasSessionExpiry {
		p = append(p, packets.PropSessionExpiryInterval)
		p = appendU32(p, c.SessionExpiry)
	}
	p = appendString(p, packets.PropAssignedClientID, c.AssignedID)
	if c.HasKeepAlive {
		p = append(p, packets.PropServerKeepAlive, byte(c.KeepAlive>>8), byte(c.KeepAlive))
	}
	p = appendString(p, packets.PropAuthenticationMethod, c.AuthMethod)
	p = appendBinary(p, packets.PropAuthenticationData, c.AuthData)
	p = appendString(p, packets.PropResponseInfo, c.ResponseInfo)
	if c.ReceiveMaximum > 0 && c.ReceiveMaximum < 0xffff {
		p = append(p, packets.PropReceiveMaximum, byte(c.ReceiveMaximum>>8), byte(c.ReceiveMaximum))
	}
	if c.AliasMaximum > 0 {
		p = append(p, packets.PropTopicAliasMaximum, byte(c.AliasMaximum>>8), byte(c.AliasMaximum))
	}
	if c.MaximumQoS < 2 {
		p = append(p, packets.PropMaximumQos, c.MaximumQoS)
	}
	if c.MaxPacket > 0 {
		p = append(p, packets.PropMaximumPacketSize)
		p = appendU32(p, c.MaxPacket)
	}
	p = appendMissing(p, packets.PropRetainAvailable, c.RetainAvailable)
	p = appendMissing(p, packets.PropWildcardSubAvailable, c.Wildcards)
	p = appendMissing(p, packets.PropSubIDAvailable, c.SubIDs)
	return appendMissing(p, packets.PropSharedSubAvailable, c.Shared)
}

// AppendSuback appends a SUBACK with a code for every filter, in their order
// [MQTT-3.8.4-6]. 3.x has one code for all failures, 0x80; it is sent to 3.1 too,
// which has none but reads the two lower bits only. A reason string that does not
// fit into maxPacket (the client's, in bytes, 0 none) is left out [MQTT-3.9.2-1]; a
// packet that is larger without it is not appended [MQTT-3.1.2-24].
func AppendSuback(dst []byte, version byte, id uint16, codes []byte, reason string, maxPacket uint32) []byte {
	if version < 5 {
		dst = append(dst, packets.Suback<<4)
		dst = appendVarint(dst, 2+len(codes))
		dst = append(dst, byte(id>>8), byte(id))
		for _, code := range codes {
			dst = append(dst, min(code, CodeUnspecifiedError))
		}
		return dst
	}
	r := reply{first: packets.Suback << 4, head: [3]byte{byte(id >> 8), byte(id)}, headLen: 2, limit: maxPacket}
	return r.append(dst, nil, reason, nil, codes)
}

// AppendUnsuback appends an UNSUBACK; codes, one for every filter in their order
// [MQTT-3.11.3-1], and reason are for MQTT 5. For size see AppendSuback
// [MQTT-3.11.2-1].
func AppendUnsuback(dst []byte, version byte, id uint16, codes []byte, reason string, maxPacket uint32) []byte {
	if version < 5 {
		return append(dst, packets.Unsuback<<4, 2, byte(id>>8), byte(id))
	}
	r := reply{first: packets.Unsuback << 4, head: [3]byte{byte(id >> 8), byte(id)}, headLen: 2, limit: maxPacket}
	return r.append(dst, nil, reason, nil, codes)
}

// AppendDisconnect appends a DISCONNECT for MQTT 5; a 3.x server has none. What
// does not fit into maxPacket (the client's, in bytes, 0 none) is left out, the reason
// string rather than serverRef [MQTT-3.14.2-3]; a packet that is larger without both
// is not appended [MQTT-3.1.2-24].
func AppendDisconnect(dst []byte, code byte, reason, serverRef string, maxPacket uint32) []byte {
	var scratch [256]byte
	r := reply{first: packets.Disconnect << 4, head: [3]byte{code}, headLen: 1, limit: maxPacket, short: true}
	p := appendString(scratch[:0], packets.PropServerReference, serverRef)
	if !r.fits(len(p), 0) {
		p = nil
	}
	return r.append(dst, p, reason, nil, nil)
}

// AppendAuth appends an AUTH (MQTT 5 only): code is CodeSuccess after a
// re-authentication, else CodeContinueAuthentication. data nil is none. For size see
// AppendSuback [MQTT-3.15.2-2].
func AppendAuth(dst []byte, code byte, method string, data []byte, reason string, maxPacket uint32) []byte {
	var scratch [256]byte
	p := appendString(scratch[:0], packets.PropAuthenticationMethod, method)
	p = appendBinary(p, packets.PropAuthenticationData, data)
	r := reply{first: packets.Auth << 4, head: [3]byte{code}, headLen: 1, limit: maxPacket}
	return r.append(dst, p, reason, nil, nil)
}
