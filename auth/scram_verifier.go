package auth

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Iterations of a SCRAM verifier. It is the client that pays for them at each
// login, and with the server one who has stolen the file and guesses.
const (
	ScramIterations    = 20_000 // unless asked otherwise
	MinScramIterations = 4096   // RFC 7677 section 4
	MaxScramIterations = maxIterations
)

const scramSaltLen = 16

// Verifier is what a server keeps of a password for SCRAM-SHA-256. Printing it shows
// neither salt nor keys.
type Verifier struct {
	Salt       []byte `json:"-"`
	StoredKey  []byte `json:"-"`
	ServerKey  []byte `json:"-"`
	Iterations int
}

// NewVerifier makes the verifier of a password, with a random salt.
func NewVerifier(password string, iterations int) (Verifier, error) {
	salt := make([]byte, scramSaltLen)
	_, _ = rand.Read(salt) // never fails
	return newVerifier(password, salt, iterations)
}

func newVerifier(password string, salt []byte, iterations int) (Verifier, error) {
	if iterations < MinScramIterations || iterations > MaxScramIterations {
		return Verifier{}, fmt.Errorf("the iterations of SCRAM must be between %d and %d", MinScramIterations, MaxScramIterations)
	}
	prepared, err := saslprep(password)
	if err != nil {
		return Verifier{}, fmt.Errorf("preparing the password for SCRAM: %w", err)
	}
	if prepared == "" {
		return Verifier{}, errors.New("the password is empty when prepared for SCRAM")
	}
	salted, err := pbkdf2.Key(sha256.New, prepared, salt, iterations, sha256.Size)
	if err != nil {
		return Verifier{}, fmt.Errorf("making the SCRAM verifier: %w", err)
	}
	stored := sha256.Sum256(sign(salted, []byte("Client Key")))
	return Verifier{Salt: salt, StoredKey: stored[:], ServerKey: sign(salted, []byte("Server Key")), Iterations: iterations}, nil
}

// Encode is the verifier as a users file has it. Who knows it can guess at the
// password, and pretend to be the server.
func (v *Verifier) Encode() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", MethodScram, v.Iterations, b64(v.Salt), b64(v.StoredKey), b64(v.ServerKey))
}

// ParseVerifier parses SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey. Errors do
// not quote it.
func ParseVerifier(s string) (v Verifier, err error) {
	rest, ok := strings.CutPrefix(s, MethodScram+"$")
	iterations, rest, ok2 := strings.Cut(rest, ":")
	salt, rest, ok3 := strings.Cut(rest, "$")
	stored, server, ok4 := strings.Cut(rest, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return v, errors.New("a SCRAM verifier must be SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
	}
	n, err := parameter(iterations, "", MinScramIterations, MaxScramIterations)
	if err != nil {
		return v, err
	}
	v.Iterations = int(n)
	b64 := base64.StdEncoding
	if v.Salt, err = decode(b64, "salt", salt, minSalt, maxSalt); err != nil {
		return v, err
	}
	if v.StoredKey, err = decode(b64, "StoredKey", stored, sha256.Size, sha256.Size); err != nil {
		return v, err
	}
	v.ServerKey, err = decode(b64, "ServerKey", server, sha256.Size, sha256.Size)
	return v, err
}

// scramCost is what a client sees of a verifier, but for the salt itself.
type scramCost struct{ iterations, saltLen int }

func (v *Verifier) cost() scramCost { return scramCost{v.Iterations, len(v.Salt)} }

func (c scramCost) compare(o scramCost) int {
	return cmp.Or(cmp.Compare(c.iterations, o.iterations), cmp.Compare(c.saltLen, o.saltLen))
}

type scramShares struct{ shares[scramCost] }

// decoy makes up the verifier of a user who has none.
func (s *scramShares) decoy(secret []byte, user string) Verifier {
	c := s.pick(secret, user)
	if c.iterations == 0 {
		c = scramCost{ScramIterations, scramSaltLen}
	}
	sums := [...][sha256.Size]byte{keyed(secret, "salt", user), keyed(secret, "more salt", user), keyed(secret, "stored", user), keyed(secret, "server", user)}
	salt := append(sums[0][:], sums[1][:]...)
	return Verifier{Salt: salt[:c.saltLen], StoredKey: sums[2][:], ServerKey: sums[3][:], Iterations: c.iterations}
}

// String names what it is.
func (v Verifier) String() string { return MethodScram + " verifier" }

// Format writes String, whatever the verb.
func (v Verifier) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte(v.String())) // formatting has nowhere to tell
}

// LogValue logs String.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }
