package auth

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// MaxPassword is the longest password in bytes that is hashed, the longest that
// CONNECT can carry.
const MaxPassword = 65535

// scheme is a way to hash.
type scheme byte

const (
	schemeArgon2id scheme = iota + 1
	schemeBcrypt
	schemePBKDF2 // mosquitto's $7$
	schemeSHA512 // mosquitto's $6$
)

// cost is what makes one hash as expensive as another.
type cost struct {
	scheme  scheme
	memory  uint32 // argon2id: KiB
	rounds  uint32 // argon2id: passes; bcrypt: log2; PBKDF2: iterations
	lanes   uint8  // argon2id
	saltLen int    // bytes; bcrypt: characters
	sumLen  int
}

func (c cost) compare(o cost) int {
	return cmp.Or(cmp.Compare(c.scheme, o.scheme), cmp.Compare(c.memory, o.memory), cmp.Compare(c.rounds, o.rounds),
		cmp.Compare(c.lanes, o.lanes), cmp.Compare(c.saltLen, o.saltLen), cmp.Compare(c.sumLen, o.sumLen))
}

// Hash is a parsed password hash. Printing it shows neither salt nor sum.
type Hash struct {
	cost
	salt   []byte
	sum    []byte
	bcrypt []byte // the whole hash, for bcrypt
}

// NewHash hashes a password with argon2id and a random salt. The result is for a
// users file.
func NewHash(password []byte) (string, error) {
	if len(password) > MaxPassword {
		return "", fmt.Errorf("the password is longer than %d bytes", MaxPassword)
	}
	c := newCost()
	salt := make([]byte, c.saltLen)
	_, _ = rand.Read(salt) // never fails
	return formatArgon2id(c, salt, argon2.IDKey(password, salt, c.rounds, c.memory, c.lanes, uint32(c.sumLen))), nil
}

// newCost is what new hashes cost: 19 MiB, two passes and one lane, as OWASP
// recommends for argon2id; about 30 ms.
func newCost() cost {
	return cost{scheme: schemeArgon2id, memory: 19 * 1024, rounds: 2, lanes: 1, saltLen: 16, sumLen: 32}
}

func formatArgon2id(c cost, salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.rounds, c.lanes, b64(salt), b64(sum))
}

// Verify reports whether the password is the hash's. It costs what the hash says,
// for a wrong password too, and takes as long for every wrong one.
func (h *Hash) Verify(password []byte) bool {
	switch h.scheme {
	case schemeArgon2id:
		sum := argon2.IDKey(password, h.salt, h.rounds, h.memory, h.lanes, uint32(h.sumLen)) // bounded by ParseHash
		return subtle.ConstantTimeCompare(sum, h.sum) == 1
	case schemeBcrypt:
		return bcrypt.CompareHashAndPassword(h.bcrypt, password) == nil
	case schemePBKDF2:
		sum, err := pbkdf2.Key(sha512.New, string(password), h.salt, int(h.rounds), h.sumLen)
		return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
	case schemeSHA512:
		d := sha512.New()
		d.Write(password)
		d.Write(h.salt)
		return subtle.ConstantTimeCompare(d.Sum(nil), h.sum) == 1
	}
	return false
}

// threads is how many cores Verify keeps busy.
func (h *Hash) threads() int64 { return max(int64(h.lanes), 1) }

// decoy is a hash that costs the same and that no password has.
func (c cost) decoy() string {
	salt, sum := make([]byte, c.saltLen), make([]byte, c.sumLen)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(sum)
	b64 := base64.StdEncoding.EncodeToString
	switch c.scheme {
	case schemeArgon2id:
		return formatArgon2id(c, salt, sum)
	case schemeBcrypt:
		b := fmt.Appendf(nil, "$2b$%02d$", c.rounds)
		for _, x := range append(salt, sum...) {
			b = append(b, bcryptAlphabet[x&63])
		}
		return string(b)
	case schemePBKDF2:
		return fmt.Sprintf("$7$%d$%s$%s", c.rounds, b64(salt), b64(sum))
	case schemeSHA512:
		return fmt.Sprintf("$6$%s$%s", b64(salt), b64(sum))
	}
	return ""
}

func (s scheme) String() string {
	switch s {
	case schemeArgon2id:
		return "argon2id"
	case schemeBcrypt:
		return "bcrypt"
	case schemePBKDF2:
		return "PBKDF2-SHA512"
	case schemeSHA512:
		return "SHA512"
	}
	return "unknown"
}

// String names the scheme.
func (h Hash) String() string { return h.scheme.String() + " hash" }

// Format writes String, whatever the verb.
func (h Hash) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte(h.String())) // formatting has nowhere to tell
}

// LogValue logs String.
func (h Hash) LogValue() slog.Value { return slog.StringValue(h.String()) }
