package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/router"
)

// Scope is what a token may do.
type Scope byte

// The scopes, each with those before it.
const (
	ScopeNone Scope = iota // nothing is needed
	ScopeRead
	ScopeWrite
)

// String is the scope's word in the configuration.
func (s Scope) String() string { return [...]string{"none", "read", "write"}[s] }

// Token lets somebody use the API.
type Token struct {
	Name  string
	User  string // whom rules know
	Scope Scope
	sum   [sha256.Size]byte
}

// HashedToken is what a token's secret begins with that is a hash.
const HashedToken = "sha256:"

// NewToken makes a token of a secret, or of "sha256:" and its hash in hexadecimal
// digits. The secret is not kept.
func NewToken(name, user string, scope Scope, secret string) Token {
	t := Token{Name: name, User: user, Scope: scope, sum: sha256.Sum256([]byte(secret))}
	if hash, ok := strings.CutPrefix(secret, HashedToken); ok {
		t.sum = [sha256.Size]byte{} // one that no secret has
		if b, err := hex.DecodeString(hash); err == nil && len(b) == len(t.sum) {
			t.sum = [sha256.Size]byte(b)
		}
	}
	return t
}

// find answers the token of a secret. It takes the same time whichever it is.
func find(list []Token, secret string) *Token {
	sum := sha256.Sum256([]byte(secret))
	var found *Token
	for i := range list {
		if subtle.ConstantTimeCompare(sum[:], list[i].sum[:]) == 1 {
			found = &list[i]
		}
	}
	return found
}

// bearer is the token that a request shows; ok is false without one.
func bearer(r *http.Request) (secret string, ok bool) {
	kind, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	return secret, strings.EqualFold(kind, "Bearer") && secret != ""
}

// authenticate answers whose request it is, or why it is refused.
func (s *Server) authenticate(r *http.Request) (*Token, *problem) {
	secret, ok := bearer(r)
	if !ok {
		return nil, failf(http.StatusUnauthorized, "a bearer token is needed")
	}
	if t := find(s.settings().Tokens, secret); t != nil {
		return t, nil
	}
	return nil, failf(http.StatusUnauthorized, "the token is not known")
}

// tokenKey is the key of a request's token in its context.
type tokenKey struct{}

func withToken(r *http.Request, t *Token) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tokenKey{}, t))
}

// tokenOf is the token of a request that was let in by one.
func tokenOf(r *http.Request) *Token {
	t, _ := r.Context().Value(tokenKey{}).(*Token)
	if t == nil {
		return &Token{Name: "-"}
	}
	return t
}

// identity is whom rules and hooks see in a request.
func identity(r *http.Request) router.Identity {
	t := tokenOf(r)
	return router.Identity{Name: "http/" + t.Name, User: t.User, Remote: r.RemoteAddr}
}

// refusalLog says at most once a second that requests were refused, and how many.
type refusalLog struct {
	mu    sync.Mutex
	last  time.Time
	since int
}

// count answers how many refusals there were since the last line, if it is time for one.
func (l *refusalLog) count(now time.Time) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since++
	if now.Sub(l.last) < time.Second {
		return 0, false
	}
	n := l.since
	l.last, l.since = now, 0
	return n, true
}

// logRefusal notes a request without a right token.
func (s *Server) logRefusal(r *http.Request, p *problem) {
	if n, say := s.refusals.count(s.now()); say {
		s.log.Info("api request refused", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "rule", p.Detail, "requests", n)
	}
}
