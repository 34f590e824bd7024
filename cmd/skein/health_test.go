package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

// wellness is a node's health: what it answers to each path.
func wellness(healthz, readyz int) http.Handler {
	mux := http.NewServeMux()
	for path, code := range map[string]int{"/healthz": healthz, "/readyz": readyz} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(map[bool]string{true: "well\n", false: "Redis does not answer\n"}[code == http.StatusOK])) // the client may be gone
		})
	}
	return mux
}

func TestHealth(t *testing.T) {
	well := httptest.NewServer(wellness(200, 503))
	defer well.Close()
	ill := httptest.NewServer(wellness(500, 302))
	defer ill.Close()
	at := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	file := write(t, "http: {address: '"+strings.Replace(at(well), "127.0.0.1", "0.0.0.0", 1)+"', tokens: [{name: a, scope: read, secret: a-token-of-more-than-20-bytes}]}\n")
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"--http", at(well)}, exitDone, "well"},
		{[]string{"--http", at(well), "--ready"}, exitFailed, "/readyz of " + at(well) + " is 503: Redis does not answer"},
		{[]string{"--http", at(ill)}, exitFailed, "is 500"},
		{[]string{"--http", at(ill), "--ready"}, exitFailed, "is 302"},
		{[]string{"--config", file}, exitDone, "well"},
		{[]string{"--http", "127.0.0.1:1"}, exitFailed, "ask 127.0.0.1:1"},
		{[]string{"--http", "nonsense"}, exitFailed, "nonsense"},
		{nil, exitFailed, "http.address is empty"},
		{[]string{"--config", write(t, "colour: 1\n")}, exitUsage, "colour: is not a setting"},
		{[]string{"--timeout", "soon"}, exitUsage, "soon"},
	} {
		code, out, errs := run(t, nil, append([]string{"health"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.out) {
			t.Errorf("%v: code %d, want %d with %q:\n%s%s", c.args, code, c.code, c.out, out, errs)
		}
	}
}

// A node that takes the connection and says nothing is not well.
func TestHealthWaitsForALimitedTime(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	code, _, errs := run(t, nil, "health", "--http", strings.TrimPrefix(s.URL, "http://"), "--timeout", "50ms")
	if code != exitFailed || !strings.Contains(errs, "deadline") {
		t.Errorf("code %d: %s", code, errs)
	}
}

// With a certificate the listener is asked by TLS, and only that certificate is taken.
func TestHealthOverTLS(t *testing.T) {
	certs := harness.WriteCerts(t)
	pair, err := tls.LoadX509KeyPair(certs.Server, certs.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(wellness(200, 200))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // one handshake is meant to fail
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "https://")
	config := func(cert, key string) string {
		return write(t, "http: {address: '"+at+"', tls: {cert: '"+cert+"', key: '"+key+"'}}\n")
	}
	if code, out, errs := run(t, nil, "health", "--ready", "--config", config(certs.Server, certs.ServerKey)); code != exitDone {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
	code, _, errs := run(t, nil, "health", "--config", config(certs.Client, certs.ClientKey))
	if code != exitFailed || !strings.Contains(errs, "another certificate") {
		t.Errorf("code %d: %s", code, errs)
	}
}

func TestDialAddress(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", ":1": "localhost:1", "10.0.0.1:1": "10.0.0.1:1",
		"[::1]:1": "[::1]:1", "box:1": "box:1",
	} {
		if got, err := dialAddress(address); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", address, got, err, want)
		}
	}
}

func TestOnlyCertificateNeedsOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pem")
	if _, err := onlyCertificate(file); err == nil {
		t.Error("a missing file is taken")
	}
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := onlyCertificate(file); err == nil || !strings.Contains(err.Error(), "not PEM") {
		t.Error(err)
	}
}
