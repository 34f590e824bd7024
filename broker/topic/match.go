package topic

import "strings"

// levelEnd is where the level that starts at i ends: at the next / or the end.
func levelEnd(s string, i int) int {
	if k := strings.IndexByte(s[i:], '/'); k >= 0 {
		return i + k
	}
	return len(s)
}

// Matches reports whether a filter matches a topic name: + one level, # the
// parent level and any number below [MQTT-4.7.1-2], and neither at the beginning
// a name that begins with $ [MQTT-4.7.2-1].
func Matches(f Filter, name string) bool {
	return judge(f, name).verdict == hit
}

// Covers reports whether f matches every name that g can match. It decides by the
// levels; that names have at most 65,535 bytes does not count.
func Covers(f, g Filter) bool {
	if f.leadingWildcard() && strings.HasPrefix(string(g), "$") {
		return false // all that g matches begins with $
	}
	switch g { // no name is empty, so these match the same as
	case "#":
		g = "+/#"
	case "/#":
		g = "/+/#"
	}
	for {
		fl, frest, fmore := strings.Cut(string(f), "/")
		gl, grest, gmore := strings.Cut(string(g), "/")
		switch {
		case fl == "#":
			return true
		case gl == "#": // g goes deeper than any filter that has no # by now
			return false
		case fl != "+" && fl != gl:
			return false
		case !fmore:
			return !gmore
		case !gmore:
			return frest == "#"
		}
		f, g = Filter(frest), Filter(grest)
	}
}
