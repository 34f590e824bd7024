package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	Path    string // such as listeners[0].url; of a whole file, its name
	Message string
	Where   string // file:line, the variable or "command line"; empty is unknown
}

// String returns one line for a user.
func (p Problem) String() string {
	s := p.Path + ": " + p.Message
	if p.Where != "" {
		s += " (" + p.Where + ")"
	}
	return s
}

// Problems is the error of [Load]: everything that is wrong, in the order in which
// it was found. There is at least one.
type Problems struct {
	List []Problem
}

// Error returns one line a problem.
func (ps *Problems) Error() string {
	lines := make([]string, len(ps.List))
	for i, p := range ps.List {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report collects problems and knows where the values came from.
type report struct {
	list     []Problem
	from     origins
	expanded expanded
}

func (r *report) add(path, format string, args ...any) {
	if r.expanded[path] && len(args) > 0 {
		format, args = "what was put in for ${...} does not fit here", nil // it may be a secret
	}
	r.list = append(r.list, Problem{Path: path, Message: fmt.Sprintf(format, args...), Where: r.from.of(path)})
}

// origins is the place of each path that was given.
type origins map[string]string

// of returns the place of a path, or of what it is missing in.
func (o origins) of(path string) string {
	for path != "" {
		if where, ok := o[path]; ok {
			return where
		}
		path = parent(path)
	}
	return ""
}

// below returns the path of a key in a section.
func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item returns the path of a list's element.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent cuts the last key or index off a path.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// within reports whether path is of or below it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
