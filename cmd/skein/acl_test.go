package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	// The hash is of no password that anybody knows.
	if err := os.WriteFile(users, []byte("bob:$6$c2FsdHNhbHQ=$"+strings.Repeat("A", 86)+"==:groups=sensors\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, `
auth:
  sources: [users_file]
  users_file: `+users+`
  acl:
    rules:
      - {effect: deny, action: all, topics: ['secret/#']}
      - {effect: allow, action: publish, topics: ['in/%c'], groups: [sensors], max_qos: 1}
      - {effect: allow, action: subscribe, topics: ['out/%u/#'], addresses: [10.0.0.0/8]}
`)
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"--user bob --client c7 --publish in/c7", 0, []string{"allowed by", "auth.acl.rules[1]"}},
		{"--user bob --client c7 --publish $delayed/5/in/c7", 0, []string{"allowed by", "auth.acl.rules[1]"}},
		{"--user bob --client c7 --publish in/c7 --qos 2", 0, []string{"denied by", "default: no rule allows it"}},
		{"--user ann --client c7 --publish in/c7", 0, []string{"denied by", "default"}},
		{"--user ann --group sensors --client c7 --publish in/c7", 0, []string{"allowed by"}},
		{"--client c7 --subscribe $share/g/secret/x", 0, []string{"denied by", "auth.acl.rules[0]"}},
		{"--user bob --subscribe out/bob/# --address 10.1.2.3", 0, []string{"allowed by", "auth.acl.rules[2]"}},
		{"--user bob --subscribe out/bob/#", 0, []string{"denied by"}},
		{"--user bob --subscribe a/#/b", 2, []string{`topic "a/#/b"`}},
		{"--user bob --publish a --qos 3", 2, []string{"--qos: must be 0, 1 or 2, is 3"}},
		{"--user bob --publish a --address here", 2, []string{"--address: must be an address"}},
		{"--user bob", 2, []string{"at least one of the flags in the group [publish subscribe deliver] is required"}},
	} {
		code, out, errs := run(t, nil, append([]string{"acl", "explain", "-c", file}, strings.Fields(c.args)...)...)
		if code != c.code {
			t.Errorf("%s: code %d: %s%s", c.args, code, out, errs)
		}
		for _, w := range c.want {
			if !strings.Contains(strings.Join(strings.Fields(out+errs), " "), w) {
				t.Errorf("%s: no %q in\n%s%s", c.args, w, out, errs)
			}
		}
	}
}

// check reads what auth names, and tells file and line.
func TestCheckReadsAuth(t *testing.T) {
	dir := t.TempDir()
	users, acl := filepath.Join(dir, "users"), filepath.Join(dir, "acl")
	for name, text := range map[string]string{users: "bob:plain\n", acl: "topic read a/b\ntopc a\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := write(t, "auth: {sources: [users_file], users_file: "+users+", acl: {file: "+acl+"}, bans: "+filepath.Join(dir, "none")+"}\n")
	code, out, errs := run(t, nil, "check", "-c", file)
	for _, want := range []string{users + ":1", acl + ":2", "auth.bans: "} {
		if code != 2 || !strings.Contains(errs, want) {
			t.Errorf("code %d, no %q in %s%s", code, want, out, errs)
		}
	}
	file = write(t, "auth: {sources: [jwt], jwt: {secret: '${env:SKEIN_TEST_NO_SUCH}'}}\n")
	if code, _, errs := run(t, nil, "check", "-c", file); code != 2 || !strings.Contains(errs, "SKEIN_TEST_NO_SUCH") {
		t.Errorf("code %d: %s", code, errs)
	}
	t.Setenv("SKEIN_TEST_NO_SUCH", strings.Repeat("k", 32))
	if code, _, errs := run(t, nil, "check", "-c", file); code != 0 {
		t.Errorf("code %d: %s", code, errs)
	}
	t.Setenv("SKEIN_TEST_NO_SUCH", "too short")
	if code, _, errs := run(t, nil, "check", "-c", file); code != 2 || strings.Contains(errs, "too short") || !strings.Contains(errs, "auth.jwt: ") {
		t.Errorf("code %d: %s", code, errs)
	}
}
