package auth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ParseBans parses a bans file: a ban a line, as in
//
//	address 192.0.2.7
//	network 2001:db8::/32 until 2030-01-31T00:00:00Z
//	user "john doe" until 2030-01-31T00:00:00+01:00 # shared his password
//	client sensor-7 # flaps
//
// Names with blanks, quotes or # are quoted as in Go. Empty lines and lines that
// begin with # are skipped. The error names all that is wrong by file:line.
func ParseBans(file string, data []byte) ([]Ban, error) {
	var list []Ban
	p := problems{file: file}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		ban, err := parseBan(line)
		if err != nil {
			p.add(n, err)
			continue
		}
		list = append(list, ban)
	}
	return list, p.err()
}

func parseBan(line string) (ban Ban, err error) {
	word, rest := cutWord(line)
	if ban.Kind, err = ParseBanKind(word); err != nil {
		return ban, err
	}
	if ban.Value, rest, err = cutName(rest); err != nil {
		return ban, err
	}
	if word, tail := cutWord(rest); word == "until" {
		when, tail := cutWord(tail)
		if ban.Until, err = time.Parse(time.RFC3339, when); err != nil {
			return ban, errors.New("until must be followed by a time such as 2030-01-31T12:00:00Z")
		}
		rest = tail
	}
	if rest != "" {
		if rest[0] != '#' {
			return ban, fmt.Errorf("behind whom a ban is about, only until TIME and # REASON may stand, not %q", rest)
		}
		ban.Reason = strings.TrimSpace(rest[1:])
	}
	t := newBanTable()
	return ban, t.add(ban) // judges the value
}

// cutWord cuts the first word and the blanks behind it off.
func cutWord(s string) (word, rest string) {
	i := strings.IndexFunc(s, unicode.IsSpace)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

func cutName(s string) (name, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		name, rest = cutWord(s)
		return name, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err == nil {
		name, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", "", errors.New("the quoted name is not well formed")
	}
	return name, strings.TrimSpace(s[len(quoted):]), nil
}

// FormatBans is list as a bans file.
func FormatBans(list []Ban) []byte {
	var b []byte
	for i := range list {
		ban := &list[i]
		b = append(b, ban.Kind.String()...)
		b = append(b, ' ')
		b = append(b, quoteName(ban.Value)...)
		if !ban.Until.IsZero() {
			b = append(b, " until "...)
			b = ban.Until.AppendFormat(b, time.RFC3339)
		}
		if reason := strings.Join(strings.Fields(ban.Reason), " "); reason != "" {
			b = append(b, " # "...)
			b = append(b, reason...)
		}
		b = append(b, '\n')
	}
	return b
}

func quoteName(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '#' || r == '\\'
	})
	if plain && strconv.CanBackquote(s) {
		return s
	}
	return strconv.Quote(s)
}

// problems collects what is wrong with a file, and stops to tell at some point.
type problems struct {
	file string
	list []error
	more int
}

const maxProblems = 100

func (p *problems) add(line int, err error) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Errorf("%s:%d: %w", p.file, line, err))
}

func (p *problems) err() error {
	if p.more > 0 {
		p.list = append(p.list, fmt.Errorf("%s: %d more", p.file, p.more))
	}
	return errors.Join(p.list...)
}
