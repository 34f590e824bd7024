package docker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// balancer is HAProxy with docker/haproxy.cfg before three nodes on loopback.
type balancer struct {
	mqtt, ws, http, stats string
	proc                  *server.Proc
}

// member is where a node listens.
type member struct{ mqtt, ws, http string }

func startBalancer(t *testing.T, members [3]member) *balancer {
	t.Helper()
	b := &balancer{mqtt: server.FreeAddr(t), ws: server.FreeAddr(t), http: server.FreeAddr(t), stats: server.FreeAddr(t)}
	cmd := exec.Command(server.Program(t, "haproxy"), "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	cmd.Env = append(os.Environ(), "MAXCONN=1000", "MQTT_BIND="+b.mqtt, "WS_BIND="+b.ws, "HTTP_BIND="+b.http, "STATS_BIND="+b.stats)
	for i, m := range members {
		_, port, _ := net.SplitHostPort(m.http)
		for name, v := range map[string]string{"MQTT": m.mqtt, "WS": m.ws, "HTTP": m.http, "HTTP_PORT": port} {
			cmd.Env = append(cmd.Env, fmt.Sprintf("NODE%d_%s=%s", i+1, name, v))
		}
	}
	b.proc = server.StartCmd(t, cmd)
	return b
}

// up is how many servers of a backend HAProxy sees up.
func (b *balancer) up(t *testing.T, backend string) (n int) {
	t.Helper()
	if !b.proc.Running() {
		t.Fatalf("haproxy ended\n%s", b.proc.Output())
	}
	body, err := get("http://" + b.stats + "/;csv")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(body) {
		f := strings.Split(line, ",")
		if len(f) > 17 && f[0] == backend && strings.HasPrefix(f[1], "skein") && strings.HasPrefix(f[17], "UP") {
			n++
		}
	}
	return n
}

func get(url string) (string, error) {
	client := http.Client{Timeout: server.Deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }() // it is read
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// sham is a node that says of itself what the test wants, and to a connection its name
// when a PROXY header of version 2 came first.
type sham struct {
	member
	name         string
	ready, alive atomic.Bool
}

func newSham(t *testing.T, name string) *sham {
	t.Helper()
	s := &sham{name: name}
	s.ready.Store(true)
	s.alive.Store(true)
	answer := func(well *atomic.Bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if !well.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", answer(&s.ready))
	mux.HandleFunc("GET /healthz", answer(&s.alive))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s.name) }) // the test looks
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s.http = h.Listener.Addr().String()
	s.mqtt, s.ws = s.listen(t), s.listen(t)
	return s
}

func (s *sham) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done }) // the test is over
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	}()
	return l.Addr().String()
}

var proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

func (s *sham) serve(c net.Conn) {
	defer func() { _ = c.Close() }() // the client has the answer
	head := make([]byte, len(proxyV2))
	if _, err := io.ReadFull(c, head); err == nil && bytes.Equal(head, proxyV2) {
		_, _ = io.WriteString(c, s.name+"\n") // the test looks
	}
}

// who answers at an address of HAProxy; "" is nobody.
func who(addr string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }() // it has been read
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

// HAProxy sends clients to nodes that are ready; when none is, to those that live.
func TestBalancer(t *testing.T) {
	var shams [3]*sham
	var members [3]member
	for i := range shams {
		shams[i] = newSham(t, nodes[i])
		members[i] = shams[i].member
	}
	b := startBalancer(t, members)
	wait := func(backend string, n int) {
		t.Helper()
		server.Poll(t, 0, func() bool { return b.up(t, backend) == n })
	}
	for _, backend := range []string{"mqtt_ready", "mqtt_alive", "ws_ready", "ws_alive", "http"} {
		wait(backend, 3)
	}
	seen := func(addr string) map[string]bool {
		names := map[string]bool{}
		for range 30 {
			names[who(addr)] = true
		}
		return names
	}
	if names := seen(b.mqtt); len(names) != 3 || names[""] {
		t.Errorf("with three ready nodes clients come to %v", names)
	}

	shams[0].ready.Store(false)
	shams[1].ready.Store(false)
	wait("mqtt_ready", 1)
	wait("ws_ready", 1)
	for _, addr := range []string{b.mqtt, b.ws} {
		if names := seen(addr); len(names) != 1 || !names["skein3"] {
			t.Errorf("with one ready node clients come to %v", names)
		}
	}

	shams[2].ready.Store(false)
	shams[2].alive.Store(false)
	for backend, n := range map[string]int{"mqtt_ready": 0, "ws_ready": 0, "mqtt_alive": 2, "ws_alive": 2, "http": 2} {
		wait(backend, n)
	}
	for _, addr := range []string{b.mqtt, b.ws} {
		if names := seen(addr); len(names) != 2 || names["skein3"] || names[""] {
			t.Errorf("with no ready node clients come to %v, want those that live", names)
		}
	}
	if body, err := get("http://" + b.http + "/"); err != nil || body != "skein1" && body != "skein2" {
		t.Errorf("the API of %q, %v", body, err)
	}
	if body, err := get("http://" + b.stats + "/metrics"); err != nil || !strings.Contains(body, "haproxy_backend_active_servers") {
		t.Errorf("no metrics of HAProxy: %v", err)
	}
}

// HAProxy takes the file as compose mounts it. The names of the nodes are not known here.
func TestBalancerFile(t *testing.T) {
	out := output(t, exec.Command(server.Program(t, "haproxy"), "-c", "-f", filepath.Join(dir, "haproxy.cfg")))
	for line := range strings.Lines(out) {
		if strings.Contains(line, "[WARNING]") && !strings.Contains(line, "could not resolve address 'skein") || strings.Contains(line, "[ALERT]") {
			t.Error(line)
		}
	}
}
