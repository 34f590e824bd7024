package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed certificate and its key and returns their names.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})))
}

// with returns a tree with one listener.
func with(url string, change func(*Listener)) *Config {
	c := Default()
	c.Listeners = []Listener{defaultListener("x", url)}
	if change != nil {
		change(&c.Listeners[0])
	}
	return c
}

func lines(ps []Problem) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

const open = "can be reached from other hosts, and nothing checks who connects: listen on a loopback address such as 127.0.0.1, " +
	"name who knows the clients in auth.sources, or let everybody in with auth.anonymous: true (SKEIN_AUTH__ANONYMOUS=true; for this listener alone anonymous: true)"

// P7: nobody gets in by default.
func TestNobodyGetsInByDefault(t *testing.T) {
	for url, ok := range map[string]bool{
		"tcp://127.0.0.1:1883": true, "tcp://127.9.9.9:1883": true, "tcp://[::1]:1883": true, "tcp://localhost:1883": true,
		"tcp://[::ffff:127.0.0.1]:1883": true, "ws://127.0.0.1:1883/mqtt": true, "unix:///tmp/x.sock": true, "unix://x.sock": true,
		"tcp://0.0.0.0:1883": false, "tcp://:1883": false, "tcp://[::]:1883": false, "tcp://10.0.0.1:1883": false,
		"tcp://example.org:1883": false, "tcp://127.0.0.1.example.org:1883": false, "ws://0.0.0.0:1883": false, "tcp://[fe80::1%25eth0]:1883": false,
	} {
		got := lines(with(url, nil).Check())
		if ok {
			expect(t, got)
			continue
		}
		expect(t, got, "listeners[0].url: "+open)
		expect(t, lines(with(url, func(l *Listener) { l.Anonymous = true }).Check()))
		c := with(url, nil)
		c.Auth.Anonymous = true
		expect(t, lines(c.Check()))
	}
	c := with("tcp://0.0.0.0:1883", func(l *Listener) { l.Anonymous = true })
	c.Listeners = append(c.Listeners, defaultListener("y", "tcp://0.0.0.0:1884"))
	expect(t, lines(c.Check()), "listeners[1].url: "+open)
}

func TestURLs(t *testing.T) {
	const such = "must be a URL such as tcp://127.0.0.1:1883, is "
	for url, want := range map[string]string{
		"":                             "must be set, such as tcp://127.0.0.1:1883",
		"127.0.0.1:1883":               such + `"127.0.0.1:1883"`,
		"tcp://127.0.0.1:18 83":        such + `"tcp://127.0.0.1:18 83"`,
		"tcp://127.0.0.1:1\n":          such + `"tcp://127.0.0.1:1\n"`,
		"mqtt://127.0.0.1:1883":        `must start with tcp://, ssl://, ws://, wss:// or unix://, is "mqtt://127.0.0.1:1883"`,
		"TCP://127.0.0.1:1883":         `must start with tcp://, ssl://, ws://, wss:// or unix://, is "TCP://127.0.0.1:1883"`,
		"unix://":                      "must name a file, such as unix:///run/skein.sock",
		"tcp://127.0.0.1":              "must have a port between 0 and 65535, such as tcp://127.0.0.1:1883",
		"tcp://127.0.0.1:65536":        "must have a port between 0 and 65535, such as tcp://127.0.0.1:1883",
		"ws://127.0.0.1:":              "must have a port between 0 and 65535, such as ws://127.0.0.1:1883",
		"tcp://127.0.0.1:1883/mqtt":    "has more than a host, a port and, for WebSocket, a path",
		"tcp://u:p@127.0.0.1:1883":     "has more than a host, a port and, for WebSocket, a path",
		"ws://127.0.0.1:1883/mqtt?a=b": "has more than a host, a port and, for WebSocket, a path",
	} {
		expect(t, lines(with(url, nil).Check()), "listeners[0].url: "+want)
	}
}

func TestListenersDiffer(t *testing.T) {
	c := with("tcp://127.0.0.1:1883", nil)
	c.Listeners = append(c.Listeners, defaultListener("x", "ws://127.0.0.1:1883"))
	expect(t, lines(c.Check()),
		"listeners[1].name: is the same as listeners[0].name",
		"listeners[1].url: is the same as listeners[0].url")
	c = with("tcp://127.0.0.1:0", nil)
	c.Listeners = append(c.Listeners, defaultListener("y", "tcp://127.0.0.1:0"))
	expect(t, lines(c.Check()))
	c = with("unix:///tmp/a", nil)
	c.Listeners = append(c.Listeners, defaultListener("y", "unix:///tmp/a"))
	expect(t, lines(c.Check()), "listeners[1].url: is the same as listeners[0].url")
}

func TestCertificates(t *testing.T) {
	cert, key := certificate(t)
	otherCert, _ := certificate(t)
	garbage := write(t, "garbage.pem", "hello")
	none := filepath.Join(t.TempDir(), "none.pem")
	const p = "listeners[0].tls."
	for _, c := range []struct {
		name string
		tls  TLS
		want []string
	}{
		{"good", TLS{Cert: cert, Key: key}, nil},
		{"mutual", TLS{Cert: cert, Key: key, ClientCA: cert, ClientAuth: ClientAuthRequire, MinVersion: "1.3", Ciphers: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}}, nil},
		{"nothing", TLS{}, []string{
			p + "cert: must be a file with the certificate (PEM)",
			p + "key: must be a file with the private key (PEM)",
		}},
		{"missing", TLS{Cert: none, Key: key}, []string{p + "cert: " + shown(none) + ": there is no such file"}},
		{"directory", TLS{Cert: cert, Key: filepath.Dir(key)}, []string{p + "key: " + shown(filepath.Dir(key)) + ": is a directory, not a file"}},
		{"garbage", TLS{Cert: garbage, Key: key}, []string{
			p + "cert: " + shown(garbage) + " and its key cannot be used: failed to find any PEM data in certificate input"}},
		{"another's", TLS{Cert: otherCert, Key: key}, []string{
			p + "cert: " + shown(otherCert) + " and its key cannot be used: private key does not match public key"}},
		{"no authority", TLS{Cert: cert, Key: key, ClientAuth: ClientAuthOptional}, []string{
			p + "client_ca: must be a file with the authorities of clients (PEM), for client_auth optional"}},
		{"not an authority", TLS{Cert: cert, Key: key, ClientCA: garbage}, []string{
			p + "client_ca: there is no certificate in " + shown(garbage)}},
		{"values", TLS{Cert: cert, Key: key, ClientCA: cert, ClientAuth: "yes", MinVersion: "1.1", Ciphers: []string{"TLS_RSA_WITH_RC4_128_SHA", "TLS_AES_128_GCM_SHA256"}}, []string{
			p + `client_auth: must be none, optional or require, is "yes"`,
			p + `min_version: must be 1.2 or 1.3, is "1.1"`,
			p + `ciphers[0]: is not a cipher of TLS 1.2 that is safe to use: "TLS_RSA_WITH_RC4_128_SHA"`,
			p + `ciphers[1]: is not a cipher of TLS 1.2 that is safe to use: "TLS_AES_128_GCM_SHA256"`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, scheme := range []string{"ssl", "wss"} {
				got := with(scheme+"://127.0.0.1:8883", func(l *Listener) {
					if c.tls.ClientAuth == "" {
						c.tls.ClientAuth = ClientAuthNone
					}
					if c.tls.MinVersion == "" {
						c.tls.MinVersion = "1.2"
					}
					l.TLS = c.tls
				}).Check()
				expect(t, lines(got), c.want...)
			}
		})
	}
}

func TestSettingsOfOtherListeners(t *testing.T) {
	expect(t, lines(with("tcp://127.0.0.1:1", func(l *Listener) {
		l.TLS = TLS{Cert: "a", Key: "b", ClientCA: "c", ClientAuth: ClientAuthRequire, MinVersion: "1.3", Ciphers: []string{"d"}}
		l.WebSocket = WebSocket{Path: "/", Origins: []string{"*"}, TrustedProxies: make([]Network, 1), MaxFrame: 1}
		l.Proxy.Enabled = true
	}).Check()),
		"listeners[0].tls.cert: is only for ssl:// and wss://",
		"listeners[0].tls.key: is only for ssl:// and wss://",
		"listeners[0].tls.client_ca: is only for ssl:// and wss://",
		"listeners[0].tls.client_auth: is only for ssl:// and wss://",
		"listeners[0].tls.ciphers: is only for ssl:// and wss://",
		"listeners[0].proxy.trusted: must name the proxies: whoever may send the header chooses the address a client seems to have",
		"listeners[0].websocket.path: is only for ws:// and wss://",
		"listeners[0].websocket.origins: is only for ws:// and wss://",
		"listeners[0].websocket.trusted_proxies: is only for ws:// and wss://",
		"listeners[0].websocket.max_frame: is only for ws:// and wss://",
	)
	expect(t, lines(with("unix:///tmp/x", func(l *Listener) { l.Proxy.Enabled = true }).Check()))
}

func TestWebSocketSettings(t *testing.T) {
	expect(t, lines(with("ws://127.0.0.1:1", func(l *Listener) {
		l.WebSocket.Path = "mqtt"
		l.WebSocket.Origins = []string{"*", "example.org", "example.org:8080", "https://example.org", "https://example.org/", "", "a b"}
	}).Check()),
		`listeners[0].websocket.path: must start with /, is "mqtt"`,
		`listeners[0].websocket.origins[4]: must be "*", a host, or scheme://host, is "https://example.org/"`,
		`listeners[0].websocket.origins[5]: must be "*", a host, or scheme://host, is ""`,
		`listeners[0].websocket.origins[6]: must be "*", a host, or scheme://host, is "a b"`,
	)
	got := problems(t, Source{File: write(t, "c.yaml", strings.Join([]string{
		"listeners:",
		"  - url: ws://127.0.0.1:1",
		"    unix_mode: 0999",
		"    keep_alive: -1s",
		"    proxy:",
		"      trusted: [10.0.0.1/8, here, 10.0.0.1, 5]",
	}, "\n"))})
	expect(t, got,
		`listeners[0].keep_alive: must be a duration such as 500ms, 10s, 5m, 24h or 7d, is "-1s" (c.yaml:4)`,
		`listeners[0].proxy.trusted[0]: has bits set beyond its length; write 10.0.0.0/8, is "10.0.0.1/8" (c.yaml:6)`,
		`listeners[0].proxy.trusted[1]: must be an address or a network such as 10.0.0.0/8, is "here" (c.yaml:6)`,
		"listeners[0].proxy.trusted[3]: must be an address or a network such as 10.0.0.0/8, is 5 (c.yaml:6)",
		"listeners[0].unix_mode: must be octal permissions such as 0660, is 0999 (c.yaml:3)",
	)
}
