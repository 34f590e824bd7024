package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

const (
	writer = "a-token-that-may-write-0123456789"
	reader = "a-token-that-may-only-read-012345"
)

// bed is a node with the dashboard.
type bed struct {
	*harness.Broker
	t      *testing.T
	node   *broker.Node
	config *config.Config
	url    string
}

// serve starts a node.
func serve(t *testing.T) *bed {
	t.Helper()
	return serveAs(t, "knot-1", func(*config.Config) {})
}

// serveAs starts a node with a name and a change of its configuration.
func serveAs(t *testing.T, name string, change func(c *config.Config)) *bed {
	t.Helper()
	c := config.Default()
	c.Node.Name = name
	c.Data = t.TempDir()
	c.Persistence = config.PersistenceNone
	c.Listeners = c.Listeners[:1]
	c.Listeners[0].Name, c.Listeners[0].URL = "tcp", "tcp://127.0.0.1:0"
	c.HTTP.Address = "127.0.0.1:0"
	c.HTTP.Tokens = []config.Token{{Name: "ops", Scope: config.ScopeWrite, Secret: writer}, {Name: "wall", Scope: config.ScopeRead, Secret: reader}}
	change(c)
	n, err := broker.New(c, broker.Options{Version: "1.0", Level: new(slog.LevelVar), Reload: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := n.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &bed{t: t, node: n, config: c, url: n.HTTP(), Broker: &harness.Broker{TCP: n.Addrs()[0]}}
}

// api asks the node, without the page. The answer is decoded into out, which may be nil.
func (b *bed) api(method, path string, body, out any) int {
	b.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, b.url+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+writer)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			b.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return res.StatusCode
}

// traffic publishes to topics that are subscribed to, until the test ends.
func (b *bed) traffic(period time.Duration, topics ...string) {
	c := b.Client(b.t, harness.V5)
	stop, done := make(chan struct{}), make(chan struct{})
	b.t.Cleanup(func() {
		close(stop)
		<-done
	})
	go func() {
		defer close(done)
		tick := time.NewTicker(period)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			packet := harness.Publish{Topic: topics[n%len(topics)], Payload: `{"temperature": 21.5, "unit": "°C"}`}.Bytes(harness.V5)
			if _, err := c.Conn.Write(packet); err != nil {
				return
			}
		}
	}()
}
