package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Check returns what is wrong with the tree: values out of their ranges, settings
// that do not go together, files that cannot be used, and listeners that would let
// anybody in (P7).
func (c *Config) Check() []Problem {
	var r report
	c.check(&r)
	return r.list
}

func (c *Config) check(r *report) {
	ranges(r, reflect.ValueOf(c).Elem(), "", "")
	c.checkNames(r)
	c.checkMQTT(r)
	c.checkListeners(r)
	c.checkAuth(r)
	c.checkRedis(r)
	c.checkHTTP(r)
}

// ranges judges every value by its tags.
func ranges(r *report, v reflect.Value, path string, tag reflect.StructTag) {
	switch {
	case isSection(v.Type()):
		for i := range v.NumField() {
			f := v.Type().Field(i)
			ranges(r, v.Field(i), below(path, f.Tag.Get("koanf")), f.Tag)
		}
		return
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			ranges(r, v.Index(i), item(path, i), "")
		}
		return
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			ranges(r, v.Elem(), path, tag)
		}
		return
	case v.Kind() == reflect.String:
		oneOf(r, v.String(), path, tag.Get("oneof"))
		return
	}
	switch x := v.Interface().(type) {
	case Duration:
		if x == Never && tag.Get("never") == "" {
			r.add(path, "must not be never")
			return
		}
		if whole := tag.Get("whole"); whole != "" && x != Never && x%bound[Duration](whole, parseAs) != 0 {
			r.add(path, "must be a multiple of %s, is %s", whole, x)
			return
		}
		inRange(r, x, path, tag, parseAs)
	case Size:
		inRange(r, x, path, tag, parseAs)
	case int:
		inRange(r, x, path, tag, func(s string, n *int) error {
			_, err := fmt.Sscan(s, n)
			return err
		})
	case float64:
		inRange(r, x, path, tag, func(s string, f *float64) error {
			_, err := fmt.Sscan(s, f)
			return err
		})
	}
}

func oneOf(r *report, v, path, values string) {
	if values == "" {
		return
	}
	all := strings.Split(values, "|")
	for _, one := range all {
		if v == one {
			return
		}
	}
	if all[0] == "" {
		all[0] = "empty"
	}
	must := all[0]
	if n := len(all); n > 1 {
		must = strings.Join(all[:n-1], ", ") + " or " + all[n-1]
	}
	r.add(path, "must be %s, is %s", must, shown(v))
}

func parseAs[T any, P interface {
	*T
	text
}](s string, p P) error {
	return p.parse(s)
}

// bound reads a tag; one that cannot be read is a mistake in tree.go.
func bound[T any](s string, parse func(string, *T) error) T {
	var v T
	if err := parse(s, &v); err != nil {
		panic("config: tag " + s + ": " + err.Error())
	}
	return v
}

func inRange[T interface {
	~int | ~int64 | ~float64
}](r *report, v T, path string, tag reflect.StructTag, parse func(string, *T) error) {
	low, high := tag.Get("min"), tag.Get("max")
	if low == "" {
		low = "0"
	}
	switch {
	case high == "" && v < bound(low, parse):
		r.add(path, "must be at least %s, is %v", low, v)
	case high != "" && (v < bound(low, parse) || v > bound(high, parse)):
		r.add(path, "must be between %s and %s, is %v", low, high, v)
	}
}

func (c *Config) checkNames(r *report) {
	if strings.ContainsFunc(c.Node.Name, unprintable) || len(c.Node.Name) > 255 {
		r.add("node.name", "must be at most 255 printable characters")
	}
	if c.Data == "" {
		r.add("data", "must be a directory, is empty")
	}
}

func unprintable(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }

func (c *Config) checkMQTT(r *report) {
	m := &c.MQTT
	if m.MaxKeepAlive > 0 && m.ServerKeepAlive > m.MaxKeepAlive {
		r.add("mqtt.server_keep_alive", "must not be above mqtt.max_keep_alive (%s), is %s", m.MaxKeepAlive, m.ServerKeepAlive)
	}
	for _, s := range []struct{ path, value string }{
		{"mqtt.response_information", m.ResponseInformation},
		{"mqtt.server_reference", m.ServerReference},
	} {
		if strings.ContainsFunc(s.value, unprintable) || len(s.value) > 65535 {
			r.add(s.path, "must be at most 65535 bytes of printable characters")
		}
	}
	if c.Session.Expiry3x != Never && c.Session.Expiry3x.Std() > 0xFFFFFFFE*time.Second {
		r.add("session.expiry_3x", "must be at most 4294967294s, or never")
	}
	if c.Session.MaxExpiry != Never && c.Session.MaxExpiry.Std() > 0xFFFFFFFE*time.Second {
		r.add("session.max_expiry", "must be at most 4294967294s, or never")
	}
}
