package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// envPrefix starts the names of variables that are for a node. Two underscores
// stand for a level: SKEIN_SESSION__MAX_INFLIGHT is session.max_inflight.
const envPrefix = "SKEIN_"

// commandLine is the place of values from flags.
const commandLine = "command line"

// foreign are the variables of skein ctl, and those that Kubernetes sets in every pod
// beside a service of the name skein. No key of the tree is spelled like them.
var foreign = regexp.MustCompile(`^SKEIN_(HTTP|TOKEN|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.*)?)?)$`)

// envLayer reads variables, in the order of their names.
func envLayer(env []string) (layer, []Problem) {
	l := layer{tree: map[string]any{}, from: origins{}}
	var problems []Problem
	for _, kv := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(kv, "=")
		key, ok := strings.CutPrefix(name, envPrefix)
		if !ok || foreign.MatchString(name) {
			continue
		}
		path := strings.ReplaceAll(strings.ToLower(key), "__", ".")
		if key != strings.ToUpper(key) {
			path = "" // variables are case-exact too
		}
		problems = append(problems, l.set(path, value, name, name)...)
	}
	return l, problems
}

// flagLayer reads flags, in the order of their paths.
func flagLayer(flags map[string]string) (layer, []Problem) {
	l := layer{tree: map[string]any{}, from: origins{}}
	var problems []Problem
	paths := make([]string, 0, len(flags))
	for p := range flags {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		problems = append(problems, l.set(p, flags[p], p, commandLine)...)
	}
	return l, problems
}

// set puts one value that came as text into the layer. name is what is reported
// when there is no such path.
func (l *layer) set(path, value, name, where string) []Problem {
	t, ok := lookup(path)
	switch {
	case !ok:
		return []Problem{{Path: cmp.Or(name, where), Message: "is not a setting", Where: where}}
	case isSection(t):
		return []Problem{{Path: name, Message: "is a section; set its keys one by one", Where: where}}
	}
	v, problems := typed(t, value, path, where, l.from)
	keys := strings.Split(path, ".")
	m := l.tree
	for _, k := range keys[:len(keys)-1] {
		next, ok := m[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[k] = next
		}
		m = next
	}
	m[keys[len(keys)-1]] = v
	l.from[path] = where
	return problems
}

// typed reads text as a value of the type; what does not fit stays text, so that
// the decoder says what is wrong.
func typed(t reflect.Type, value, path, where string, from origins) (any, []Problem) {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[text]()) {
		if isDigits(value) {
			return intText(value), nil
		}
		return value, nil
	}
	switch t.Kind() {
	case reflect.Slice:
		return typedList(value, path, where, from)
	case reflect.Bool:
		if value == "true" || value == "false" {
			return value == "true", nil
		}
	case reflect.Int:
		if value != "" && strings.Trim(value, "+-0123456789") == "" {
			return intText(value), nil
		}
	case reflect.Float64:
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			return floatText(value), nil
		}
	}
	return value, nil
}

// typedList reads a list, which is YAML. Problems and places get the path of the
// key and the one place that there is.
func typedList(value, path, where string, from origins) (any, []Problem) {
	y := yamlReader{report: report{from: origins{}}, source: where}
	v := y.document([]byte(value))
	for p := range y.from {
		if strings.HasPrefix(p, "[") { // [0].url
			from[path+p] = where
		}
	}
	for i, p := range y.list {
		y.list[i].Path, y.list[i].Where = path, where
		if strings.HasPrefix(p.Path, "[") {
			y.list[i].Path += p.Path
		}
	}
	return v, y.list
}

// lookup returns the type of a path; lists are as far as a path goes.
func lookup(path string) (reflect.Type, bool) {
	t := reflect.TypeFor[Config]()
	for key := range strings.SplitSeq(path, ".") {
		if !isSection(t) {
			return nil, false
		}
		i, ok := fields(t)[key]
		if !ok {
			return nil, false
		}
		t = t.Field(i).Type
	}
	return t, true
}

// isSection reports whether a type has keys.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[text]())
}
