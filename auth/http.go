package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// HTTP is the [Source] that asks a service. It sends
//
//	{"client_id", "username", "password", "remote", "listener",
//	 "certificate": {"cn", "dn", "sans", "serial", "fingerprint"}}
//
// where what is not there is left out and a password that is not UTF-8 is
// password_base64, and wants application/json with status 200:
//
//	{"result": "allow", "deny" or "ignore",
//	 "username": as whom, if not the one of CONNECT,
//	 "groups": [...], "attributes": {"name": "value"},
//	 "acl": [{"effect", "action", "topics"}], "expires_at": Unix seconds}
//
// of which result is needed and the others are looked at with allow. 401 and 403 are
// deny. Every other answer is a failure. Answers are remembered; passwords are not:
// the key is an HMAC of the question under a key that is made at the start.
type HTTP struct {
	*service
	key   [sha256.Size]byte
	cache *answerCache[Answer]
}

// NewHTTP checks the configuration and reads the files. It does not ask the service.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	s, err := newService(&cfg)
	if err != nil {
		return nil, err
	}
	h := &HTTP{service: s, cache: newAnswerCache[Answer](&cfg)}
	_, _ = rand.Read(h.key[:]) // it cannot fail: it would end the process
	return h, nil
}

// Name is that of the source.
func (h *HTTP) Name() string { return h.cfg.Name }

// Close gives up the questions that are under way and closes the connections. It
// returns nil. Checks afterwards count as given up.
func (h *HTTP) Close() error {
	h.close()
	return nil
}

// Stats are the counters.
func (h *HTTP) Stats() HTTPStats { return h.stats() }

// Check asks the service, unless its answer is remembered. It waits at most the
// configured timeout, and no longer than ctx.
func (h *HTTP) Check(ctx context.Context, cr Credentials) Answer {
	body, key := h.question(&cr)
	now := time.Now()
	if a, ok := h.recall(key, now); ok {
		return a
	}
	var a Answer
	err := h.ask(ctx, body, func(o object) (err error) {
		a, err = readAnswer(o, &cr, time.Now())
		return err
	})
	if err != nil {
		return h.without(err, &cr)
	}
	var end time.Time
	if a.Identity.ExpiresAt != 0 {
		end = time.Unix(0, a.Identity.ExpiresAt)
	}
	h.cache.put(key, a, a.Outcome == Allow, time.Now(), end)
	return a
}

// Recall answers from memory, see [Recaller].
func (h *HTTP) Recall(cr Credentials) (a Answer, known bool) {
	_, key := h.question(&cr)
	return h.recall(key, time.Now())
}

func (h *HTTP) recall(key []byte, now time.Time) (Answer, bool) {
	a, ok := h.cache.get(key, now)
	if ok {
		h.cached.Add(1)
	}
	return a, ok
}

// without is the answer when there is none.
func (h *HTTP) without(err error, cr *Credentials) Answer {
	switch {
	case errors.Is(err, errBusy):
		return Denied(CodeBusy, errBusy.Error())
	case errors.Is(err, errRefused):
		return Denied(CodeBadCredentials, errRefused.Error())
	case errors.Is(err, errGaveUp):
		return Denied(CodeUnavailable, errGaveUp.Error())
	case h.cfg.OnFailure == FailAllow:
		a := Allowed(Named(cr.User, cr.HasUser))
		a.Why = err.Error()
		return a
	case h.cfg.OnFailure == FailIgnore:
		return Answer{Outcome: NotMine, Why: err.Error()}
	}
	return Denied(CodeUnavailable, err.Error())
}

// question is what is asked, and its key in the cache: the same question has the same
// answer.
func (h *HTTP) question(cr *Credentials) (body, key []byte) {
	q := httpQuestion{ClientID: cr.ClientID, Listener: cr.Listener, Certificate: certFields(cr.TLS)}
	if cr.Remote.IsValid() {
		q.Remote = cr.Remote.String()
	}
	if cr.HasUser {
		q.User = &cr.User
	}
	switch {
	case !cr.HasPassword:
	case utf8.Valid(cr.Password):
		s := string(cr.Password)
		q.Password = &s
	default:
		q.Binary = cr.Password
	}
	body, _ = json.Marshal(q) // texts and lists of them: it cannot fail
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write(body)
	return body, mac.Sum(nil)
}

type httpQuestion struct {
	ClientID    string           `json:"client_id"`
	User        *string          `json:"username,omitempty"`
	Password    *string          `json:"password,omitempty"`
	Binary      []byte           `json:"password_base64,omitempty"`
	Remote      string           `json:"remote,omitempty"`
	Listener    string           `json:"listener"`
	Certificate *httpCertificate `json:"certificate,omitempty"`
}

type httpCertificate struct {
	CN          string   `json:"cn"`
	DN          string   `json:"dn"`
	SANs        []string `json:"sans"`
	Serial      string   `json:"serial"`      // decimal
	Fingerprint string   `json:"fingerprint"` // SHA-256, hexadecimal
}

func certFields(s *tls.ConnectionState) *httpCertificate {
	leaf := verified(s)
	if leaf == nil {
		return nil
	}
	c, sum := CertificateOf(s), sha256.Sum256(leaf.Raw)
	return &httpCertificate{CN: c.CN, DN: c.DN, SANs: c.SANs, Serial: leaf.SerialNumber.String(), Fingerprint: hex.EncodeToString(sum[:])}
}

// readAnswer understands an answer; what is malformed in it makes it none.
func readAnswer(o object, cr *Credentials, now time.Time) (Answer, error) {
	switch result, _ := o.text("result"); result {
	case "deny":
		return Denied(CodeBadCredentials, "the service denied"), nil
	case "ignore":
		return Answer{Outcome: NotMine, Why: "the service does not know the client"}, nil
	case "allow":
	default:
		return Answer{}, errNoAnswer
	}
	id := Named(cr.User, cr.HasUser)
	var ok bool
	if o["username"] != nil {
		if id.User, ok = o.text("username"); !ok || !validName(id.User) {
			return Answer{}, errNoAnswer
		}
		id.HasUser = true
	}
	if o["groups"] != nil {
		if id.Groups, ok = o.texts("groups"); !ok {
			return Answer{}, errNoAnswer
		}
	}
	end, found, ok := o.date("expires_at")
	if !ok {
		return Answer{}, errNoAnswer
	}
	if found {
		id.ExpiresAt = unixNano(end)
	}
	g, err := readGrant(o)
	if err != nil {
		return Answer{}, err
	}
	if g != nil {
		id.Rules = g
	}
	if found && !now.Before(end) {
		return Denied(CodeBadCredentials, "the service's answer has expired"), nil
	}
	return Allowed(id), nil
}

// readGrant reads rules and attributes; nil when there are none.
func readGrant(o object) (*Grant, error) {
	g := &Grant{}
	if raw, ok := o["acl"]; ok {
		if g.Rules, ok = parseGrant(raw); !ok {
			return nil, errNoAnswer
		}
	}
	if raw, ok := o["attributes"]; ok {
		if json.Unmarshal(raw, &g.Attributes) != nil {
			return nil, errNoAnswer
		}
	}
	if g.Rules == nil && len(g.Attributes) == 0 {
		return nil, nil
	}
	return g, nil
}
