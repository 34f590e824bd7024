package message

import (
	"strings"
	"time"
)

// ClientID is an MQTT client identifier.
type ClientID string

// PacketID is an MQTT packet identifier, 1 to 65535; 0 is "none".
type PacketID uint16

// Epoch fences the commits of a session's owner; it only grows.
type Epoch uint64

// MailboxID names the inbox a session lives in; empty without a cluster.
type MailboxID string

// ID names one published message across all nodes: the run of the process that
// accepted it and a number of its own.
type ID struct {
	Run uint64
	Seq uint64
}

// Protocol versions as they stand in CONNECT.
const (
	V31  byte = 3
	V311 byte = 4
	V5   byte = 5
)

// Packet types in the high nibble of the fixed header's first byte.
const (
	TypePublish byte = 3
	FlagRetain  byte = 0x01
	FlagDup     byte = 0x08
)

// Message is a published application message. It is immutable after Publish.
type Message struct {
	ID        ID
	Topic     string
	Payload   []byte
	Props     []byte // forwarded MQTT 5 properties, encoded, without length prefix
	Publisher ClientID
	User      string // identity it was published under, for the ACL of a later delivery
	Created   int64  // Unix nanoseconds
	Expires   int64  // Unix nanoseconds; 0 is never
	QoS       byte
	Retain    bool
}

// Expired reports whether the message's expiry interval has passed at now (Unix
// nanoseconds) [MQTT-3.3.2-5].
func (m *Message) Expired(now int64) bool { return m.Expires != 0 && now >= m.Expires }

// Remaining is the expiry interval to forward at now, in seconds, rounded up so
// that an interval that has not passed is never sent as 0 [MQTT-3.3.2-6].
func (m *Message) Remaining(now int64) uint32 {
	d := m.Expires - now
	if d <= 0 {
		return 0
	}
	return uint32((d + int64(time.Second) - 1) / int64(time.Second))
}

// ReceiptProperty is the user property of a PUBLISH whose publisher wants to be told what
// became of the message: its value is the topic to tell it to.
const ReceiptProperty = "skein-receipt"

// ReceiptTopic is where to tell what becomes of the message, or empty. A message whose ID
// has no Seq is told of no more: it is a copy, kept as a retained message.
func (m *Message) ReceiptTopic() string {
	if len(m.Props) == 0 || m.ID.Seq == 0 {
		return ""
	}
	topic, _ := UserProperty(m.Props, ReceiptProperty)
	return topic
}

// Size is what the message counts towards byte limits: topic, properties and payload.
func (m *Message) Size() int { return len(m.Topic) + len(m.Props) + len(m.Payload) }

// Clone returns a copy that shares no memory with m.
func (m *Message) Clone() *Message {
	c := *m
	c.Topic = strings.Clone(m.Topic)
	c.Payload = append([]byte(nil), m.Payload...)
	c.Props = append([]byte(nil), m.Props...)
	return &c
}
