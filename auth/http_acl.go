package auth

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
)

// HTTPACL asks a service what clients may do. It sends
//
//	{"client_id", "username", "remote", "listener", "groups", "attributes",
//	 "certificate": {"cn", "dn", "sans"},
//	 "action": "publish" or "subscribe", "topic", "qos", "retain"}
//
// and wants application/json with status 200: {"result": "allow" or "deny"}. 401 and
// 403 are deny. Every other answer is a failure.
//
// Who waits: the first question about a client, action and topic waits for the service
// on the goroutine that asks, at most the configured timeout, and so does one whose
// answer has run out. That goroutine must be the connection's own reader: then a slow
// service slows the clients it is asked about and nobody else. Goroutines that work for
// many (which deliver, or send wills) use Cached, which does not wait. Deliveries are
// not asked about at all: their subscription was.
type HTTPACL struct {
	*service
	cache *answerCache[bool]
}

// NewHTTPACL checks the configuration and reads the files. It does not ask the service.
func NewHTTPACL(cfg HTTPConfig) (*HTTPACL, error) {
	s, err := newService(&cfg)
	if err != nil {
		return nil, err
	}
	return &HTTPACL{service: s, cache: newAnswerCache[bool](&cfg)}, nil
}

// Name is that of the service.
func (h *HTTPACL) Name() string { return h.cfg.Name }

// Close gives up the questions that are under way and closes the connections. It
// returns nil.
func (h *HTTPACL) Close() error {
	h.close()
	return nil
}

// Stats are the counters.
func (h *HTTPACL) Stats() HTTPStats { return h.stats() }

// What a Verdict of an HTTPACL names.
const (
	httpAllowed   = "the ACL service allowed"
	httpDenied    = "the ACL service denied"
	httpDelivered = "deliveries are judged by their subscription"
	httpUnknown   = "the ACL service was not asked"
)

// maxACLKey bounds a key of the cache, in bytes: with longer topics the service is
// asked each time, as a topic may have 64 KiB.
const maxACLKey = 1 << 10

// Cached answers a question if that needs no waiting; known is false otherwise, and
// the verdict denies. It does not
// allocate unless names and topic are long.
func (h *HTTPACL) Cached(q *Query, id *Identity) (v Verdict, known bool) {
	if q.Action == Deliver {
		return Verdict{Rule: httpDelivered, Allowed: true}, true
	}
	var room [512]byte
	allowed, known := h.cache.get(aclKey(room[:0], q, attributesOf(id)), time.Now())
	if !known {
		return Verdict{Rule: httpUnknown, PerMessage: true}, false
	}
	h.cached.Add(1)
	return httpVerdict(allowed), true
}

// Judge answers a question, asking the service if it must: see [HTTPACL] for who may
// wait. id is the client's identity, for its attributes. Verdicts are for this message
// alone, so that answers live as long as configured and not as long as a connection.
func (h *HTTPACL) Judge(ctx context.Context, q *Query, id *Identity) Verdict {
	if v, known := h.Cached(q, id); known {
		return v
	}
	attributes := attributesOf(id)
	var allowed bool
	err := h.ask(ctx, aclQuestion(q, attributes), func(o object) error {
		result, _ := o.text("result")
		allowed = result == "allow"
		if !allowed && result != "deny" {
			return errNoAnswer
		}
		return nil
	})
	if err == nil {
		if key := aclKey(nil, q, attributes); len(key) <= maxACLKey {
			h.cache.put(key, allowed, allowed, time.Now(), time.Time{})
		}
		return httpVerdict(allowed)
	}
	service := !errors.Is(err, errBusy) && !errors.Is(err, errRefused) && !errors.Is(err, errGaveUp)
	return Verdict{Rule: err.Error(), Allowed: service && h.cfg.OnFailure == FailAllow, PerMessage: true}
}

func httpVerdict(allowed bool) Verdict {
	if allowed {
		return Verdict{Rule: httpAllowed, Allowed: true, PerMessage: true}
	}
	return Verdict{Rule: httpDenied, PerMessage: true}
}

func attributesOf(id *Identity) map[string]string {
	if id == nil {
		return nil
	}
	if g, ok := id.Rules.(*Grant); ok {
		return g.Attributes
	}
	return nil
}

// aclKey appends everything the question has, each text with its length: no two
// questions have the same key.
func aclKey(b []byte, q *Query, attributes map[string]string) []byte {
	w := q.Subject
	b = append(b, byte(q.Action), q.QoS, bit(retained(q)), bit(w.HasUser), bit(w.Partial))
	for _, s := range [...]string{q.Topic, w.ClientID, w.User, w.Listener, w.Certificate.CN, w.Certificate.DN} {
		b = appendText(b, s)
	}
	addr := w.Address.As16()
	b = append(b, bit(w.Address.Is4()), bit(w.Address.IsValid()))
	b = append(b, addr[:]...)
	b = appendText(b, w.Address.Zone())
	b = appendTexts(b, w.Groups)
	b = appendTexts(b, w.Certificate.SANs)
	b = binary.AppendUvarint(b, uint64(len(attributes)))
	if len(attributes) > 0 {
		for _, name := range slices.Sorted(maps.Keys(attributes)) {
			b = appendText(appendText(b, name), attributes[name])
		}
	}
	return b
}

// retained is the retain flag where it means something.
func retained(q *Query) bool { return q.Retain && q.Action == Publish }

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

type httpACLQuestion struct {
	ClientID    string              `json:"client_id"`
	User        *string             `json:"username,omitempty"`
	Remote      string              `json:"remote,omitempty"`
	Listener    string              `json:"listener,omitempty"`
	Groups      []string            `json:"groups,omitempty"`
	Attributes  map[string]string   `json:"attributes,omitempty"`
	Certificate *httpACLCertificate `json:"certificate,omitempty"`
	Action      string              `json:"action"`
	Topic       string              `json:"topic"`
	QoS         byte                `json:"qos"`
	Retain      bool                `json:"retain"`
}

type httpACLCertificate struct {
	CN   string   `json:"cn"`
	DN   string   `json:"dn"`
	SANs []string `json:"sans"`
}

func aclQuestion(q *Query, attributes map[string]string) []byte {
	w := q.Subject
	m := httpACLQuestion{
		ClientID: w.ClientID, Listener: w.Listener, Groups: w.Groups, Attributes: attributes,
		Action: q.Action.String(), Topic: q.Topic, QoS: q.QoS, Retain: retained(q),
	}
	if w.HasUser {
		m.User = &w.User
	}
	if w.Address.IsValid() {
		m.Remote = w.Address.String()
	}
	if c := w.Certificate; c.CN != "" || c.DN != "" || len(c.SANs) > 0 {
		m.Certificate = &httpACLCertificate{c.CN, c.DN, c.SANs}
	}
	body, _ := json.Marshal(m) // texts, numbers and lists of them: it cannot fail
	return body
}
