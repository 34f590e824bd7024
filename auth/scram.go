package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MethodScram is the name of the Authentication Method.
const MethodScram = "SCRAM-SHA-256"

// ScramUsers has users with SCRAM verifiers.
type ScramUsers interface {
	// ScramUser looks a user up. For one that is not known, or has no verifier, it
	// makes a verifier up, always the same and like those of others, so that the
	// challenge does not tell who is known.
	ScramUser(ctx context.Context, user string) (ScramUser, error)
}

// ScramUser is what SCRAM needs of a user.
type ScramUser struct {
	// Source is the name of the source, for the log.
	Source   string
	Verifier Verifier
	// Identity is valid with Known.
	Identity Identity
	// ClientIDs are those that the user may have; none is any.
	ClientIDs ClientIDs
	Known     bool
	// HasVerifier tells a true verifier from one that was made up.
	HasVerifier bool
}

// Scram is the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) in AUTH packets:
//
//	CONNECT   n,,n=user,r=nonce
//	AUTH      r=nonce…,s=salt,i=iterations
//	AUTH      c=biws,r=nonce…,p=proof
//	CONNACK   v=signature
//
// A re-authentication does the same from AUTH to AUTH. There is no channel binding:
// p= is refused; y, which says that the client could but knows that the server
// cannot, is what RFC 5802 expects and true. A user name in CONNECT must be the
// same one.
type Scram struct {
	users []ScramUsers
	nonce func() string
}

// NewScram makes the method; users are looked for in order.
func NewScram(users ...ScramUsers) *Scram {
	return &Scram{users: users, nonce: scramNonce}
}

func scramNonce() string {
	var b [18]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// Name is SCRAM-SHA-256.
func (*Scram) Name() string { return MethodScram }

// Begin takes the client-first-message.
func (s *Scram) Begin(ctx context.Context, c Credentials, data []byte) MethodStep {
	first, err := parseClientFirst(data)
	if err != nil {
		return scramDenied("", err.Error())
	}
	if c.HasUser && !sameName(c.User, first.user) {
		return scramDenied(c.User, "SCRAM: another user than in CONNECT")
	}
	u, err := s.find(ctx, first.user)
	if err != nil {
		return MethodStep{Done: true, User: first.user, Answer: Denied(CodeUnspecified, "SCRAM: "+err.Error())}
	}
	x := &scramExchange{user: u, credentials: Credentials{ClientID: c.ClientID}, name: first.user, gs2: first.gs2, nonce: first.nonce + s.nonce()}
	v := &u.Verifier
	server := fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(v.Salt), v.Iterations)
	x.soFar = first.bare + "," + server + ","
	return MethodStep{User: first.user, Data: []byte(server), Next: x.finish}
}

// sameName reports whether a user name is the one that prepared is of.
func sameName(user, prepared string) bool {
	p, err := saslprep(user)
	return user == prepared || err == nil && p == prepared
}

// find returns the first that is known, or what the first source made up.
func (s *Scram) find(ctx context.Context, user string) (ScramUser, error) {
	var none ScramUser
	for i, users := range s.users {
		u, err := users.ScramUser(ctx, user)
		if err != nil {
			return u, fmt.Errorf("looking the user up: %w", err)
		}
		if u.Known {
			return u, nil
		}
		if i == 0 {
			none = u
		}
	}
	return none, nil
}

// scramExchange waits for the client's proof. It is used once.
type scramExchange struct {
	user        ScramUser
	credentials Credentials // the client id alone
	name        string
	gs2         string
	nonce       string
	soFar       string // AuthMessage up to the client's last message
}

// finish takes the client-final-message.
func (x *scramExchange) finish(_ context.Context, data []byte) MethodStep {
	without, proof, err := x.parseClientFinal(data)
	if err != nil {
		return scramDenied(x.name, err.Error())
	}
	v, message := &x.user.Verifier, []byte(x.soFar+without)
	right := v.proves(message, proof)
	switch {
	case !x.user.Known:
		return scramDenied(x.name, "SCRAM: no source knows the user")
	case !x.user.HasVerifier:
		return scramDenied(x.name, x.user.Source+": the user has no SCRAM verifier")
	case !right:
		return scramDenied(x.name, x.user.Source+": wrong SCRAM proof")
	}
	final := "v=" + base64.StdEncoding.EncodeToString(sign(v.ServerKey, message))
	a := x.user.ClientIDs.bind(x.user.Source, &x.credentials, Allowed(x.user.Identity))
	if a.Outcome != Allow {
		return MethodStep{Done: true, User: x.name, Answer: a}
	}
	a.source = x.user.Source
	return MethodStep{Done: true, User: x.name, Data: []byte(final), Answer: a}
}

// scramDenied has the one code of all denials, whatever their cause.
func scramDenied(user, why string) MethodStep {
	return MethodStep{Done: true, User: user, Answer: Denied(CodeNotAuthorized, why)}
}

// proves reports whether a proof was made with the password.
func (v *Verifier) proves(message, proof []byte) bool {
	key := sign(v.StoredKey, message)
	for i := range key {
		key[i] ^= proof[i]
	}
	stored := sha256.Sum256(key)
	return hmac.Equal(stored[:], v.StoredKey)
}

func sign(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// clientFirst is a client-first-message.
type clientFirst struct {
	gs2, bare   string
	user, nonce string
}

// Bounds of a client's messages in bytes.
const (
	maxScramMessage = 4096
	maxScramNonce   = 1024
)

var (
	errScramSyntax   = errors.New("SCRAM: the client's message is malformed")
	errScramBinding  = errors.New("SCRAM: the client asks for channel binding")
	errScramAuthzid  = errors.New("SCRAM: the client asks to act as somebody else")
	errScramExtended = errors.New("SCRAM: the client asks for an extension that must be understood")
	errScramNonce    = errors.New("SCRAM: the nonce is not that of the exchange")
	errScramHeader   = errors.New("SCRAM: the channel binding is not that of the first message")
)

func parseClientFirst(data []byte) (f clientFirst, err error) {
	if len(data) > maxScramMessage || bytes.IndexByte(data, 0) >= 0 {
		return f, errScramSyntax
	}
	flag, rest, ok := strings.Cut(string(data), ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	switch {
	case strings.HasPrefix(flag, "p="):
		return f, errScramBinding
	case !ok || !ok2 || flag != "n" && flag != "y":
		return f, errScramSyntax
	case strings.HasPrefix(bare, "m="):
		return f, errScramExtended
	}
	f.gs2, f.bare = flag+","+authzid+",", bare
	name, rest, ok := strings.Cut(bare, ",")
	nonce, _, _ := strings.Cut(rest, ",") // extensions behind it may be ignored
	nonce, ok2 = strings.CutPrefix(nonce, "r=")
	name, ok3 := strings.CutPrefix(name, "n=")
	if !ok || !ok2 || !ok3 || !validNonce(nonce) {
		return f, errScramSyntax
	}
	f.nonce = nonce
	if f.user, err = scramName(name); err != nil {
		return f, err
	}
	if authzid == "" {
		return f, nil
	}
	as, ok := strings.CutPrefix(authzid, "a=")
	if !ok {
		return f, errScramSyntax
	}
	if as != name {
		return f, errScramAuthzid
	}
	return f, nil
}

// validNonce reports whether a client's nonce is printable ASCII. An empty one would
// leave the exchange to the server's alone.
func validNonce(s string) bool {
	return s != "" && len(s) <= maxScramNonce && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e })
}

// scramName undoes =2C and =3D and prepares the name.
func scramName(s string) (string, error) {
	if strings.Contains(strings.NewReplacer("=2C", "", "=3D", "").Replace(s), "=") {
		return "", errScramSyntax
	}
	name, err := saslprep(strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s))
	if err != nil || name == "" {
		return "", errScramSyntax
	}
	return name, nil
}

// parseClientFinal returns the message without proof, and the proof.
func (x *scramExchange) parseClientFinal(data []byte) (without string, proof []byte, err error) {
	if len(data) > maxScramMessage {
		return "", nil, errScramSyntax
	}
	s := string(data)
	i := strings.LastIndex(s, ",p=")
	if i < 0 {
		return "", nil, errScramSyntax
	}
	without = s[:i]
	proof, err = decode(base64.StdEncoding, "proof", s[i+len(",p="):], sha256.Size, sha256.Size)
	if err != nil {
		return "", nil, errScramSyntax
	}
	binding, rest, ok := strings.Cut(without, ",")
	nonce, _, _ := strings.Cut(rest, ",")
	binding, ok2 := strings.CutPrefix(binding, "c=")
	nonce, ok3 := strings.CutPrefix(nonce, "r=")
	switch {
	case !ok || !ok2 || !ok3:
		return "", nil, errScramSyntax
	case binding != base64.StdEncoding.EncodeToString([]byte(x.gs2)):
		return "", nil, errScramHeader
	case !hmac.Equal([]byte(nonce), []byte(x.nonce)):
		return "", nil, errScramNonce
	}
	return without, proof, nil
}
