package auth

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CodeClientID is the reason code of a client id that is not the user's.
const CodeClientID byte = 0x85

// Binding is how client ids and user names belong together, for users of whom nothing
// else is said. Anonymous clients have no user name and are not bound.
type Binding string

// Bindings. The empty one is BindAny.
const (
	BindAny    Binding = "any"    // every client id
	BindUser   Binding = "user"   // the user name itself
	BindPrefix Binding = "prefix" // what begins with the user name
)

func (b Binding) allows(user, clientID string) bool {
	switch b {
	case BindUser:
		return clientID == user
	case BindPrefix:
		return strings.HasPrefix(clientID, user)
	}
	return true
}

// ClientIDs are the client ids of a user, as patterns; none is not bound by them. It is
// immutable.
type ClientIDs []string

// maxClientIDs bounds the patterns of a user.
const maxClientIDs = 1000

// ParseClientIDs parses patterns with commas between: a client id each, or how client
// ids begin and a *. A * elsewhere is a character like others. Patterns have no colon,
// blanks or control characters.
func ParseClientIDs(s string) (ClientIDs, error) {
	list := strings.Split(s, ",")
	bad := func(r rune) bool { return r == ':' || unicode.IsControl(r) || unicode.IsSpace(r) }
	for _, p := range list {
		if p == "" || !utf8.ValidString(p) || strings.ContainsFunc(p, bad) {
			return nil, errors.New("client ids must be UTF-8 with commas between, without blanks, control characters and colons")
		}
	}
	if len(list) > maxClientIDs {
		return nil, errors.New("a user has at most 1000 patterns of client ids")
	}
	return list, nil
}

// allow reports whether a client id is one of them.
func (l ClientIDs) allow(clientID string) bool {
	return slices.ContainsFunc(l, func(p string) bool {
		if begin, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(clientID, begin)
		}
		return clientID == p
	})
}

// bind turns away a client id that is not one of the user's own.
func (l ClientIDs) bind(source string, c *Credentials, a Answer) Answer {
	if len(l) == 0 || a.Outcome != Allow {
		return a
	}
	if !l.allow(c.ClientID) {
		return Denied(CodeClientID, source+": the client id is not one of the user's")
	}
	a.bound = true
	return a
}

// allowed is the answer to the right password.
func (e *userEntry) allowed(source string, c *Credentials) Answer {
	return e.clients.bind(source, c, Allowed(e.identity(c.User)))
}
