package config

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder puts values into the tree, by the types of the tree alone.
type decoder struct {
	report
}

func (d *decoder) config(c *Config, tree map[string]any) {
	d.section(reflect.ValueOf(c).Elem(), tree, "")
}

// into puts v into dst, or reports why it cannot. A type that reads text comes
// before its kind.
func (d *decoder) into(dst reflect.Value, v any, path string) {
	if t, ok := dst.Addr().Interface().(text); ok {
		d.text(t, v, path)
		return
	}
	switch dst.Kind() {
	case reflect.Struct:
		d.section(dst, v, path)
	case reflect.Slice:
		d.items(dst, v, path)
	case reflect.String:
		if s, ok := v.(string); ok {
			dst.SetString(s)
		} else if dst.Type() == reflect.TypeFor[Secret]() {
			d.add(path, "must be text%s", quoteHint(v)) // which it is not told
		} else {
			d.wrong(path, "must be text"+quoteHint(v), v)
		}
	case reflect.Pointer:
		p := reflect.New(dst.Type().Elem())
		d.into(p.Elem(), v, path)
		dst.Set(p)
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			dst.SetBool(b)
		} else {
			d.wrong(path, "must be true or false", v)
		}
	case reflect.Int:
		d.number(dst, v, path)
	case reflect.Float64:
		d.fraction(dst, v, path)
	default:
		panic("config: no decoder for " + dst.Type().String()) // a mistake in tree.go, which every test would meet
	}
}

func (d *decoder) section(dst reflect.Value, v any, path string) {
	if v == nil { // all its keys are commented out
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		d.wrong(path, "must be a section of keys", v)
		return
	}
	keys := fields(dst.Type())
	for _, k := range slices.Sorted(maps.Keys(m)) {
		i, ok := keys[k]
		if !ok {
			d.add(below(path, k), "is not a setting%s", suggest(k, keys))
			continue
		}
		d.into(dst.Field(i), m[k], below(path, k))
	}
}

// items replaces a list.
func (d *decoder) items(dst reflect.Value, v any, path string) {
	list, ok := v.([]any)
	if !ok {
		d.wrong(path, "must be a list", v)
		return
	}
	if len(list) == 0 && within(path, "auth.acl.rules") && path != "auth.acl.rules" {
		d.add(path, "must not be empty: a condition without values would be none")
	}
	var out []reflect.Value
	for i, e := range list {
		p := reflect.New(dst.Type().Elem())
		if l, ok := p.Interface().(*Listener); ok {
			*l = defaultListener("", "")
		}
		d.into(p.Elem(), e, item(path, i))
		out = append(out, p.Elem())
	}
	dst.SetZero() // an empty list and none are the same
	dst.Set(reflect.Append(dst, out...))
}

func (d *decoder) text(t text, v any, path string) {
	s, ok := v.(string)
	n, isInt := v.(intText)
	switch t.(type) {
	case *Mode:
		if isInt { // 0660 is what everybody writes, and its digits say all
			s, ok = string(n), true
		}
	case *Size:
		if isInt {
			s = string(n)
		}
		ok = isInt || ok && !isDigits(s)
	case *Duration:
		if isInt {
			s = string(n)
		}
		ok = isInt && n == "0" || ok && !isDigits(s)
	}
	if !ok {
		s = "" // no type reads it
	}
	if err := t.parse(s); err != nil {
		d.wrong(path, err.Error(), v)
	}
}

// isDigits reports whether text is a number without a unit, which YAML would read
// as one if it were not in quotes.
func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// wrong reports a value of the wrong type or form.
func (d *decoder) wrong(path, must string, v any) { d.add(path, "%s, is %s", must, shown(v)) }

func (d *decoder) number(dst reflect.Value, v any, path string) {
	s, ok := v.(intText)
	if !ok {
		d.wrong(path, "must be a whole number", v)
		return
	}
	n, err := parseInt(string(s))
	switch {
	case err != nil:
		d.wrong(path, err.Error(), v)
	case dst.OverflowInt(n):
		d.wrong(path, fmt.Sprintf("must be at most %d", math.MaxInt), v)
	default:
		dst.SetInt(n)
	}
}

// parseInt reads a decimal number. YAML would read 0100 as 64.
func parseInt(s string) (int64, error) {
	digits := strings.TrimLeft(s, "+-")
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case len(digits) > 1 && digits[0] == '0':
		return 0, fmt.Errorf("must be a whole number in decimal digits")
	case err == nil:
		return n, nil
	case strings.Trim(digits, "0123456789") != "" || digits == "":
		return 0, fmt.Errorf("must be a whole number in decimal digits")
	}
	return 0, fmt.Errorf("must be a number of 64 bits")
}

func (d *decoder) fraction(dst reflect.Value, v any, path string) {
	var s string
	switch v := v.(type) {
	case intText:
		s = string(v)
	case floatText:
		s = string(v)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		d.wrong(path, "must be a number", v)
		return
	}
	dst.SetFloat(f)
}

// shown returns a value for a message, short and in one line.
func shown(v any) string {
	const most = 60
	switch v := v.(type) {
	case nil:
		return "empty"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	case string:
		if len(v) > most {
			return strconv.Quote(strings.ToValidUTF8(v[:most], "")) + "..."
		}
		return strconv.Quote(v)
	default:
		s := fmt.Sprint(v)
		if len(s) > most {
			s = strings.ToValidUTF8(s[:most], "") + "..."
		}
		return s
	}
}

// quoteHint helps where text looks like something else to YAML.
func quoteHint(v any) string {
	switch v.(type) {
	case bool, intText, floatText:
		return " in quotes"
	}
	return ""
}

// fields returns a section's keys and their places in the struct.
func fields(t reflect.Type) map[string]int {
	m := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		m[t.Field(i).Tag.Get("koanf")] = i
	}
	return m
}

// suggest returns the key that was probably meant, in words, or nothing.
func suggest(key string, keys map[string]int) string {
	best, least := "", 3
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if n := distance(strings.ToLower(key), k); n < least && n < len(k)-1 {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of edits between two words. A long one, which is no
// typing mistake, is not compared.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
