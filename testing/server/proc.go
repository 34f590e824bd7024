package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Program finds an installed program, also in the sbin directories; without it
// the test is skipped, by name.
func Program(t testing.TB, name string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// OutputEnv is the environment variable with a directory in which the output of every
// child process is kept, in a file each, while it is written.
const OutputEnv = "TEST_OUTPUT"

// Proc is a child process. It is killed, by its own id, when its test ends.
type Proc struct {
	Cmd *exec.Cmd

	t    testing.TB
	done chan struct{}
	err  error // of Wait; set before done is closed

	mu   sync.Mutex
	out  bytes.Buffer   // standard output and error, mixed
	also io.WriteCloser // where it goes too
}

// Start starts an installed program.
func Start(t testing.TB, name string, args ...string) *Proc {
	t.Helper()
	return StartCmd(t, exec.Command(Program(t, name), args...))
}

// StartCmd starts a command whose output goes to the Proc.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	p := &Proc{Cmd: cmd, t: t, done: make(chan struct{}), also: keepOutput(t, cmd)}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		_ = p.also.Close() // nothing was written
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() { // ends with the process
		p.err = cmd.Wait()
		_ = p.also.Close() // for who looks at it
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Write takes the output of the process.
func (p *Proc) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.also.Write(b) // as above
	return p.out.Write(b)
}

// keepOutput is the file that OutputEnv asks for.
func keepOutput(t testing.TB, cmd *exec.Cmd) io.WriteCloser {
	t.Helper()
	dir := os.Getenv(OutputEnv)
	if dir == "" {
		return discard{}
	}
	f, err := os.CreateTemp(dir, filepath.Base(cmd.Path)+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(f, cmd.Args) // as above
	return f
}

type discard struct{}

// Write implements io.Writer.
func (discard) Write(b []byte) (int, error) { return len(b), nil }

// Close implements io.Closer.
func (discard) Close() error { return nil }

// Output is what the process has written so far.
func (p *Proc) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Running reports whether the process has not ended.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitOutput waits until the output contains s; a process that ends without it
// fails the test.
func (p *Proc) WaitOutput(s string) {
	p.t.Helper()
	defer p.show()
	Poll(p.t, 0, func() bool {
		running := p.Running()
		if strings.Contains(p.Output(), s) {
			return true
		}
		if !running {
			p.t.Fatalf("%s ended (%v) without %q", p.Cmd.Path, p.err, s)
		}
		return false
	})
}

func (p *Proc) show() {
	if p.t.Failed() {
		p.t.Logf("output of %s:\n%s", p.Cmd.Path, p.Output())
	}
}

// Wait waits for the end of the process and returns its exit code.
func (p *Proc) Wait() int {
	p.t.Helper()
	defer p.show()
	Poll(p.t, 0, func() bool { return !p.Running() })
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.t.Fatalf("%s: %v", p.Cmd.Path, p.err)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Kill ends the process and waits for its end.
func (p *Proc) Kill() {
	_ = p.Cmd.Process.Kill() // it may have ended
	<-p.done
}
