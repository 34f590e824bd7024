package auth

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// filter is a topic filter of a rule. Its levels may have placeholders; [Rules] says
// what they mean.
type filter struct {
	text   string // as written
	levels []level
	holes  holes
	// open is set for every topic, without levels.
	open bool
}

// holes is a set of placeholders.
type holes byte

const (
	holeUser holes = 1 << iota
	holeClient
	holeGroup
)

type levelKind byte

const (
	levelLiteral  levelKind = iota
	levelTemplate           // with placeholders
	levelPlus
	levelHash
)

// level is one level of a filter.
type level struct {
	text  string // of a literal
	parts []part // of a template
	kind  levelKind
}

// part is a placeholder or, without hole, text.
type part struct {
	text string
	hole holes
}

// values are what placeholders stand for.
type values struct {
	who   *Subject
	group string
}

func (v *values) of(h holes) string {
	switch {
	case h == holeClient:
		return v.who.ClientID
	case h == holeGroup:
		return v.group
	case v.who.HasUser:
		return v.who.User
	}
	return ""
}

func plain(s string, begins bool) bool {
	return s != "" && !strings.ContainsAny(s, "+#/\x00") && (!begins || s[0] != '$')
}

// relation is what a question asks of a filter and a topic.
type relation byte

const (
	matches  relation = iota // the filter matches the topic name
	covers                   // the filter matches all that the other filter matches
	overlaps                 // some name is matched by both
)

// relates reports whether the filter, as it is for a subject and a kind of rule,
// stands in the relation to a topic name or filter.
func (f *filter) relates(rel relation, who *Subject, allow bool, s string) bool {
	switch {
	case f.holes == 0:
		p := pattern{levels: f.levels, open: f.open}
		return p.relates(rel, s)
	case f.holes&holeGroup == 0:
		return f.filled(rel, values{who: who}, allow, s)
	}
	for _, g := range who.Groups {
		if f.filled(rel, values{who, g}, allow, s) {
			return true
		}
	}
	return false
}

// filled is relates with the values given.
func (f *filter) filled(rel relation, v values, allow bool, s string) bool {
	p := pattern{levels: f.levels, values: v}
	if n := f.fits(&v); n < len(f.levels) {
		if allow {
			return false
		}
		p.levels, p.open = f.levels[:n], true
	}
	return p.relates(rel, s)
}

// fits returns how many levels stand before the first with a value that is not
// plain.
func (f *filter) fits(v *values) int {
	for i := range f.levels {
		for j, p := range f.levels[i].parts {
			if p.hole != 0 && !plain(v.of(p.hole), i == 0 && j == 0) {
				return i
			}
		}
	}
	return len(f.levels)
}

// pattern is a filter with its values. An open one goes on with anything, as if
// with /#, and without levels it matches every name, also those that begin with $.
type pattern struct {
	levels []level
	values values
	open   bool
}

func (p *pattern) relates(rel relation, s string) bool {
	if p.leadingWildcard() && strings.HasPrefix(s, "$") {
		return false // [MQTT-4.7.2-1]
	}
	switch rel {
	case covers:
		return p.covers(s)
	case overlaps:
		return p.overlaps(s)
	}
	return p.matches(s)
}

func (p *pattern) leadingWildcard() bool {
	return len(p.levels) > 0 && p.levels[0].kind >= levelPlus
}

func (p *pattern) matches(rest string) bool {
	var name string
	more := true
	for i := range p.levels {
		l := &p.levels[i]
		if l.kind == levelHash {
			return true
		}
		if !more {
			return false
		}
		name, rest, more = strings.Cut(rest, "/")
		if l.kind != levelPlus && !l.is(name, &p.values) {
			return false
		}
	}
	return p.open || !more
}

// covers rests on this: of the spellings that mean the same, +/# as a whole filter
// and #, rules have only the latter; and no literal, placeholders filled, is +.
func (p *pattern) covers(rest string) bool {
	var name string
	more := true
	for i := range p.levels {
		l := &p.levels[i]
		if l.kind == levelHash {
			return true
		}
		if !more {
			return false
		}
		if name, rest, more = strings.Cut(rest, "/"); name == "#" {
			return false
		}
		if l.kind != levelPlus && !l.is(name, &p.values) {
			return false
		}
	}
	return p.open || !more
}

func (p *pattern) overlaps(rest string) bool {
	if p.beginsDollar() && wildcardFirst(rest) {
		return false
	}
	var name string
	more := true
	for i := range p.levels {
		l := &p.levels[i]
		if l.kind == levelHash {
			return true
		}
		if !more {
			return false
		}
		if name, rest, more = strings.Cut(rest, "/"); name == "#" {
			return true
		}
		if l.kind != levelPlus && name != "+" && !l.is(name, &p.values) {
			return false
		}
	}
	return p.open || !more || rest == "#"
}

// beginsDollar reports whether all names that the pattern matches begin with $. A
// value never begins with $ there.
func (p *pattern) beginsDollar() bool {
	if len(p.levels) == 0 {
		return false
	}
	l := &p.levels[0]
	return strings.HasPrefix(l.text, "$") || l.kind == levelTemplate && strings.HasPrefix(l.parts[0].text, "$")
}

func wildcardFirst(s string) bool { return s != "" && (s[0] == '+' || s[0] == '#') }

// is reports whether a literal or template is the level of a name.
func (l *level) is(name string, v *values) bool {
	if l.kind == levelLiteral {
		return name == l.text
	}
	for _, p := range l.parts {
		text := p.text
		if p.hole != 0 {
			text = v.of(p.hole)
		}
		var ok bool
		if name, ok = strings.CutPrefix(name, text); !ok {
			return false
		}
	}
	return name == ""
}

// What is wrong with a topic filter of a rule.
var (
	errTopicEmpty = errors.New("it is empty")
	errTopicNUL   = errors.New("it contains U+0000")
	errTopicLong  = errors.New("it is longer than 65,535 bytes")
	errTopicUTF8  = errors.New("it is not well-formed UTF-8")
	errTopicHash  = errors.New("# is not alone in the last level")
	errTopicPlus  = errors.New("+ is not alone in its level")
)

const maxTopic = 65535

// compileFilter compiles a filter in which known placeholders are replaced; others
// are text.
func compileFilter(s string, known holes) (filter, error) {
	switch {
	case s == "":
		return filter{}, errTopicEmpty
	case len(s) > maxTopic:
		return filter{}, errTopicLong
	case strings.IndexByte(s, 0) >= 0:
		return filter{}, errTopicNUL
	case !utf8.ValidString(s):
		return filter{}, errTopicUTF8
	}
	f := filter{text: s}
	names := strings.Split(s, "/")
	if len(names) == 2 && names[0] == "+" && names[1] == "#" {
		names = names[1:]
	}
	f.levels = make([]level, len(names))
	for i, name := range names {
		switch {
		case name == "+":
			f.levels[i].kind = levelPlus
		case name == "#" && i == len(names)-1:
			f.levels[i].kind = levelHash
		case strings.Contains(name, "#"):
			return filter{}, errTopicHash
		case strings.Contains(name, "+"):
			return filter{}, errTopicPlus
		default:
			f.levels[i] = compileLevel(name, known)
			for _, p := range f.levels[i].parts {
				f.holes |= p.hole
			}
		}
	}
	return f, nil
}

// compileLevel finds the placeholders of a level.
func compileLevel(name string, known holes) level {
	var parts []part
	rest, from := name, 0
	for {
		i := strings.IndexByte(rest[from:], '%')
		if i < 0 || from+i+1 == len(rest) {
			break
		}
		i += from
		h := holeOf(rest[i+1]) & known
		if h == 0 {
			from = i + 1
			continue
		}
		if i > 0 {
			parts = append(parts, part{text: rest[:i]})
		}
		parts = append(parts, part{hole: h})
		rest, from = rest[i+2:], 0
	}
	if parts == nil {
		return level{text: name}
	}
	if rest != "" {
		parts = append(parts, part{text: rest})
	}
	return level{parts: parts, kind: levelTemplate}
}

func holeOf(c byte) holes {
	switch c {
	case 'u':
		return holeUser
	case 'c':
		return holeClient
	case 'g':
		return holeGroup
	}
	return 0
}
