package message

import "fmt"

// Error says why a PUBLISH is refused. The parser's errors are made once, so a
// refusal allocates nothing.
type Error struct {
	// Code is the MQTT 5 reason code for the DISCONNECT: 0x81, 0x82 or 0x94.
	Code byte
	// Rule is the rule that was broken: "[MQTT-3.3.1-4]", a section or words.
	Rule string
}

// Error names the code and the rule; it holds nothing a client sent.
func (e *Error) Error() string { return fmt.Sprintf("PUBLISH refused (0x%02X): %s", e.Code, e.Rule) }

// Reason is the MQTT 5 reason code.
func (e *Error) Reason() byte { return e.Code }

const (
	codeMalformed    = 0x81
	codeProtocol     = 0x82
	codeAliasInvalid = 0x94
)

var (
	errQoS3           = &Error{codeMalformed, "[MQTT-3.3.1-4]"}
	errDup            = &Error{codeMalformed, "[MQTT-3.3.1-2]"}
	errShort          = &Error{codeMalformed, "packet ends early"}
	errPropertyLength = &Error{codeMalformed, "[MQTT-1.5.5-1] or property length beyond the packet"}
	errProperty       = &Error{codeMalformed, "2.2.2.2 property not valid in this packet or cut off"}
	errUTF8           = &Error{codeMalformed, "[MQTT-1.5.4-1] or [MQTT-1.5.4-2] in a property"}
	errPacketID       = &Error{codeProtocol, "[MQTT-2.2.1-3]"}
	errSubscriptionID = &Error{codeProtocol, "[MQTT-3.3.4-6]"}
	errTwice          = &Error{codeProtocol, "3.3.2.3 property more than once"}
	errFormat         = &Error{codeProtocol, "3.3.2.3.2 Payload Format Indicator is neither 0 nor 1"}
	errResponseTopic  = &Error{codeProtocol, "[MQTT-3.3.2-14]"}
	errAlias          = &Error{codeAliasInvalid, "[MQTT-3.3.2-8]"}
)
