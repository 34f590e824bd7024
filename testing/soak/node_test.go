package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

// nodeEnv makes the test binary the node.
const nodeEnv = "SKEIN_SOAK_NODE"

// sample is what the node says of itself.
type sample struct {
	Heap       int64 // bytes that are in use after a collection
	RSS        int64 // bytes resident; 0 where the system does not tell
	Goroutines int
	Files      int // open descriptors; 0 where the system does not tell
}

func (s sample) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("heap %.1f MiB, resident %.1f MiB, %d goroutines, %d descriptors",
		float64(s.Heap)/mib, float64(s.RSS)/mib, s.Goroutines, s.Files)
}

// serve is the node: it says where it listens, answers each line of standard input
// with a sample, and stops at its end.
func serve() int {
	if err := serveUntilEOF(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	return 0
}

func serveUntilEOF(in io.Reader, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	n, err := broker.New(settings(), broker.Options{Log: log})
	if err != nil {
		return err
	}
	if err := n.Start(context.Background()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "serving %s\n", n.Addrs()[0]) // without a reader the input ends too
	for asked := bufio.NewScanner(in); asked.Scan(); {
		b, err := json.Marshal(look())
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "sample %s %s\n", asked.Text(), b) // as above
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return goleak.Find()
}

// settings are the defaults with bounds that a slow subscriber reaches in seconds:
// where memory ends must be seen in a short run too.
func settings() *config.Config {
	c := config.Default()
	c.Listeners = c.Listeners[:1]
	c.Listeners[0].URL = "tcp://127.0.0.1:0"
	c.SysInterval = config.Duration(time.Second)
	c.Limits.OutputBuffer = 256 << 10
	c.Session.Queue.Messages, c.Session.Queue.Bytes = 1000, 1<<20
	return c
}

// look measures after what is garbage has gone. Pools give up what they hold at the
// second collection.
func look() sample {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := sample{Heap: int64(m.HeapAlloc), Goroutines: runtime.NumGoroutine()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64) // 0 is that the system does not tell
			s.RSS = pages * int64(os.Getpagesize())
		}
	}
	if d, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Files = len(d)
	}
	return s
}

// node is the child as the test sees it. It is used by one goroutine.
type node struct {
	*harness.Broker
	t     testing.TB
	proc  *harness.Proc
	stdin io.WriteCloser
	asked int
}

func startNode(t testing.TB) *node {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, proc: harness.StartCmd(t, cmd), stdin: stdin}
	n.Broker = &harness.Broker{TCP: n.line("serving ")}
	return n
}

// line waits for a line of the child and returns what follows its beginning.
func (n *node) line(begin string) string {
	n.t.Helper()
	n.proc.WaitOutput(begin)
	var rest string
	harness.Poll(n.t, 0, func() (whole bool) {
		_, out, _ := strings.Cut(n.proc.Output(), begin)
		rest, _, whole = strings.Cut(out, "\n")
		return whole
	})
	return rest
}

func (n *node) sample() sample {
	n.t.Helper()
	n.asked++
	if _, err := fmt.Fprintln(n.stdin, n.asked); err != nil {
		n.t.Fatalf("ask the node: %v\n%s", err, n.proc.Output())
	}
	var s sample
	answer := n.line(fmt.Sprintf("sample %d ", n.asked))
	if err := json.Unmarshal([]byte(answer), &s); err != nil {
		n.t.Fatalf("answer %q: %v", answer, err)
	}
	return s
}

// end stops the node, which must find no goroutine of its own left.
func (n *node) end() {
	n.t.Helper()
	if err := n.stdin.Close(); err != nil {
		n.t.Error(err)
	}
	if code := n.proc.Wait(); code != 0 {
		n.t.Errorf("the node ended with %d:\n%s", code, n.proc.Output())
	}
}
