package stats

import "strconv"

// DropReason is why a message did not reach a client, or was not accepted.
type DropReason uint8

// The reasons. Their names are part of the metrics: new ones go to the end.
const (
	// DropQueueFull: the session's queue was at its limit (messages or bytes).
	DropQueueFull DropReason = iota
	// DropExpired: the message expiry ran out before delivery had begun.
	DropExpired
	// DropTooLarge: larger than the client's Maximum Packet Size.
	DropTooLarge
	// DropOutputFull: QoS 0 to a connection whose output buffer was over its limit.
	DropOutputFull
	// DropQoS0Offline: QoS 0 for a session that is not connected.
	DropQoS0Offline
	// DropACL: the publisher or the subscriber was not allowed.
	DropACL
	// DropHook: a hook rejected the message.
	DropHook
	// DropNoSubscriber: nobody matched. Not a loss; told apart for the operator.
	DropNoSubscriber
	// DropPayloadFormat: the payload is not the UTF-8 it says it is.
	DropPayloadFormat
	// DropMemory: shed because memory was over the high watermark.
	DropMemory
	// DropSessionEnded: the session ended with messages in its queue.
	DropSessionEnded
	// DropRetainLimit: a retained message over the limit of number or size.
	DropRetainLimit
	// DropDelayLimit: a $delayed message over the limit of number or time.
	DropDelayLimit
	// DropRefused: the subscriber answered with a reason code of 0x80 or more.
	DropRefused
	// DropOperator: deleted by an operator.
	DropOperator
	// DropQuota: over a publisher's or the node's quota.
	DropQuota
	// DropInvalid: the topic is one that may not be published to ($SYS, bad $delayed).
	DropInvalid

	// NumDropReasons is how many reasons there are, for arrays indexed by one.
	NumDropReasons = int(iota)
)

var dropNames = [NumDropReasons]string{
	DropQueueFull:     "queue_full",
	DropExpired:       "expired",
	DropTooLarge:      "too_large",
	DropOutputFull:    "output_full",
	DropQoS0Offline:   "qos0_offline",
	DropACL:           "acl",
	DropHook:          "hook",
	DropNoSubscriber:  "no_subscriber",
	DropPayloadFormat: "payload_format",
	DropMemory:        "memory",
	DropSessionEnded:  "session_ended",
	DropRetainLimit:   "retain_limit",
	DropDelayLimit:    "delay_limit",
	DropRefused:       "refused",
	DropOperator:      "operator",
	DropQuota:         "quota",
	DropInvalid:       "invalid",
}

// String is the name of the reason in metrics, logs and the API.
func (r DropReason) String() string {
	if int(r) < len(dropNames) {
		return dropNames[r]
	}
	return "drop_" + strconv.Itoa(int(r))
}

// Lost says whether a drop for this reason is a message somebody waited for.
func (r DropReason) Lost() bool { return r != DropNoSubscriber }
