package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// object is a JSON object that somebody else wrote. Its names are compared exactly,
// and each is there once: no two readers may understand it in two ways.
type object map[string]json.RawMessage

var errObject = errors.New("not a JSON object in UTF-8 whose names are unique")

// parseObject reads data that is one object and nothing else. Errors have nothing of it.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errObject
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errObject
	}
	o := make(object)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if _, twice := o[name]; err != nil || !ok || twice {
			return nil, errObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errObject
		}
		o[name] = value
	}
	return o, nil
}

// lookup finds a value by its name or, when there is none of that name, by a path
// such as realm_access.roles.
func (o object) lookup(path string) (json.RawMessage, bool) {
	if v, ok := o[path]; ok {
		return v, true
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil, false
	}
	inner, err := parseObject(o[first])
	if err != nil {
		return nil, false
	}
	return inner.lookup(rest)
}

// text returns a string; ok is false when there is none of that name, or another
// kind of value.
func (o object) text(path string) (s string, ok bool) {
	v, found := o.lookup(path)
	if !found || len(v) == 0 || v[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(v, &s) == nil
}

// texts returns a list of strings; one string is a list of one.
func (o object) texts(path string) (list []string, ok bool) {
	if s, ok := o.text(path); ok {
		return []string{s}, true
	}
	v, found := o.lookup(path)
	if !found {
		return nil, false
	}
	var all []*string
	if json.Unmarshal(v, &all) != nil || all == nil {
		return nil, false
	}
	list = make([]string, len(all))
	for i, s := range all {
		if s == nil {
			return nil, false
		}
		list[i] = *s
	}
	return list, true
}

// maxDate is the end of the year 9999, in Unix seconds.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519 section 2). ok is false for another kind of
// value, and for a time before 1970 or after the year 9999.
func (o object) date(name string) (at time.Time, found, ok bool) {
	v, found := o[name]
	if !found {
		return at, false, true
	}
	var sec *float64
	if json.Unmarshal(v, &sec) != nil || sec == nil || !(*sec >= 0 && *sec <= maxDate) {
		return at, true, false
	}
	whole, part := math.Modf(*sec)
	return time.Unix(int64(whole), int64(part*1e9)), true, true
}

// unixNano is t in Unix nanoseconds, or the last time there is in them.
func unixNano(t time.Time) int64 {
	if t.Unix() >= math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return t.UnixNano()
}
