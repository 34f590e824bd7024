package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256 for crypto.Hash
	_ "crypto/sha512" // SHA-384 and SHA-512 for crypto.Hash
	"math/big"
)

// algFamily is the kind of key an algorithm needs.
type algFamily byte

const (
	algHMAC algFamily = iota
	algRSA
	algPSS
	algECDSA
	algEdDSA
)

// jwtAlg is a signature algorithm (RFC 7518 section 3.1, RFC 8037).
type jwtAlg struct {
	name   string
	family algFamily
	hash   crypto.Hash
	bits   int // of the curve; for ECDSA
}

// jwtAlgs has every algorithm that is known here; none is not among them.
var jwtAlgs = func() map[string]*jwtAlg {
	m := make(map[string]*jwtAlg)
	for _, a := range []jwtAlg{
		{"HS256", algHMAC, crypto.SHA256, 0}, {"HS384", algHMAC, crypto.SHA384, 0}, {"HS512", algHMAC, crypto.SHA512, 0},
		{"RS256", algRSA, crypto.SHA256, 0}, {"RS384", algRSA, crypto.SHA384, 0}, {"RS512", algRSA, crypto.SHA512, 0},
		{"PS256", algPSS, crypto.SHA256, 0}, {"PS384", algPSS, crypto.SHA384, 0}, {"PS512", algPSS, crypto.SHA512, 0},
		{"ES256", algECDSA, crypto.SHA256, 256}, {"ES384", algECDSA, crypto.SHA384, 384}, {"ES512", algECDSA, crypto.SHA512, 521},
		{"EdDSA", algEdDSA, 0, 0},
	} {
		m[a.name] = &a
	}
	m["Ed25519"] = m["EdDSA"] // its name in RFC 9864
	return m
}()

// jwtVerifier is a key. What it takes follows from its type: what a token says of its
// algorithm never makes a public key a secret, nor one curve another.
type jwtVerifier interface {
	takes(a *jwtAlg) bool
	verify(a *jwtAlg, signed, sig []byte) bool
}

type hmacKey []byte

func (k hmacKey) takes(a *jwtAlg) bool { return a.family == algHMAC }

func (k hmacKey) verify(a *jwtAlg, signed, sig []byte) bool {
	h := hmac.New(a.hash.New, k)
	h.Write(signed)
	return hmac.Equal(h.Sum(nil), sig)
}

type rsaKey struct{ *rsa.PublicKey }

func (k rsaKey) takes(a *jwtAlg) bool { return a.family == algRSA || a.family == algPSS }

func (k rsaKey) verify(a *jwtAlg, signed, sig []byte) bool {
	sum := digest(a.hash, signed)
	if a.family == algPSS { // RFC 7518 section 3.5: the salt is as long as the hash
		return rsa.VerifyPSS(k.PublicKey, a.hash, sum, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return rsa.VerifyPKCS1v15(k.PublicKey, a.hash, sum, sig) == nil
}

type ecdsaKey struct{ *ecdsa.PublicKey }

func (k ecdsaKey) takes(a *jwtAlg) bool {
	return a.family == algECDSA && a.bits == k.Curve.Params().BitSize
}

// verify takes r and s, each as long as the curve's order (RFC 7518 section 3.4).
func (k ecdsaKey) verify(a *jwtAlg, signed, sig []byte) bool {
	size := (a.bits + 7) / 8
	if len(sig) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	return ecdsa.Verify(k.PublicKey, digest(a.hash, signed), r, s)
}

type ed25519Key ed25519.PublicKey

func (k ed25519Key) takes(a *jwtAlg) bool { return a.family == algEdDSA }

func (k ed25519Key) verify(_ *jwtAlg, signed, sig []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), signed, sig)
}

func digest(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}
