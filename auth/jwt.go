package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// JWTConfig is how tokens are checked. One of the keys must be there.
type JWTConfig struct {
	// Name is that of the source, for logs; empty is "jwt".
	Name string

	// Secret is a key for HS256, HS384 and HS512, of at least 32 bytes.
	Secret Secret
	// KeyFiles have public keys or certificates in PEM.
	KeyFiles []string
	// JWKSFiles have keys as a JSON Web Key Set (RFC 7517).
	JWKSFiles []string
	// JWKS is where to fetch a key set; without URL there is none.
	JWKS JWKSConfig

	// Issuers and Audiences are those of which a token must have one; an empty list is
	// not checked.
	Issuers, Audiences []string
	// Leeway is how far the clocks of the issuer and of this machine may differ.
	Leeway time.Duration
	// AllowEndless takes tokens without expiry.
	AllowEndless bool
	// MaxBytes bounds a token; 0 is 8 KiB.
	MaxBytes int

	// UserClaim is the claim that is the user name; empty is sub. Claims are named as
	// they are or by a path such as realm_access.roles.
	UserClaim string
	// MatchUser refuses a CONNECT whose user name is not the token's. Otherwise that
	// of CONNECT is not looked at.
	MatchUser bool
	// ClientClaim is the claim that must be the client identifier; empty is none.
	ClientClaim string
	// GroupsClaim has the groups; a token may do without. Empty is none.
	GroupsClaim string
	// ACLClaim has rules, see [Grant]; a token may do without. Empty is none.
	ACLClaim string
}

const (
	defaultTokenBytes = 8 << 10
	maxTokenBytes     = 65535 // a password of MQTT has no more
	maxLeeway         = time.Hour
)

// JWT is the [Source] that takes a JSON Web Token (RFC 7519) as password. A password
// that does not look like one is NotMine; whatever else is wrong denies.
//
// With a URL it has one goroutine, which fetches keys and ends with Close.
type JWT struct {
	cfg   JWTConfig
	files *keySet
	url   *jwksURL // nil without one
}

// NewJWT checks the configuration, reads the files and begins to fetch keys. It does
// not wait for them: logins do.
func NewJWT(cfg JWTConfig) (*JWT, error) {
	if cfg.Name == "" {
		cfg.Name = "jwt"
	}
	if cfg.UserClaim == "" {
		cfg.UserClaim = "sub"
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultTokenBytes
	}
	switch {
	case cfg.MaxBytes < 0 || cfg.MaxBytes > maxTokenBytes:
		return nil, fmt.Errorf("max token bytes %d is not from 1 to %d", cfg.MaxBytes, maxTokenBytes)
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("leeway %v is not from 0 to %v", cfg.Leeway, maxLeeway)
	}
	keys, err := readKeys(&cfg)
	if err != nil {
		return nil, err
	}
	j := &JWT{cfg: cfg, files: keys}
	if cfg.JWKS.URL != "" {
		if j.url, err = newJWKSURL(cfg.JWKS, cfg.Name); err != nil {
			return nil, err
		}
		j.url.start()
	} else if len(keys.keys) == 0 {
		return nil, errors.New("there is no key for tokens")
	}
	return j, nil
}

// Close ends the fetching of keys and waits for its goroutine. Logins that wait for
// keys are denied.
func (j *JWT) Close() {
	if j.url != nil {
		j.url.close()
	}
}

// Inherit takes the keys over that old has fetched, if from the same URL, so that a
// reload while the URL fails refuses nobody.
func (j *JWT) Inherit(old *JWT) {
	if j.url != nil && old.url != nil && j.url.cfg.URL == old.url.cfg.URL {
		j.url.keys.CompareAndSwap(nil, old.url.keys.Load())
	}
}

// Name is that of the source.
func (j *JWT) Name() string { return j.cfg.Name }

// Check judges the token. It waits, as long as ctx allows, only for the first keys of
// a URL and for those of a token that none of the known ones may have signed.
func (j *JWT) Check(ctx context.Context, cr Credentials) Answer {
	if !cr.HasPassword || !isToken(cr.Password) {
		return Answer{Outcome: NotMine, Why: "no token"}
	}
	t, err := parseToken(cr.Password, j.cfg.MaxBytes)
	if err != nil {
		return Denied(CodeBadCredentials, err.Error())
	}
	if a, ok := j.verify(ctx, t); !ok {
		return a
	}
	claims, err := parseObject(t.payload)
	if err != nil {
		return Denied(CodeBadCredentials, errTokenClaims.Error())
	}
	now := time.Now()
	if w := j.judge(claims, now); w != "" {
		return Denied(CodeBadCredentials, string(w))
	}
	return j.identify(claims, &cr, now)
}

// verify reports whether a key signed the token, or else why not. Keys of a URL are
// fetched anew when none of them may have.
func (j *JWT) verify(ctx context.Context, t *token) (Answer, bool) {
	a, ok := tryKeys(j.files.fitting(t), t)
	if ok || j.url == nil {
		return a, ok
	}
	keys, known := j.url.fitting(t)
	if len(keys) == 0 {
		j.url.refresh(ctx)
		keys, known = j.url.fitting(t)
	}
	if !known {
		return Denied(CodeUnavailable, "no keys for tokens have been fetched yet"), false
	}
	return tryKeys(keys, t)
}

// maxTried bounds the keys that are tried for one token, as each costs time.
const maxTried = 8

func tryKeys(keys []jwtVerifier, t *token) (Answer, bool) {
	switch {
	case len(keys) == 0:
		return Denied(CodeBadCredentials, "no key for the token's key id and algorithm"), false
	case len(keys) > maxTried:
		return Denied(CodeBadCredentials, "token does not say which of many keys signed it"), false
	}
	for _, k := range keys {
		if k.verify(t.alg, t.signed, t.sig) {
			return Answer{}, true
		}
	}
	return Denied(CodeBadCredentials, "token has a wrong signature"), false
}
