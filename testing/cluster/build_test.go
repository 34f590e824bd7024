package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// change makes a build another one: in a file of the repository, from is replaced by to.
type change struct{ file, from, to string }

// newerFormat is a build that reads and writes a newer format.
var newerFormat = change{"bridge/join.go", "const Format = 1\n", "const Format = 2\n"}

// builds are the binaries of this process, each built once.
var builds struct {
	mu   sync.Mutex
	dir  string
	done map[change]string
}

// binary builds the program, with the race detector if the tests have it, and with a
// change unless that is the zero value.
func binary(t testing.TB, c change) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.done == nil {
		dir, err := os.MkdirTemp("", "skein-cluster")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.done = dir, make(map[change]string)
	}
	if b, ok := builds.done[c]; ok {
		return b
	}
	name := filepath.Join(builds.dir, fmt.Sprintf("skein%d", len(builds.done)))
	args := []string{"build", "-o", name}
	if raceDetector {
		args = append(args, "-race")
	}
	if c.file != "" {
		args = append(args, "-overlay", c.overlay(t, name))
	}
	if out, err := exec.Command("go", append(args, "../../cmd/skein")...).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	builds.done[c] = name
	return name
}

// overlay writes the changed file and what tells the compiler of it.
func (c change) overlay(t testing.TB, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("../..", c.file))
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(src), c.from) != 1 {
		t.Fatalf("%s has %q not exactly once", c.file, c.from)
	}
	changed, list := name+".go", name+".json"
	if err := os.WriteFile(changed, []byte(strings.Replace(string(src), c.from, c.to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}

func removeBuilds() error {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir == "" {
		return nil
	}
	return os.RemoveAll(builds.dir)
}
