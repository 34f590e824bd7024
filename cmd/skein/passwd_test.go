package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/auth"
)

// passwd runs the command with an input that is no terminal.
func passwd(t *testing.T, in string, args ...string) (out string, err error) {
	t.Helper()
	cmd := passwdCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var b bytes.Buffer
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return b.String(), err
}

// userOf reads a user back.
func userOf(t *testing.T, file, name string) (auth.User, bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := auth.EditUsers(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return f.User(name)
}

func verify(t *testing.T, u auth.User, password string) bool {
	t.Helper()
	h, err := auth.ParseHash(u.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return h.Verify([]byte(password))
}

func TestPasswdAddsChangesAndDeletes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	do := func(want, in string, args ...string) {
		t.Helper()
		out, err := passwd(t, in, append([]string{file}, args...)...)
		if err != nil || out != want {
			t.Fatalf("%q, %v, want %q", out, err, want)
		}
	}
	do("added bob\n", "secret\n", "bob", "--group", "a,b", "-g", "c", "--scram-iterations", "4096")
	u, ok := userOf(t, file, "bob")
	if !ok || !verify(t, u, "secret") || verify(t, u, "secret\n") || !slices.Equal(u.Groups, []string{"a", "b", "c"}) || !strings.HasPrefix(u.Verifier, "SCRAM-SHA-256$4096:") {
		t.Errorf("%t, groups %q", ok, u.Groups)
	}
	do("changed bob\n", "new\r\n", "bob", "--no-scram")
	u, _ = userOf(t, file, "bob")
	if !verify(t, u, "new") || len(u.Groups) != 3 || u.Verifier != "" {
		t.Errorf("groups %q, or an old password or verifier is left", u.Groups)
	}
	do("changed bob\n", "", "bob", "--keep-password", "--group", "")
	after, _ := userOf(t, file, "bob")
	if after.Hash != u.Hash || len(after.Groups) != 0 {
		t.Errorf("groups %q, or another hash", after.Groups)
	}
	do("changed bob\n", "", "bob", "--keep-password", "--client", "bob-1", "--client", "b*")
	do("changed bob\n", "other\n", "bob", "--no-scram")
	if u, _ = userOf(t, file, "bob"); !slices.Equal(u.Clients, []string{"bob-1", "b*"}) || !verify(t, u, "other") {
		t.Errorf("client ids %q", u.Clients)
	}
	do("changed bob\n", "", "bob", "--keep-password", "--client", "")
	if u, _ = userOf(t, file, "bob"); len(u.Clients) != 0 {
		t.Errorf("client ids %q are left", u.Clients)
	}
	do("deleted bob\n", "", "-D", "bob")
	if _, ok := userOf(t, file, "bob"); ok {
		t.Error("he is still there")
	}
}

func TestPasswdTakesManyUsersAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if _, err := passwd(t, "x\n", file, "al", "-g", "old", "--no-scram"); err != nil {
		t.Fatal(err)
	}
	out, err := passwd(t, "bob:a:b\n\nal: c\n", file, "--batch", "--no-scram")
	if err != nil || out != "added bob\nchanged al\n" {
		t.Fatal(out, err)
	}
	bob, _ := userOf(t, file, "bob")
	al, _ := userOf(t, file, "al")
	if !verify(t, bob, "a:b") || !verify(t, al, " c") || !slices.Equal(al.Groups, []string{"old"}) {
		t.Errorf("wrong passwords, or groups %q", al.Groups)
	}
}

func TestPasswdRefusesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file, broken := filepath.Join(dir, "users"), filepath.Join(dir, "broken")
	salt := []byte("saltsaltsalt")
	sum := sha512.Sum512(append([]byte("x"), salt...))
	content := "bob:$6$" + base64.StdEncoding.EncodeToString(salt) + "$" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
	for name, data := range map[string]string{file: content, broken: "bob:topsecret\n"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"no user":                {"x", []string{file}, "accepts 2 arg(s)"},
		"a password as argument": {"x", []string{file, "al", "topsecret"}, "accepts 2 arg(s)"},
		"a user for many":        {"x", []string{file, "al", "--batch"}, "accepts 1 arg(s)"},
		"no password":            {"", []string{file, "al"}, "standard input has no password"},
		"an empty one":           {"\n", []string{file, "al"}, "standard input has no password"},
		"two lines":              {"topsecret\ntopsecret\n", []string{file, "al"}, "more than the one line"},
		"too long":               {strings.Repeat("x", auth.MaxPassword+1), []string{file, "al"}, "longer than"},
		"a bad name":             {"x", []string{file, "a:l"}, "the user name must be"},
		"a bad group":            {"x", []string{file, "al", "-g", "a b"}, "a group name must be"},
		"a bad client id":        {"x", []string{file, "al", "--client", "a b"}, "client ids must be"},
		"too few iterations":     {"x", []string{file, "al", "--scram-iterations", "10"}, "iterations"},
		"a broken file":          {"x", []string{broken, "al"}, "broken:1: the password is not hashed"},
		"nobody to delete":       {"", []string{file, "-D", "al"}, `there is no user "al"`},
		"nobody to change":       {"", []string{file, "--keep-password", "al"}, `there is no user "al"`},
		"nothing to delete from": {"", []string{filepath.Join(dir, "none"), "-D", "al"}, "reading the users file"},
		"two things":             {"x", []string{file, "-D", "--keep-password", "al"}, "none of the others can be"},
		"many, one malformed":    {"al:x\ntopsecret\n", []string{file, "--batch"}, "standard input:2: it must be name:password"},
		"no SCRAM for it":        {"\u0007", []string{file, "al"}, "preparing the password for SCRAM"},
	} {
		out, err := passwd(t, c.in, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error()+out, "topsecret") && name != "a password as argument" {
			t.Errorf("%s: %v, %q, want %s", name, err, out, c.want)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != content {
		t.Errorf("the file has changed: %q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.lock")); err == nil {
		t.Error("a lock of no file is left behind")
	}
}

func TestPasswdEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "users")
	cmd := passwdCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(strings.NewReader("a:x\nb:y\n"))
	cmd.SetArgs([]string{file, "--batch"})
	if err := cmd.ExecuteContext(ctx); err == nil {
		t.Error("it went on")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made")
	}
}
