package harness

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// External is the environment variable with the host:port of another broker,
// against which every test runs that needs no settings of its own.
const External = "SKEIN_TEST_BROKER"

// Broker is what clients connect to: URLs as tcp://127.0.0.1:1883. An empty one
// is not served.
type Broker struct {
	TCP, TLS, WS, WSS, Unix string

	stop func() error // nil for an external one
}

// Stop stops a node as its program would; it may be called again.
func (b *Broker) Stop() error {
	if b.stop == nil {
		return nil
	}
	return b.stop()
}

var shared struct {
	once sync.Once
	b    *Broker
	err  error
}

// Shared is the broker that the tests of a package share: a node with the
// defaults and every kind of listener, or the one that External names. Main
// stops it.
func Shared(t testing.TB) *Broker {
	t.Helper()
	shared.once.Do(func() {
		if addr := os.Getenv(External); addr != "" {
			shared.b = &Broker{TCP: "tcp://" + addr}
			return
		}
		shared.b, shared.err = startNode(Setup{All: true})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.b
}

func stopShared() error {
	if shared.b == nil {
		return nil
	}
	err := shared.b.Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stop the shared node:", err)
	}
	return err
}

// OwnNode skips a test that needs a node of its own when the tests run against
// another broker.
func OwnNode(t testing.TB) {
	t.Helper()
	if os.Getenv(External) != "" {
		t.Skipf("needs a node with settings of its own, and %s is set", External)
	}
}

// Need skips a test of a transport that the broker under test does not serve.
func Need(t testing.TB, url string) string {
	t.Helper()
	if url == "" {
		t.Skipf("%s serves no such listener", External)
	}
	return url
}

// HostPort splits a URL as tcp://127.0.0.1:1883.
func HostPort(t testing.TB, url string) (host, port string) {
	t.Helper()
	_, addr, _ := strings.Cut(url, "://")
	addr, _, _ = strings.Cut(addr, "/")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("address %q: %v", url, err)
	}
	return host, port
}
