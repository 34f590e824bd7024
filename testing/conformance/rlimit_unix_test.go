//go:build unix

package conformance

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/skeinmq/skein/broker/config"
	. "github.com/skeinmq/skein/testing/harness"
)

// childEnv makes the test binary a broker in a process of its own: "derived" has few
// descriptors and finds its connection limit, "exceeded" has few and a limit that it
// cannot reach, "all" has what there are.
const childEnv = "SKEIN_TEST_CHILD"

const (
	childFiles = 96
	tooMany    = 300
)

func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	const most = 1 << 30
	if l.Cur > most {
		return most
	}
	return int(l.Cur)
}

// TestChildBroker is no test: it is the broker of childBroker. It ends with its
// standard input.
func TestChildBroker(t *testing.T) {
	kind := os.Getenv(childEnv)
	if kind == "" {
		t.Skip("runs as the child of other tests only")
	}
	if kind != "all" {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: childFiles, Max: childFiles}); err != nil {
			t.Fatal(err)
		}
	}
	b := Node(t, func(c *config.Config) {
		if kind == "exceeded" {
			c.Limits.Connections = 100 * childFiles
		}
	})
	fmt.Printf("serving %s\n", b.TCP)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // the parent closes it
}

// childBroker starts a broker in a process of its own. stop ends it and wants it to
// have ended well.
func childBroker(t *testing.T, kind string) (b *Broker, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildBroker$", "-test.count=1")
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	child := StartCmd(t, cmd)
	child.WaitOutput("serving tcp://")
	_, rest, _ := strings.Cut(child.Output(), "serving ")
	url, _, _ := strings.Cut(rest, "\n")
	return &Broker{TCP: url}, func() {
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if code := child.Wait(); code != 0 {
			t.Errorf("the broker ended with %d: %s", code, child.Output())
		}
	}
}

// TestDescriptors opens more connections than the broker has descriptors.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	OwnNode(t)
	for _, kind := range []string{"derived", "exceeded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b, stop := childBroker(t, kind)
			defer stop()
			h := newHealthy(t, b)
			var extra []net.Conn
			for range tooMany {
				nc, err := DialConn(b.TCP)
				if err != nil {
					break
				}
				_, _ = nc.Write(Connect{Version: V311, ID: Name()}.Bytes()) // refused ones are closed
				extra = append(extra, nc)
			}
			for range 10 {
				h.check(t)
			}
			for _, nc := range extra {
				_ = nc.Close() // nothing is promised
			}
			Poll(t, 0, func() bool { return accepts(b) }) // there is room again
			h.check(t)
		})
	}
}

// accepts reports whether a new connection is served.
func accepts(b *Broker) bool {
	nc, err := DialConn(b.TCP)
	if err != nil {
		return false
	}
	defer func() { _ = nc.Close() }() // only asked
	var ack [4]byte
	_, _ = nc.Write(Connect{Version: V311, ID: Name()}.Bytes()) // the answer tells
	n, _ := nc.Read(ack[:])
	return n == len(ack) && ack[3] == 0
}
