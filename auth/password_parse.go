package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a hash, so that a users file cannot hang the broker or exhaust its
// memory. The dearest that is let through takes some seconds.
const (
	maxArgonMemory = 1 << 20 // KiB: 1 GiB
	maxArgonWork   = 4 << 20 // KiB written in all passes: 4 GiB
	maxArgonLanes  = 64
	maxIterations  = 10_000_000
	minBcrypt      = 4
	maxBcrypt      = 16
	minSalt        = 8
	maxSalt        = 64
	minSum         = 16
	maxSum         = 64
	sumSHA512      = 64
)

// A bcrypt hash: $2b$10$, 22 characters of salt, 31 of sum.
const (
	bcryptHead      = 7
	bcryptSaltChars = 22
	bcryptSumChars  = 31
	bcryptLen       = bcryptHead + bcryptSaltChars + bcryptSumChars
	bcryptAlphabet  = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

var (
	errNotHashed = errors.New("the password is not hashed, or in a way that is not known: " +
		"$argon2id$, $2a$, $2b$, $2y$, $7$ and $6$ are")
	errFields = errors.New("the hash has too few or too many parts")
)

// ParseHash parses a password hash: argon2id ($argon2id$v=19$m=…,t=…,p=…$salt$sum),
// bcrypt ($2a$, $2b$, $2y$) and mosquitto_passwd's $7$ (PBKDF2-SHA512) and $6$
// (SHA512 with salt). What would cost too much is an error. Errors do not quote it.
func ParseHash(s string) (Hash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2id(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$7$"):
		return parsePBKDF2(s)
	case strings.HasPrefix(s, "$6$"):
		return parseSHA512(s)
	}
	return Hash{}, errNotHashed
}

func parseArgon2id(s string) (Hash, error) {
	parts := strings.SplitN(s, "$", 7)
	if len(parts) != 6 {
		return Hash{}, errFields
	}
	if parts[2] != "v=19" {
		return Hash{}, errors.New("the version of argon2id must be v=19")
	}
	h := Hash{cost: cost{scheme: schemeArgon2id}}
	if err := h.parseArgonCost(parts[3]); err != nil {
		return Hash{}, err
	}
	return h, h.parseBytes(base64.RawStdEncoding, parts[4], parts[5])
}

func (h *Hash) parseArgonCost(s string) error {
	memory, rest, ok := strings.Cut(s, ",")
	passes, lanes, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 {
		return errors.New("the parameters of argon2id must be m=…,t=…,p=…")
	}
	m, err := parameter(memory, "m=", 8, maxArgonMemory)
	if err != nil {
		return err
	}
	t, err := parameter(passes, "t=", 1, maxArgonWork/8)
	if err != nil {
		return err
	}
	p, err := parameter(lanes, "p=", 1, maxArgonLanes)
	if err != nil {
		return err
	}
	if m < 8*p {
		return errors.New("m must be at least 8 times p")
	}
	if uint64(m)*uint64(t) > maxArgonWork {
		return fmt.Errorf("m times t must be at most %d", maxArgonWork)
	}
	h.memory, h.rounds, h.lanes = m, t, uint8(p)
	return nil
}

func parseBcrypt(s string) (Hash, error) {
	if len(s) != bcryptLen || s[6] != '$' {
		return Hash{}, fmt.Errorf("a bcrypt hash must have %d characters, and $ after its cost", bcryptLen)
	}
	n, err := strconv.ParseUint(s[4:6], 10, 8)
	if err != nil || n < minBcrypt || n > maxBcrypt {
		return Hash{}, fmt.Errorf("the cost of bcrypt must be between %02d and %d", minBcrypt, maxBcrypt)
	}
	for _, c := range []byte(s[bcryptHead:]) {
		if strings.IndexByte(bcryptAlphabet, c) < 0 {
			return Hash{}, errors.New("the bcrypt hash has a character that bcrypt does not use")
		}
	}
	c := cost{scheme: schemeBcrypt, rounds: uint32(n), saltLen: bcryptSaltChars, sumLen: bcryptSumChars}
	return Hash{cost: c, bcrypt: []byte(s)}, nil
}

func parsePBKDF2(s string) (Hash, error) {
	parts := strings.SplitN(s, "$", 6)
	if len(parts) != 5 {
		return Hash{}, errFields
	}
	n, err := parameter(parts[2], "", 1, maxIterations)
	if err != nil {
		return Hash{}, err
	}
	h := Hash{cost: cost{scheme: schemePBKDF2, rounds: n}}
	return h, h.parseMosquitto(parts[3], parts[4])
}

func parseSHA512(s string) (Hash, error) {
	parts := strings.SplitN(s, "$", 5)
	if len(parts) != 4 {
		return Hash{}, errFields
	}
	h := Hash{cost: cost{scheme: schemeSHA512}}
	return h, h.parseMosquitto(parts[2], parts[3])
}

func (h *Hash) parseMosquitto(salt, sum string) error {
	if err := h.parseBytes(base64.StdEncoding, salt, sum); err != nil {
		return err
	}
	if h.sumLen != sumSHA512 {
		return fmt.Errorf("the sum must have %d bytes", sumSHA512)
	}
	return nil
}

func (h *Hash) parseBytes(b64 *base64.Encoding, salt, sum string) (err error) {
	if h.salt, err = decode(b64, "salt", salt, minSalt, maxSalt); err != nil {
		return err
	}
	if h.sum, err = decode(b64, "sum", sum, minSum, maxSum); err != nil {
		return err
	}
	h.saltLen, h.sumLen = len(h.salt), len(h.sum)
	return nil
}

// decode decodes base64 without saying what it was.
func decode(b64 *base64.Encoding, what, s string, low, high int) ([]byte, error) {
	if len(s) > b64.EncodedLen(high) || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("the %s must have %d to %d bytes of base64", what, low, high)
	}
	b, err := b64.Strict().DecodeString(s)
	if err != nil || len(b) < low || len(b) > high {
		return nil, fmt.Errorf("the %s must have %d to %d bytes of base64", what, low, high)
	}
	return b, nil
}

// parameter parses a decimal number after its name.
func parameter(s, name string, low, high uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(s, name)
	called := strings.TrimSuffix(name, "=")
	if name == "" {
		called = "the number of iterations"
	}
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, fmt.Errorf("%s must be between %d and %d", called, low, high)
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || uint32(n) < low || uint32(n) > high {
		return 0, fmt.Errorf("%s must be between %d and %d", called, low, high)
	}
	return uint32(n), nil
}
