package docker

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skeinmq/skein/auth"
)

var expand = auth.Expand

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The script makes secrets that are long, differ, and stay when it runs again.
func TestFirstRun(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "secrets"), filepath.Join(t.TempDir(), "secrets")
	out := firstRun(t, a)
	firstRun(t, b)
	seen := map[string]string{}
	for _, name := range []string{"mqtt_password", "redis_password", "api_read", "api_write", "grafana_password"} {
		s := read(t, a, name)
		if len(s) != 48 || strings.ContainsAny(s, " \n") {
			t.Errorf("%s has %d characters", name, len(s))
		}
		if other, ok := seen[s]; ok || s == read(t, b, name) {
			t.Errorf("%s is that of %s, or of another installation", name, other)
		}
		seen[s] = name
		if strings.Contains(out, s) {
			t.Errorf("the script prints %s", name)
		}
	}
	if acl := read(t, a, "redis_acl"); strings.Contains(acl, read(t, a, "redis_password")) {
		t.Error("Redis' users file has the password itself")
	}
	info, err := os.Stat(a)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	before := tree(t, a)
	firstRun(t, a)
	if !bytes.Equal(before, tree(t, a)) {
		t.Error("another run has changed something")
	}
}

// tree is everything in a directory.
func tree(t *testing.T, dir string) []byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(e.Name() + info.Mode().String() + read(t, dir, e.Name()) + "\n")
	}
	return all.Bytes()
}

// A run that fails half way leaves nothing that looks whole.
func TestFirstRunThatFails(t *testing.T) {
	secrets := t.TempDir()
	cmd := exec.Command("sh", filepath.Join(dir, "first-run.sh"), secrets)
	cmd.Env = append(os.Environ(), "SKEIN=false")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("it ends well without a users file\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(secrets, "users")); err == nil {
		t.Error("there is a users file")
	}
	firstRun(t, secrets)
	if !strings.HasPrefix(read(t, secrets, "users"), "demo:") {
		t.Error("the next run did not make the users")
	}
}

// `skein check` takes the configuration with these secrets.
func TestConfigurationIsGood(t *testing.T) {
	secrets := t.TempDir()
	firstRun(t, secrets)
	path := put(t, filepath.Join(t.TempDir(), "skein.yaml"), replace(t, file(t, "skein.yaml"), "/run/secrets", secrets))
	if out := output(t, exec.Command(binary(t), "check", "--config", path)); !strings.Contains(out, "is good") {
		t.Error(out)
	}
}
