package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzLoad holds for any file and any variable: no panic; a tree that Check finds
// good, or at least one problem, each in one line.
func FuzzLoad(f *testing.F) {
	b, err := os.ReadFile("../../config.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, "SKEIN_LISTENERS", "[{url: 'tcp://127.0.0.1:1'}]")
	f.Add([]byte("listeners: &a [*a, {url: unix://x, tls: {ciphers: [a]}}]"), "SKEIN_SESSION__EXPIRY_3X", "never")
	f.Add([]byte("limits: {memory: {high_watermark: .inf}}\n---\n"), "SKEIN_LIMITS__OUTPUT_BUFFER", "9TiB")
	f.Add([]byte("a: &x {b: c}\n<<: *x\n? [d]\n: !!set e"), "SKEIN_MQTT__MAXIMUM_QOS", "-0")
	file := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, content []byte, name, value string) {
		// Nothing that has no end is read as a certificate.
		content = []byte(strings.NewReplacer("/dev", "", "/proc", "", "/sys", "").Replace(string(content)))
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Source{File: file, Env: []string{name + "=" + value}, Flags: map[string]string{value: name}})
		if err == nil {
			if ps := c.Check(); len(ps) > 0 {
				t.Fatalf("loaded, and yet %v", ps)
			}
			if ps := c.Reloadable(c); len(ps) > 0 {
				t.Fatalf("differs from itself in %v", ps)
			}
			return
		}
		var ps *Problems
		if !errors.As(err, &ps) || len(ps.List) == 0 || c != nil {
			t.Fatalf("%T %v, tree %v", err, err, c)
		}
		for _, p := range ps.List {
			if p.Path == "" || p.Message == "" {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// FuzzValues: what a type reads, it writes so that it reads the same again.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"10s", "7d12h", "never", "64MiB", "0660", "10.0.0.0/8", "::ffff:1.2.3.4", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []text{new(Duration), new(Size), new(Mode), new(Network)} {
			if v.parse(s) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(v).Elem()).Interface().(text)
			if err := again.parse(v.String()); err != nil || !reflect.DeepEqual(v, again) {
				t.Fatalf("%T %q is written %q and read %v, %v", v, s, v.String(), again, err)
			}
		}
	})
}
