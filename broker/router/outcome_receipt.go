package router

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

// User properties of a receipt.
const (
	propOutcome = "skein-outcome"
	propReason  = "skein-reason"
	propCode    = "skein-code"
	propClient  = "skein-client"
	propTime    = "skein-time"
	propTargets = "skein-targets"
	propCount   = "skein-count-" // and a word, in a summary
)

// receiptTime is RFC 3339 in UTC, with milliseconds.
const receiptTime = "2006-01-02T15:04:05.000Z"

// receiptBody is the payload of a receipt, for those who do not read properties.
type receiptBody struct {
	Outcome     string         `json:"outcome"`
	Reason      string         `json:"reason,omitempty"`
	Code        byte           `json:"code,omitempty"`
	Client      string         `json:"client,omitempty"`
	Topic       string         `json:"topic"`                 // of the message
	Correlation []byte         `json:"correlation,omitempty"` // its Correlation Data
	Time        string         `json:"time"`
	Targets     int            `json:"targets,omitempty"`
	Counts      map[string]int `json:"counts,omitempty"`  // targets by outcome
	Reasons     map[string]int `json:"reasons,omitempty"` // dropped by reason
}

// receipt makes the message that tells of one outcome.
func (r *Router) receipt(m *message.Message, to string, o *outcome) *message.Message {
	b := receiptBody{Outcome: o.word, Reason: o.reason, Code: o.code}
	if r.Settings().ReceiptsClient {
		b.Client = string(o.client)
	}
	return r.receiptOf(m, to, &b)
}

// receiptOf makes a receipt for m.
func (r *Router) receiptOf(m *message.Message, to string, b *receiptBody) *message.Message {
	now := r.now()
	b.Topic, b.Correlation = m.Topic, message.Property(m.Props, message.PropCorrelationData)
	b.Time = now.UTC().Truncate(time.Millisecond).Format(receiptTime)
	payload, _ := json.Marshal(b) // nothing in it can fail
	return &message.Message{
		ID: r.nextID(), Topic: to, Payload: payload, Props: b.props(), Created: now.UnixNano(), QoS: m.QoS,
	}
}

func (b *receiptBody) props() []byte {
	p := []byte{message.PropPayloadFormat, 1}
	p = appendString(append(p, message.PropContentType), "application/json")
	if len(b.Correlation) > 0 {
		p = appendString(append(p, message.PropCorrelationData), string(b.Correlation))
	}
	p = appendUser(p, propOutcome, b.Outcome)
	if b.Reason != "" {
		p = appendUser(p, propReason, b.Reason)
	}
	if b.Code != 0 {
		p = appendUser(p, propCode, "0x"+strings.ToUpper(strconv.FormatUint(uint64(b.Code), 16)))
	}
	if b.Client != "" {
		p = appendUser(p, propClient, b.Client)
	}
	p = appendUser(p, propTime, b.Time)
	if b.Targets > 0 {
		p = appendUser(p, propTargets, strconv.Itoa(b.Targets))
	}
	for _, word := range slices.Sorted(maps.Keys(b.Counts)) {
		p = appendUser(p, propCount+word, strconv.Itoa(b.Counts[word]))
	}
	return p
}

// appendString appends a string of at most 65,535 bytes.
func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendUser(dst []byte, name, value string) []byte {
	return appendString(appendString(append(dst, message.PropUser), name), value)
}
