package auth

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const testVerifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func users(t testing.TB, lines ...string) *UserList {
	t.Helper()
	l, err := ParseUsers("users", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestUsersFileIsParsed(t *testing.T) {
	l := users(t, "# the users", "", "bob:"+cheap("b"), " al :\t"+cheap("a")+" \r",
		"eve:"+argonPassword+":groups=ops,all", "dan:"+mosquitto7+":scram="+testVerifier,
		"jim:"+bcryptA+":groups=ops,all:scram="+testVerifier+" ", "tim:"+bcryptA+":groups=ops:clients=tim,t-*:scram="+testVerifier, "j\u00fcrgen m:"+mosquitto6)
	if l.Len() != 7 || strings.Join(l.users["tim"].clients, " ") != "tim t-*" {
		t.Errorf("%d users", l.Len())
	}
	for name, want := range map[string]userEntry{
		"bob":           {hash: cheap("b"), line: 3},
		"al":            {hash: cheap("a"), line: 4},
		"eve":           {hash: argonPassword, groups: []string{"ops", "all"}, line: 5},
		"dan":           {hash: mosquitto7, scram: testVerifier, line: 6},
		"jim":           {hash: bcryptA, groups: []string{"ops", "all"}, scram: testVerifier, line: 7},
		"tim":           {hash: bcryptA, groups: []string{"ops"}, scram: testVerifier, line: 8},
		"j\u00fcrgen m": {hash: mosquitto6, line: 9},
	} {
		if got := l.users[name]; got.hash != want.hash || got.scram != want.scram || got.line != want.line || !slices.Equal(got.groups, want.groups) {
			t.Errorf("%s: line %d, groups %q", name, got.line, got.groups)
		}
	}
	if l.Has("# the users") || l.Has("") || !l.Has("bob") {
		t.Error("the wrong users are there")
	}
}

func TestEveryMalformedLineIsNamed(t *testing.T) {
	good := "bob:" + cheap("b")
	for line, want := range map[string]string{
		"topsecret":                                "users:2: a user must be name:hash",
		"al:topsecret":                             "users:2: the password is not hashed",
		":" + cheap("topsecret"):                   "users:2: the user name must be",
		"al\x00:" + cheap("topsecret"):             "users:2: the user name must be",
		"al\xff:" + cheap("topsecret"):             "users:2: the user name must be",
		good:                                       `users:2: user "bob" is on line 1 already`,
		"al:" + cheap("a") + ":":                   "users:2: behind the hash",
		"al:" + cheap("a") + ":topsecret":          "users:2: behind the hash",
		"al:" + cheap("a") + ":groups=":            "users:2: a group name must be",
		"al:" + cheap("a") + ":groups=a,,b":        "users:2: a group name must be",
		"al:" + cheap("a") + ":groups=a b":         "users:2: a group name must be",
		"al:" + cheap("a") + ":groups=a:":          "users:2: behind the hash",
		"al:" + cheap("a") + ":groups=a:more":      "users:2: behind the hash",
		"al:" + cheap("a") + ":clients=":           "users:2: client ids must be",
		"al:" + cheap("a") + ":clients=a:":         "users:2: behind the hash",
		"al:" + cheap("a") + ":clients=a:groups=b": "users:2: behind the hash",
		"al:" + cheap("a") + ":scram=":             "users:2: a SCRAM verifier must be",
		"al:" + cheap("a") + ":scram=" + strings.Replace(testVerifier, "4096", "1", 1):           "users:2: the number of iterations must be",
		"al:" + cheap("a") + ":scram=" + strings.Replace(testVerifier, "4096", "99999999", 1):    "users:2: the number of iterations must be",
		"al:" + cheap("a") + ":scram=" + testVerifier + ":groups=a":                              "users:2: the ServerKey must have",
		"al:" + cheap("a") + ":scram=" + strings.Replace(testVerifier, "$WG5d8", "$!G5d8", 1):    "users:2: the StoredKey must have",
		"al:" + cheap("a") + ":scram=" + strings.Replace(testVerifier, "SHA-256", "SHA-1", 1):    "users:2: a SCRAM verifier must be",
		"al:" + cheap("a") + ":scram=" + testVerifier + ":x":                                     "users:2: the ServerKey must have",
		"al:$argon2id$v=19$m=4194304,t=9,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2": "users:2: m must be between 8 and 1048576",
		"al:" + strings.Repeat("x", maxUserLine):                                                 "users:2: the line is too long",
	} {
		_, err := ParseUsers("users", []byte(good+"\n"+line+"\n"+"# fine\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", line, err, want)
			continue
		}
		if strings.Contains(err.Error(), "topsecret") || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%.60q: %v", line, err)
		}
	}
	if _, err := ParseUsers("users", []byte("\ufeff"+good)); err == nil || !strings.HasPrefix(err.Error(), "users:1: the file begins with a byte order mark") {
		t.Error(err)
	}
}

func TestAllMalformedLinesAreNamedUpToABound(t *testing.T) {
	_, err := ParseUsers("users", []byte(strings.Repeat("x\n", 250)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || lines[99] != "users:100: a user must be name:hash" || lines[100] != "users: 150 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add("bob:" + mosquitto7 + "\n# x\n\nal:" + bcryptA + ":groups=a,b:scram=" + testVerifier + "\r\n")
	f.Add("bob:" + argonPassword + "\n" + "al:" + cheap("x") + ":groups=g")
	f.Add("::::")
	f.Fuzz(func(t *testing.T, s string) {
		file, err := EditUsers("users", []byte(s))
		if err != nil {
			return
		}
		// What is set again as it was is read again as it was, and nothing else changes.
		want, err := ParseUsers("users", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		for name := range want.users {
			u, _ := file.User(name)
			if err := file.Set(name, u); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
		}
		got, err := ParseUsers("users", file.Bytes())
		if err != nil || got.Len() != want.Len() {
			t.Fatalf("%v, %d users, want %d", err, got.Len(), want.Len())
		}
		for name, e := range want.users {
			if g := got.users[name]; g.hash != e.hash || g.scram != e.scram || g.line != e.line || !slices.Equal(g.groups, e.groups) {
				t.Errorf("%q has changed", name)
			}
		}
	})
}

func TestEditingKeepsEverythingElse(t *testing.T) {
	before := "# head\nbob:" + cheap("b") + "\n\n# al is gone soon\nal:" + cheap("a") + ":groups=x\r\n  \neve:" + cheap("e")
	f, err := EditUsers("users", []byte(before))
	if err != nil {
		t.Fatal(err)
	}
	if !f.Delete("al") || f.Delete("al") || f.Delete("nobody") {
		t.Error("deleted the wrong ones")
	}
	set := func(name string, u User) {
		t.Helper()
		if err := f.Set(name, u); err != nil {
			t.Error(err)
		}
	}
	set("bob", User{Hash: mosquitto6, Groups: []string{"g", "h"}, Verifier: testVerifier})
	set("new", User{Hash: mosquitto7})
	set("new", User{Hash: mosquitto6})
	want := "# head\nbob:" + mosquitto6 + ":groups=g,h:scram=" + testVerifier + "\n\n# al is gone soon\n  \neve:" + cheap("e") + "\nnew:" + mosquitto6 + "\n"
	if got := string(f.Bytes()); got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
	for name, u := range map[string]User{
		"a:b": {Hash: mosquitto6}, "": {Hash: mosquitto6}, "x": {Hash: "plain"}, "#x": {Hash: mosquitto6}, " x": {Hash: mosquitto6},
		"y": {Hash: mosquitto6, Groups: []string{"a,b"}}, "z": {Hash: mosquitto6, Verifier: "x"}, "w": {Hash: mosquitto6, Groups: []string{""}},
	} {
		if err := f.Set(name, u); err == nil {
			t.Errorf("%q is set", name)
		}
	}
	if got := string(f.Bytes()); got != want {
		t.Errorf("what was refused has changed the file:\n%q", got)
	}
}

func TestPasswordsInABatchAreParsed(t *testing.T) {
	list, err := ParsePasswords("stdin", []byte("bob:a:b\r\n\nal: x \n"))
	if err != nil || len(list) != 2 || list[0].Name != "bob" || list[0].Password.Reveal() != "a:b" || list[1].Password.Reveal() != " x " {
		t.Errorf("%v, %d", err, len(list))
	}
	_, err = ParsePasswords("stdin", []byte("topsecret\nbob:\nal:topsecret\nal:topsecret\n#x:topsecret\n"))
	if err == nil || strings.Contains(err.Error(), "topsecret") || strings.Count(err.Error(), "stdin:") != 4 {
		t.Error(err)
	}
}

func TestUpdateKeepsModeAndMakesPrivateFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	file := filepath.Join(t.TempDir(), "users")
	set := func(f *UsersFile) error { return f.Set("bob", User{Hash: mosquitto6}) }
	mode := func(want os.FileMode) {
		t.Helper()
		if info, err := os.Stat(file); err != nil || info.Mode() != want {
			t.Errorf("%v, %v, want %v", info.Mode(), err, want)
		}
	}
	if err := UpdateUsers(file, set); err != nil {
		t.Fatal(err)
	}
	mode(0o600)
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := file + ".link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := UpdateUsers(link, func(f *UsersFile) error { return f.Set("al", User{Hash: mosquitto6}) }); err != nil {
		t.Fatal(err)
	}
	mode(0o640)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link has been replaced", err)
	}
	if l, err := LoadUsers(file); err != nil || l.Len() != 2 {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil || len(left) != 3 { // the file, its lock, the link
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users")
	broken := errors.New("no")
	if err := UpdateUsers(file, func(*UsersFile) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := UpdateUsers(file, func(*UsersFile) error { t.Error("asked"); return nil }); err == nil || !strings.Contains(err.Error(), "users:1: ") {
		t.Error(err)
	}
	if _, err := LoadUsers(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Symlink("nowhere", file+".x"); err == nil {
		if err := UpdateUsers(file+".x", func(*UsersFile) error { return nil }); err == nil {
			t.Error("a link to nowhere is followed")
		}
	}
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := UpdateUsers(file, func(f *UsersFile) error { return f.Set(fmt.Sprint("u", i), User{Hash: mosquitto6}) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if l, err := LoadUsers(file); err != nil || l.Len() != 20 {
		t.Errorf("%d users, %v", l.Len(), err)
	}
}

func testUsers(t testing.TB, lines ...string) *Users {
	t.Helper()
	p, _ := testPasswords(NewPool(1, 0), time.Minute, 0)
	return NewUsers(UsersConfig{Name: "users", List: users(t, lines...), Passwords: p, Secret: []byte("s")})
}

func TestUsersJudgePasswords(t *testing.T) {
	u := testUsers(t, "bob:"+cheap("b")+":groups=x,y")
	none := as("bob", "")
	none.HasPassword = false
	nobody := as("", "b")
	nobody.HasUser = false
	for name, c := range map[string]struct {
		c    Credentials
		want Outcome
	}{
		"right": {as("bob", "b"), Allow}, "wrong": {as("bob", "c"), Deny}, "empty": {as("bob", ""), Deny},
		"none": {none, NotMine}, "unknown": {as("al", "b"), NotMine}, "no user": {nobody, NotMine}, "case": {as("Bob", "b"), NotMine},
	} {
		a := u.Check(t.Context(), c.c)
		if a.Outcome != c.want || a.Outcome == Deny && (a.Code != CodeBadCredentials || a.Why != "users: wrong password") {
			t.Errorf("%s: %+v", name, a)
		}
		if a.Outcome == Allow && (a.Identity.User != "bob" || !slices.Equal(a.Identity.Groups, []string{"x", "y"})) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestUnknownUsersCostAsMuchAsKnownOnes(t *testing.T) {
	p, n := testPasswords(NewPool(1, 0), time.Minute, 0)
	u := NewUsers(UsersConfig{Name: "users", List: users(t, "a:"+cheap("a"), "b:"+cheap("b"), "c:"+mosquitto7), Passwords: p})
	schemes := map[scheme]int{}
	for i := range 300 {
		c := as(fmt.Sprint("u", i), "x")
		if err := u.Spend(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		stored := u.list.decoys.pick(u.secret, c.User)
		if stored != u.list.decoys.pick(u.secret, c.User) {
			t.Error("a user costs one time this, one time that")
		}
		h, err := ParseHash(stored)
		if err != nil {
			t.Fatal(err)
		}
		schemes[h.scheme]++
	}
	if n.Hashed.Load() != 300 || schemes[schemeSHA512] < 150 || schemes[schemePBKDF2] < 50 {
		t.Errorf("%d hashed, %v; want 300, in the file's proportion of 2 to 1", n.Hashed.Load(), schemes)
	}
	if err := u.Spend(t.Context(), as("a", "x")); err != nil || n.Hashed.Load() != 300 {
		t.Errorf("a known one is hashed twice, %v", err)
	}
	busy := NewPool(1, 1)
	busy.waiting.Store(2)
	u.passwords.pool = busy
	if err := u.Spend(t.Context(), as("d", "x")); !errors.Is(err, ErrBusy) {
		t.Errorf("an unknown one does not wait as a known one does: %v", err)
	}
}

func TestFilesOfMosquittoPasswdAreRead(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("mosquitto_passwd is not installed")
	}
	file := filepath.Join(t.TempDir(), "users")
	if out, err := exec.Command(tool, "-c", "-b", file, "bob", "s:e c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(tool, "-b", "-H", "sha512", file, "al", "x").CombinedOutput(); err != nil {
		t.Logf("only its own scheme: %v: %s", err, out) // an older one
	}
	l, err := LoadUsers(file)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := testPasswords(NewPool(1, 0), 0, 0)
	u := NewUsers(UsersConfig{Name: "users", List: l, Passwords: p})
	if a := u.Check(t.Context(), as("bob", "s:e c")); a.Outcome != Allow {
		t.Errorf("%+v", a)
	}
	if a := u.Check(t.Context(), as("bob", "s:e")); a.Outcome != Deny {
		t.Errorf("%+v", a)
	}
}

func manyUsers(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "user-%d:%s:groups=sensors:scram=%s\n", i, argonPassword, testVerifier)
	}
	return []byte(b.String())
}

func TestManyUsersAreLoaded(t *testing.T) {
	const n = 10_000
	if l, err := ParseUsers("users", manyUsers(n)); err != nil || l.Len() != n || !l.Has("user-0") || !l.Has("user-9999") {
		t.Errorf("%d, %v", l.Len(), err)
	}
}

func BenchmarkParse100kUsers(b *testing.B) {
	data := manyUsers(100_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := ParseUsers("users", data); err != nil {
			b.Fatal(err)
		}
	}
}
