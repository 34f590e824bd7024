package broker_test

import (
	"context"
	"crypto/tls"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a node on a port of its own, without a file.
func settings(t *testing.T) *config.Config {
	c := config.Default()
	c.Data = t.TempDir()
	c.Persistence = config.PersistenceNone
	l := c.Listeners[0]
	l.Name, l.URL, l.Optional = "test", "tcp://127.0.0.1:0", false
	c.Listeners = []config.Listener{l}
	return c
}

func start(t *testing.T, cfg *config.Config, o broker.Options) (*broker.Node, *harness.Broker) {
	t.Helper()
	n, err := broker.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n) })
	return n, &harness.Broker{TCP: n.Addrs()[0]}
}

func stop(t *testing.T, n *broker.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopMayBeCalledAgain(t *testing.T) {
	n, b := start(t, settings(t), broker.Options{})
	b.Client(t, harness.V5)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { stop(t, n) })
	}
	wg.Wait()
	if err := n.Start(t.Context()); err == nil {
		t.Error("a stopped node was started")
	}
	never, err := broker.New(settings(t), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, never)
	if err := never.Start(t.Context()); err == nil {
		t.Error("started after Stop")
	}
}

func TestRun(t *testing.T) {
	n, err := broker.New(settings(t), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	harness.Poll(t, 0, func() bool { return len(n.Addrs()) > 0 })
	c := (&harness.Broker{TCP: n.Addrs()[0]}).Client(t, harness.V5)
	cancel()
	c.ExpectRefused(0x8B)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A port that is taken leaves nothing half started, and the other ports free.
func TestPortInUse(t *testing.T) {
	_, b := start(t, settings(t), broker.Options{})
	cfg := settings(t)
	taken := cfg.Listeners[0]
	taken.Name, taken.URL = "taken", b.TCP
	cfg.Listeners = append(cfg.Listeners, taken)
	n, err := broker.New(cfg, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(b.TCP, "tcp://")) {
		t.Errorf("started on a port in use: %v", err)
	}
	for _, url := range n.Addrs() {
		if nc, err := harness.DialConn(url); err == nil {
			t.Errorf("%s is still served", url)
			_ = nc.Close() // it is an error as it is
		}
	}
	stop(t, n)
	b.Client(t, harness.V5).Barrier() // the first is untouched
}

// Everybody gets what was promised, MQTT 5 clients a word, then the end.
func TestStopSaysGoodbye(t *testing.T) {
	n, b := start(t, settings(t), broker.Options{})
	five, four := b.Client(t, harness.V5), b.Client(t, harness.V311)
	five.Subscribe("t", 1)
	four.Publish(harness.Publish{Topic: "t", Payload: "last", QoS: 1})
	stuck := b.Client(t, harness.V5) // does not read
	stuck.Subscribe("much", 0)
	for range 200 {
		four.Send(harness.Publish{Topic: "much", Payload: strings.Repeat("x", 60_000)}.Bytes(harness.V311))
	}
	four.Barrier()
	stop(t, n)
	if p := five.Next(); p.Payload != "last" {
		t.Errorf("got %v", p)
	}
	five.ExpectRefused(0x8B)
	four.ExpectRefused(0)
	if nc, err := harness.DialConn(b.TCP); err == nil {
		t.Error("still listening")
		_ = nc.Close() // it is an error as it is
	}
	if s := n.Stats().Snapshot(); s.Connections != 0 {
		t.Errorf("%d connections", s.Connections)
	}
}

func TestConnectionLimit(t *testing.T) {
	cfg := settings(t)
	cfg.Limits.Connections = 2
	n, b := start(t, cfg, broker.Options{})
	first := b.Client(t, harness.V5)
	b.Client(t, harness.V5)
	if got := harness.Dial(t, b.TCP).ReadAll(); len(got) > 0 {
		t.Errorf("over the limit: % x", got)
	}
	first.Leave()
	harness.Poll(t, 0, func() bool { return n.Stats().Snapshot().Connections == 1 })

	next := *cfg
	next.Limits.Connections = 10
	if err := n.Reload(&next); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		b.Client(t, harness.V5)
	}
}

// A reload takes all over or nothing: with a bad certificate the old one is served, and
// no limit has changed.
func TestReloadWithABadCertificate(t *testing.T) {
	certs := harness.WriteCerts(t)
	cfg := settings(t)
	secure := cfg.Listeners[0]
	secure.Name, secure.URL = "secure", "ssl://127.0.0.1:0"
	secure.TLS.Cert, secure.TLS.Key = certs.Server, certs.ServerKey
	cfg.Listeners = append(cfg.Listeners, secure)
	n, b := start(t, cfg, broker.Options{})
	good, err := os.ReadFile(certs.Server)
	if err != nil {
		t.Fatal(err)
	}
	write := func(pem []byte) {
		if err := os.WriteFile(certs.Server, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := *cfg
	next.MQTT.MaximumQoS = 1
	write([]byte("no certificate"))
	if err := n.Reload(&next); err == nil {
		t.Error("a bad certificate was taken over")
	}
	b.TLS = n.Addrs()[1]
	secured := func() {
		t.Helper()
		nc, err := tls.Dial("tcp", strings.TrimPrefix(b.TLS, "ssl://"), harness.ClientTLS())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.Close() // the handshake was the test
	}
	secured()
	if _, ack := b.TryConnect(t, harness.Connect{}); ack.Props.Has(harness.PMaximumQoS) {
		t.Errorf("half reloaded: %v", ack)
	}
	write(good)
	if err := n.Reload(&next); err != nil {
		t.Fatal(err)
	}
	secured()
	if _, ack := b.TryConnect(t, harness.Connect{}); !ack.Props.Has(harness.PMaximumQoS) {
		t.Errorf("not reloaded: %v", ack)
	}
}
