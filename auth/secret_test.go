package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2-hunter2"
	s := Secret(text)
	type holder struct {
		Password Secret
		List     []Secret
		ByName   map[string]Secret
		Pointer  *Secret
	}
	h := holder{s, []Secret{s}, map[string]Secret{"key": s}, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%T", "%U", "%c", "%10.3s", "%-5v", "%!"} {
		fmt.Fprintf(&out, verb+"\n", s)
		if verb != "%T" && !strings.Contains(fmt.Sprintf(verb, s), redacted) && verb != "%!" {
			t.Errorf("%s prints %q", verb, fmt.Sprintf(verb, s))
		}
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	fmt.Fprintln(&out, s, h, fmt.Errorf("with %v: %s", s, s), s.String(), s.GoString())
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("secret", "secret", s, "holder", h, slog.Group("group", "secret", s))
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, leak := range []string{text, "hun", fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("% x", text)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in:\n%s", leak, out.String())
		}
	}
	if s.Reveal() != text {
		t.Error("Reveal does not")
	}
	var back Secret
	if err := json.Unmarshal([]byte(`"abc"`), &back); err != nil || back.Reveal() != "abc" {
		t.Errorf("reading JSON: %v", err)
	}
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, crlf, two := write("one", "from file\n"), write("crlf", "x\r\n"), write("two", "y\n\n")
	nested := write("nested", "${env:SKEIN_TEST_A}")
	t.Setenv("SKEIN_TEST_A", "from env")
	t.Setenv("SKEIN_TEST_EMPTY", "")
	for in, want := range map[string]string{
		"": "", "plain": "plain", "$": "$", "$$": "$$", "a$b": "a$b", "}": "}",
		"${file:" + one + "}":                         "from file",
		"${file:" + crlf + "}":                        "x",
		"${file:" + two + "}":                         "y\n",
		"<${env:SKEIN_TEST_A}>":                       "<from env>",
		"${env:SKEIN_TEST_EMPTY}":                     "",
		"${env:SKEIN_TEST_A}${env:SKEIN_TEST_A}":      "from envfrom env",
		"$${env:SKEIN_TEST_A}":                        "${env:SKEIN_TEST_A}",
		"$$${env:SKEIN_TEST_A}":                       "$${env:SKEIN_TEST_A}",
		"$${a ${env:SKEIN_TEST_A} b":                  "${a from env b",
		"${file:" + nested + "}":                      "${env:SKEIN_TEST_A}", // not looked at again
		"redis://:${env:SKEIN_TEST_A}@127.0.0.1:6379": "redis://:from env@127.0.0.1:6379",
	} {
		got, err := Expand(in)
		if err != nil || got != want {
			t.Errorf("Expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestExpandErrorsHaveNoSecret(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{
		"${", "${}", "${x}", "${env:}", "${file:}", "${env}", "${ENV:HOME}", "${http://x}",
		"${env:SKEIN_TEST_NOT_SET}", "${file:/does/not/exist}", "${file:" + big + "}", "${file:" + filepath.Dir(big) + "}",
	} {
		got, err := Expand("hunter2" + ref + "hunter2")
		if err == nil {
			t.Errorf("%q: no error, %q", ref, got)
		} else if strings.Contains(err.Error(), "hunter2") || got != "" {
			t.Errorf("%q: %q, error %v", ref, got, err)
		}
	}
}
