package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// node is one instance, in all its lives. It always listens at the same addresses. Its
// methods that begin or end a life are called by one goroutine at a time.
type node struct {
	*harness.Broker
	name    string
	proxied string // host:port for a balancer, which sends the PROXY protocol
	http    string // host:port
	cables  *cables
	dir     string
	config  string // file
	build   change

	mu   sync.Mutex
	proc *server.Proc // nil before the first life
	past []string     // what earlier lives wrote
}

// newNode prepares an instance; settings are further lines of its configuration.
func newNode(t testing.TB, i int, r *redises, o *options) *node {
	t.Helper()
	n := &node{
		name: fmt.Sprintf("n%d", i), dir: t.TempDir(), proxied: server.FreeAddr(t), http: server.FreeAddr(t),
		Broker: &harness.Broker{TCP: "tcp://" + server.FreeAddr(t)}, cables: r.cables(t),
	}
	n.config = filepath.Join(n.dir, "config.yaml")
	text := fmt.Sprintf(`
node: {name: %s}
data: %s
listeners:
  - {name: direct, url: %q}
  - {name: proxied, url: "tcp://%s", proxy: {enabled: true, trusted: [127.0.0.1]}}
http: {address: %q, tokens: [{name: test, scope: write, secret: %q}]}
sys_interval: 0
bridge:
  redis: {url: %q, lease: %v, read_timeout: %v, dial_timeout: 500ms, min_replicas: %d}
%s
`, n.name, filepath.Join(n.dir, "data"), n.TCP, n.proxied, n.http, token, n.cables.url, o.lease, o.lease*2/3, o.minReplicas, o.settings)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// token is what the API of an instance asks for.
const token = "testing-testing-testing-testing-1"

// begin starts a life and does not wait for it to be up.
func (n *node) begin(t testing.TB) {
	t.Helper()
	cmd := exec.Command(binary(t, n.build), "--config", n.config)
	cmd.Dir = n.dir
	p := server.StartCmd(t, cmd)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		n.past = append(n.past, n.proc.Output())
	}
	n.proc = p
}

// process is that of the present life.
func (n *node) process() *server.Proc {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// up waits until the node serves.
func (n *node) up(t testing.TB) {
	t.Helper()
	p := n.process()
	server.Poll(t, startDeadline, func() bool {
		if !p.Running() {
			t.Fatalf("%s ended:\n%s", n.name, p.Output())
		}
		return strings.Contains(p.Output(), "msg=ready")
	})
}

// start begins a life and waits until it serves.
func (n *node) start(t testing.TB) {
	t.Helper()
	n.begin(t)
	n.up(t)
}

// kill ends the life at once. One that had ended by itself is a failure.
func (n *node) kill(t testing.TB) {
	t.Helper()
	p := n.process()
	if !p.Running() {
		t.Errorf("%s ended by itself:\n%s", n.name, tail(p.Output()))
	}
	p.Kill()
}

// pause stops the process where it is; resume lets it go on.
func (n *node) pause(t testing.TB) { t.Helper(); pause(t, n.process()) }
func (n *node) resume()            { resume(n.process()) }

// stop asks the process to end, and waits until it has done so well.
func (n *node) stop(t testing.TB) {
	t.Helper()
	p := n.process()
	terminate(p)
	if code := p.Wait(); code != 0 {
		t.Errorf("%s ended with %d:\n%s", n.name, code, tail(p.Output()))
	}
}

// output is what all lives have written.
func (n *node) output() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.past, "")
	if n.proc != nil {
		all += n.proc.Output()
	}
	return all
}

// said waits until the node has written something in its present life.
func (n *node) said(t testing.TB, what string) {
	t.Helper()
	p := n.process()
	server.Poll(t, 0, func() bool { return strings.Contains(p.Output(), what) })
}

// accident is what no life may write.
var accidents = []string{"DATA RACE", "panic:", "fatal error:", "goroutine 1 ["}

// sound fails the test for what a node has written and must never write.
func (n *node) sound(t testing.TB) {
	t.Helper()
	out := n.output()
	for _, a := range accidents {
		if i := strings.Index(out, a); i >= 0 {
			t.Errorf("%s wrote:\n%.8000s", n.name, out[max(0, i-200):])
			return
		}
	}
}

// tail is the end of a long text.
func tail(s string) string {
	const most = 6000
	return s[max(0, len(s)-most):]
}

// accepting reports whether somebody listens.
func accepting(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close() // only asked
	}
	return err == nil
}
