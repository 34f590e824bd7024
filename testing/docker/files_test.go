package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// instructions are those of the Dockerfile, continued lines joined.
func instructions(t *testing.T) (list []string) {
	t.Helper()
	text := strings.ReplaceAll(file(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// value is the last instruction of a kind.
func value(list []string, kind string) string {
	v := ""
	for _, line := range list {
		if rest, ok := strings.CutPrefix(line, kind+" "); ok {
			v = rest
		}
	}
	return v
}

// words are the strings of an instruction in JSON form.
func words(s string) (list []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(s, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestDockerfile(t *testing.T) {
	list := instructions(t)
	if from := value(list, "FROM"); from != "scratch" {
		t.Errorf("the image is made from %s", from)
	}
	if user := value(list, "USER"); !regexp.MustCompile(`^[1-9][0-9]{3,}:[1-9][0-9]{3,}$`).MatchString(user) {
		t.Errorf("the user is %q, not the number of one without rights", user)
	}
	if !strings.Contains(value(list, "RUN"), "CGO_ENABLED=0") {
		t.Error("the binary may not be static")
	}
	gomod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (1\.[0-9]+)`).FindSubmatch(gomod)[1]
	if !strings.Contains(strings.Join(list, "\n"), "golang:"+string(version)+"-") {
		t.Errorf("the module needs Go %s", version)
	}
	ignored, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{".git", "docker/secrets", "data"} {
		if !strings.Contains("\n"+string(ignored), "\n"+never+"\n") {
			t.Errorf("%s is sent to the builder", never)
		}
	}
}

// The command lines of the image are ones that the binary takes: what it starts with is
// checked, and its health check asks where that listens.
func TestDockerfileCommands(t *testing.T) {
	list := instructions(t)
	if entry := words(value(list, "ENTRYPOINT")); len(entry) != 1 || entry[0] != "/skein" {
		t.Errorf("entry point %v", entry)
	}
	run := words(value(list, "CMD"))
	if out := output(t, exec.Command(binary(t), append([]string{"check"}, run...)...)); !strings.Contains(out, "is good") {
		t.Error(out)
	}
	_, health, _ := strings.Cut(value(list, "HEALTHCHECK"), "CMD ")
	args := words(health)
	out, err := exec.Command(binary(t), args[1:]...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ask 127.0.0.1:8083") {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	if !strings.Contains(strings.Join(run, " "), "--http 127.0.0.1:8083") || !strings.Contains(file(t, "skein.yaml"), "address: 0.0.0.0:8083") {
		t.Error("the health check asks elsewhere than the node listens")
	}
}

// systemd takes the unit, and finds little to lose in it.
func TestUnit(t *testing.T) {
	analyze := server.Program(t, "systemd-analyze")
	unit := file(t, "skein.service")
	for _, line := range []string{"Type=notify", "WatchdogSec=60s", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "StateDirectory=skein"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
	path := put(t, filepath.Join(t.TempDir(), "skein.service"), replace(t, unit, "/usr/local/bin/skein", binary(t)))
	if out := output(t, exec.Command(analyze, "verify", "--man=no", path)); out != "" {
		t.Error(out)
	}
	broken := put(t, filepath.Join(t.TempDir(), "skein.service"), replace(t, unit, "Type=notify", "Type=notified", "/usr/local/bin/skein", binary(t)))
	if out, err := exec.Command(analyze, "verify", "--man=no", broken).CombinedOutput(); err == nil && len(out) == 0 {
		t.Error("verify takes everything")
	}
	output(t, exec.Command(analyze, "security", "--offline=true", "--threshold=20", path))
}
