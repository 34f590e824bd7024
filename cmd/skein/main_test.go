package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output takes what a command writes while a test reads it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// testApp is an app with captured output; signals come from the channel.
func testApp(env ...string) (a *app, out, errs *output, signals chan os.Signal) {
	out, errs, signals = &output{}, &output{}, make(chan os.Signal, 4) // never full: tests send fewer
	a = &app{env: env, stdout: out, stderr: errs, signals: func() (<-chan os.Signal, func()) { return signals, func() {} }}
	return a, out, errs, signals
}

// run runs a command line that ends by itself.
func run(t *testing.T, env []string, args ...string) (code int, out, errs string) {
	t.Helper()
	return runOn(t, env, "", args...)
}

// runOn runs a command line with a standard input.
func runOn(t *testing.T, env []string, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	a, o, e, _ := testApp(env...)
	a.stdin = strings.NewReader(in)
	code = a.run(context.Background(), args)
	return code, o.String(), e.String()
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCommandLine(t *testing.T) {
	bad := write(t, "session:\n  max_inflight: 0\nnonsense: 1\n")
	const open = "can be reached from other hosts, and nothing checks who connects: listen on a loopback address such as 127.0.0.1, " +
		"name who knows the clients in auth.sources, or let everybody in with auth.anonymous: true (SKEIN_AUTH__ANONYMOUS=true; for this listener alone anonymous: true)"
	badFile := "skein: nonsense: is not a setting (" + bad + ":3)\n" +
		"skein: session.max_inflight: must be between 1 and 65535, is 0 (" + bad + ":2)\n"
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		out  string
		errs string
	}{
		{"version", nil, []string{"version"}, 0, "skein " + buildVersion() + " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")\n", ""},
		{"check the defaults", nil, []string{"check"}, 0, "the configuration is good\n", ""},
		{"check a file", nil, []string{"check", "-c", "../../config.yaml"}, 0, "the configuration is good\n", ""},
		{"check a bad file", nil, []string{"check", "--config", bad}, 2, "", badFile},
		{"serve a bad file", nil, []string{"serve", "--config", bad}, 2, "", badFile},
		{"serve is the default", nil, []string{"--config", bad}, 2, "", badFile},
		{"a variable wins", []string{"SKEIN_SESSION__MAX_INFLIGHT=5"}, []string{"check", "-c", bad}, 2, "", "skein: nonsense: is not a setting (" + bad + ":3)\n"},
		{"no file", nil, []string{"-c", "none.yaml"}, 2, "", "skein: none.yaml: there is no such file\n"},
		{"a bad variable", []string{"SKEIN_X=1"}, nil, 2, "", "skein: SKEIN_X: is not a setting (SKEIN_X)\n"},
		{"a bad level", nil, []string{"check", "--log-level", "loud"}, 2, "",
			"skein: log.level: must be debug, info, warn or error, is \"loud\" (command line)\n"},
		{"an empty level", nil, []string{"check", "--log-level="}, 2, "",
			"skein: log.level: must be debug, info, warn or error, is \"\" (command line)\n"},
		{"open to all", nil, []string{"--listen", "tcp://127.0.0.1:0", "--listen", "tcp://0.0.0.0:0"}, 2, "",
			"skein: listeners[1].url: " + open + " (command line)\n"},
		{"open to all, and said so", []string{"SKEIN_AUTH__ANONYMOUS=true"}, []string{"check", "-l", "tcp://0.0.0.0:0"}, 0, "the configuration is good\n", ""},
		{"unknown command", nil, []string{"sevre"}, 2, "", "skein: unknown command \"sevre\" for \"skein\"\nRun 'skein --help' for usage.\n"},
		{"unknown flag", nil, []string{"serve", "--port", "1"}, 2, "", "skein: unknown flag: --port\nRun 'skein serve --help' for usage.\n"},
		{"argument", nil, []string{"check", "file"}, 2, "", "skein: unknown command \"file\" for \"skein check\"\nRun 'skein check --help' for usage.\n"},
		{"a store's bad file", nil, []string{"store", "inspect", "--config", bad}, 2, "", badFile},
		{"unknown command of a store", nil, []string{"store", "drop"}, 2, "", "skein: unknown command \"drop\" for \"skein store\"\nRun 'skein store --help' for usage.\n"},
		{"too many files", nil, []string{"store", "export", "a", "b"}, 2, "", "skein: accepts at most 1 arg(s), received 2\nRun 'skein store export --help' for usage.\n"},
		{"flag without value", nil, []string{"--config"}, 2, "", "skein: flag needs an argument: --config\nRun 'skein --help' for usage.\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, c.env, c.args...)
			if code != c.code || out != c.out || errs != c.errs {
				t.Errorf("code %d, want %d\nout %q\nwant %q\nerr %q\nwant %q", code, c.code, out, c.out, errs, c.errs)
			}
		})
	}
}

func TestFlagsWinOverFileAndVariables(t *testing.T) {
	a, _, _, _ := testApp("SKEIN_NODE__NAME=env", "SKEIN_DATA=/env")
	cmd := &cobra.Command{}
	source := a.sourceFlags(cmd)
	file := write(t, "log: {level: warn, format: json}\n")
	if err := cmd.ParseFlags([]string{"--config", file, "--node", "007", "--log-level", "debug", "-l", "unix:///a,b", "-l", "tcp://[::1]:1"}); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(source())
	if err != nil {
		t.Fatal(err)
	}
	if c.Node.Name != "007" || c.Log.Level != "debug" || c.Log.Format != config.FormatJSON || c.Data != "/env" ||
		len(c.Listeners) != 2 || c.Listeners[0].URL != "unix:///a,b" || c.Listeners[1].URL != "tcp://[::1]:1" {
		t.Errorf("%+v", c)
	}
}

func TestHelpNamesTheCommandsAndFlags(t *testing.T) {
	code, out, errs := run(t, nil, "--help")
	if code != 0 || errs != "" {
		t.Errorf("code %d, %s", code, errs)
	}
	for _, s := range []string{"serve", "check", "version", "bench", "store", "--config FILE", "--listen URL", "--data DIR", "--log-level LEVEL", "--node NAME"} {
		if !strings.Contains(out, s) {
			t.Errorf("help does not name %s", s)
		}
	}
}

func TestWrongUseOfBench(t *testing.T) {
	if code, _, errs := run(t, nil, "bench", "-q", "7"); code != 2 || !strings.HasPrefix(errs, "skein: ") {
		t.Errorf("code %d, %q", code, errs)
	}
}

func TestVersions(t *testing.T) {
	dev := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	git := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
	}}
	for _, c := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"v1.2.3", git, "v1.2.3"},
		{"", dev, "devel"},
		{"", &debug.BuildInfo{}, "devel"},
		{"", git, "devel-0123456789ab+dirty"},
		{"", &debug.BuildInfo{Main: debug.Module{Version: "v1.0.0"}, Settings: git.Settings}, "v1.0.0"},
	} {
		if got := versionOf(c.linked, c.info); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
