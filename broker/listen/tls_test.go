package listen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates into files.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key = a.issue("authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	a.check(err)
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	a.check(err)
	cert, err := x509.ParseCertificate(der)
	a.check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.check(err)
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

func (a *authority) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) write(name string, b []byte) {
	a.t.Helper()
	a.check(os.WriteFile(a.file(name), b, 0o600))
}

func (a *authority) server(name string) TLSOptions {
	a.issue(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return TLSOptions{CertFile: a.file(name + ".pem"), KeyFile: a.file(name + ".key")}
}

func (a *authority) client(name string) []tls.Certificate {
	a.issue(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	c, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	a.check(err)
	return []tls.Certificate{c}
}

func (a *authority) config() *tls.Config {
	return &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"}
}

const anySSL = "ssl://127.0.0.1:0"

// tlsClient is a TLS client over nc. A server that wants a certificate tells only
// at the first read, so a byte goes to and fro.
func tlsClient(n *node, nc net.Conn, c *tls.Config) (*tls.Conn, *Conn, error) {
	tc := tls.Client(nc, c)
	if err := tc.Handshake(); err != nil {
		return nil, nil, err
	}
	if _, err := tc.Write([]byte("?")); err != nil {
		return nil, nil, err
	}
	served, failed := make(chan *Conn, 1), make(chan struct{})
	go func() {
		select {
		case c := <-n.conns:
			_, _ = c.Write([]byte("!"))
			served <- c
		case <-failed:
		}
	}()
	b := make([]byte, 1)
	if _, err := io.ReadFull(tc, b); err != nil {
		close(failed)
		return nil, nil, err
	}
	s := get(n.t, served)
	n.t.Cleanup(func() { _ = s.Close() })
	expect(n.t, s, []byte("?"))
	return tc, s, nil
}

func (n *node) mustTLS(c *tls.Config) (*tls.Conn, *Conn) {
	n.t.Helper()
	tc, s, err := tlsClient(n, n.dial(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	return tc, s
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		n := open(t, Options{URL: anySSL, TLS: a.server("server")})
		config := a.config()
		config.MaxVersion = version
		tc, c := n.mustTLS(config)
		if s := c.TLSState(); c.Kind() != KindSSL || s == nil || s.Version != version || len(s.PeerCertificates) != 0 {
			t.Fatal(c.Kind(), s)
		}
		want := pattern(1 << 20)
		go sends(t, tc, want)
		expect(t, c, want)
		go sends(t, c, want)
		receives(t, tc, want)
		// Several records in one read, and one in pieces.
		for range 3 {
			sends(t, tc, []byte("abc"))
		}
		expect(t, c, []byte("abcabcabc"))
		c.Shutdown()
		if b, err := io.ReadAll(tc); err != nil || len(b) > 0 {
			t.Fatalf("%q, %v", b, err)
		}
		sends(t, tc, []byte("reading goes on"))
		expect(t, c, []byte("reading goes on"))
		_ = tc.Close()
		ends(t, c, io.EOF)
	}
}

// slicer writes each record byte by byte, as far as the network allows.
type slicer struct{ net.Conn }

func (s slicer) Write(p []byte) (int, error) {
	for i := range p {
		if n, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}

func TestTLSRecordsInPieces(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	tc, c, err := tlsClient(n, slicer{n.dial()}, a.config())
	if err != nil {
		t.Fatal(err)
	}
	want := pattern(5000)
	go sends(t, tc, want)
	expect(t, c, want)
	_ = c.Close()
	if b, err := io.ReadAll(tc); err != nil || len(b) > 0 { // close_notify was sent
		t.Fatalf("%q, %v", b, err)
	}
}

// What came with the last message of the handshake is inside crypto/tls already.
func TestTLSDataWithTheHandshake(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	nc := n.dial()
	hold := &gather{Conn: nc}
	tc := tls.Client(hold, a.config())
	if err := tc.Handshake(); err != nil { // ends before the server has our Finished
		t.Fatal(err)
	}
	sends(t, tc, []byte("first"))
	sends(t, tc, []byte("second"))
	sends(t, nc, hold.held)
	expect(t, n.next(), []byte("firstsecond"))
}

// gather holds back all that is written after the first write.
type gather struct {
	net.Conn
	writes int
	held   []byte
}

func (g *gather) Write(p []byte) (int, error) {
	if g.writes++; g.writes == 1 {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

func TestTLSGarbage(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	nc := n.dial()
	sends(t, nc, []byte("\x10\x1a\x00\x04MQTT\x05 not TLS at all"))
	_, _ = io.ReadAll(nc) // an alert, perhaps
	wait(t, "counted", func() bool { return n.Stats().Failed.Load() == 1 && n.Stats().Open.Load() == 0 })
	tc, c := n.mustTLS(a.config()) // garbage later
	sends(t, tc.NetConn(), []byte("garbage that is no record"))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := collect(c, 16, never); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || err == io.EOF {
		t.Fatal(err)
	}
}

func TestTLSVersionsAndCiphers(t *testing.T) {
	a := newAuthority(t)
	server := a.server("server")
	const ecdsaAES = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
	for name, test := range map[string]struct {
		min     string
		ciphers []string
		client  func(*tls.Config)
		ok      bool
	}{
		"1.1 never":         {client: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
		"1.2":               {min: "1.2", client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ok: true},
		"1.2 when 1.3":      {min: "1.3", client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		"1.3":               {min: "1.3", client: func(*tls.Config) {}, ok: true},
		"cipher":            {ciphers: []string{ecdsaAES}, client: only(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), ok: true},
		"cipher not listed": {ciphers: []string{ecdsaAES}, client: only(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)},
	} {
		t.Run(name, func(t *testing.T) {
			o := server
			o.MinVersion, o.Ciphers = test.min, test.ciphers
			n := open(t, Options{URL: anySSL, TLS: o})
			config := a.config()
			test.client(config)
			if _, _, err := tlsClient(n, n.dial(), config); (err == nil) != test.ok {
				t.Fatal(err)
			}
		})
	}
	for _, bad := range []TLSOptions{
		{MinVersion: "1.1"}, {MinVersion: "TLS1.2"}, {Ciphers: []string{"TLS_AES_128_GCM_SHA256"}},
		{Ciphers: []string{"TLS_RSA_WITH_RC4_128_SHA"}}, {Ciphers: []string{"none"}}, {ClientAuth: "maybe"},
		{ClientAuth: "require"}, {ClientAuth: "optional"},
		{ClientAuth: "require", ClientCAFile: a.file("none")}, {ClientAuth: "require", ClientCAFile: a.file("server.key")},
	} {
		bad.CertFile, bad.KeyFile = server.CertFile, server.KeyFile
		if _, err := bad.config(); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func only(id uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id} }
}

func TestMutualTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	server := a.server("server")
	server.ClientCAFile = a.file("authority.pem")
	known, unknown := a.client("known"), stranger.client("unknown")
	for name, test := range map[string]struct {
		auth  string
		certs []tls.Certificate
		ok    bool
		peers int
	}{
		"none":             {"none", known, true, 0},
		"optional without": {"optional", nil, true, 0},
		"optional with":    {"optional", known, true, 1},
		"optional unknown": {"optional", unknown, false, 0},
		"require without":  {"require", nil, false, 0},
		"require with":     {"require", known, true, 1},
		"require unknown":  {"require", unknown, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := server
			o.ClientAuth = test.auth
			n := open(t, Options{URL: anySSL, TLS: o})
			config := a.config()
			if len(test.certs) > 0 { // also when the server's list of authorities does not fit
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.certs[0], nil }
			}
			_, c, err := tlsClient(n, n.dial(), config)
			if (err == nil) != test.ok {
				t.Fatal(err)
			}
			if err == nil && len(c.TLSState().VerifiedChains) != test.peers {
				t.Fatalf("%d chains", len(c.TLSState().VerifiedChains))
			}
		})
	}
}

func TestReload(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	serial := func() *big.Int {
		tc, _ := n.mustTLS(a.config())
		return tc.ConnectionState().PeerCertificates[0].SerialNumber
	}
	old, _ := n.mustTLS(a.config())
	first := serial()
	a.server("server")
	if serial().Cmp(first) != 0 {
		t.Fatal("changed without reload")
	}
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	second := serial()
	if second.Cmp(first) == 0 {
		t.Fatal("not reloaded")
	}
	cert, err := os.ReadFile(a.file("server.pem"))
	a.check(err)
	a.write("server.pem", bytes.ToLower(cert))
	if err := n.Reload(); err == nil {
		t.Fatal("bad certificate was taken")
	}
	a.write("server.pem", cert)
	a.issue("server2", &x509.Certificate{})
	key, err := os.ReadFile(a.file("server2.key"))
	a.check(err)
	a.write("server.key", key)
	if err := n.Reload(); err == nil {
		t.Fatal("a key that does not fit was taken")
	}
	if serial().Cmp(second) != 0 {
		t.Fatal("the old certificate is gone")
	}
	sends(t, old, []byte("connections live on"))
	a.server("server")
	swap, err := n.Prepare()
	if err != nil || serial().Cmp(second) != 0 {
		t.Fatal("prepared is not swapped", err)
	}
	if swap(); serial().Cmp(second) == 0 {
		t.Fatal("not swapped")
	}
}

func TestTLSBehindProxy(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server"), Proxy: proxied})
	nc := n.dial()
	_, c, err := tlsClient(n, &prefixed{Conn: nc, prefix: []byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n")}, a.config())
	if err != nil || c.RemoteString() != "192.0.2.7:4711" {
		t.Fatal(err)
	}
}

// prefixed sends prefix with the first write, in one piece.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	all := append(p.prefix, b...)
	n, err := p.Conn.Write(all)
	n -= len(p.prefix)
	p.prefix = nil
	return n, err
}

// A write deadline that has passed while nothing was written does not spoil what
// TLS and WebSocket say themselves.
func TestLastWordsAfterWriteDeadline(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	tc, c := n.mustTLS(a.config())
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	_ = c.Close()
	if b, err := io.ReadAll(tc); err != nil || len(b) > 0 { // without close_notify: io.ErrUnexpectedEOF
		t.Fatalf("%q, %v", b, err)
	}
}
