package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/skeinmq/skein/bridge"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

// serving is a command line that serves, in this process.
type serving struct {
	t       *testing.T
	signals chan os.Signal
	errs    *output
	code    chan int
}

func serve(ctx context.Context, t *testing.T, args ...string) *serving {
	t.Helper()
	a, _, errs, signals := testApp()
	s := &serving{t: t, signals: signals, errs: errs, code: make(chan int, 1)}
	args = append(args, "--data", t.TempDir())
	go func() { s.code <- a.run(ctx, args) }()
	s.await("msg=ready")
	return s
}

func (s *serving) await(what string) {
	s.t.Helper()
	harness.Poll(s.t, 0, func() bool { return strings.Contains(s.errs.String(), what) })
}

// url is that of the listener, with the port that it got.
func (s *serving) url() string {
	s.t.Helper()
	m := regexp.MustCompile(`tcp://(127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(s.errs.String())
	if m == nil {
		s.t.Fatalf("no listener in %s", s.errs)
	}
	return m[1]
}

func (s *serving) end(want int) {
	s.t.Helper()
	if got := <-s.code; got != want {
		s.t.Errorf("code %d, want %d\n%s", got, want, s.errs)
	}
}

func TestServeUntilASignal(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := serve(t.Context(), t, "--listen", "tcp://127.0.0.1:0", "--node", "n1")
		if out := s.errs.String(); strings.Count(out, "msg=listening url=tcp://") != 1 || strings.Count(out, "msg=ready node=n1") != 1 {
			t.Error(out)
		}
		c, err := net.Dial("tcp", s.url())
		if err != nil {
			t.Fatal(err)
		}
		s.signals <- sig
		s.end(exitDone)
		_ = c.Close() // the node closed it before
		if _, err := net.Dial("tcp", s.url()); err == nil {
			t.Error("still listening")
		}
	}
}

func TestServeUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(ctx, t, "serve", "-l", "tcp://127.0.0.1:0")
	cancel()
	s.end(exitDone)
}

func TestAPortInUseIsAFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // the test is over
	code, _, errs := run(t, nil, "--data", t.TempDir(), "-l", "tcp://127.0.0.1:0", "-l", "tcp://"+l.Addr().String())
	if code != exitFailed || !strings.Contains(errs, l.Addr().String()) || strings.Contains(errs, "msg=ready") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

func TestReload(t *testing.T) {
	file := write(t, "listeners: [{url: 'tcp://127.0.0.1:0'}]\nlog: {level: info}\n")
	change := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t.Context(), t, "--config", file)
	change("log: {level: loud}\nx: 1\n")
	s.signals <- syscall.SIGHUP
	s.await("nothing changed")
	for _, want := range []string{
		`level=ERROR msg="configuration is wrong" path=log.level problem="must be debug, info, warn or error, is \"loud\"" where=` + file + ":1",
		`level=ERROR msg="configuration is wrong" path=x problem="is not a setting" where=` + file + ":2",
		`level=ERROR msg="reload refused, nothing changed" problems=2`,
	} {
		if !strings.Contains(s.errs.String(), want) {
			t.Errorf("no line %s in\n%s", want, s.errs)
		}
	}
	change("listeners: [{url: 'tcp://127.0.0.1:0', max_connections: 5}]\nlog: {level: warn}\nshutdown_timeout: 5s\n")
	s.signals <- syscall.SIGHUP
	s.await("listeners[0].max_connections")
	s.signals <- syscall.SIGTERM
	s.end(exitDone)
	if strings.Contains(s.errs.String(), "msg=stopping") {
		t.Error("the level did not change")
	}
}

// fakeNode fails as it is told.
type fakeNode struct {
	start, reload, end error
	release            chan struct{} // Stop waits for it, if there is one
	reloads, drains    int
}

func (*fakeNode) Failed() <-chan error { return nil }

func (f *fakeNode) Start(context.Context) error { return f.start }
func (f *fakeNode) Drain(context.Context) error { f.drains++; return nil }
func (f *fakeNode) Reload(*config.Config) error { f.reloads++; return f.reload }
func (f *fakeNode) Stop(ctx context.Context) (err error) {
	if f.release != nil {
		<-f.release
	}
	return f.end
}

func testServer(n node) (*server, chan os.Signal, *output) {
	signals, out := make(chan os.Signal, 4), &output{} // never full: tests send fewer
	return &server{node: n, log: slog.New(slog.NewTextHandler(out, nil)), now: config.Default(), signals: signals, reloads: make(chan chan<- error)}, signals, out
}

// A node that stops to start anew, and is told to end meanwhile, has ended well.
func TestASignalWhileItStartsAnew(t *testing.T) {
	n := &fakeNode{}
	s, signals, _ := testServer(n)
	n.release = make(chan struct{})
	signals <- syscall.SIGTERM
	go func() {
		for len(signals) > 0 { // it is taken while the node stops
			runtime.Gosched()
		}
		close(n.release)
	}()
	if err := s.again(t.Context(), bridge.ErrRejoin); err != nil || !s.ended {
		t.Errorf("%v, ended %v", err, s.ended)
	}
}

// A node that others take over from while it starts begins anew, as another one.
func TestStartTakesTooLong(t *testing.T) {
	late, good := &fakeNode{start: fmt.Errorf("bridge: %w", bridge.ErrRejoin)}, &fakeNode{}
	s, signals, out := testServer(late)
	s.make = func(*config.Config) (node, error) { return good, nil }
	signals <- syscall.SIGTERM
	if err := s.run(t.Context()); err != nil {
		t.Error(err)
	}
	if s.node != node(good) || good.drains != 1 || late.drains != 0 || !strings.Contains(out.String(), "msg=ready") {
		t.Errorf("it did not begin anew: %s", out)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	n := &fakeNode{release: make(chan struct{})}
	s, signals, _ := testServer(n)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGHUP // is no second one
	signals <- syscall.SIGTERM
	if err := s.run(t.Context()); !errors.Is(err, errKilled) || exitCode(err) != exitFailed {
		t.Errorf("%v, code %d", err, exitCode(err))
	}
	close(n.release)
}

func TestHowAStopEnds(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		node fakeNode
		want error
		line string
	}{
		{fakeNode{}, nil, "level=INFO msg=stopped"},
		{fakeNode{end: context.DeadlineExceeded}, nil, "level=WARN"},
		{fakeNode{end: boom}, boom, "msg=stopping"},
		{fakeNode{start: boom}, boom, ""},
	} {
		s, signals, out := testServer(&c.node)
		signals <- os.Interrupt
		if err := s.run(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
		if !strings.Contains(out.String(), c.line) {
			t.Errorf("no %s in %s", c.line, out)
		}
		if started := c.node.start == nil; (c.node.drains == 1) != started {
			t.Errorf("%d drains", c.node.drains)
		}
	}
}

// The node's API has the same reload as SIGHUP, and its caller is told how it went.
func TestAReloadThatTheNodeAsksFor(t *testing.T) {
	n := &fakeNode{}
	s, signals, _ := testServer(n)
	done := make(chan error, 1)
	go func() { done <- s.run(t.Context()) }()
	if err := s.askReload(t.Context()); err != nil || n.reloads != 1 {
		t.Errorf("%v, %d reloads", err, n.reloads)
	}
	s.source.File = filepath.Join(t.TempDir(), "none")
	var problems *config.Problems
	if err := s.askReload(t.Context()); !errors.As(err, &problems) {
		t.Errorf("%v", err)
	}
	n.release = make(chan struct{})
	signals <- syscall.SIGTERM
	for err := error(problems); !errors.Is(err, errStopping); {
		err = s.askReload(t.Context()) // it may come before the signal
	}
	close(n.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestANodeThatRefusesAReloadChangesNothing(t *testing.T) {
	n := &fakeNode{reload: errors.New("no")}
	s, signals, out := testServer(n)
	before := s.now
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.reloads != 1 || s.now != before || !strings.Contains(out.String(), `msg="reload refused, nothing changed" error=no`) {
		t.Errorf("%d reloads\n%s", n.reloads, out)
	}
}

// The binary as a user has it.
func TestTheBinary(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a test cannot send signals on Windows")
	}
	binary := filepath.Join(t.TempDir(), "skein")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := func(args ...string) *harness.Proc {
		cmd := exec.Command(binary, args...)
		cmd.Dir = t.TempDir()
		return harness.StartCmd(t, cmd)
	}
	p := command("--listen", "tcp://127.0.0.1:0", "--log-level", "info")
	p.WaitOutput("msg=ready")
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.WaitOutput("reloaded")
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(); code != exitDone {
		t.Errorf("code %d\n%s", code, p.Output())
	}
	if left, err := os.ReadDir(p.Cmd.Dir); err != nil || len(left) != 1 || left[0].Name() != "data" {
		t.Errorf("left %v, %v", left, err) // the store in ./data and nothing else
	}
	if p := command("--listen", "tcp://0.0.0.0:0"); p.Wait() != exitUsage {
		t.Error(p.Output())
	}
}
