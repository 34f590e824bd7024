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

// Reason is the MQTT 5 reason code.
func (e *Error) Reason() byte { return e.Code.Code }

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
