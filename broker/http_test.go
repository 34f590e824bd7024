package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

const token = "0123456789abcdefghij"

// operated are settings of a node with an HTTP listener.
func operated(t *testing.T) *config.Config {
	c := settings(t)
	c.HTTP.Address = "127.0.0.1:0"
	c.HTTP.Tokens = []config.Token{{Name: "ops", Scope: config.ScopeWrite, Secret: token}}
	return c
}

// ask sends a request to a node and answers its status and body.
func ask(t *testing.T, n *broker.Node, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.HTTP()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func get[T any](t *testing.T, n *broker.Node, path string) (v T) {
	t.Helper()
	status, b := ask(t, n, "GET", "/api/v1/"+path, "")
	if err := json.Unmarshal([]byte(b), &v); status != 200 || err != nil {
		t.Fatalf("%s: %d %v %s", path, status, err, b)
	}
	return v
}

// What the API says of a connection is what the connection is.
func TestTheAPISeesConnections(t *testing.T) {
	n, b := start(t, operated(t), broker.Options{Version: "v"})
	c := b.Connect(t, harness.Connect{ID: "dev/1", User: "eve", Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(100))}})
	c.Subscribe("a/#", 1)
	b.Connect(t, harness.Connect{Version: harness.V311, ID: "old"})
	status, _ := ask(t, n, "POST", "/api/v1/publish", `{"topic":"a/b","payload":"x","qos":1}`)
	if status != 200 {
		t.Errorf("%d", status)
	}
	c.ExpectMessage("a/b", "x")
	one := get[v1.Client](t, n, "clients/dev%2F1")
	if !one.Connected || *one.User != "eve" || one.Listener != "test" || one.Transport != "tcp" || one.Remote != c.Conn.LocalAddr().String() || *one.Expiry != 100 || one.Subscriptions != 1 {
		t.Errorf("%+v", one)
	}
	if list := get[v1.Clients](t, n, "clients?version=4"); len(list.Clients) != 1 || list.Clients[0].ID != "old" || list.Clients[0].Persistent {
		t.Errorf("%+v", list)
	}
	if s := get[v1.Stats](t, n, "stats"); s.Connections != 2 || s.Sent.Messages != 1 || s.Connects["5.0"] != 1 {
		t.Errorf("%+v", s)
	}
	ask(t, n, "POST", "/api/v1/clients/dev%2F1/disconnect", "")
	c.ExpectRefused(0x98)
	if _, metrics := ask(t, n, "GET", "/metrics", ""); !strings.Contains(metrics, `skein_disconnects_total{reason="administrative action"} 1`) {
		t.Error(metrics)
	}
}

func TestBansOfTheAPI(t *testing.T) {
	n, b := start(t, operated(t), broker.Options{})
	c := b.Connect(t, harness.Connect{ID: "c", User: "eve"})
	other := b.Connect(t, harness.Connect{ID: "d"})
	if status, body := ask(t, n, "POST", "/api/v1/bans", `{"kind":"user","value":"eve","reason":"test"}`); status != 200 || !strings.Contains(body, `"disconnected":1`) {
		t.Errorf("%d %s", status, body)
	}
	c.ExpectRefused(0x87)
	other.Barrier()
	if _, ack := b.TryConnect(t, harness.Connect{ID: "c", User: "eve"}); ack.Code != 0x8A {
		t.Errorf("%v", ack)
	}
	if list := get[v1.Refusals](t, n, "refusals"); len(list.Refusals) != 1 || list.Refusals[0].User != "eve" || list.Refusals[0].What != "connect" || list.Refusals[0].Code != 0x8A {
		t.Errorf("%+v", list)
	}
	if list := get[v1.Bans](t, n, "bans"); len(list.Bans) != 1 || list.Bans[0].Reason != "test" {
		t.Errorf("%+v", list)
	}
	if status, _ := ask(t, n, "DELETE", "/api/v1/bans?kind=user&value=eve", ""); status != 204 {
		t.Errorf("%d", status)
	}
	b.Connect(t, harness.Connect{ID: "c", User: "eve"})
}

// A browser's page of this listener speaks MQTT through it; that of another may not.
func TestMQTTOverTheHTTPListener(t *testing.T) {
	n, _ := start(t, operated(t), broker.Options{})
	url := "ws" + strings.TrimPrefix(n.HTTP(), "http") + "/mqtt"
	b := &harness.Broker{TCP: url}
	c := b.Connect(t, harness.Connect{ID: "page"})
	c.Subscribe("a", 1)
	c.Publish(harness.Publish{Topic: "a", Payload: "x", QoS: 1})
	c.ExpectMessage("a", "x")
	if one := get[v1.Client](t, n, "clients/page"); one.Listener != "http" || one.Transport != "ws" || one.Remote != c.Conn.LocalAddr().String() {
		t.Errorf("%+v", one)
	}
	for i := range 20 { // more than a read
		c.Publish(harness.Publish{Topic: "b", Payload: strings.Repeat("x", 10_000+i), QoS: 1})
	}
	if status, body := ask(t, n, "GET", "/mqtt", ""); status != 400 && status != 426 {
		t.Errorf("%d %s", status, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.HTTP()+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Protocol": "mqtt", "Origin": "http://evil.example",
	} {
		r.Header.Set(k, v)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // only the status counts
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("%d", res.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDrainOfTheAPI(t *testing.T) {
	cfg := operated(t)
	cfg.DrainDelay, cfg.DrainRate, cfg.MQTT.ServerReference = config.Duration(50*time.Millisecond), 100, "other:1883"
	n, b := start(t, cfg, broker.Options{})
	clients := []*harness.Client{b.Client(t, harness.V5), b.Client(t, harness.V5), b.Client(t, harness.V311)}
	if status, body := ask(t, n, "GET", "/readyz", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask(t, n, "POST", "/api/v1/drain", ""); status != 202 || !strings.Contains(body, `"draining":true`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask(t, n, "GET", "/readyz", ""); status != 503 || !strings.Contains(body, "drained") {
		t.Errorf("%d %s", status, body)
	}
	clients[0].ExpectRefused(0x9C)
	clients[1].ExpectRefused(0x9C)
	clients[2].ExpectRefused(0)
	harness.Poll(t, 0, func() bool { return get[v1.Drain](t, n, "drain").Phase == "done" })
	if _, ack := b.TryConnect(t, harness.Connect{ID: "late"}); ack.Code != 0x9C || ack.Props.Text(harness.PServerReference) != "other:1883" {
		t.Errorf("%v", ack)
	}
	if status, body := ask(t, n, "DELETE", "/api/v1/drain", ""); status != 200 || !strings.Contains(body, `"phase":"none"`) {
		t.Errorf("%d %s", status, body)
	}
	b.Connect(t, harness.Connect{ID: "late"})
	if status, _ := ask(t, n, "GET", "/readyz", ""); status != 200 {
		t.Errorf("%d", status)
	}
	ask(t, n, "POST", "/api/v1/drain", "") // and is stopped while it lasts
}

// A node that is told to stop says that it is not ready, until the delay is over, and
// health is answered until its end.
func TestDrainBeforeStop(t *testing.T) {
	cfg := operated(t)
	cfg.DrainDelay = config.Duration(300 * time.Millisecond)
	n, err := broker.New(cfg, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	harness.Poll(t, 0, func() bool { return len(n.Addrs()) > 0 })
	c := (&harness.Broker{TCP: n.Addrs()[0]}).Client(t, harness.V5)
	begun := time.Now()
	cancel()
	harness.Poll(t, 0, func() bool { status, _ := ask(t, n, "GET", "/readyz", ""); return status == 503 })
	c.Barrier() // it is still served
	c.ExpectRefused(0x8B)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("stopped after %v", took)
	}
}

func TestReloadOfTheAPI(t *testing.T) {
	cfg := operated(t)
	var n *broker.Node
	var fail error
	reload := func(context.Context) error {
		if fail != nil {
			return fail
		}
		next := *cfg
		next.HTTP.Tokens = append([]config.Token{{Name: "second", Scope: config.ScopeRead, Secret: token + "2"}}, cfg.HTTP.Tokens...)
		next.Node.Name, next.HTTP.Address = "other", "127.0.0.1:1"
		return n.Reload(&next)
	}
	n, _ = start(t, cfg, broker.Options{Reload: reload})
	if status, body := ask(t, n, "POST", "/api/v1/reload", ""); status != 200 || !strings.Contains(body, `["node.name","http.address"]`) {
		t.Errorf("%d %s", status, body)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, n.HTTP()+"/api/v1/version", nil)
	r.Header.Set("Authorization", "Bearer "+token+"2")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close() // only the status counts
	fail = errors.New("the file is wrong")
	if status, body := ask(t, n, "POST", "/api/v1/reload", ""); status != 422 || !strings.Contains(body, "the file is wrong") {
		t.Errorf("%d %s", status, body)
	}
}

func TestHTTPOverTLS(t *testing.T) {
	certs := harness.WriteCerts(t)
	cfg := operated(t)
	cfg.HTTP.TLS = config.HTTPTLS{Cert: certs.Server, Key: certs.ServerKey}
	n, _ := start(t, cfg, broker.Options{})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: harness.ClientTLS()}}
	defer client.CloseIdleConnections()
	res, err := client.Get(n.HTTP() + "/readyz")
	if err != nil || res.StatusCode != 200 || !strings.HasPrefix(n.HTTP(), "https://") {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close() // only the status counts
	b := &harness.Broker{TCP: "wss" + strings.TrimPrefix(n.HTTP(), "https") + "/mqtt"}
	b.Connect(t, harness.Connect{ID: "page"}).Barrier()
	if err := os.WriteFile(certs.Server, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(cfg); err == nil {
		t.Error("a broken certificate was taken")
	}
}

// The address that is taken is an error that leaves nothing running.
func TestHTTPPortInUse(t *testing.T) {
	n, _ := start(t, operated(t), broker.Options{})
	cfg := operated(t)
	cfg.HTTP.Address = strings.TrimPrefix(n.HTTP(), "http://")
	second, err := broker.New(cfg, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), cfg.HTTP.Address) {
		t.Errorf("%v", err)
	}
	stop(t, second)
	cfg.HTTP.TLS = config.HTTPTLS{Cert: filepath.Join(t.TempDir(), "none"), Key: "none"}
	if _, err := broker.New(cfg, broker.Options{}); err == nil {
		t.Error("a certificate that is not there was taken")
	}
}
