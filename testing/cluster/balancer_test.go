package cluster

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// balancer is an HAProxy before all instances of a cluster.
type balancer struct {
	url  string
	proc *server.Proc
}

// mqttCheck asks for a version of the protocol that nobody has, and wants to be told so.
const mqttCheck = `option tcp-check
  tcp-check connect send-proxy
  tcp-check send-binary 100c00044d515454090000000000
  tcp-check expect binary 20`

// startBalancer starts HAProxy as a cluster has it: it says by the PROXY protocol who is
// connected, asks each instance whether it is ready, and ends the connections of one that
// does not answer.
func startBalancer(t testing.TB, nodes []*node) *balancer {
	t.Helper()
	addr, dir := server.FreeAddr(t), t.TempDir()
	var servers strings.Builder
	for _, n := range nodes {
		_, port, _ := strings.Cut(n.http, ":")
		fmt.Fprintf(&servers, "  server %s %s send-proxy-v2 check port %s inter 300ms fastinter 200ms fall 3 rise 1 on-marked-down shutdown-sessions\n", n.name, n.proxied, port)
	}
	check := "option httpchk GET /readyz"
	if status, _ := nodes[0].readyz(t); status == 0 {
		check = mqttCheck
		servers.Reset()
		for _, n := range nodes {
			fmt.Fprintf(&servers, "  server %s %s send-proxy-v2 check inter 300ms fastinter 200ms fall 3 rise 1 on-marked-down shutdown-sessions\n", n.name, n.proxied)
		}
	}
	conf := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf(`global
  maxconn 4000
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 500ms
  retries 1
  option redispatch
listen mqtt
  bind %s
  balance roundrobin
  %s
%s`, addr, check, &servers)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &balancer{url: "tcp://" + addr, proc: server.Start(t, "haproxy", "-db", "-f", conf)}
	server.Poll(t, 0, func() bool {
		if !b.proc.Running() {
			t.Fatalf("haproxy ended:\n%s", b.proc.Output())
		}
		return accepting(addr)
	})
	return b
}

// readyz is what an instance says of itself: the status, and the text with it.
func (n *node) readyz(t testing.TB) (int, string) {
	t.Helper()
	return n.get(t, "/readyz")
}

func (n *node) get(t testing.TB, path string) (int, string) {
	t.Helper()
	c := http.Client{Timeout: server.Deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + n.http + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }() // it is read
	b := make([]byte, 4096)
	k, _ := r.Body.Read(b) // the status tells
	return r.StatusCode, string(b[:k])
}
