package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// jwk is a key as a set has it, with the members of extra.
func jwk(t testing.TB, pub any, extra fields) fields {
	t.Helper()
	var o fields
	switch k := pub.(type) {
	case *rsa.PublicKey:
		o = fields{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		size := (k.Params().BitSize + 7) / 8
		o = fields{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	case ed25519.PublicKey:
		o = fields{"kty": "OKP", "crv": "Ed25519", "x": b64(k)}
	case string:
		o = fields{"kty": "oct", "k": b64([]byte(k))}
	default:
		t.Fatalf("a key of type %T", pub)
	}
	for name, v := range extra {
		o[name] = v
	}
	return o
}

func jwksOf(keys ...fields) []byte {
	if keys == nil {
		keys = []fields{}
	}
	return jsonOf(fields{"keys": keys})
}

func TestJWKSFileChoosesTheKey(t *testing.T) {
	k := theKeys()
	set := jwksOf(
		jwk(t, k.rsa.Public(), fields{"kid": "one", "alg": "RS256", "use": "sig", "x5t": "ignored"}),
		jwk(t, k.rsa2.Public(), fields{"kid": "two"}),
		jwk(t, k.p384.Public(), fields{"kid": "one"}), // another type may have the same kid
		jwk(t, k.ed.Public(), fields{"kid": "ed", "alg": "Ed25519", "key_ops": []string{"verify"}}),
		jwk(t, testSecret, fields{"kid": "secret", "alg": "HS256"}),
		jwk(t, k.p256.Public(), nil),
		fields{"kty": "new", "kid": "two"},
	)
	j := newTestJWT(t, JWTConfig{JWKSFiles: []string{writeTemp(t, set)}})
	claims := fields{"sub": "ann", "exp": inAnHour()}
	for name, tc := range map[string]struct {
		alg, kid string
		key      any
		want     Outcome
	}{
		"its kid":                    {"RS256", "one", k.rsa, Allow},
		"another's kid":              {"RS256", "two", k.rsa, Deny},
		"another kind with the kid":  {"ES384", "one", k.p384, Allow},
		"an algorithm it is not for": {"RS512", "one", k.rsa, Deny},
		"a PSS it is not for":        {"PS256", "one", k.rsa, Deny},
		"one that is for all":        {"PS512", "two", k.rsa2, Allow},
		"no kid":                     {"RS256", "", k.rsa2, Allow},
		"unknown kid":                {"RS256", "three", k.rsa, Deny},
		"a key without kid":          {"ES256", "three", k.p256, Allow},
		"EdDSA":                      {"EdDSA", "ed", k.ed, Allow},
		"the secret":                 {"HS256", "secret", testSecret, Allow},
		"the secret, other hash":     {"HS512", "secret", testSecret, Deny},
		"the secret without kid":     {"HS256", "", testSecret, Allow},
	} {
		header := fields{"alg": tc.alg}
		if tc.kid != "" {
			header["kid"] = tc.kid
		}
		if a := j.Check(t.Context(), tokenOf(signToken(t, header, claims, tc.key))); a.Outcome != tc.want {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestTooManyKeysToTry(t *testing.T) {
	var keys []fields
	var last *ecdsa.PrivateKey
	for i := range maxTried + 1 {
		last = newTestKey(t)
		keys = append(keys, jwk(t, last.Public(), fields{"kid": fmt.Sprint(i)}))
	}
	j := newTestJWT(t, JWTConfig{JWKSFiles: []string{writeTemp(t, jwksOf(keys...))}})
	claims := fields{"sub": "ann", "exp": inAnHour()}
	if a := j.Check(t.Context(), tokenOf(signToken(t, fields{"alg": "ES256"}, claims, last))); a.Outcome != Deny {
		t.Errorf("without kid: %+v", a)
	}
	if a := j.Check(t.Context(), tokenOf(signToken(t, fields{"alg": "ES256", "kid": fmt.Sprint(maxTried)}, claims, last))); a.Outcome != Allow {
		t.Errorf("with kid: %+v", a)
	}
}

func TestBadJWKS(t *testing.T) {
	k := theKeys()
	r, e, d := k.rsa.Public(), k.p256.Public(), k.ed.Public()
	many := make([]fields, maxKeys+1)
	for i := range many {
		many[i] = jwk(t, d, nil)
	}
	offCurve := jwk(t, e, nil)
	offCurve["y"] = offCurve["x"]
	for name, set := range map[string][]byte{
		"empty":             nil,
		"not JSON":          []byte("<html>"),
		"a list":            []byte("[]"),
		"null":              []byte("null"),
		"no keys":           []byte("{}"),
		"keys null":         []byte(`{"keys":null}`),
		"keys an object":    []byte(`{"keys":{}}`),
		"keys twice":        []byte(`{"keys":[],"keys":[]}`),
		"more behind":       []byte(`{"keys":[]}{}`),
		"cut":               jwksOf(jwk(t, r, nil))[:100],
		"not UTF-8":         []byte("{\"keys\":[],\"x\":\"\xff\"}"),
		"too large":         append(jwksOf(jwk(t, r, nil)), make([]byte, maxKeysBytes)...),
		"too many":          jwksOf(many...),
		"deep":              []byte(`{"keys":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`),
		"a key null":        []byte(`{"keys":[null]}`),
		"a key a text":      []byte(`{"keys":["x"]}`),
		"member twice":      []byte(`{"keys":[{"kty":"oct","kty":"RSA"}]}`),
		"kty missing":       jwksOf(fields{"kid": "1"}),
		"kty a number":      jwksOf(fields{"kty": 1}),
		"kid a number":      jwksOf(jwk(t, d, fields{"kid": 1})),
		"kid long":          jwksOf(jwk(t, d, fields{"kid": strings.Repeat("x", maxKeyID+1)})),
		"alg a number":      jwksOf(jwk(t, d, fields{"alg": 1})),
		"use a list":        jwksOf(jwk(t, d, fields{"use": []string{"sig"}})),
		"kid twice":         jwksOf(jwk(t, r, fields{"kid": "1"}), jwk(t, k.rsa2.Public(), fields{"kid": "1"})),
		"RSA without n":     jwksOf(fields{"kty": "RSA", "e": "AQAB"}),
		"RSA without e":     jwksOf(jwk(t, r, fields{"e": ""})),
		"RSA small":         jwksOf(fields{"kty": "RSA", "e": "AQAB", "n": b64(new(big.Int).Lsh(big.NewInt(1), 1024).Bytes())}),
		"RSA large":         jwksOf(fields{"kty": "RSA", "e": "AQAB", "n": b64(new(big.Int).Lsh(big.NewInt(1), 9000).Bytes())}),
		"RSA even exponent": jwksOf(jwk(t, r, fields{"e": b64([]byte{2})})),
		"RSA exponent 1":    jwksOf(jwk(t, r, fields{"e": b64([]byte{1})})),
		"RSA exponent huge": jwksOf(jwk(t, r, fields{"e": b64([]byte{255, 255, 255, 255})})),
		"RSA bad base64":    jwksOf(jwk(t, r, fields{"n": "!"})),
		"EC off the curve":  jwksOf(offCurve),
		"EC short":          jwksOf(jwk(t, e, fields{"x": "AA"})),
		"EC other curve":    jwksOf(jwk(t, e, fields{"crv": "P-384"})),
		"OKP short":         jwksOf(jwk(t, d, fields{"x": "AA"})),
		"OKP long":          jwksOf(jwk(t, d, fields{"x": b64(make([]byte, 33))})),
		"oct short":         jwksOf(jwk(t, "short", nil)),
		"oct missing":       jwksOf(fields{"kty": "oct"}),
	} {
		s, err := parseJWKS(set, true)
		if err == nil {
			t.Errorf("%s: taken, %d keys", name, len(s.keys))
		} else if errors.Is(err, errJWKUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, key := range map[string]fields{
		"another kty":       {"kty": "AKP", "pub": "x"},
		"for encryption":    jwk(t, r, fields{"use": "enc"}),
		"for signing":       jwk(t, r, fields{"key_ops": []string{"sign"}}),
		"encryption alg":    jwk(t, r, fields{"alg": "RSA-OAEP-256"}),
		"alg of other type": jwk(t, r, fields{"alg": "HS256"}),
		"alg none":          jwk(t, d, fields{"alg": "none"}),
		"another curve":     {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
		"X25519":            {"kty": "OKP", "crv": "X25519", "x": "AA"},
	} {
		s, err := parseJWKS(jwksOf(key, jwk(t, d, nil)), true)
		if err != nil || len(s.keys) != 1 {
			t.Errorf("%s is to be left out: %v, %v", name, s, err)
		}
	}
	if s, err := parseJWKS(jwksOf(jwk(t, testSecret, nil)), false); err != nil || len(s.keys) != 0 {
		t.Errorf("a secret that everybody can fetch: %v, %v", s, err)
	}
}

func FuzzJWKS(f *testing.F) {
	k := theKeys()
	f.Add(jwksOf(jwk(f, k.rsa.Public(), fields{"kid": "1"}), jwk(f, k.p256.Public(), nil), jwk(f, k.ed.Public(), nil), jwk(f, testSecret, nil)))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"},{"kty":"EC","crv":"P-521","x":"","y":""}]}`))
	tokens := make([]*token, 0, len(jwtAlgs))
	for _, a := range jwtAlgs {
		tokens = append(tokens, &token{alg: a, signed: []byte("x"), sig: []byte("y")})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, secrets := range []bool{true, false} {
			s, err := parseJWKS(data, secrets)
			if err != nil {
				continue
			}
			if len(s.keys) > maxKeys {
				t.Fatal("too many keys")
			}
			for _, tok := range tokens {
				for i, v := range s.fitting(tok) {
					if _, secret := v.(hmacKey); secret && (!secrets || tok.alg.family != algHMAC) {
						t.Error("a secret where none may be")
					}
					if i < maxTried && v.verify(tok.alg, tok.signed, tok.sig) {
						t.Error("a key took a signature that is none")
					}
				}
			}
		}
	})
}
