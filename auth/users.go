package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
)

// UsersConfig configures [NewUsers].
type UsersConfig struct {
	// Name is what the configuration and the log call the source.
	Name      string
	List      *UserList
	Passwords *Passwords
	// Secret makes up what unknown users are shown. It should be the same after a
	// restart and on all instances: else a salt that changes tells that its user is
	// made up. Empty is one derived from the file, whose hashes nobody else knows; it is
	// another when the first user of the file changes.
	Secret []byte
}

// Users is the [Source] of a users file: it judges connections with a password
// whose user is in the file. It is immutable but for the memory of its Passwords.
type Users struct {
	name      string
	list      *UserList
	passwords *Passwords
	secret    []byte
}

// NewUsers makes the source.
func NewUsers(cfg UsersConfig) *Users {
	u := &Users{name: cfg.Name, list: cfg.List, passwords: cfg.Passwords, secret: cfg.Secret}
	if len(u.secret) == 0 {
		u.secret = cfg.List.secret()
	}
	return u
}

// secret is a key that only those know who know a hash or verifier of the file. The
// oldest line has it, so that users who are added change nothing. It is random for a
// file that has none.
func (l *UserList) secret() []byte {
	first, line := "", 0
	for _, e := range l.users {
		if line == 0 || e.line < line {
			first, line = e.hash+e.scram, e.line
		}
	}
	if line == 0 {
		key := make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
		return key
	}
	sum := keyed([]byte(first), "secret of the file", "")
	return sum[:]
}

// Name is what the configuration and the log call it.
func (u *Users) Name() string { return u.name }

// Check judges a password.
func (u *Users) Check(ctx context.Context, c Credentials) Answer {
	e, mine := u.find(&c)
	if !mine {
		return Answer{}
	}
	ok, err := u.passwords.Check(ctx, c, e.hash)
	switch {
	case err != nil:
		return DeniedBy(fmt.Errorf("%s: %w", u.name, err))
	case !ok:
		return Denied(CodeBadCredentials, u.name+": wrong password")
	}
	return e.allowed(u.name, &c)
}

// Recall allows a password that was right lately.
func (u *Users) Recall(c Credentials) (a Answer, known bool) {
	e, mine := u.find(&c)
	if !mine {
		e.hash = u.list.decoys.pick(u.secret, c.User) // never right
	}
	right := u.passwords.Recall(c, e.hash)
	switch {
	case !mine:
		return Answer{}, true
	case right:
		return e.allowed(u.name, &c), true
	}
	return Answer{}, false
}

// Spend takes the time of a wrong password, of a user whose hash is as dear as
// those of the file are.
func (u *Users) Spend(ctx context.Context, c Credentials) error {
	decoy := u.list.decoys.pick(u.secret, c.User)
	if _, mine := u.find(&c); mine || decoy == "" || !c.HasPassword {
		return nil
	}
	if _, err := u.passwords.Check(ctx, c, decoy); err != nil {
		return fmt.Errorf("%s: %w", u.name, err)
	}
	return nil
}

// find returns the user whose password c shows.
func (u *Users) find(c *Credentials) (userEntry, bool) {
	if !c.HasUser || !c.HasPassword {
		return userEntry{}, false
	}
	e, ok := u.list.users[c.User]
	return e, ok
}

// ScramUser returns what SCRAM needs of a user. For one without verifier it is made
// up, and the same each time.
func (u *Users) ScramUser(_ context.Context, user string) (ScramUser, error) {
	s := ScramUser{Source: u.name, Verifier: u.list.scram.decoy(u.secret, user)}
	e, ok := u.list.users[user]
	if !ok {
		return s, nil
	}
	s.Known, s.Identity, s.ClientIDs = true, e.identity(user), e.clients
	if e.scram == "" {
		return s, nil
	}
	v, err := ParseVerifier(e.scram)
	if err != nil {
		return s, fmt.Errorf("%s: %w", u.name, err)
	}
	s.HasVerifier, s.Verifier = true, v
	return s, nil
}

func (e *userEntry) identity(user string) Identity {
	return Identity{User: user, HasUser: true, Groups: e.groups}
}

// shares picks, for a user who is not there, one of the things that users have, as
// often as they have it, and always the same one.
type shares[T any] struct {
	of []T
	to []uint64 // up to which number each is picked
}

func (s *shares[T]) add(what T, n int) {
	last := uint64(0)
	if len(s.to) > 0 {
		last = s.to[len(s.to)-1]
	}
	s.of, s.to = append(s.of, what), append(s.to, last+uint64(n))
}

// pick returns the zero value when there is nothing.
func (s *shares[T]) pick(secret []byte, user string) (what T) {
	sum := keyed(secret, "share", user)
	if len(s.to) == 0 {
		return what
	}
	n := binary.BigEndian.Uint64(sum[:]) % s.to[len(s.to)-1]
	return s.of[sort.Search(len(s.to), func(i int) bool { return n < s.to[i] })]
}

// keyed is a number that only those who know the secret can tell from chance.
func keyed(secret []byte, what, user string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(what))
	h.Write([]byte{0})
	h.Write([]byte(user))
	h.Sum(sum[:0])
	return sum
}
