package topic

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLength is that of a UTF-8 Encoded String in bytes [MQTT-4.7.3-3].
const maxLength = 65535

// What is wrong with a name; the text names the rule.
var (
	errNameEmpty    = errors.New("topic name is empty [MQTT-4.7.3-1]")
	errNameNUL      = errors.New("topic name contains U+0000 [MQTT-4.7.3-2]")
	errNameLong     = errors.New("topic name is longer than 65,535 bytes [MQTT-4.7.3-3]")
	errNameUTF8     = errors.New("topic name is not well-formed UTF-8 [MQTT-1.5.4-1]")
	errNameWildcard = errors.New("topic name contains + or # [MQTT-4.7.0-1]")
)

// text is the set of errors of [validText] for names or for filters.
type text struct{ empty, nul, long, utf8 error }

var (
	nameText   = text{errNameEmpty, errNameNUL, errNameLong, errNameUTF8}
	filterText = text{errFilterEmpty, errFilterNUL, errFilterLong, errFilterUTF8}
)

// validText checks what names and filters have in common.
func validText(s string, e *text) error {
	switch {
	case s == "":
		return e.empty
	case len(s) > maxLength:
		return e.long
	case strings.IndexByte(s, 0) >= 0:
		return e.nul
	case !utf8.ValidString(s):
		return e.utf8
	}
	return nil
}

// ValidName judges a topic name: not empty [MQTT-4.7.3-1], no U+0000
// [MQTT-4.7.3-2], at most 65,535 bytes [MQTT-4.7.3-3] of well-formed UTF-8
// [MQTT-1.5.4-1], no wildcard [MQTT-4.7.0-1].
func ValidName(s string) error {
	if err := validText(s, &nameText); err != nil {
		return err
	}
	if strings.ContainsAny(s, "+#") {
		return errNameWildcard
	}
	return nil
}

// Eight bytes at a time: the same byte in each of them.
const (
	ones  uint64 = 0x0101010101010101
	highs        = ones * utf8.RuneSelf
)

// hasZero is not zero if one of the eight bytes is.
func hasZero(x uint64) uint64 { return (x - ones) &^ x & highs }

// forbidden is not zero if one of the eight bytes is U+0000 or a wildcard. The two
// wildcards differ in one bit only, which is set here in all bytes.
func forbidden(x uint64) uint64 {
	const differ = '+' ^ '#'
	return hasZero(x) | hasZero((x|ones*differ)^ones*('+'|differ))
}

// ValidNameBytes is [ValidName] for a name still in its packet.
func ValidNameBytes(b []byte) bool {
	if len(b) == 0 || len(b) > maxLength {
		return false
	}
	var bad, high uint64
	rest := b
	for ; len(rest) >= 8; rest = rest[8:] {
		x := binary.LittleEndian.Uint64(rest)
		bad |= forbidden(x)
		high |= x
	}
	if len(rest) > 0 {
		x := ones * ' ' // fills up what the name does not have
		for _, c := range rest {
			x = x<<8 | uint64(c)
		}
		bad |= forbidden(x)
		high |= x
	}
	return bad == 0 && (high&highs == 0 || utf8.Valid(b))
}

// Levels is the number of levels of a name or filter, empty ones included.
func Levels(s string) int { return strings.Count(s, "/") + 1 }

const delayedPrefix = "$delayed/"

// MaxDelay is the longest delay of a $delayed name in seconds, 136 years. Added
// to Unix nanoseconds of this century it does not overflow.
const MaxDelay int64 = 1<<32 - 1

// What is wrong with a $delayed name.
var (
	errDelayedForm    = errors.New("$delayed/ is not followed by seconds, / and a topic name")
	errDelayedSeconds = errors.New("seconds of $delayed/ are not a decimal number up to 4294967295")
	errDelayedNested  = errors.New("$delayed/ behind $delayed/")
)

// ParseDelayed takes $delayed/SECONDS/TOPIC apart. ok tells that the name has the
// prefix $delayed/, err that what follows is not digits, at most [MaxDelay], and a
// valid topic name.
func ParseDelayed(name string) (seconds int64, rest string, ok bool, err error) {
	tail, ok := strings.CutPrefix(name, delayedPrefix)
	if !ok {
		return 0, "", false, nil
	}
	digits, rest, found := strings.Cut(tail, "/")
	if !found {
		return 0, "", true, errDelayedForm
	}
	if seconds, err = parseSeconds(digits); err != nil {
		return 0, "", true, err
	}
	if strings.HasPrefix(rest, delayedPrefix) {
		return 0, "", true, errDelayedNested
	}
	if err := ValidName(rest); err != nil {
		return 0, "", true, err
	}
	return seconds, rest, true, nil
}

// parseSeconds takes plain digits only, no sign and no underscore.
func parseSeconds(s string) (int64, error) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, errDelayedSeconds
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, errDelayedSeconds
	}
	return int64(n), nil
}
