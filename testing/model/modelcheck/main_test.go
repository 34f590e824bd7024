package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		out  string
	}{
		{"-list", 0, "prepAck"},
		{"-instance move -set messages=1", 0, "passed, complete"},
		{"-instance move -set messages=1 -depth", 0, "passed, complete"},
		{"-instance move -set messages=1 -cycles", 0, "passed, complete"},
		{"-instance move-own -set messages=1 -off prepAck", 1, "S got: m1 m1"},
		{"-instance still -off order -walks 1000 -seed 3", 1, "O: m2 came before m1"},
		{"-instance third -states 100", 3, "not finished"},
		{"-instance nowhere", 2, "no instance"},
		{"-off nothing", 2, "no rule"},
		{"-colour", 2, "colour"},
	} {
		var out, problems bytes.Buffer
		code := run(strings.Fields(c.args), &out, &problems)
		if all := out.String() + problems.String(); code != c.code || !strings.Contains(all, c.out) {
			t.Errorf("%s: code %d, want %d with %q:\n%s", c.args, code, c.code, c.out, all)
		}
	}
}
