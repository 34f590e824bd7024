package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// UserList is a parsed users file. It is immutable.
//
// A line is a user:
//
//	name:hash
//	name:hash:groups=operators,sensors
//	name:hash:clients=sensor-7,gateway-*
//	name:hash:groups=operators:clients=console-*:scram=SCRAM-SHA-256$4096:salt$StoredKey:ServerKey
//
// The hash is one of [ParseHash]. A file of mosquitto_passwd is one as it is, and
// mosquitto reads this one if it knows the hashes: it looks at nothing behind them.
// groups, clients (see [ParseClientIDs]) and scram may be left out and stand in this
// order; scram is the last, because its verifier has colons. Blanks around name and hash do not count; a name has no colon, no control
// characters and does not begin with #. Empty lines and lines that begin with # are
// skipped.
type UserList struct {
	users  map[string]userEntry
	decoys shares[string]
	scram  scramShares
}

// userEntry is what the file says of a user. The strings have been parsed once, so
// they are well formed; they are parts of one string, the file.
type userEntry struct {
	hash, scram string
	groups      []string
	clients     ClientIDs
	line        int
}

const maxUserLine = 256 << 10

var (
	errNoColon   = errors.New("a user must be name:hash")
	errUserName  = errors.New("the user name must be UTF-8 of 1 to 65535 bytes, without control characters and colons, and must not begin with #")
	errUserLine  = errors.New("the line is too long")
	errGroupName = errors.New("a group name must be UTF-8, without control characters, blanks, commas and colons")
)

// ParseUsers parses a users file; file is its name, for errors. The error names all
// lines that are wrong, up to 100; it quotes no more of them than user names.
func ParseUsers(file string, data []byte) (*UserList, error) {
	text := string(data)
	b := userBuilder{
		UserList: UserList{users: make(map[string]userEntry, strings.Count(text, "\n")+1)},
		groups:   map[string][]string{}, costs: map[cost]int{}, scrams: map[scramCost]int{},
	}
	p := problems{file: file}
	if strings.HasPrefix(text, "\ufeff") {
		p.add(1, errors.New("the file begins with a byte order mark"))
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if err := b.line(n, line); err != nil {
			p.add(n, err)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	b.share()
	return &b.UserList, nil
}

// Len returns the number of users.
func (l *UserList) Len() int { return len(l.users) }

// Has reports whether there is a user of that name.
func (l *UserList) Has(user string) bool {
	_, ok := l.users[user]
	return ok
}

// userBuilder is a UserList that is being parsed.
type userBuilder struct {
	UserList
	groups map[string][]string // by how they are written: most users have the same
	costs  map[cost]int
	scrams map[scramCost]int
}

// skipped reports whether a line of a users file says nothing.
func skipped(line string) bool {
	return strings.TrimSpace(line) == "" || line[0] == '#'
}

func (b *userBuilder) line(n int, line string) error {
	if skipped(line) {
		return nil
	}
	if len(line) > maxUserLine {
		return errUserLine
	}
	name, rest, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
	if !ok {
		return errNoColon
	}
	name = trimBlanks(name)
	if err := ValidUser(name); err != nil {
		return err
	}
	e, err := b.entry(rest)
	if err != nil {
		return err
	}
	if old, ok := b.users[name]; ok {
		return fmt.Errorf("user %q is on line %d already", name, old.line)
	}
	e.line = n
	b.users[name] = e
	return nil
}

func trimBlanks(s string) string { return strings.Trim(s, " \t") }

// entry parses what stands behind a name.
func (b *userBuilder) entry(s string) (e userEntry, err error) {
	var more bool
	e.hash, s, more = strings.Cut(s, ":")
	e.hash = trimBlanks(e.hash)
	h, err := ParseHash(e.hash)
	if err != nil {
		return e, err
	}
	b.costs[h.cost]++
	if strings.HasPrefix(s, groupsField) {
		var list string
		list, s, more = strings.Cut(s[len(groupsField):], ":")
		if e.groups, err = b.groupsOf(list); err != nil {
			return e, err
		}
	}
	if strings.HasPrefix(s, clientsField) {
		var list string
		list, s, more = strings.Cut(s[len(clientsField):], ":")
		if e.clients, err = ParseClientIDs(list); err != nil {
			return e, err
		}
	}
	if verifier, ok := strings.CutPrefix(s, scramField); ok {
		e.scram = trimBlanks(verifier)
		v, err := ParseVerifier(e.scram)
		if err != nil {
			return e, err
		}
		b.scrams[v.cost()]++
		return e, nil
	}
	if more {
		return e, errors.New("behind the hash, only groups=…, clients=… and scram=… may stand, in this order")
	}
	return e, nil
}

const (
	groupsField  = "groups="
	clientsField = "clients="
	scramField   = "scram="
)

func (b *userBuilder) groupsOf(list string) ([]string, error) {
	if g, ok := b.groups[list]; ok {
		return g, nil
	}
	groups := strings.Split(list, ",")
	for _, g := range groups {
		if err := ValidGroup(g); err != nil {
			return nil, err
		}
	}
	b.groups[list] = groups
	return groups, nil
}

// share works out what unknown users are shown.
func (b *userBuilder) share() {
	for _, c := range slices.SortedFunc(maps.Keys(b.costs), cost.compare) {
		b.decoys.add(c.decoy(), b.costs[c])
	}
	for _, c := range slices.SortedFunc(maps.Keys(b.scrams), scramCost.compare) {
		b.scram.add(c, b.scrams[c])
	}
}

// ValidUser reports why a name cannot stand in a users file.
func ValidUser(name string) error {
	if name == "" || len(name) > 65535 || name[0] == '#' || trimBlanks(name) != name ||
		!utf8.ValidString(name) || strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsControl) {
		return errUserName
	}
	return nil
}

// ValidGroup reports why a name cannot be that of a group.
func ValidGroup(name string) error {
	bad := func(r rune) bool { return r == ',' || r == ':' || unicode.IsControl(r) || unicode.IsSpace(r) }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return errGroupName
	}
	return nil
}
