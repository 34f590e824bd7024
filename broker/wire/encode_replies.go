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
	r := reply{typ: packets.Connack, head: [2]byte{0, c.Code}, headLen: 2, limit: c.ClientMaxPacket}
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
	r := reply{typ: packets.Suback, head: [2]byte{byte(id >> 8), byte(id)}, headLen: 2, limit: maxPacket}
	return r.append(dst, nil, reason, nil, codes)
}

// AppendUnsuback appends an UNSUBACK; codes, one for every filter in their order
// [MQTT-3.11.3-1], and reason are for MQTT 5. For size see AppendSuback
// [MQTT-3.11.2-1].
func AppendUnsuback(dst []byte, version byte, id uint16, codes []byte, reason string, maxPacket uint32) []byte {
	if version < 5 {
		return append(dst, packets.Unsuback<<4, 2, byte(id>>8), byte(id))
	}
	r := reply{typ: packets.Unsuback, head: [2]byte{byte(id >> 8), byte(id)}, headLen: 2, limit: maxPacket}
	return r.append(dst, nil, reason, nil, codes)
}

// AppendDisconnect appends a DISCONNECT for MQTT 5; a 3.x server has none. What
// does not fit into maxPacket (the client's, in bytes, 0 none) is left out: the
// reason string first [MQTT-3.14.2-3], then serverRef; a packet that is larger
// without them is not appended [MQTT-3.1.2-24].
func AppendDisconnect(dst []byte, code byte, reason, serverRef string, maxPacket uint32) []byte {
	var scratch [256]byte
	r := reply{typ: packets.Disconnect, head: [2]byte{code}, headLen: 1, limit: maxPacket, short: true}
	n := len(dst)
	dst = r.append(dst, appendString(scratch[:0], packets.PropServerReference, serverRef), reason, nil, nil)
	if len(dst) == n && serverRef != "" {
		dst = r.append(dst, nil, reason, nil, nil)
	}
	return dst
}

// AppendAuth appends an AUTH (MQTT 5 only): code is CodeSuccess after a
// re-authentication, else CodeContinueAuthentication. data nil is none. For size see
// AppendSuback [MQTT-3.15.2-2].
func AppendAuth(dst []byte, code byte, method string, data []byte, reason string, maxPacket uint32) []byte {
	var scratch [256]byte
	p := appendString(scratch[:0], packets.PropAuthenticationMethod, method)
	p = appendBinary(p, packets.PropAuthenticationData, data)
	r := reply{typ: packets.Auth, head: [2]byte{code}, headLen: 1, limit: maxPacket}
	return r.append(dst, p, reason, nil, nil)
}

// reply is an MQTT 5 packet of a server: a short head, properties and a tail.
type reply struct {
	typ     byte
	head    [2]byte
	headLen int
	limit   uint32 // bytes, 0 is none
	short   bool   // without properties their length is left out, and code 0 too
}

// append writes the packet with properties p, then the reason string and the user
// properties as far as the limit allows.
func (r *reply) append(dst, p []byte, reason string, user []UserProperty, tail []byte) []byte {
	reasonLen, userLen := 0, 0
	if reason != "" && isString(reason) {
		reasonLen = 3 + len(reason)
	}
	for i := range user {
		userLen += userSize(&user[i])
	}
	switch {
	case r.fits(len(p)+reasonLen+userLen, len(tail)):
	case r.fits(len(p)+reasonLen, len(tail)):
		userLen = 0
	case r.fits(len(p), len(tail)):
		reasonLen, userLen = 0, 0
	default:
		return dst
	}
	props := len(p) + reasonLen + userLen
	dst = append(dst, r.typ<<4)
	dst = appendVarint(dst, r.bodyLen(props, len(tail)))
	if !r.short || props > 0 || r.head[0] != 0 {
		dst = append(dst, r.head[:r.headLen]...)
	}
	if !r.short || props > 0 {
		dst = appendVarint(dst, props)
		dst = append(dst, p...)
	}
	if reasonLen > 0 {
		dst = appendString(dst, packets.PropReasonString, reason)
	}
	if userLen > 0 {
		for i := range user {
			dst = appendUser(dst, &user[i])
		}
	}
	return append(dst, tail...)
}

// bodyLen is the Remaining Length with so many bytes of properties and tail.
func (r *reply) bodyLen(props, tail int) int {
	switch {
	case !r.short || props > 0:
		return r.headLen + lenVarint(props) + props + tail
	case r.head[0] != 0:
		return r.headLen
	}
	return 0
}

// fits says whether the packet is within the limit of the client and of the protocol.
func (r *reply) fits(props, tail int) bool {
	body := r.bodyLen(props, tail)
	if body > maxRemaining {
		return false
	}
	return r.limit == 0 || uint64(1+lenVarint(body)+body) <= uint64(r.limit)
}

// appendString appends a string property; an empty one, or what is not an MQTT
// string, is left out.
func appendString(dst []byte, id byte, s string) []byte {
	if s == "" || !isString(s) {
		return dst
	}
	dst = append(dst, id, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}

// appendBinary appends a binary property; nil, or more than 65,535 bytes, is left out.
func appendBinary(dst []byte, id byte, b []byte) []byte {
	if b == nil || len(b) > 0xffff {
		return dst
	}
	dst = append(dst, id, byte(len(b)>>8), byte(len(b)))
	return append(dst, b...)
}

// appendMissing says that something is not available; that it is, is the default.
func appendMissing(dst []byte, id byte, available bool) []byte {
	if available {
		return dst
	}
	return append(dst, id, 0)
}

func appendU32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// userSize is the length of a user property, 0 for one that cannot be sent.
func userSize(u *UserProperty) int {
	if !isString(u.Key) || !isString(u.Val) {
		return 0
	}
	return 1 + 2 + len(u.Key) + 2 + len(u.Val)
}

func appendUser(dst []byte, u *UserProperty) []byte {
	if userSize(u) == 0 {
		return dst
	}
	dst = append(dst, packets.PropUser, byte(len(u.Key)>>8), byte(len(u.Key)))
	dst = append(dst, u.Key...)
	dst = append(dst, byte(len(u.Val)>>8), byte(len(u.Val)))
	return append(dst, u.Val...)
}
