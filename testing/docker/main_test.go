// Package docker checks what is in docker/ as far as that can be without containers: the
// files say what they must, each program that reads one takes it, and the programs run
// together on loopback with just these files. Images are not built, compose does not run.
package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

// dir is where the files are.
const dir = "../../docker"

func TestMain(m *testing.M) { harness.Main(removing{m}) }

// removing removes the binary when the tests are done.
type removing struct{ m *testing.M }

func (r removing) Run() int {
	code := r.m.Run()
	if built != "" {
		if err := os.RemoveAll(filepath.Dir(built)); err != nil {
			fmt.Fprintln(os.Stderr, "remove what was built:", err)
		}
	}
	return code
}

// built is the binary, once it was asked for.
var built string

var build = sync.OnceValue(func() error {
	tmp, err := os.MkdirTemp("", "skein-docker")
	if err != nil {
		return err
	}
	built = filepath.Join(tmp, "skein")
	out, err := exec.Command("go", "build", "-o", built, "../../cmd/skein").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// binary is the program, built once.
func binary(t *testing.T) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return built
}

// file reads one of docker/.
func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// put writes a file of the test.
func put(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// replace replaces each old text, which must be there, by the new one.
func replace(t *testing.T, s string, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(s, oldnew[i]) {
			t.Fatalf("there is no %q", oldnew[i])
		}
		s = strings.ReplaceAll(s, oldnew[i], oldnew[i+1])
	}
	return s
}

// output runs a program to its end, and fails the test unless it ends well.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// firstRun runs first-run.sh with the binary, into a directory of the test.
func firstRun(t *testing.T, secrets string) string {
	t.Helper()
	cmd := exec.Command("sh", filepath.Join(dir, "first-run.sh"), secrets)
	cmd.Env = append(os.Environ(), "SKEIN="+binary(t))
	return output(t, cmd)
}
