package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/witness"
)

// dataEnv makes the test binary a node on that directory, brokenEnv one that
// acknowledges before it has stored.
const (
	dataEnv   = "SKEIN_CRASH_DATA"
	brokenEnv = "SKEIN_CRASH_BROKEN"
)

// willGrace is how long a client whose connection was cut by the end of the node may
// stay away.
const willGrace = time.Second

// serve is the node: it says where it listens and stops at the end of its input.
func serve() int {
	if err := serveUntilEOF(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	return 0
}

func serveUntilEOF(in io.Reader, out io.Writer) error {
	c := config.Default()
	c.Listeners = c.Listeners[:1]
	c.Listeners[0].URL = "tcp://127.0.0.1:0"
	c.Data = os.Getenv(dataEnv)
	c.Session.WillGrace = config.Duration(willGrace)
	o := broker.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if os.Getenv(brokenEnv) != "" {
		o.WrapStore = breakStore
	}
	n, err := broker.New(c, o)
	if err != nil {
		return err
	}
	if err := n.Start(context.Background()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "serving %s\n", n.Addrs()[0]) // without a reader the input ends too
	_, _ = io.Copy(io.Discard, in)                        // an error is an end as well
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline)
	defer cancel()
	return n.Stop(ctx)
}

// node is the child, in all its lives. Clients ask it for its address.
type node struct {
	dir    string
	broken bool
	proc   *harness.Proc
	stdin  io.WriteCloser

	mu  sync.Mutex
	url string // empty: it is not up
}

// begin starts a life and does not wait for it to be up.
func (n *node) begin(t testing.TB) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dataEnv+"="+n.dir)
	if n.broken {
		cmd.Env = append(cmd.Env, brokenEnv+"=1")
	}
	var err error
	if n.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	n.proc = harness.StartCmd(t, cmd)
}

// up waits until the node serves.
func (n *node) up(t testing.TB) {
	t.Helper()
	const begin = "serving "
	n.proc.WaitOutput(begin)
	harness.Poll(t, 0, func() bool {
		_, rest, _ := strings.Cut(n.proc.Output(), begin)
		url, _, whole := strings.Cut(rest, "\n")
		if whole {
			n.set(url)
		}
		return whole
	})
}

func (n *node) set(url string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.url = url
}

func (n *node) address() (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.url == "" {
		return "", errors.New("the node is not up")
	}
	return n.url, nil
}

// kill ends the life. A node that ended by itself before is a failure.
func (n *node) kill(t testing.TB, rec *witness.Recorder) {
	t.Helper()
	if !n.proc.Running() {
		t.Errorf("the node ended by itself:\n%s", n.proc.Output())
	}
	n.set("")
	rec.Changes("", false)
	n.proc.Kill()
	if out := n.proc.Output(); !n.broken && (strings.Contains(out, "level=ERROR") || strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic:")) {
		t.Errorf("the node said:\n%s", out)
	}
	_ = n.stdin.Close() // nobody reads it any more
}

// stop ends the last life as a program would.
func (n *node) stop(t testing.TB) {
	t.Helper()
	if err := n.stdin.Close(); err != nil {
		t.Error(err)
	}
	if code := n.proc.Wait(); code != 0 {
		t.Errorf("the node ended with %d:\n%s", code, n.proc.Output())
	}
}
