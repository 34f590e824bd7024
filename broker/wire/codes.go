package wire

import (
	"errors"

	"github.com/skeinmq/skein/broker/message"
)

// The MQTT 5 reason codes (2.4). Three names share 0x00.
const (
	CodeSuccess                byte = 0x00
	CodeNormalDisconnection    byte = 0x00
	CodeGrantedQoS0            byte = 0x00
	CodeGrantedQoS1            byte = 0x01
	CodeGrantedQoS2            byte = 0x02
	CodeDisconnectWithWill     byte = 0x04
	CodeNoMatchingSubscribers  byte = 0x10
	CodeNoSubscriptionExisted  byte = 0x11
	CodeContinueAuthentication byte = 0x18
	CodeReauthenticate         byte = 0x19

	CodeUnspecifiedError          byte = 0x80
	CodeMalformedPacket           byte = 0x81
	CodeProtocolError             byte = 0x82
	CodeImplementationSpecific    byte = 0x83
	CodeUnsupportedVersion        byte = 0x84
	CodeClientIDNotValid          byte = 0x85
	CodeBadUserNameOrPassword     byte = 0x86
	CodeNotAuthorized             byte = 0x87
	CodeServerUnavailable         byte = 0x88
	CodeServerBusy                byte = 0x89
	CodeBanned                    byte = 0x8A
	CodeServerShuttingDown        byte = 0x8B
	CodeBadAuthenticationMethod   byte = 0x8C
	CodeKeepAliveTimeout          byte = 0x8D
	CodeSessionTakenOver          byte = 0x8E
	CodeTopicFilterInvalid        byte = 0x8F
	CodeTopicNameInvalid          byte = 0x90
	CodePacketIDInUse             byte = 0x91
	CodePacketIDNotFound          byte = 0x92
	CodeReceiveMaximumExceeded    byte = 0x93
	CodeTopicAliasInvalid         byte = 0x94
	CodePacketTooLarge            byte = 0x95
	CodeMessageRateTooHigh        byte = 0x96
	CodeQuotaExceeded             byte = 0x97
	CodeAdministrativeAction      byte = 0x98
	CodePayloadFormatInvalid      byte = 0x99
	CodeRetainNotSupported        byte = 0x9A
	CodeQoSNotSupported           byte = 0x9B
	CodeUseAnotherServer          byte = 0x9C
	CodeServerMoved               byte = 0x9D
	CodeSharedNotSupported        byte = 0x9E
	CodeConnectionRateExceeded    byte = 0x9F
	CodeMaximumConnectTime        byte = 0xA0
	CodeSubscriptionIDsNotAllowed byte = 0xA1
	CodeWildcardsNotSupported     byte = 0xA2
)

var codeNames = [256]string{
	CodeSuccess:                   "success",
	CodeGrantedQoS1:               "granted QoS 1",
	CodeGrantedQoS2:               "granted QoS 2",
	CodeDisconnectWithWill:        "disconnect with will message",
	CodeNoMatchingSubscribers:     "no matching subscribers",
	CodeNoSubscriptionExisted:     "no subscription existed",
	CodeContinueAuthentication:    "continue authentication",
	CodeReauthenticate:            "re-authenticate",
	CodeUnspecifiedError:          "unspecified error",
	CodeMalformedPacket:           "malformed packet",
	CodeProtocolError:             "protocol error",
	CodeImplementationSpecific:    "implementation specific error",
	CodeUnsupportedVersion:        "unsupported protocol version",
	CodeClientIDNotValid:          "client identifier not valid",
	CodeBadUserNameOrPassword:     "bad user name or password",
	CodeNotAuthorized:             "not authorized",
	CodeServerUnavailable:         "server unavailable",
	CodeServerBusy:                "server busy",
	CodeBanned:                    "banned",
	CodeServerShuttingDown:        "server shutting down",
	CodeBadAuthenticationMethod:   "bad authentication method",
	CodeKeepAliveTimeout:          "keep alive timeout",
	CodeSessionTakenOver:          "session taken over",
	CodeTopicFilterInvalid:        "topic filter invalid",
	CodeTopicNameInvalid:          "topic name invalid",
	CodePacketIDInUse:             "packet identifier in use",
	CodePacketIDNotFound:          "packet identifier not found",
	CodeReceiveMaximumExceeded:    "receive maximum exceeded",
	CodeTopicAliasInvalid:         "topic alias invalid",
	CodePacketTooLarge:            "packet too large",
	CodeMessageRateTooHigh:        "message rate too high",
	CodeQuotaExceeded:             "quota exceeded",
	CodeAdministrativeAction:      "administrative action",
	CodePayloadFormatInvalid:      "payload format invalid",
	CodeRetainNotSupported:        "retain not supported",
	CodeQoSNotSupported:           "QoS not supported",
	CodeUseAnotherServer:          "use another server",
	CodeServerMoved:               "server moved",
	CodeSharedNotSupported:        "shared subscriptions not supported",
	CodeConnectionRateExceeded:    "connection rate exceeded",
	CodeMaximumConnectTime:        "maximum connect time",
	CodeSubscriptionIDsNotAllowed: "subscription identifiers not supported",
	CodeWildcardsNotSupported:     "wildcard subscriptions not supported",
}

// CodeName is the name of an MQTT 5 reason code as section 2.4 has it, in lower
// case, for log lines; "unknown reason code" for any other byte.
func CodeName(code byte) string {
	if name := codeNames[code]; name != "" {
		return name
	}
	return "unknown reason code"
}

// ReasonOf is the reason code and the broken rule of an error of this package or of
// the PUBLISH parser of package message, which may be wrapped. Any other error is
// 0x80, unspecified, without a rule.
func ReasonOf(err error) (code byte, rule string) {
	var bad *Error
	if errors.As(err, &bad) {
		return bad.Code.Code, bad.Rule
	}
	var pub *message.Error
	if errors.As(err, &pub) {
		return pub.Code, pub.Rule
	}
	return CodeUnspecifiedError, ""
}

// V3Code is the return code of a 3.x CONNACK for an MQTT 5 reason code. 3.x has
// none for malformed packets and protocol errors (0x81, 0x82, 0x95): there the
// connection is closed without a CONNACK [MQTT-3.1.4-1], and what V3Code answers
// (3, server unavailable, as for everything that has no better one) is not sent.
func V3Code(code byte) byte {
	if code < CodeUnspecifiedError {
		return 0 // accepted
	}
	switch code {
	case CodeUnsupportedVersion:
		return 1
	case CodeClientIDNotValid:
		return 2
	case CodeBadUserNameOrPassword:
		return 4
	case CodeNotAuthorized, CodeBanned, CodeBadAuthenticationMethod,
		// these are about the will
		CodeTopicNameInvalid, CodePayloadFormatInvalid, CodeRetainNotSupported, CodeQoSNotSupported:
		return 5
	}
	return 3
}

// silent says whether a 3.x client is not answered at all.
func silent(code byte) bool {
	return code == CodeMalformedPacket || code == CodeProtocolError || code == CodePacketTooLarge
}
