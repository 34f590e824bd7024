package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a text that nobody may read in a log, an error, the output of a check or
// a crash: whatever prints it prints [redacted]. Two places are not safe: unexported
// fields, of whose values package fmt asks no method, and keys of maps, of which
// package json asks none.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text, for who needs it to work.
func (s Secret) Reveal() string { return string(s) }

// String is [redacted].
func (Secret) String() string { return redacted }

// GoString is [redacted].
func (Secret) GoString() string { return redacted }

// Format prints [redacted] for every verb: String alone would not do for %d.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // fmt keeps the error of its writer itself
}

// MarshalJSON is "[redacted]". Reading takes the text itself.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText is [redacted], for YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// maxSecretFile bounds what ${file:PATH} reads, in bytes.
const maxSecretFile = 64 << 10

// Expand replaces ${file:PATH} by what the file has, without one line end at its
// end, and ${env:NAME} by the environment variable, which must be set. $${ is the
// text ${. What was put in is not looked at again. An error names the path or the
// variable, and nothing else of the string: it may be a password.
func Expand(s string) (string, error) {
	var out strings.Builder
	for at := 0; ; {
		i := strings.Index(s[at:], "${")
		if i < 0 {
			out.WriteString(s[at:])
			return out.String(), nil
		}
		i += at
		if i > at && s[i-1] == '$' {
			out.WriteString(s[at:i-1] + "${")
			at = i + 2
			continue
		}
		ref, _, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", fmt.Errorf("${ at byte %d has no }: write $${ for the text ${", i)
		}
		text, err := reference(ref)
		if err != nil {
			return "", fmt.Errorf("${ at byte %d: %w", i, err)
		}
		out.WriteString(s[at:i] + text)
		at = i + len("${"+ref+"}")
	}
}

var errReference = errors.New("it is not ${file:PATH} or ${env:NAME}: write $${ for the text ${")

func reference(ref string) (string, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case name == "":
		return "", errReference
	case kind == "file":
		return secretFile(name)
	case kind == "env":
		text, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", quote(name))
		}
		return text, nil
	}
	return "", errReference
}

func secretFile(path string) (string, error) {
	b, err := readFile(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// readFile reads a file of at most limit bytes. Errors name the path.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}
