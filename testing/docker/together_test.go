package docker

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// stack is what compose.yaml runs, without containers: the same files, with addresses of
// loopback and secrets of the test.
type stack struct {
	secrets string
	redis   *server.Proc
	members [3]member
	*balancer
}

func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{secrets: t.TempDir()}
	firstRun(t, s.secrets)
	redis := server.FreeAddr(t)
	host, port, _ := net.SplitHostPort(redis)
	s.redis = server.Start(t, "redis-server", filepath.Join(dir, "redis.conf"), "--bind", host, "--port", port,
		"--dir", server.RedisDir(t), "--aclfile", filepath.Join(s.secrets, "redis_acl"))
	s.redis.WaitOutput("Ready to accept connections")
	for i := range s.members {
		m := member{mqtt: server.FreeAddr(t), ws: server.FreeAddr(t), http: server.FreeAddr(t)}
		tmp := t.TempDir()
		text := replace(t, file(t, "skein.yaml"), "0.0.0.0:1883", m.mqtt, "0.0.0.0:8080", m.ws, "0.0.0.0:8083", m.http,
			"172.31.83.0/28", "127.0.0.1", "redis:6379", redis, "/run/secrets", s.secrets, "data: /data", "data: "+tmp,
			"drain_delay: 4s", "drain_delay: 1s")
		config := put(t, filepath.Join(tmp, "skein.yaml"), text)
		server.StartCmd(t, exec.Command(binary(t), "--config", config, "--node", nodes[i]))
		s.members[i] = m
	}
	s.balancer = startBalancer(t, s.members)
	for _, backend := range []string{"mqtt_ready", "ws_ready", "http"} {
		server.Poll(t, 0, func() bool { return s.up(t, backend) == 3 })
	}
	return s
}

// authorized asks the API with the token in a secret; "" is without.
func (s *stack) authorized(t *testing.T, url, secret string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+read(t, s.secrets, secret))
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: server.Deadline}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// connect connects as the user of the first run.
func connect(t *testing.T, url, id, password string) (*harness.Client, byte) {
	t.Helper()
	if id == "" {
		id = harness.Name()
	}
	c := harness.Dial(t, url)
	return c, c.Connect(harness.Connect{ID: id, User: "demo", Pass: password}).Code
}

// The files of compose.yaml run together: Redis with its users, three nodes that know each
// other, HAProxy before them, and what Prometheus asks.
func TestFilesRunTogether(t *testing.T) {
	s := startStack(t)
	password := read(t, s.secrets, "mqtt_password")
	mqtt, ws := "tcp://"+s.mqtt, "ws://"+s.ws+"/mqtt"
	for _, url := range []string{mqtt, ws} {
		if _, code := connect(t, url, "", password); code != 0 {
			t.Errorf("%s: CONNACK %#x", url, code)
		}
		if _, code := connect(t, url, "", "wrong"); code != 0x86 && code != 0x87 {
			t.Errorf("%s: CONNACK %#x for a wrong password", url, code)
		}
	}
	s.overNodes(t, password)
	s.scrape(t)
	if code, body := s.authorized(t, "http://"+s.http+"/api/v1/nodes", "api_write"); code != http.StatusOK || strings.Count(body, `"skein`) < 3 {
		t.Errorf("the nodes by HAProxy: %d %s", code, body)
	}
	if code, _ := s.authorized(t, "http://"+s.http+"/api/v1/nodes", ""); code != http.StatusUnauthorized {
		t.Errorf("the API without a token: %d", code)
	}
	s.withoutRedis(t, password)
}

// withoutRedis ends Redis: no node is ready then, and HAProxy asks those that live, which
// know what they can do without it.
func (s *stack) withoutRedis(t *testing.T, password string) {
	t.Helper()
	s.redis.Kill()
	server.Poll(t, 0, func() bool { return s.up(t, "mqtt_ready") == 0 })
	if n := s.up(t, "mqtt_alive"); n != 3 {
		t.Errorf("%d nodes live without Redis, want 3", n)
	}
	c := harness.Dial(t, "tcp://"+s.mqtt)
	if ack := c.Connect(harness.Connect{Version: harness.V311, ID: "keep", User: "demo", Pass: password, Keep: true}); ack.Code != 3 {
		t.Errorf("a persistent session without Redis: %v, want code 3", ack)
	}
}

// overNodes publishes until every node was used, and all of it reaches one subscriber.
func (s *stack) overNodes(t *testing.T, password string) {
	t.Helper()
	sub, _ := connect(t, "tcp://"+s.mqtt, "sub", password)
	sub.Subscribe("together/#", 1)
	for i := range 6 { // leastconn: they come to all nodes
		c, _ := connect(t, "tcp://"+s.mqtt, "", password)
		topic := "together/" + strconv.Itoa(i)
		if ack := c.Publish(harness.Publish{Topic: topic, QoS: 1}); ack.Code != 0 {
			t.Errorf("PUBACK %#x for message %d", ack.Code, i)
		}
		sub.ExpectMessage(topic, "")
	}
}

// scrape asks for metrics as Prometheus does: every name of the alerts and the dashboard
// is there, unless it is one that is counted by words nobody has said yet.
func (s *stack) scrape(t *testing.T) {
	t.Helper()
	url := "http://" + s.members[0].http + "/metrics"
	code, body := s.authorized(t, url, "api_read")
	if code != http.StatusOK {
		t.Fatalf("metrics: %d %s", code, body)
	}
	byWord := map[string]bool{"skein_refused_total": true, "skein_disconnects_total": true, "skein_connects_total": true}
	for _, name := range usedIn(expressions(t)) {
		if !byWord[name] && !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(body) {
			t.Errorf("a node has no %s", name)
		}
	}
}

// freePorts is a number from which on a node of cluster.sh has its ports.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 50 {
		_, port, _ := net.SplitHostPort(server.FreeAddr(t))
		base, _ := strconv.Atoi(port)
		free := base < 65000
		for i := 1; i < 34 && free; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if free = err == nil; free {
				_ = l.Close() // it was free
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("there are no free ports")
	return 0
}

// make cluster: three nodes and HAProxy answer, a session moves, and Ctrl-C ends it all.
func TestClusterScript(t *testing.T) {
	for _, program := range []string{"bash", "redis-server", "haproxy"} {
		server.Program(t, program)
	}
	base := freePorts(t)
	b := &balancer{mqtt: server.FreeAddr(t), ws: server.FreeAddr(t), http: server.FreeAddr(t), stats: server.FreeAddr(t)}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	cmd := exec.Command("bash", filepath.Join(dir, "cluster.sh"))
	tmp := t.TempDir()
	redis := server.FreeAddr(t)
	cmd.Env = append(os.Environ(), "SKEIN="+binary(t), "MQTT="+port(b.mqtt), "WS="+port(b.ws), "HTTP="+port(b.http),
		"STATS="+port(b.stats), "REDIS="+port(redis), "NODES="+strconv.Itoa(base), "TMPDIR="+tmp)
	proc := server.StartCmd(t, cmd)
	stopped := false
	t.Cleanup(func() { // the script ends its programs, which Kill would leave
		if !stopped {
			_ = proc.Cmd.Process.Signal(os.Interrupt) // it may have ended
			proc.Wait()
		}
	})
	proc.WaitOutput("cluster: ready")
	bird := func(url string) (*harness.Client, bool) {
		c := harness.Dial(t, url)
		ack := c.Connect(harness.Connect{Version: harness.V311, ID: "bird", Keep: true})
		return c, ack.Present
	}
	first, _ := bird(fmt.Sprintf("tcp://127.0.0.1:%d", base+1))
	first.Subscribe("a/#", 1)
	if _, present := bird(fmt.Sprintf("tcp://127.0.0.1:%d", base+3)); !present {
		t.Error("the third node does not have the first one's session")
	}
	if _, present := bird("tcp://" + b.mqtt); !present {
		t.Error("HAProxy's nodes do not have the session")
	}
	if err := proc.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stopped = true
	if code := proc.Wait(); code != 0 {
		t.Errorf("code %d", code)
	}
	for _, addr := range []string{b.mqtt, b.http, redis, fmt.Sprintf("127.0.0.1:%d", base+1), fmt.Sprintf("127.0.0.1:%d", base+31)} {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close() // it should not be there
			t.Errorf("something still listens at %s", addr)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
