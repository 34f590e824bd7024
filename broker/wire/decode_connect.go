package wire

import (
	"bytes"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Protocol names [MQTT-3.1.2-1]; 3.1 had its own.
const (
	name31 = "MQIsdp"
	name   = "MQTT"
)

// The bits of the connect flags (3.1.2.3).
const (
	flagReserved   = 1 << 0
	flagClean      = 1 << 1
	flagWill       = 1 << 2
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUser       = 1 << 7
)

// DecodeConnect reads the body of a CONNECT of 3.1, 3.1.1 or 5 (CheckFirst has
// judged its first byte) and sets ProtocolVersion to 3, 4 or 5. The answer holds
// nothing of body. Errors are *Error: for another protocol name or level its code is
// ErrUnsupportedProtocolVersion, for a client identifier that cannot be
// accepted ErrClientIdentifierNotValid. ConnectVersion says how to answer them.
func DecodeConnect(body []byte) (pk *packets.Packet, err error) {
	defer rescue(&pk, &err)
	r := reader{b: body}
	pk = newPacket(0, packets.Connect<<4, body)
	r.connect(pk)
	r.end()
	if r.bad != nil {
		return nil, r.bad
	}
	return pk, nil
}

// ConnectVersion is the protocol version (3, 4 or 5) in which to answer a CONNECT
// that DecodeConnect refused, and 0 if what came is not MQTT. Levels above 5 are
// answered in 5. The bit 0x80, which bridges of mosquitto set in the level to try
// whether they talk to their own kind, does not count.
func ConnectVersion(body []byte) byte {
	r := reader{b: body}
	proto := string(r.bin("protocol name"))
	level := r.u8("protocol level") &^ 0x80
	switch {
	case r.bad != nil:
		return 0
	case proto == name31:
		return 3
	case proto == name:
		return min(max(level, 4), 5)
	}
	return 0
}

func (r *reader) connect(pk *packets.Packet) {
	c := &pk.Connect
	r.protocol(pk)
	flags := r.u8("connect flags")
	if r.bad == nil {
		r.connectFlags(pk, flags)
	}
	c.Keepalive = r.u16("keep alive")
	if pk.ProtocolVersion == 5 {
		r.properties(&pk.Properties, in(packets.Connect))
	}
	c.ClientIdentifier = string(r.str("client identifier"))
	if r.bad == nil && c.ClientIdentifier == "" {
		r.emptyID(pk)
	}
	if c.WillFlag {
		r.will(pk)
	}
	r.credentials(pk)
}

func (r *reader) protocol(pk *packets.Packet) {
	proto := r.bin("protocol name")
	level := r.u8("protocol level")
	if r.bad != nil {
		return
	}
	pk.Connect.ProtocolName = bytes.Clone(proto)
	pk.ProtocolVersion = level
	switch {
	case string(proto) != name && string(proto) != name31:
		r.fail(&Error{Code: packets.ErrUnsupportedProtocolVersion, Rule: "[MQTT-3.1.2-1]"})
	case string(proto) == name31 && level == 3:
	case string(proto) == name && (level == 4 || level == 5):
	default:
		r.fail(&Error{Code: packets.ErrUnsupportedProtocolVersion, Rule: "[MQTT-3.1.2-2]"})
	}
}

func (r *reader) connectFlags(pk *packets.Packet, flags byte) {
	c := &pk.Connect
	c.Clean = flags&flagClean != 0
	c.WillFlag = flags&flagWill != 0
	c.WillQos = flags >> 3 & 3
	c.WillRetain = flags&flagWillRetain != 0
	c.PasswordFlag = flags&flagPassword != 0
	c.UsernameFlag = flags&flagUser != 0
	if pk.ProtocolVersion == 3 { // unused bits are ignored there
		flags &^= flagReserved
		if !c.WillFlag {
			c.WillQos, c.WillRetain = 0, false
		}
	}
	switch {
	case flags&flagReserved != 0:
		r.fail(malformed("[MQTT-3.1.2-3]"))
	case c.WillQos == 3:
		r.fail(malformed("[MQTT-3.1.2-12]"))
	case !c.WillFlag && c.WillQos != 0:
		r.fail(violation("[MQTT-3.1.2-11]"))
	case !c.WillFlag && c.WillRetain:
		r.fail(violation("[MQTT-3.1.2-13]"))
	case pk.ProtocolVersion < 5 && c.PasswordFlag && !c.UsernameFlag:
		r.fail(malformed("3.1.1 [MQTT-3.1.2-22]"))
	}
}

// emptyID: 3.1 has no empty client identifier, 3.1.1 only with Clean Session.
func (r *reader) emptyID(pk *packets.Packet) {
	switch {
	case pk.ProtocolVersion == 3:
		r.fail(&Error{Code: packets.ErrClientIdentifierNotValid, Rule: "3.1 client identifier is empty"})
	case pk.ProtocolVersion == 4 && !pk.Connect.Clean:
		r.fail(&Error{Code: packets.ErrClientIdentifierNotValid, Rule: "3.1.1 [MQTT-3.1.3-8]"})
	}
}

func (r *reader) will(pk *packets.Packet) {
	c := &pk.Connect
	if pk.ProtocolVersion == 5 {
		r.properties(&c.WillProperties, willSet)
	}
	topic := r.str("will topic")
	payload := r.bin("will payload")
	if r.bad != nil {
		return
	}
	if bad := topicName(topic, "[MQTT-4.7.1-1]"); bad != nil {
		r.fail(bad)
		return
	}
	c.WillTopic = string(topic)
	c.WillPayload = bytes.Clone(payload)
}

// credentials reads user name and password; in 3.1 the end of the packet counts more
// than their flags.
func (r *reader) credentials(pk *packets.Packet) {
	c := &pk.Connect
	if pk.ProtocolVersion == 3 && len(r.b) == 0 {
		c.UsernameFlag = false
	}
	if c.UsernameFlag {
		c.Username = bytes.Clone(r.str("user name"))
	}
	if pk.ProtocolVersion == 3 && len(r.b) == 0 {
		c.PasswordFlag = false
	}
	if c.PasswordFlag {
		c.Password = bytes.Clone(r.bin("password"))
	}
}
