package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
)

// What is wrong with a token. The texts have nothing of it.
var (
	errTokenLong      = errors.New("token is too long")
	errTokenParts     = errors.New("token does not have three parts")
	errTokenEncrypted = errors.New("encrypted tokens are not supported")
	errTokenBase64    = errors.New("token is not in base64url")
	errTokenHeader    = errors.New("token header is malformed")
	errTokenAlg       = errors.New("token has no algorithm that is known here")
	errTokenNested    = errors.New("token contains another token")
	errTokenCritical  = errors.New("token has a critical header (RFC 7515 section 4.1.11)")
	errTokenKeyID     = errors.New("token header has a malformed key id")
	errTokenClaims    = errors.New("token claims are malformed")
)

// maxKeyID bounds a key id, in bytes.
const maxKeyID = 256

// token is a JWT in compact form, of which nothing is believed yet.
type token struct {
	alg     *jwtAlg
	kid     string // empty without one
	signed  []byte // what the signature is of
	payload []byte
	sig     []byte
}

// isToken tells a JWT from a password: its first part is a JSON object in base64url,
// which begins with ey, and there is a second one.
func isToken(password []byte) bool {
	return bytes.HasPrefix(password, []byte("ey")) && bytes.IndexByte(password, '.') > 0
}

// parseToken takes a token apart.
func parseToken(b []byte, limit int) (*token, error) {
	if len(b) > limit {
		return nil, errTokenLong
	}
	switch bytes.Count(b, []byte{'.'}) {
	case 2:
	case 4:
		return nil, errTokenEncrypted
	default:
		return nil, errTokenParts
	}
	if bytes.ContainsAny(b, "\r\n") { // which package base64 skips
		return nil, errTokenBase64
	}
	parts := bytes.Split(b, []byte{'.'})
	t := &token{signed: b[:len(b)-len(parts[2])-1]}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().AppendDecode(nil, p); err != nil {
			return nil, errTokenBase64
		}
	}
	t.payload, t.sig = raw[1], raw[2]
	return t, t.header(raw[0])
}

// header judges the JOSE header. What it says of where to find a key (jku, jwk, x5u,
// x5c) is not looked at: whoever wrote the token would choose the key.
func (t *token) header(b []byte) error {
	h, err := parseObject(b)
	if err != nil {
		return errTokenHeader
	}
	if _, ok := h["crit"]; ok {
		return errTokenCritical
	}
	if _, ok := h["cty"]; ok {
		if cty, isText := h.text("cty"); !isText || nestedType(cty) {
			return errTokenNested
		}
	}
	alg, _ := h.text("alg")
	if t.alg = jwtAlgs[alg]; t.alg == nil {
		return errTokenAlg
	}
	if _, ok := h["kid"]; ok {
		if t.kid, ok = h.text("kid"); !ok || t.kid == "" || len(t.kid) > maxKeyID {
			return errTokenKeyID
		}
	}
	return nil
}

func nestedType(cty string) bool {
	cty = strings.ToLower(cty)
	return strings.TrimPrefix(cty, "application/") == "jwt" || strings.HasSuffix(cty, "+jwt")
}
