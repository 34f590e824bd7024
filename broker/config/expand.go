package config

import (
	"maps"
	"strings"
)

// Expander replaces ${...} in a text by what it stands for. Its errors tell nothing of
// the text but what stands between the braces.
type Expander func(s string) (string, error)

// expanded are the paths of texts in which something was put in. It may be a secret,
// so no problem says what their value is.
type expanded map[string]bool

// expand replaces ${...} in all texts of the layer.
func (l *layer) expand(f Expander) []Problem {
	if f == nil || l.tree == nil {
		return nil
	}
	l.expanded = expanded{}
	e := expansion{report: report{from: l.from}, f: f, done: l.expanded}
	for k, v := range l.tree {
		l.tree[k] = e.value(v, k)
	}
	return e.list
}

type expansion struct {
	report
	f    Expander
	done expanded
}

func (e *expansion) value(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = e.value(v[k], below(path, k))
		}
	case []any:
		for i := range v {
			v[i] = e.value(v[i], item(path, i))
		}
	case string:
		if !strings.Contains(v, "${") {
			return v
		}
		text, err := e.f(v)
		if err != nil {
			e.add(path, "%s", err)
			return "" // a problem of its own would hide this one
		}
		e.done[path] = true
		return text
	}
	return v
}

// overlay puts the paths of a later layer over those of earlier ones.
func (x expanded) overlay(l *layer) {
	maps.DeleteFunc(x, func(path string, _ bool) bool { _, later := l.from[path]; return later })
	maps.Copy(x, l.expanded)
}
