package auth

import (
	"errors"
	"fmt"
	"strings"
)

// UsersFile is a users file that is being changed. What is not changed stays as it
// is, comments too. It is not safe for concurrent use.
type UsersFile struct {
	lines []string // with their ends
	users map[string]userEntry
}

// User is what is set for a user.
type User struct {
	// Hash is a hash of [ParseHash], such as that of [NewHash].
	Hash string
	// Verifier is one of [Verifier.Encode]; empty is none.
	Verifier string
	Groups   []string
	// Clients are the patterns of client ids, see [ParseClientIDs]; none is any.
	Clients ClientIDs
}

// NamedPassword is a user and a password that is not hashed yet.
type NamedPassword struct {
	Name     string
	Password Secret
}

// EditUsers takes the content of a users file, which must be well formed: see
// [ParseUsers] for file and the errors.
func EditUsers(file string, data []byte) (*UsersFile, error) {
	list, err := ParseUsers(file, data)
	if err != nil {
		return nil, err
	}
	f := &UsersFile{users: list.users}
	for line := range strings.Lines(string(data)) {
		f.lines = append(f.lines, line)
	}
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1], "\n") {
		f.lines[n-1] += "\n"
	}
	return f, nil
}

// User returns what the file says of a user.
func (f *UsersFile) User(name string) (User, bool) {
	e, ok := f.users[name]
	return User{Hash: e.hash, Verifier: e.scram, Groups: e.groups, Clients: e.clients}, ok
}

// Set adds a user, or changes the line of one who is there.
func (f *UsersFile) Set(name string, u User) error {
	if err := ValidUser(name); err != nil {
		return err
	}
	e := userEntry{hash: u.Hash, scram: u.Verifier, groups: u.Groups, clients: u.Clients}
	line, err := e.format(name)
	if err != nil {
		return fmt.Errorf("user %q: %w", name, err)
	}
	if old, ok := f.users[name]; ok {
		e.line = old.line
		f.lines[e.line-1] = line
	} else {
		f.lines = append(f.lines, line)
		e.line = len(f.lines)
	}
	f.users[name] = e
	return nil
}

// format is the line of a user, if it is one that is parsed as such.
func (e *userEntry) format(name string) (string, error) {
	if _, err := ParseHash(e.hash); err != nil {
		return "", err
	}
	line := name + ":" + e.hash
	for _, g := range e.groups {
		if err := ValidGroup(g); err != nil {
			return "", err
		}
	}
	if len(e.groups) > 0 {
		line += ":" + groupsField + strings.Join(e.groups, ",")
	}
	if len(e.clients) > 0 {
		list := strings.Join(e.clients, ",")
		if _, err := ParseClientIDs(list); err != nil {
			return "", err
		}
		line += ":" + clientsField + list
	}
	if e.scram != "" {
		if _, err := ParseVerifier(e.scram); err != nil {
			return "", err
		}
		line += ":" + scramField + e.scram
	}
	if len(line) >= maxUserLine {
		return "", errUserLine
	}
	return line + "\n", nil
}

// Delete takes a user away, and reports whether there was one.
func (f *UsersFile) Delete(name string) bool {
	e, ok := f.users[name]
	if !ok {
		return false
	}
	f.lines[e.line-1] = ""
	delete(f.users, name)
	return true
}

// Bytes is the content of the file.
func (f *UsersFile) Bytes() []byte { return []byte(strings.Join(f.lines, "")) }

// ParsePasswords parses lines of name:password, as they come from whoever adds many
// users at once. All behind the first colon is the password. Empty lines are
// skipped. file is for errors, which do not quote passwords.
func ParsePasswords(file string, data []byte) ([]NamedPassword, error) {
	var list []NamedPassword
	seen := map[string]int{}
	p := problems{file: file}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		err := ValidUser(name)
		switch {
		case !ok:
			err = errors.New("it must be name:password")
		case err == nil && password == "":
			err = errors.New("the password is empty")
		case err == nil && seen[name] > 0:
			err = fmt.Errorf("user %q is on line %d already", name, seen[name])
		}
		if err != nil {
			p.add(n, err)
			continue
		}
		seen[name] = n
		list = append(list, NamedPassword{Name: name, Password: Secret(password)})
	}
	return list, p.err()
}
