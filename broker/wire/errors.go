package wire

import (
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Error says why a packet is refused. It wraps nothing.
type Error struct {
	// Code is the MQTT 5 reason code for the CONNACK or DISCONNECT.
	Code packets.Code
	// Rule is the rule that was broken: "[MQTT-2.1.3-1]", a section or words.
	Rule string
}

// Error names the code and the rule; it holds nothing a client sent.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (0x%02X): %s", e.Code.Reason, e.Code.Code, e.Rule)
}

func malformed(rule string) *Error {
	return &Error{Code: packets.ErrMalformedPacket, Rule: rule}
}

func violation(rule string) *Error {
	return &Error{Code: packets.ErrProtocolViolation, Rule: rule}
}

// rulePanic begins the rule of an error that was a panic: a bug in this package.
const rulePanic = "decoder panicked: "

// rescue is the last net under the decoders: a panic becomes a malformed packet,
// so that a bug costs one connection and not the process. The caller logs the
// rule as with any refusal.
func rescue(pk **packets.Packet, err *error) {
	if p := recover(); p != nil {
		*pk = nil
		*err = malformed(fmt.Sprint(rulePanic, p))
	}
}

// V3Code is the return code of a 3.x CONNACK for an MQTT 5 reason code. 3.x has
// none for malformed packets and protocol errors (0x81, 0x82, 0x95): there the
// connection is closed without a CONNACK [MQTT-3.1.4-1], and what V3Code answers
// (3, server unavailable, as for everything that has no better one) is not sent.
func V3Code(code packets.Code) byte {
	if code.Code < packets.ErrUnspecifiedError.Code {
		return 0 // accepted
	}
	switch code.Code {
	case packets.ErrUnsupportedProtocolVersion.Code:
		return 1
	case packets.ErrClientIdentifierNotValid.Code:
		return 2
	case packets.ErrBadUsernameOrPassword.Code:
		return 4
	case packets.ErrNotAuthorized.Code,
		packets.ErrBanned.Code,
		packets.ErrBadAuthenticationMethod.Code,
		packets.ErrTopicNameInvalid.Code, // these four are about the will
		packets.ErrPayloadFormatInvalid.Code,
		packets.ErrRetainNotSupported.Code,
		packets.ErrQosNotSupported.Code:
		return 5
	}
	return 3
}
