package load

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// wsServer is the broker's side of a WebSocket: it cuts what it writes anywhere,
// pings in between, and takes frames of any cut.
type wsServer struct {
	net.Conn
	left []byte
}

func upgradeServer(protocols ...string) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) {
		u := ws.Upgrader{Protocol: func(p []byte) bool {
			for _, known := range protocols {
				if known == string(p) {
					return true
				}
			}
			return false
		}}
		_, err := u.Upgrade(c)
		return &wsServer{Conn: c}, err
	}
}

func (w *wsServer) Write(p []byte) (int, error) {
	cut := len(p) / 3
	frames := []ws.Frame{
		ws.NewFrame(ws.OpBinary, false, p[:cut]),
		ws.NewPingFrame([]byte("still there")),
		ws.NewFrame(ws.OpContinuation, true, p[cut:]),
	}
	var all bytes.Buffer
	for _, f := range frames {
		if err := ws.WriteFrame(&all, f); err != nil {
			return 0, err
		}
	}
	_, err := w.Conn.Write(all.Bytes())
	return len(p), err
}

func (w *wsServer) Read(p []byte) (int, error) {
	for len(w.left) == 0 {
		h, err := ws.ReadHeader(w.Conn)
		if err != nil {
			return 0, err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(w.Conn, payload); err != nil {
			return 0, err
		}
		if !h.Masked {
			return 0, ws.ErrProtocolMaskRequired
		}
		if h.OpCode == ws.OpBinary {
			ws.Cipher(payload, h.Mask, 0)
			w.left = payload
		}
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
}

// certificate is one that signs itself, for 127.0.0.1, in files.
func certificate(t *testing.T) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
	pair, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair, certFile, keyFile
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWebSocket(t *testing.T) {
	for _, size := range []int{16, 64, 200, 70_000} {
		o := small(Pairs, "ws://BROKER")
		o.QoS, o.Size = 1, size
		if _, res := untilDelivered(t, &o, 100, faults{}, upgradeServer("mqtt")); res.Err() != nil || res.Delivered == 0 {
			t.Errorf("%d bytes: %+v", size, res)
		}
	}
}

func TestWebSocketRefusals(t *testing.T) {
	b := startBroker(t, faults{}, upgradeServer("soap"))
	if _, err := Run(t.Context(), small(Pairs, "ws://"+b.address())); err == nil || !strings.Contains(err.Error(), "MQTT-6.0.0-4") {
		t.Errorf("%v", err)
	}
	b = startBroker(t, faults{}, nil)
	_ = b.listener.Close() // nobody listens any more
	if _, err := Run(t.Context(), small(Pairs, "ws://"+b.address()+"/here")); err == nil {
		t.Error("no error")
	}
}

func TestWebSocketFrames(t *testing.T) {
	text := ws.NewTextFrame([]byte("x"))
	tests := []struct {
		name string
		raw  []byte
		want string
		err  error
	}{
		{"several in one read", frames(t, ws.NewBinaryFrame([]byte("ab")), ws.NewBinaryFrame(nil), ws.NewBinaryFrame(bytes.Repeat([]byte("c"), 126))), "ab" + strings.Repeat("c", 126), io.EOF},
		{"long", frames(t, ws.NewBinaryFrame(bytes.Repeat([]byte("d"), 70_000))), strings.Repeat("d", 70_000), io.EOF},
		{"close", frames(t, ws.NewBinaryFrame([]byte("e")), ws.NewCloseFrame(nil)), "e", io.EOF},
		{"masked", frames(t, ws.MaskFrame(ws.NewBinaryFrame([]byte("f")))), "", ws.ErrProtocolMaskUnexpected},
		{"too long", []byte{0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0}, "", ws.ErrHeaderLengthMSB},
		{"text", frames(t, text), "", errNotBinary},
		{"cut", []byte{0x82, 126, 1}, "", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer func() { _ = ours.Close() }() // a pipe
			go func() {
				_, _ = theirs.Write(tt.raw) // the reader may have had enough
				_ = theirs.Close()          // a pipe
			}()
			w := newWebSocket(ours, ours, 4096)
			got, err := readAll(w)
			if string(got) != tt.want || err != tt.err {
				t.Errorf("%d bytes, %v; want %d, %v", len(got), err, len(tt.want), tt.err)
			}
		})
	}
}

// readAll reads until any error, which io.ReadAll would swallow if it is io.EOF.
func readAll(r io.Reader) ([]byte, error) {
	var all []byte
	buf := make([]byte, 1000)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			return all, err
		}
	}
}

func frames(t *testing.T, fs ...ws.Frame) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range fs {
		if err := ws.WriteFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestTLS(t *testing.T) {
	pair, certFile, keyFile := certificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	overTLS := func(then func(net.Conn) (net.Conn, error)) func(net.Conn) (net.Conn, error) {
		return func(c net.Conn) (net.Conn, error) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool})
			if err := s.Handshake(); err != nil || then == nil {
				return s, err
			}
			return then(s)
		}
	}
	tests := []struct {
		name, address string
		change        func(*Options)
		upgrade       func(net.Conn) (net.Conn, error)
		want          string
	}{
		{"trusted", "ssl://BROKER", func(o *Options) { o.CAFile = certFile }, overTLS(nil), ""},
		{"insecure", "tls://BROKER", func(o *Options) { o.Insecure = true }, overTLS(nil), ""},
		{"wss", "wss://BROKER/mqtt", func(o *Options) { o.CAFile = certFile }, overTLS(upgradeServer("mqtt")), ""},
		{"client certificate", "mqtts://BROKER", func(o *Options) { o.CAFile, o.CertFile, o.KeyFile = certFile, certFile, keyFile }, overTLS(nil), ""},
		{"unknown authority", "ssl://BROKER", func(*Options) {}, overTLS(nil), "certificate"},
		{"no such file", "ssl://BROKER", func(o *Options) { o.CAFile = "none.pem" }, overTLS(nil), "--cafile"},
		{"no certificate in it", "ssl://BROKER", func(o *Options) { o.CAFile = keyFile }, overTLS(nil), "--cafile: no certificate"},
		{"no key", "ssl://BROKER", func(o *Options) { o.CertFile, o.KeyFile = certFile, certFile }, overTLS(nil), "--cert"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := small(Pairs, tt.address)
			tt.change(&o)
			if tt.want == "" {
				if _, res := untilDelivered(t, &o, 60, faults{}, tt.upgrade); res.Err() != nil || res.Delivered == 0 {
					t.Errorf("%+v", res)
				}
				return
			}
			b := startBroker(t, faults{}, tt.upgrade)
			o.Addresses[0] = strings.ReplaceAll(tt.address, "BROKER", b.address())
			if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	b := startBroker(t, faults{}, nil)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no Unix sockets here: ", err)
	}
	b.wg.Go(func() { b.acceptFrom(l) })
	t.Cleanup(func() { _ = l.Close() }) // the test is over
	res := mustRun(t, small(Idle, "unix://"+path))
	if err := res.Err(); err != nil || res.Idle.Connections != 3 {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestParseAddress(t *testing.T) {
	tests := []struct {
		in        string
		transport transport
		target    string
	}{
		{"localhost:1", overTCP, "localhost:1"},
		{"broker.example", overTCP, "broker.example:1883"},
		{"[::1]:5", overTCP, "[::1]:5"},
		{"mqtt://h", overTCP, "h:1883"},
		{"SSL://h", overTLS, "h:8883"},
		{"ws://h", overWS, "h:80"},
		{"wss://h:9/p", overWSS, "h:9"},
		{"unix:///run/s", overUnix, "/run/s"},
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.in)
		if err != nil || a.transport != tt.transport || a.target != tt.target {
			t.Errorf("%s: %+v, %v", tt.in, a, err)
		}
	}
	if a, _ := ParseAddress("ws://h"); a.url.Path != "/mqtt" {
		t.Errorf("path %q", a.url.Path)
	}
	for _, bad := range []string{"", "unix://", "http://h", ":1883", "tcp://", "h:x", "tcp://h:1:2"} {
		if a, err := ParseAddress(bad); err == nil {
			t.Errorf("%q: %+v", bad, a)
		}
	}
}
