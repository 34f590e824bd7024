package hooks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

const second = int64(1e9)

// Errors of messages that hooks made and no subscriber could be sent.
var (
	errTooLong       = errors.New("a string is longer than 65,535 bytes")
	errNotUTF8       = errors.New("a string is not UTF-8, or has U+0000 in it")
	errFormat        = errors.New("payload format indicator is not 0 or 1")
	errResponseTopic = errors.New("response topic has wildcards")
)

// packetOf shows a message as the PUBLISH that mochi's hooks know. The packet shares
// no memory with m: hooks may keep it, and write into its payload.
func packetOf(m *message.Message, version byte) packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS, Retain: m.Retain},
		TopicName:   m.Topic, Payload: bytes.Clone(m.Payload), ProtocolVersion: version, Origin: string(m.Publisher), Created: m.Created / second,
	}
	if m.Expires != 0 {
		pk.Properties.MessageExpiryInterval = m.Remaining(m.Created)
		pk.Expiry = m.Expires / second
	}
	readProps(&pk.Properties, m.Props)
	return pk
}

// readProps reads encoded properties into mochi's form.
func readProps(p *packets.Properties, props []byte) {
	if len(props) == 0 {
		return
	}
	p.ContentType = string(message.Property(props, message.PropContentType))
	p.ResponseTopic = string(message.Property(props, message.PropResponseTopic))
	p.CorrelationData = bytes.Clone(message.Property(props, message.PropCorrelationData))
	if v := message.Property(props, message.PropPayloadFormat); len(v) == 1 {
		p.PayloadFormat, p.PayloadFormatFlag = v[0], true
	}
	message.UserProperties(props, func(k, v string) {
		p.User = append(p.User, packets.UserProperty{Key: k, Val: v})
	})
}

// apply returns m as hooks changed it in pk: m itself when they did not. What they
// cannot change stays, also in form: properties are encoded anew only if one of
// them is different. Nothing of pk is kept.
func apply(m *message.Message, pk *packets.Packet) (*message.Message, error) {
	if len(pk.TopicName) > math.MaxUint16 {
		return nil, errTooLong
	}
	c := *m
	if pk.TopicName != m.Topic {
		c.Topic = strings.Clone(pk.TopicName)
	}
	c.Retain = pk.FixedHeader.Retain
	samePayload := bytes.Equal(pk.Payload, m.Payload)
	if !samePayload {
		c.Payload = bytes.Clone(pk.Payload)
	}
	if e := pk.Properties.MessageExpiryInterval; e != shownExpiry(m) {
		c.Expires = 0
		if e != 0 {
			c.Expires = m.Created + int64(e)*second
		}
	}
	var was packets.Properties
	readProps(&was, m.Props)
	sameProps := equalProps(&was, &pk.Properties)
	if !sameProps {
		props, err := appendProps(nil, &pk.Properties)
		if err != nil {
			return nil, err
		}
		c.Props = props
	}
	if samePayload && sameProps && c.Topic == m.Topic && c.Retain == m.Retain && c.Expires == m.Expires {
		return m, nil
	}
	return &c, nil
}

// shownExpiry is the Message Expiry Interval that packetOf shows.
func shownExpiry(m *message.Message) uint32 {
	if m.Expires == 0 {
		return 0
	}
	return m.Remaining(m.Created)
}

// equalProps compares the properties that travel on.
func equalProps(a, b *packets.Properties) bool {
	return a.ContentType == b.ContentType && a.ResponseTopic == b.ResponseTopic &&
		a.PayloadFormatFlag == b.PayloadFormatFlag && (a.PayloadFormat == b.PayloadFormat || !a.PayloadFormatFlag) &&
		(a.CorrelationData == nil) == (b.CorrelationData == nil) && bytes.Equal(a.CorrelationData, b.CorrelationData) &&
		slices.Equal(a.User, b.User)
}

// appendProps encodes the properties that travel on, as Message.Props has them. An
// empty Content Type is left out: mochi's form does not tell it from none.
func appendProps(dst []byte, p *packets.Properties) ([]byte, error) {
	if err := judgeProps(p); err != nil {
		return nil, err
	}
	if p.PayloadFormatFlag {
		dst = append(dst, message.PropPayloadFormat, p.PayloadFormat)
	}
	if p.ContentType != "" {
		dst = appendString(append(dst, message.PropContentType), p.ContentType)
	}
	if p.ResponseTopic != "" {
		dst = appendString(append(dst, message.PropResponseTopic), p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		dst = appendString(append(dst, message.PropCorrelationData), p.CorrelationData)
	}
	for i := range p.User {
		u := &p.User[i]
		dst = appendString(appendString(append(dst, message.PropUser), u.Key), u.Val)
	}
	return dst, nil
}

// judgeProps refuses what no subscriber could read: it would end its connection.
func judgeProps(p *packets.Properties) error {
	if p.PayloadFormatFlag && p.PayloadFormat > 1 {
		return errFormat
	}
	if strings.ContainsAny(p.ResponseTopic, "+#") { // [MQTT-3.3.2-14]
		return errResponseTopic
	}
	if len(p.CorrelationData) > math.MaxUint16 {
		return errTooLong
	}
	for _, s := range []string{p.ContentType, p.ResponseTopic} {
		if err := judgeString(s); err != nil {
			return err
		}
	}
	for i := range p.User {
		if err := errors.Join(judgeString(p.User[i].Key), judgeString(p.User[i].Val)); err != nil {
			return err
		}
	}
	return nil
}

func judgeString(s string) error {
	if len(s) > math.MaxUint16 {
		return errTooLong
	}
	if !message.ValidUTF8([]byte(s)) {
		return errNotUTF8
	}
	return nil
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}
