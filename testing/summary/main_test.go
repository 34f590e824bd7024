package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSummary(t *testing.T) {
	start := `{"Action":"start","Package":"p"}` + "\n"
	for _, c := range []struct {
		name, in string
		ok       bool
		last     string
		contains string
	}{
		{"empty", "", true, "0 passed, 0 failed, 0 skipped", ""},
		{"pass", start + `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}
`, true, "1 passed, 0 failed, 0 skipped", "packages: 1 ok, 0 failed, 0 without tests"},
		{"skip with its reason", start + `{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: no redis\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}
`, true, "0 passed, 0 failed, 1 skipped", "p A: a_test.go:1: no redis"},
		{"failed test shows its output", start + `{"Action":"output","Package":"p","Test":"A","Output":"    wrong\n"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
`, false, "0 passed, 1 failed, 0 skipped", "    wrong\n"},
		{"a panic takes a running test along", start + `{"Action":"output","Package":"p","Test":"A","Output":"panic: x\n"}
{"Action":"fail","Package":"p"}
`, false, "0 passed, 1 failed, 0 skipped", "p A (did not end)"},
		{"package that does not build", `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: bad\n"}
{"ImportPath":"p","Action":"build-fail"}
` + start + `{"Action":"fail","Package":"p","FailedBuild":"p"}
`, false, "0 passed, 0 failed, 0 skipped", "x.go:1: bad\n"},
		{"leak found by TestMain", start + `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
`, false, "1 passed, 0 failed, 0 skipped", "p (no test failed"},
		{"cut off", start, false, "0 passed, 0 failed, 0 skipped", "the stream ended early"},
		{"twice", start + `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}
` + start + `{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}
`, true, "2 passed, 0 failed, 0 skipped", "packages: 1 ok, 0 failed, 0 without tests"},
		{"twice, and failed first", start + `{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
` + start + `{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}
`, false, "1 passed, 1 failed, 0 skipped", "packages: 0 ok, 1 failed, 0 without tests"},
		{"twice, and cut off first", start + `{"Action":"output","Package":"p","Test":"A","Output":"    wrong\n"}
` + start + `{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}
`, false, "1 passed, 1 failed, 0 skipped", "p A (did not end)"},
		{"twice, and cut off then", start + `{"Action":"pass","Package":"p"}
` + start, false, "0 passed, 0 failed, 0 skipped", "the stream ended early"},
		{"not json", "WARNING: DATA RACE\n", true, "0 passed, 0 failed, 0 skipped", "WARNING: DATA RACE\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSummary(&out)
			if err := s.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := s.finish(); ok != c.ok {
				t.Errorf("ok = %v, want %v", ok, c.ok)
			}
			if !strings.HasSuffix(out.String(), "\n"+c.last+"\n") && out.String() != c.last+"\n" {
				t.Errorf("last line is not %q:\n%s", c.last, out.String())
			}
			if !strings.Contains(out.String(), c.contains) {
				t.Errorf("%q is missing:\n%s", c.contains, out.String())
			}
		})
	}
}
