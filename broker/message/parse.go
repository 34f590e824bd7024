package message

import (
	"bytes"
	"encoding/binary"
)

// Publish is a PUBLISH parsed in place: every slice aliases the read buffer and
// is valid only until the next read.
type Publish struct {
	Topic       []byte
	Payload     []byte
	Props       []byte // the properties as they came, without length prefix
	Expiry      uint32 // seconds, valid with HasExpiry
	ID          PacketID
	Alias       uint16 // 0 is none
	QoS         byte
	Format      byte // payload format indicator
	Retain      bool
	Dup         bool
	HasExpiry   bool
	HasResponse bool
	// Receipt is set when Props has a user property ReceiptProperty.
	Receipt bool
	// OneHop is set when Props holds an alias or an expiry, which are not forwarded.
	OneHop bool
}

// Parse parses the body of a PUBLISH whose first header byte is h. The topic is
// not judged beyond its length; the caller looks it up in a cache of names that
// were [MQTT-3.3.2-2]. Version is the connection's.
func (p *Publish) Parse(version, h byte, body []byte) error {
	*p = Publish{QoS: h >> 1 & 3, Retain: h&FlagRetain != 0, Dup: h&FlagDup != 0}
	switch {
	case p.QoS == 3:
		return errQoS3
	case p.Dup && p.QoS == 0:
		return errDup
	case len(body) < 2:
		return errShort
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if n > len(body) {
		return errShort
	}
	p.Topic = body[2:n]
	body = body[n:]
	if p.QoS > 0 {
		if len(body) < 2 {
			return errShort
		}
		p.ID = PacketID(binary.BigEndian.Uint16(body))
		if p.ID == 0 {
			return errPacketID
		}
		body = body[2:]
	}
	if version < V5 {
		p.Payload = body
		return nil
	}
	return p.parseProps(body)
}

func (p *Publish) parseProps(body []byte) error {
	l, n := Uvarint(body)
	if n <= 0 || n+l > len(body) || n != UvarintLen(l) {
		return errPropertyLength
	}
	p.Props, p.Payload = body[n:n+l], body[n+l:]
	if l == 0 {
		return nil
	}
	var seen uint64
	for b := p.Props; len(b) > 0; {
		id := b[0]
		b = b[1:]
		n := propSize(id, b)
		if id == PropSubscriptionID { // only a server sends it
			return errSubscriptionID
		}
		if n < 0 || n > len(b) {
			return errProperty
		}
		if id != PropUser {
			if seen&(1<<id) != 0 {
				return errTwice
			}
			seen |= 1 << id
		}
		if err := p.prop(id, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (p *Publish) prop(id byte, v []byte) error {
	switch id {
	case PropPayloadFormat:
		if p.Format = v[0]; p.Format > 1 {
			return errFormat
		}
	case PropExpiry:
		p.Expiry, p.HasExpiry, p.OneHop = binary.BigEndian.Uint32(v), true, true
	case PropTopicAlias:
		p.Alias, p.OneHop = binary.BigEndian.Uint16(v), true
		if p.Alias == 0 {
			return errAlias
		}
	case PropContentType:
		if !ValidUTF8(v[2:]) {
			return errUTF8
		}
	case PropResponseTopic:
		p.HasResponse = true
		if !ValidUTF8(v[2:]) {
			return errUTF8
		}
		if len(v) == 2 || bytes.ContainsAny(v[2:], "+#") {
			return errResponseTopic
		}
	case PropUser:
		k := strSize(v)
		if !ValidUTF8(v[2:k]) || !ValidUTF8(v[k+2:]) {
			return errUTF8
		}
		p.Receipt = p.Receipt || string(v[2:k]) == ReceiptProperty
	}
	return nil
}

// AppendForwarded appends the properties of raw that travel on to subscribers: all
// but topic alias, expiry interval and subscription identifiers, which belong to one
// hop, in their order [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17],
// [MQTT-3.3.2-18], [MQTT-3.3.2-20]. raw must have passed Parse.
func AppendForwarded(dst, raw []byte) []byte {
	for {
		id, value, rest, ok := cut(raw)
		if !ok {
			return dst
		}
		if id != PropTopicAlias && id != PropExpiry && id != PropSubscriptionID {
			dst = append(dst, raw[:1+len(value)]...)
		}
		raw = rest
	}
}

// Property returns the value of the first property id in props (encoded, as in
// Message.Props), without the length prefix of strings, or nil.
func Property(props []byte, id byte) []byte {
	for {
		have, value, rest, ok := cut(props)
		if !ok {
			return nil
		}
		if have == id {
			switch id {
			case PropContentType, PropResponseTopic, PropCorrelationData:
				return value[2:]
			}
			return value
		}
		props = rest
	}
}

// UserProperty returns the first user property called name.
func UserProperty(props []byte, name string) (string, bool) {
	for {
		id, value, rest, ok := cut(props)
		if !ok {
			return "", false
		}
		if id == PropUser {
			if k := strSize(value); string(value[2:k]) == name {
				return string(value[k+2:]), true
			}
		}
		props = rest
	}
}

// UserProperties calls visit for every user property of props (encoded, as in
// Message.Props), in their order.
func UserProperties(props []byte, visit func(k, v string)) {
	for {
		id, value, rest, ok := cut(props)
		if !ok {
			return
		}
		if id == PropUser {
			k := strSize(value)
			visit(string(value[2:k]), string(value[k+2:]))
		}
		props = rest
	}
}
