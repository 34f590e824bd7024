package auth

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

var errPrepare = errors.New("it has characters that SASLprep does not allow")

// saslprep prepares a name or a password as RFC 4013 says, so that all ways to write
// it become one: other spaces become space, invisible characters go, the rest is
// brought into compatible composed form; control and private characters are an
// error, and so is a text that runs in both directions. It takes characters as the
// Unicode of this build knows them, not that of 2002, and characters without meaning
// there as a query does.
func saslprep(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errPrepare
	}
	if isPrintableASCII(s) {
		return s, nil
	}
	s = norm.NFKC.String(strings.Map(mapped, s))
	if strings.ContainsFunc(s, prohibited) || !oneDirection(s) {
		return "", errPrepare
	}
	return s, nil
}

func isPrintableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// mapped is RFC 4013 section 2.1: tables C.1.2 and B.1 of RFC 3454.
func mapped(r rune) rune {
	switch {
	case r == 0x200b: // in both tables; a space in RFC 4013
		return ' '
	case r != ' ' && unicode.Is(unicode.Zs, r):
		return ' '
	case r == 0x00ad, r == 0x034f, r == 0x1806, r >= 0x180b && r <= 0x180d, r == 0x200c, r == 0x200d,
		r == 0x2060, r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return -1
	}
	return r
}

// prohibited is RFC 4013 section 2.3: tables C.1.2 to C.9 of RFC 3454.
func prohibited(r rune) bool {
	switch {
	case unicode.IsControl(r), r != ' ' && unicode.Is(unicode.Zs, r),
		unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r),
		unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r),
		r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef, // no characters
		r >= 0xfff9 && r <= 0xfffd, r >= 0x2ff0 && r <= 0x2ffb,
		r == 0x0340, r == 0x0341, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e,
		r == 0x06dd, r == 0x070f, r == 0x180e, r >= 0x2061 && r <= 0x2063, r >= 0x206a && r <= 0x206f,
		r >= 0x1d173 && r <= 0x1d17a, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}

// oneDirection is RFC 3454 section 6.
func oneDirection(s string) bool {
	right, left := false, false
	for _, r := range s {
		switch directionOf(r) {
		case bidi.R, bidi.AL:
			right = true
		case bidi.L:
			left = true
		}
	}
	if !right {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return !left && isRight(first) && isRight(last)
}

func directionOf(r rune) bidi.Class {
	p, _ := bidi.LookupRune(r)
	return p.Class()
}

func isRight(r rune) bool {
	c := directionOf(r)
	return c == bidi.R || c == bidi.AL
}
