package router

// Reason codes that the router answers with.
const (
	codeSuccess            byte = 0x00
	codeNoMatch            byte = 0x10
	codeNoSubscription     byte = 0x11
	codeUnspecified        byte = 0x80
	codeMalformed          byte = 0x81
	codeProtocol           byte = 0x82
	codeIDInvalid          byte = 0x85
	codeNotAuthorized      byte = 0x87
	codeUnavailable        byte = 0x88
	codeTakenOver          byte = 0x8E
	codeTopicFilterInvalid byte = 0x8F
	codeTopicInvalid       byte = 0x90
	codePacketTooLarge     byte = 0x95
	codeQuotaExceeded      byte = 0x97
	codePayloadFormat      byte = 0x99
	codeRetainUnsupported  byte = 0x9A
	codeQoSUnsupported     byte = 0x9B
	codeSharedUnsupported  byte = 0x9E
	codeSubIDUnsupported   byte = 0xA1
	codeWildUnsupported    byte = 0xA2
)
