package topic

import (
	"errors"
	"strings"
)

// Filter is a valid topic filter without a $share/ or $exclusive/ prefix.
type Filter string

// Parsed is a filter as a client spelled it, taken apart.
type Parsed struct {
	Filter    Filter
	Group     string // of $share/GROUP/FILTER, otherwise empty
	Exclusive bool   // $exclusive/FILTER
}

const (
	sharePrefix     = "$share/"
	exclusivePrefix = "$exclusive/"
)

// What is wrong with a filter; the text names the rule.
var (
	errFilterEmpty   = errors.New("topic filter is empty [MQTT-4.7.3-1]")
	errFilterNUL     = errors.New("topic filter contains U+0000 [MQTT-4.7.3-2]")
	errFilterLong    = errors.New("topic filter is longer than 65,535 bytes [MQTT-4.7.3-3]")
	errFilterUTF8    = errors.New("topic filter is not well-formed UTF-8 [MQTT-1.5.4-1]")
	errHash          = errors.New("# is not alone in the last level of the topic filter [MQTT-4.7.1-1]")
	errPlus          = errors.New("+ is not alone in its level of the topic filter [MQTT-4.7.1-2]")
	errShareName     = errors.New("share name is empty [MQTT-4.8.2-1]")
	errShareWildcard = errors.New("share name contains + or # [MQTT-4.8.2-2]")
	errShareFilter   = errors.New("no topic filter follows the share name [MQTT-4.8.2-2]")
	errExclusive     = errors.New("no topic filter follows $exclusive/")
	errNested        = errors.New("$share/ or $exclusive/ behind $share/ or $exclusive/")
)

// Parse judges a filter of a SUBSCRIBE or UNSUBSCRIBE and takes it apart. The
// prefixes are $share/ and $exclusive/ with their slash: $share, $sharex/a and
// $exclusive are ordinary filters. The two prefixes do not combine. The parts
// share the memory of s.
func Parse(s string) (Parsed, error) {
	if err := validText(s, &filterText); err != nil {
		return Parsed{}, err
	}
	p := Parsed{}
	rest := s
	switch {
	case strings.HasPrefix(s, sharePrefix):
		var err error
		if p.Group, rest, err = cutGroup(s[len(sharePrefix):]); err != nil {
			return Parsed{}, err
		}
	case strings.HasPrefix(s, exclusivePrefix):
		p.Exclusive = true
		if rest = s[len(exclusivePrefix):]; rest == "" {
			return Parsed{}, errExclusive
		}
	}
	if len(rest) < len(s) && (strings.HasPrefix(rest, sharePrefix) || strings.HasPrefix(rest, exclusivePrefix)) {
		return Parsed{}, errNested
	}
	if err := validWildcards(rest); err != nil {
		return Parsed{}, err
	}
	p.Filter = Filter(rest)
	return p, nil
}

// cutGroup splits what follows $share/ into the group and a filter, neither empty.
func cutGroup(s string) (group, filter string, err error) {
	group, filter, _ = strings.Cut(s, "/")
	switch {
	case group == "":
		return "", "", errShareName
	case strings.ContainsAny(group, "+#"):
		return "", "", errShareWildcard
	case filter == "":
		return "", "", errShareFilter
	}
	return group, filter, nil
}

// validWildcards checks that each wildcard has a level of its own and # the last.
func validWildcards(f string) error {
	for i := 0; i < len(f); i++ {
		c := f[i]
		if c != '+' && c != '#' {
			continue
		}
		starts := i == 0 || f[i-1] == '/'
		last := i == len(f)-1
		if c == '#' && (!starts || !last) {
			return errHash
		}
		if c == '+' && (!starts || !last && f[i+1] != '/') {
			return errPlus
		}
	}
	return nil
}

// leadingWildcard reports whether f is one of those that do not match names that
// begin with $ [MQTT-4.7.2-1].
func (f Filter) leadingWildcard() bool { return f != "" && (f[0] == '+' || f[0] == '#') }
