package hooks

import (
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Reason codes that this package answers with (MQTT 5 section 2.4).
const (
	CodeSuccess        byte = 0x00
	CodeContinue       byte = 0x18
	CodeReauthenticate byte = 0x19
	CodeUnspecified    byte = 0x80
	CodeProtocol       byte = 0x82
	CodeSpecific       byte = 0x83
	CodeBadCredentials byte = 0x86
	CodeNotAuthorized  byte = 0x87
	CodeBadMethod      byte = 0x8C
)

// connackCode is the reason code with which err refuses a CONNECT. An error that
// is a packets.Code decides itself, as far as CONNACK can carry it (MQTT 5 table
// 3-1); the return codes of 3.1.1 are told in those of MQTT 5.
func connackCode(err error) byte {
	var c packets.Code
	if !errors.As(err, &c) {
		return CodeUnspecified
	}
	switch c {
	case packets.Err3UnsupportedProtocolVersion:
		return 0x84
	case packets.Err3ClientIdentifierNotValid:
		return 0x85
	case packets.Err3ServerUnavailable:
		return 0x88
	case packets.ErrMalformedUsernameOrPassword:
		return CodeBadCredentials
	case packets.Err3NotAuthorized:
		return CodeNotAuthorized
	}
	switch c.Code {
	case 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F:
		return c.Code
	}
	return CodeUnspecified
}

// pubackCode is the reason code with which err refuses a PUBLISH, as far as PUBACK
// and PUBREC can carry it (MQTT 5 tables 3-4 and 3-5).
func pubackCode(err error) byte {
	var c packets.Code
	if !errors.As(err, &c) {
		return CodeUnspecified
	}
	switch c.Code {
	case 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99:
		return c.Code
	}
	return CodeUnspecified
}

// authCode is the reason code with which err ends an exchange of AUTH packets, as
// far as both CONNACK and DISCONNECT can carry it.
func authCode(err error) byte {
	var c packets.Code
	if !errors.As(err, &c) {
		return CodeNotAuthorized
	}
	switch c.Code {
	case 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F:
		return c.Code
	}
	return CodeNotAuthorized
}

// ended is why a connection ended, in words and as the reason code that hooks
// compare with.
type ended struct {
	why  string
	code packets.Code
}

func (e *ended) Error() string { return e.why }

// Unwrap lets errors.Is(err, packets.ErrSessionTakenOver) and errors.As find the code.
func (e *ended) Unwrap() error { return e.code }

// Ended is the error to tell hooks why a connection ended: its text is why, and it
// wraps the packets.Code of code that hooks compare with.
func Ended(code byte, why string) error {
	c, ok := endCodes[code]
	if !ok {
		c = packets.Code{Code: code, Reason: why}
	}
	return &ended{why: why, code: c}
}

// endCodes are the codes that a DISCONNECT of the server carries, in the values that
// mochi gives them.
var endCodes = codesByByte(
	packets.CodeDisconnect, packets.CodeDisconnectWillMessage, packets.ErrUnspecifiedError, packets.ErrMalformedPacket,
	packets.ErrProtocolViolation, packets.ErrImplementationSpecificError, packets.ErrNotAuthorized, packets.ErrServerBusy,
	packets.ErrServerShuttingDown, packets.ErrBadAuthenticationMethod, packets.ErrKeepAliveTimeout, packets.ErrSessionTakenOver,
	packets.ErrTopicFilterInvalid, packets.ErrTopicNameInvalid, packets.ErrReceiveMaximum, packets.ErrTopicAliasInvalid,
	packets.ErrPacketTooLarge, packets.ErrMessageRateTooHigh, packets.ErrQuotaExceeded, packets.ErrAdministrativeAction,
	packets.ErrPayloadFormatInvalid, packets.ErrRetainNotSupported, packets.ErrQosNotSupported, packets.ErrUseAnotherServer,
	packets.ErrServerMoved, packets.ErrSharedSubscriptionsNotSupported, packets.ErrConnectionRateExceeded, packets.ErrMaxConnectTime,
	packets.ErrSubscriptionIdentifiersNotSupported, packets.ErrWildcardSubscriptionsNotSupported,
)

func codesByByte(list ...packets.Code) map[byte]packets.Code {
	m := make(map[byte]packets.Code, len(list))
	for _, c := range list {
		m[c.Code] = c
	}
	return m
}
