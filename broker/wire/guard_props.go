package wire

import (
	"bytes"

	"github.com/mochi-mqtt/server/v2/packets"
)

// propKind is the data type of a property (2.2.2.2).
type propKind byte

const (
	propNone propKind = iota // no property has this identifier
	propByte
	propU16
	propU32
	propVar
	propBin
	propStr
	propPair
)

// propSet is a set of packet types, a bit for each, in which a property may stand.
type propSet uint32

// willSet is the bit of the will properties in CONNECT, after the packet types'.
const willSet = propSet(1) << 16

func in(types ...byte) propSet {
	var s propSet
	for _, t := range types {
		s |= 1 << t
	}
	return s
}

type propRule struct {
	name string
	kind propKind
	in   propSet
}

// propRules says where a client may use a property and what it holds. Those that
// only a server sends (in CONNACK) are left out: from a client they are as wrong
// as an unknown one. Two are valid in the packet and not from a client; they get
// their own answer in checkValue.
var propRules = [43]propRule{
	packets.PropPayloadFormat:         {"Payload Format Indicator", propByte, in(packets.Publish) | willSet},
	packets.PropMessageExpiryInterval: {"Message Expiry Interval", propU32, in(packets.Publish) | willSet},
	packets.PropContentType:           {"Content Type", propStr, in(packets.Publish) | willSet},
	packets.PropResponseTopic:         {"Response Topic", propStr, in(packets.Publish) | willSet},
	packets.PropCorrelationData:       {"Correlation Data", propBin, in(packets.Publish) | willSet},
	packets.PropSubscriptionIdentifier: {"Subscription Identifier", propVar,
		in(packets.Publish, packets.Subscribe)},
	packets.PropSessionExpiryInterval: {"Session Expiry Interval", propU32,
		in(packets.Connect, packets.Disconnect)},
	packets.PropAuthenticationMethod: {"Authentication Method", propStr, in(packets.Connect, packets.Auth)},
	packets.PropAuthenticationData:   {"Authentication Data", propBin, in(packets.Connect, packets.Auth)},
	packets.PropRequestProblemInfo:   {"Request Problem Information", propByte, in(packets.Connect)},
	packets.PropWillDelayInterval:    {"Will Delay Interval", propU32, willSet},
	packets.PropRequestResponseInfo:  {"Request Response Information", propByte, in(packets.Connect)},
	packets.PropServerReference:      {"Server Reference", propStr, in(packets.Disconnect)},
	packets.PropReasonString: {"Reason String", propStr, in(packets.Puback, packets.Pubrec,
		packets.Pubrel, packets.Pubcomp, packets.Disconnect, packets.Auth)},
	packets.PropReceiveMaximum:    {"Receive Maximum", propU16, in(packets.Connect)},
	packets.PropTopicAliasMaximum: {"Topic Alias Maximum", propU16, in(packets.Connect)},
	packets.PropTopicAlias:        {"Topic Alias", propU16, in(packets.Publish)},
	packets.PropUser: {"User Property", propPair, in(packets.Connect, packets.Publish, packets.Puback,
		packets.Pubrec, packets.Pubrel, packets.Pubcomp, packets.Subscribe, packets.Unsubscribe,
		packets.Disconnect, packets.Auth) | willSet},
	packets.PropMaximumPacketSize: {"Maximum Packet Size", propU32, in(packets.Connect)},
}

// propValue is one property as read: num, or val, or for a pair key and val.
type propValue struct {
	num      uint32
	key, val []byte
}

// properties reads the property length and the properties of a packet (or of the
// will) into p. They must be allowed there, in range, given once and fill exactly
// the length.
func (r *reader) properties(p *packets.Properties, where propSet) {
	sec := r.section()
	var seen uint64
	for sec.bad == nil && len(sec.b) > 0 {
		id := sec.varint("property identifier")
		if sec.bad != nil {
			break
		}
		if id >= len(propRules) || propRules[id].in&where == 0 {
			sec.fail(malformed("2.2.2.2 property not valid in this packet"))
			break
		}
		rule := &propRules[id]
		v := sec.value(rule)
		switch {
		case sec.bad != nil:
		case rule.kind != propPair && seen&(1<<id) != 0:
			sec.fail(violation(rule.name + " more than once"))
		default:
			if bad := checkValue(byte(id), v, where); bad != nil {
				sec.fail(bad)
				break
			}
			seen |= 1 << id
			store(p, byte(id), v)
		}
	}
	if sec.bad != nil {
		r.fail(sec.bad)
	}
	if p.AuthenticationData != nil && p.AuthenticationMethod == "" && r.bad == nil {
		r.fail(violation("3.1.2.11.10 Authentication Data without Authentication Method"))
	}
}

func (r *reader) value(rule *propRule) (v propValue) {
	switch rule.kind {
	case propByte:
		v.num = uint32(r.u8(rule.name))
	case propU16:
		v.num = uint32(r.u16(rule.name))
	case propU32:
		v.num = r.u32(rule.name)
	case propVar:
		v.num = uint32(r.varint(rule.name))
	case propBin:
		v.val = r.bin(rule.name)
	case propStr:
		v.val = r.str(rule.name)
	case propPair:
		v.key = r.str(rule.name)
		v.val = r.str(rule.name)
	}
	return v
}

// checkValue judges what a property holds and, for two of them, who sends it.
func checkValue(id byte, v propValue, where propSet) *Error {
	name := propRules[id].name
	switch id {
	case packets.PropPayloadFormat, packets.PropRequestProblemInfo, packets.PropRequestResponseInfo:
		if v.num > 1 {
			return violation(name + " is neither 0 nor 1")
		}
	case packets.PropReceiveMaximum, packets.PropMaximumPacketSize:
		if v.num == 0 {
			return violation(name + " is 0")
		}
	case packets.PropSubscriptionIdentifier:
		if where&in(packets.Publish) != 0 {
			return violation("[MQTT-3.3.4-6]")
		}
		if v.num == 0 {
			return violation(name + " is 0")
		}
	case packets.PropTopicAlias:
		if v.num == 0 {
			return &Error{Code: packets.ErrTopicAliasInvalid, Rule: "[MQTT-3.3.2-8]"}
		}
	case packets.PropResponseTopic:
		return topicName(v.val, "[MQTT-3.3.2-14]")
	case packets.PropServerReference:
		return violation(name + " from a client")
	case packets.PropAuthenticationMethod:
		return authMethod(v.val, where)
	}
	return nil
}

// authMethod refuses the empty method: no server has it, and packets.Properties
// could not tell it from none. In AUTH it cannot be the one of CONNECT.
func authMethod(method []byte, where propSet) *Error {
	switch {
	case len(method) > 0:
		return nil
	case where&in(packets.Connect) != 0:
		return &Error{Code: packets.ErrBadAuthenticationMethod, Rule: "[MQTT-4.12.0-1]"}
	}
	return violation("[MQTT-4.12.0-5]")
}

// store copies a value to its field.
func store(p *packets.Properties, id byte, v propValue) {
	switch id {
	case packets.PropPayloadFormat:
		p.PayloadFormat, p.PayloadFormatFlag = byte(v.num), true
	case packets.PropMessageExpiryInterval:
		p.MessageExpiryInterval = v.num
	case packets.PropContentType:
		p.ContentType = string(v.val)
	case packets.PropResponseTopic:
		p.ResponseTopic = string(v.val)
	case packets.PropCorrelationData:
		p.CorrelationData = bytes.Clone(v.val)
	case packets.PropSubscriptionIdentifier:
		p.SubscriptionIdentifier = append(p.SubscriptionIdentifier, int(v.num))
	case packets.PropSessionExpiryInterval:
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = v.num, true
	case packets.PropAuthenticationMethod:
		p.AuthenticationMethod = string(v.val)
	case packets.PropAuthenticationData:
		p.AuthenticationData = bytes.Clone(v.val)
	case packets.PropRequestProblemInfo:
		p.RequestProblemInfo, p.RequestProblemInfoFlag = byte(v.num), true
	case packets.PropWillDelayInterval:
		p.WillDelayInterval = v.num
	case packets.PropRequestResponseInfo:
		p.RequestResponseInfo = byte(v.num)
	case packets.PropReasonString:
		p.ReasonString = string(v.val)
	case packets.PropReceiveMaximum:
		p.ReceiveMaximum = uint16(v.num)
	case packets.PropTopicAliasMaximum:
		p.TopicAliasMaximum = uint16(v.num)
	case packets.PropTopicAlias:
		p.TopicAlias, p.TopicAliasFlag = uint16(v.num), true
	case packets.PropUser:
		p.User = append(p.User, packets.UserProperty{Key: string(v.key), Val: string(v.val)})
	case packets.PropMaximumPacketSize:
		p.MaximumPacketSize = v.num
	}
}
