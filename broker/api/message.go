package api

import (
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/router"
)

// phases are how far an entry is, by store.Phase.
var phases = [...]string{"queued", "sent", "released"}

type headOf func(ctx context.Context, id router.ClientID, n int) ([]router.Held, bool, bool, error)

// head answers the oldest messages that a session holds.
func (s *Server) head(w http.ResponseWriter, r *http.Request, of headOf) error {
	p := query(r, "limit", "max_payload")
	limit, payload := p.limit(), p.payload()
	if err := p.done(); err != nil {
		return err
	}
	list, more, ok, err := of(r.Context(), clientID(r), limit)
	switch {
	case err != nil:
		return err
	case !ok:
		return errNotHere
	}
	page := v1.Entries{Entries: make([]v1.Entry, 0, len(list)), More: more}
	for i := range list {
		h := &list[i]
		e := v1.Entry{Seq: h.Seq, PacketID: int(h.ID), Phase: phases[h.Phase]}
		if h.Msg != nil {
			e.Stored = s.stored(h.Msg, payload)
		}
		e.QoS, e.Retain = int(h.QoS), h.Retain
		page.Entries = append(page.Entries, e)
	}
	answer(w, http.StatusOK, &page)
	return nil
}

func (p *params) payload() int { return p.number("max_payload", 1024, 0, maxPayload) }

// stored is a message that the node keeps, with at most max bytes of its payload.
func (s *Server) stored(m *router.Message, max int) v1.Stored {
	o := v1.Stored{
		Message: messageOf(m, s.now().UnixNano(), max), Size: m.Size(), Created: time.Unix(0, m.Created).UTC(),
		ExpiresAt: when(m.Expires), Publisher: string(m.Publisher), User: m.User, Truncated: len(m.Payload) > max,
	}
	o.Expiry = nil // ExpiresAt says it better
	return o
}

// messageOf is a message as JSON has it.
func messageOf(m *router.Message, now int64, max int) v1.Message {
	o := v1.Message{Topic: m.Topic, QoS: int(m.QoS), Retain: m.Retain}
	payload := m.Payload[:min(len(m.Payload), max)]
	if cut := validPrefix(payload, len(payload) < len(m.Payload)); utf8.Valid(cut) {
		text := string(cut)
		o.Payload = &text
	} else {
		o.PayloadBase64 = payload
	}
	if m.Expires != 0 {
		left := m.Remaining(now)
		o.Expiry = &left
	}
	if v := message.Property(m.Props, message.PropPayloadFormat); len(v) == 1 {
		format := int(v[0])
		o.PayloadFormat = &format
	}
	o.ContentType = string(message.Property(m.Props, message.PropContentType))
	o.ResponseTopic = string(message.Property(m.Props, message.PropResponseTopic))
	o.CorrelationData = message.Property(m.Props, message.PropCorrelationData)
	message.UserProperties(m.Props, func(name, value string) {
		o.UserProperties = append(o.UserProperties, v1.UserProperty{Name: name, Value: value})
	})
	return o
}

// validPrefix takes the rest of a character off that a cut has halved.
func validPrefix(b []byte, cut bool) []byte {
	if !cut {
		return b
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return b[:len(b)-n]
			}
			return b
		}
	}
	return b
}

// toMessage is the message that a request means. Whether it may be published the
// router says; what no PUBLISH can say is refused here.
func toMessage(in *v1.Message) (*router.Message, error) {
	m := &router.Message{Topic: in.Topic, QoS: byte(in.QoS & 3), Retain: in.Retain}
	switch {
	case in.QoS < 0 || in.QoS > 2:
		return nil, failf(http.StatusBadRequest, "qos must be 0, 1 or 2")
	case in.Topic == "":
		return nil, failf(http.StatusBadRequest, "topic must be there")
	case in.Payload != nil && in.PayloadBase64 != nil:
		return nil, failf(http.StatusBadRequest, "payload and payload_base64 do not go together")
	case in.Payload != nil:
		m.Payload = []byte(*in.Payload)
	default:
		m.Payload = in.PayloadBase64
	}
	if in.Expiry != nil {
		m.Expires = max(1, int64(*in.Expiry)*int64(time.Second)) // from now on, see Sender
	}
	var err error
	m.Props, err = properties(in)
	return m, err
}

// maxProps bounds the properties of a message: a PUBLISH must hold them besides its
// payload.
const maxProps = 1 << 20

// properties encodes the properties that travel with a message.
func properties(in *v1.Message) (p []byte, err error) {
	if f := in.PayloadFormat; f != nil {
		if *f != 0 && *f != 1 {
			return nil, failf(http.StatusBadRequest, "payload_format must be 0 or 1")
		}
		p = append(p, message.PropPayloadFormat, byte(*f))
	}
	if strings.ContainsAny(in.ResponseTopic, "+#") {
		return nil, failf(http.StatusBadRequest, "response_topic must have no wildcards [MQTT-3.3.2-14]")
	}
	for _, s := range []struct {
		id    byte
		name  string
		value string
	}{
		{message.PropContentType, "content_type", in.ContentType},
		{message.PropResponseTopic, "response_topic", in.ResponseTopic},
	} {
		if s.value == "" {
			continue
		}
		if p, err = appendText(append(p, s.id), s.name, s.value); err != nil {
			return nil, err
		}
	}
	if n := len(in.CorrelationData); n > 0xFFFF {
		return nil, failf(http.StatusBadRequest, "correlation_data is longer than 65535 bytes")
	} else if n > 0 {
		p = append(binary.BigEndian.AppendUint16(append(p, message.PropCorrelationData), uint16(n)), in.CorrelationData...)
	}
	for _, u := range in.UserProperties {
		if p, err = appendText(append(p, message.PropUser), "user_properties", u.Name); err != nil {
			return nil, err
		}
		if p, err = appendText(p, "user_properties", u.Value); err != nil {
			return nil, err
		}
	}
	if len(p) > maxProps {
		return nil, failf(http.StatusBadRequest, "the properties are longer than %d bytes", maxProps)
	}
	return p, nil
}

// appendText appends an MQTT string.
func appendText(p []byte, name, s string) ([]byte, error) {
	if len(s) > 0xFFFF || !message.ValidUTF8([]byte(s)) {
		return nil, failf(http.StatusBadRequest, "%s must be at most 65535 bytes of UTF-8 without U+0000", name)
	}
	return append(binary.BigEndian.AppendUint16(p, uint16(len(s))), s...), nil
}
