package topic

import "strings"

// verdict says how a filter and a name compare, and for a walk through names in
// order where the next one that could match is.
type verdict uint8

const (
	hit  verdict = iota // the filter matches
	miss                // it does not; it may match the very next name
	seek                // it matches no name before finding.to
	end                 // it matches no later name
)

// finding is a verdict and, for seek, a bound.
type finding struct {
	verdict verdict
	to      bound
}

// bound is a place in the order of names, that of the two strings put together.
// Two of them because one is a piece of the name and one a piece of the filter,
// and a walk must not allocate.
type bound struct{ head, tail string }

// after reports whether the bound lies behind a name, so not at it.
func (b bound) after(name string) bool {
	n := min(len(name), len(b.head))
	if c := strings.Compare(name[:n], b.head); c != 0 {
		return c < 0
	}
	return name[n:] < b.tail
}

// afterSlash is the byte behind /: what comes behind "a/" and all that begins
// with it is "a0". A $ has its own.
const (
	afterSlash  = "0"
	afterDollar = "%"
)

// judge compares a filter with a name level by level.
//
// The bounds rest on this: all names that begin with P and / lie together in the
// order of bytes, though names such as P! come between P and them. So whatever
// may follow in the levels behind the current one is skipped by looking for the
// place where the levels so far change.
func judge(f Filter, name string) finding {
	if f.leadingWildcard() && strings.HasPrefix(name, "$") {
		return finding{seek, bound{"", afterDollar}}
	}
	fs := string(f)
	fi, ni := 0, 0
	plus := -1 // the end in name of the last level that a + took
	for {
		fe := levelEnd(fs, fi)
		level := fs[fi:fe]
		if level == "#" {
			return finding{verdict: hit}
		}
		ne := levelEnd(name, ni)
		if level == "+" {
			plus = ne
		} else if name[ni:ne] != level {
			return mismatch(fs, fi, fe, name, ni, plus)
		}
		switch last, lastOfName := fe == len(fs), ne == len(name); {
		case last && lastOfName:
			return finding{verdict: hit}
		case last:
			return skip(name, plus)
		case lastOfName && fs[fe+1:] == "#":
			return finding{verdict: hit}
		case lastOfName:
			return finding{verdict: miss}
		}
		fi, ni = fe+1, ne+1
	}
}

// mismatch is the finding when the filter's literal level fs[fi:fe] is not that of
// the name at ni. plus is as in judge.
func mismatch(fs string, fi, fe int, name string, ni, plus int) finding {
	level, rest := fs[fi:fe], name[ni:]
	if rest < level {
		return finding{seek, bound{name[:ni], level}}
	}
	// The level itself is past; names below it come behind such as "level!".
	if fe < len(fs) && len(rest) > len(level) && rest[:len(level)] == level && rest[len(level)] < '/' {
		return finding{seek, bound{name[:ni], fs[fi : fe+1]}}
	}
	return skip(name, plus)
}

// skip is the finding when the literal levels behind the last + are past: only
// another level in place of that + can match, and without one nothing can.
func skip(name string, plus int) finding {
	if plus < 0 {
		return finding{verdict: end}
	}
	return finding{seek, bound{name[:plus], afterSlash}}
}
