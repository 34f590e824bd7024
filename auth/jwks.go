package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Bounds of a key set.
const (
	maxKeysBytes = 256 << 10
	maxKeys      = 100
	minSecret    = 32   // bytes of a key for HMAC (RFC 7518 section 3.2)
	minRSABits   = 2048 // RFC 7518 section 3.3
	maxRSABits   = 8192 // larger ones cost too much time
)

// jwtKey is a key and what its set says of it.
type jwtKey struct {
	jwtVerifier
	kid  string // empty without one
	alg  string // the only algorithm it is for; empty is every one of its type
	kind string // the kty of RFC 7517
}

// keySet is an immutable set of keys.
type keySet struct{ keys []jwtKey }

// fitting returns the keys that may have signed a token: those with its key id or, if
// there is none, those without one. A token without key id may be of any.
func (s *keySet) fitting(t *token) []jwtVerifier {
	named := t.kid != "" && slices.ContainsFunc(s.keys, func(k jwtKey) bool { return k.kid == t.kid })
	var fit []jwtVerifier
	for i := range s.keys {
		k := &s.keys[i]
		if named && k.kid != t.kid || !named && t.kid != "" && k.kid != "" {
			continue
		}
		if k.takes(t.alg) && (k.alg == "" || k.alg == t.alg.name) {
			fit = append(fit, k.jwtVerifier)
		}
	}
	return fit
}

// readKeys reads all keys that are here.
func readKeys(cfg *JWTConfig) (*keySet, error) {
	s := &keySet{}
	if cfg.Secret != "" {
		if len(cfg.Secret) < minSecret {
			return nil, fmt.Errorf("the secret for tokens has less than %d bytes (RFC 7518 section 3.2)", minSecret)
		}
		s.keys = append(s.keys, jwtKey{jwtVerifier: hmacKey(cfg.Secret), kind: "oct"})
	}
	for _, path := range cfg.KeyFiles {
		data, err := readFile(path, maxKeysBytes)
		if err != nil {
			return nil, fmt.Errorf("reading keys for tokens: %w", err)
		}
		keys, err := parsePEMKeys(data)
		if err != nil {
			return nil, fmt.Errorf("keys of %s: %w", path, err)
		}
		s.keys = append(s.keys, keys...)
	}
	for _, path := range cfg.JWKSFiles {
		data, err := readFile(path, maxKeysBytes)
		if err != nil {
			return nil, fmt.Errorf("reading a key set for tokens: %w", err)
		}
		set, err := parseJWKS(data, true)
		if err != nil {
			return nil, fmt.Errorf("key set %s: %w", path, err)
		}
		if len(set.keys) == 0 {
			return nil, fmt.Errorf("key set %s has no key that is known here", path)
		}
		s.keys = append(s.keys, set.keys...)
	}
	return s, nil
}

// What is wrong with keys. The texts have nothing of them.
var (
	errPEMNone     = errors.New("there is no public key or certificate in PEM")
	errPEMPrivate  = errors.New("it has a private key: the broker needs the public one")
	errKeyType     = errors.New("a key is not RSA, ECDSA on P-256, P-384 or P-521, or Ed25519")
	errRSA         = fmt.Errorf("an RSA key is malformed, or not of %d to %d bits", minRSABits, maxRSABits)
	errJWKS        = errors.New(`it is not a JSON object with a list "keys"`)
	errJWKSMany    = fmt.Errorf("it has more than %d keys", maxKeys)
	errJWKSTwice   = errors.New("two keys of a type have the same kid")
	errJWK         = errors.New("a key is malformed")
	errJWKShort    = fmt.Errorf("a symmetric key has less than %d bytes", minSecret)
	errJWKUnusable = errors.New("a key is not for this use")
)

func parsePEMKeys(data []byte) ([]jwtKey, error) {
	var keys []jwtKey
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		var pub any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			pub, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			pub, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				pub = c.PublicKey
			}
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errPEMPrivate
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", block.Type, err)
		}
		k, err := publicKey(pub)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, errJWKSMany
		}
	}
	if len(keys) == 0 {
		return nil, errPEMNone
	}
	return keys, nil
}

func publicKey(pub any) (jwtKey, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits || k.E < 3 || k.E&1 == 0 {
			return jwtKey{}, errRSA
		}
		return jwtKey{jwtVerifier: rsaKey{k}, kind: "RSA"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return jwtKey{jwtVerifier: ecdsaKey{k}, kind: "EC"}, nil
		}
	case ed25519.PublicKey:
		return jwtKey{jwtVerifier: ed25519Key(k), kind: "OKP"}, nil
	}
	return jwtKey{}, errKeyType
}

// parseJWKS reads a key set (RFC 7517). Keys of a kind or for a use that is not known
// here are left out, as section 5 says; what is malformed refuses the whole set.
// Without secrets symmetric keys are left out: what everybody can fetch is no secret.
func parseJWKS(data []byte, secrets bool) (*keySet, error) {
	if len(data) > maxKeysBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", maxKeysBytes)
	}
	o, err := parseObject(data)
	if err != nil {
		return nil, errJWKS
	}
	var list []json.RawMessage
	if json.Unmarshal(o["keys"], &list) != nil || list == nil {
		return nil, errJWKS
	}
	if len(list) > maxKeys {
		return nil, errJWKSMany
	}
	s := &keySet{}
	type name struct{ kid, kind string }
	seen := make(map[name]bool)
	for _, raw := range list {
		k, err := parseJWK(raw, secrets)
		if errors.Is(err, errJWKUnusable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n := name{k.kid, k.kind}
		if k.kid != "" && seen[n] {
			return nil, errJWKSTwice
		}
		seen[n] = true
		s.keys = append(s.keys, k)
	}
	return s, nil
}

func parseJWK(raw []byte, secrets bool) (jwtKey, error) {
	o, err := parseObject(raw)
	if err != nil {
		return jwtKey{}, errJWK
	}
	var texts [5]string
	for i, name := range []string{"kty", "kid", "alg", "use", "crv"} {
		var ok bool
		if texts[i], ok = o.text(name); !ok && o[name] != nil {
			return jwtKey{}, errJWK
		}
	}
	kty, kid, alg, use, crv := texts[0], texts[1], texts[2], texts[3], texts[4]
	if ops, ok := o.texts("key_ops"); ok && !slices.Contains(ops, "verify") || use != "" && use != "sig" {
		return jwtKey{}, errJWKUnusable
	}
	if kty == "" || len(kid) > maxKeyID {
		return jwtKey{}, errJWK
	}
	var k jwtKey
	switch kty {
	case "RSA":
		k, err = o.rsaKey()
	case "EC":
		k, err = o.ecdsaKey(crv)
	case "OKP":
		k, err = o.ed25519Key(crv)
	case "oct":
		k, err = o.secretKey(secrets)
	default:
		err = errJWKUnusable
	}
	if err != nil {
		return jwtKey{}, err
	}
	k.kid = kid
	if alg == "" {
		return k, nil
	}
	a := jwtAlgs[alg]
	if a == nil || !k.takes(a) {
		return jwtKey{}, errJWKUnusable
	}
	k.alg = a.name
	return k, nil
}

// bytes reads base64url of at most limit bytes.
func (o object) bytes(name string, limit int) ([]byte, bool) {
	s, ok := o.text(name)
	if !ok || s == "" || len(s) > base64.RawURLEncoding.EncodedLen(limit) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil
}

func (o object) rsaKey() (jwtKey, error) {
	n, okN := o.bytes("n", maxRSABits/8+1)
	e, okE := o.bytes("e", 8)
	if !okN || !okE {
		return jwtKey{}, errRSA
	}
	exp := new(big.Int).SetBytes(e)
	if exp.BitLen() > 31 {
		return jwtKey{}, errRSA
	}
	return publicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
}

func (o object) ecdsaKey(crv string) (jwtKey, error) {
	var curve elliptic.Curve
	switch crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return jwtKey{}, errJWKUnusable
	}
	size := (curve.Params().BitSize + 7) / 8
	x, okX := o.bytes("x", size)
	y, okY := o.bytes("y", size)
	if !okX || !okY || len(x) != size || len(y) != size {
		return jwtKey{}, errJWK
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil { // also when the point is not on the curve
		return jwtKey{}, errJWK
	}
	return publicKey(pub)
}

func (o object) ed25519Key(crv string) (jwtKey, error) {
	if crv != "Ed25519" {
		return jwtKey{}, errJWKUnusable
	}
	x, ok := o.bytes("x", ed25519.PublicKeySize)
	if !ok || len(x) != ed25519.PublicKeySize {
		return jwtKey{}, errJWK
	}
	return publicKey(ed25519.PublicKey(x))
}

func (o object) secretKey(allowed bool) (jwtKey, error) {
	k, ok := o.bytes("k", maxKeysBytes)
	switch {
	case !allowed:
		return jwtKey{}, errJWKUnusable
	case !ok:
		return jwtKey{}, errJWK
	case len(k) < minSecret:
		return jwtKey{}, errJWKShort
	}
	return jwtKey{jwtVerifier: hmacKey(k), kind: "oct"}, nil
}
