package listen

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const anyWS = "ws://127.0.0.1:0"

// webSocketRequest has the given path and more header lines; a protocol is
// offered unless they have one.
func webSocketRequest(path, more string) []byte {
	if !strings.Contains(more, "Sec-WebSocket-Protocol") {
		more += "Sec-WebSocket-Protocol: mqtt\r\n"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: broker.example:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", path, more)
}

// dialWebSocket is a client with the upgrade behind it.
func dialWebSocket(t testing.TB, n *node, config *tls.Config) net.Conn {
	t.Helper()
	d := ws.Dialer{Protocols: []string{"mqtt"}, TLSConfig: config}
	scheme := "ws"
	if config != nil {
		scheme = "wss"
	}
	nc, br, _, err := d.Dial(withPatience(t), scheme+"://"+n.Addr().String()+"/")
	if err != nil {
		t.Fatal(err)
	}
	if br != nil {
		t.Fatal("the server spoke first")
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func masked2(s string) []byte { return frame(0x82, []byte(s)) }

func ask(t testing.TB, n *node, request []byte) (net.Conn, *http.Response) {
	t.Helper()
	nc := n.dial()
	sends(t, nc, request)
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return nc, r
}

func TestWebSocket(t *testing.T) {
	a := newAuthority(t)
	for _, kind := range []Kind{KindWS, KindWSS} {
		t.Run(string(kind), func(t *testing.T) {
			o := Options{URL: string(kind) + "://127.0.0.1:0"}
			var config *tls.Config
			if kind == KindWSS {
				o.TLS, config = a.server("server"), a.config()
			}
			n := open(t, o)
			nc := dialWebSocket(t, n, config)
			c := n.next()
			if c.Kind() != kind || (c.TLSState() != nil) != (kind == KindWSS) {
				t.Fatal(c.Kind(), c.TLSState())
			}
			_ = c.SetWriteDeadline(time.Unix(1, 0)) // of an earlier Write; pongs do not mind
			sends(t, nc, messages)
			expect(t, c, fragmentsIn)
			receives(t, nc, []byte("\x8a\x03one\x8a\x00"))
			_ = c.SetWriteDeadline(time.Time{})
			want := pattern(100 << 10)
			wrote := make(chan struct{})
			go func() {
				sends(t, c, want)
				close(wrote)
			}()
			if f, err := readFrame(nc); err != nil || !bytes.Equal(f.Payload, want) {
				t.Fatal(f.Header, err)
			}
			closes(t, wrote)
			go sends(t, nc, frame(0x82, want))
			expect(t, c, want)
			sends(t, nc, frame(0x88, []byte("\x03\xe9")))
			ends(t, c, io.EOF)
			_ = c.Close()
			if out, err := io.ReadAll(nc); err != nil || !bytes.Equal(out, closed(1001)) {
				t.Fatalf("%q, %v", out, err)
			}
		})
	}
}

func TestFramesBehindTheRequest(t *testing.T) {
	a := newAuthority(t)
	for _, secure := range []bool{false, true} {
		o := Options{URL: anyWS, Proxy: proxied}
		if secure {
			o.URL, o.TLS = "wss://127.0.0.1:0", a.server("server")
		}
		n := open(t, o)
		var nc net.Conn = &prefixed{Conn: n.dial(), prefix: []byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n")}
		if secure {
			nc = tls.Client(nc, a.config())
		}
		request := webSocketRequest("/", "")
		sends(t, nc, append(request, masked2("hasty")...))
		c := n.next()
		expect(t, c, []byte("hasty"))
		sends(t, nc, masked2("later"))
		expect(t, c, []byte("later"))
		if c.RemoteString() != "192.0.2.7:4711" {
			t.Fatal(c.RemoteString())
		}
		receives(t, nc, []byte("HTTP/1.1 101"))
	}
}

func TestRequestInPieces(t *testing.T) {
	n := open(t, Options{URL: anyWS})
	nc := n.dial()
	sends(t, slicer{nc}, append(webSocketRequest("/", "Cookie: "+strings.Repeat("c", 6000)+"\r\n"), masked2("x")...))
	receives(t, nc, []byte("HTTP/1.1 101"))
	expect(t, n.next(), []byte("x"))
}

func TestRequests(t *testing.T) {
	replace := func(old, with string) []byte {
		return bytes.Replace(webSocketRequest("/", ""), []byte(old), []byte(with), 1)
	}
	proto := func(s string) []byte { return webSocketRequest("/", "Sec-WebSocket-Protocol: "+s+"\r\n") }
	origin := func(s string) []byte { return webSocketRequest("/", "Origin: "+s+"\r\n") }
	for name, test := range map[string]struct {
		options WSOptions
		request []byte
		status  int
		proto   string
	}{
		"mqtt":            {WSOptions{}, proto("mqtt"), 101, "mqtt"},
		"mqttv3.1":        {WSOptions{}, proto("mqttv3.1"), 101, "mqttv3.1"},
		"mqtt goes first": {WSOptions{}, proto("chat, mqttv3.1, mqtt"), 101, "mqtt"},
		"in two lines":    {WSOptions{}, proto("chat\r\nSec-WebSocket-Protocol: mqtt"), 101, "mqtt"},
		"other protocol":  {WSOptions{}, proto("chat"), 400, ""},
		"no protocol":     {WSOptions{}, replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400, ""},
		"any path":        {WSOptions{}, webSocketRequest("/any?x=y", ""), 101, "mqtt"},
		"path":            {WSOptions{Path: "/mqtt"}, webSocketRequest("/mqtt", ""), 101, "mqtt"},
		"path and query":  {WSOptions{Path: "/mqtt"}, webSocketRequest("/mqtt?token=1", ""), 101, "mqtt"},
		"wrong path":      {WSOptions{Path: "/mqtt"}, webSocketRequest("/", ""), 404, ""},
		"longer path":     {WSOptions{Path: "/mqtt"}, webSocketRequest("/mqtt/x", ""), 404, ""},
		"own origin":      {WSOptions{}, origin("https://broker.example:8083"), 101, "mqtt"},
		"foreign origin":  {WSOptions{}, origin("https://evil.example"), 403, ""},
		"null origin":     {WSOptions{}, origin("null"), 403, ""},
		"listed origin":   {WSOptions{Origins: []string{"https://app.example"}}, origin("https://App.example"), 101, "mqtt"},
		"listed host":     {WSOptions{Origins: []string{"app.example"}}, origin("http://app.example"), 101, "mqtt"},
		"own not listed":  {WSOptions{Origins: []string{"app.example"}}, origin("https://broker.example:8083"), 403, ""},
		"other scheme":    {WSOptions{Origins: []string{"https://app.example"}}, origin("http://app.example"), 403, ""},
		"any origin":      {WSOptions{Origins: []string{"*"}}, origin("https://evil.example"), 101, "mqtt"},
		"POST":            {WSOptions{}, replace("GET", "POST"), 405, ""},
		"HTTP/1.0":        {WSOptions{}, replace("HTTP/1.1", "HTTP/1.0"), 505, ""},
		"no upgrade":      {WSOptions{}, replace("Upgrade: websocket\r\n", ""), 400, ""},
		"version 8":       {WSOptions{}, replace("Version: 13", "Version: 8"), 426, ""},
		"no key":          {WSOptions{}, replace("Sec-WebSocket-Key", "X-Key"), 400, ""},
		"malformed":       {WSOptions{}, replace("Host:", "Host"), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, Options{URL: anyWS, WebSocket: test.options})
			nc, r := ask(t, n, test.request)
			if r.StatusCode != test.status || r.Header.Get("Sec-WebSocket-Protocol") != test.proto {
				t.Fatal(r.Status, r.Header)
			}
			if test.status == 101 {
				n.next()
				return
			}
			_, _ = io.Copy(io.Discard, nc) // ends
			wait(t, "counted", func() bool { return n.Stats().Failed.Load() == 1 })
		})
	}
}

func TestPathInURL(t *testing.T) {
	n := open(t, Options{URL: anyWS + "/broker", WebSocket: WSOptions{Path: "/other"}})
	if want := "ws://" + n.Addr().String() + "/broker"; n.URL() != want {
		t.Fatal(n.URL(), want)
	}
	if _, r := ask(t, n, webSocketRequest("/broker", "")); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	n.next()
	if _, r := ask(t, n, webSocketRequest("/other", "")); r.StatusCode != 404 {
		t.Fatal(r.Status)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	for name, in := range map[string]string{
		"MQTT":      "\x10\x1a\x00\x04MQTT\r\n\r\n",
		"too large": "GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 2*maxRequest),
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, Options{URL: anyWS})
			nc := n.dial()
			_, _ = nc.Write([]byte(in)) // may be refused before its end
			_, _ = io.Copy(io.Discard, nc)
			wait(t, "counted", func() bool { return n.Stats().Failed.Load() == 1 && n.Stats().Open.Load() == 0 })
		})
	}
}

func TestForwardedFor(t *testing.T) {
	others := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	both := append(others, loopback...)
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		header  string
		want    string // empty: the peer's own
	}{
		"untrusted":        {others, "X-Forwarded-For: 203.0.113.9", ""},
		"nobody trusted":   {nil, "X-Forwarded-For: 203.0.113.9", ""},
		"trusted":          {loopback, "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		"no header":        {loopback, "X-Other: 1", ""},
		"port":             {loopback, "X-Forwarded-For: 203.0.113.9:1234", "203.0.113.9:1234"},
		"IPv6":             {loopback, "X-Forwarded-For: 2001:db8::9", "2001:db8::9"},
		"IPv6 and port":    {loopback, "X-Forwarded-For: [2001:db8::9]:1234", "[2001:db8::9]:1234"},
		"client pretends":  {loopback, "X-Forwarded-For: 10.0.0.1, 203.0.113.9", "203.0.113.9"},
		"chain":            {both, "X-Forwarded-For: 10.0.0.1, 203.0.113.9, 192.0.2.5", "203.0.113.9"},
		"two lines":        {both, "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 192.0.2.5", "203.0.113.9"},
		"garbage":          {loopback, "X-Forwarded-For: unknown", ""},
		"garbage in chain": {both, "X-Forwarded-For: junk, 192.0.2.5", "192.0.2.5"},
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, Options{URL: anyWS, WebSocket: WSOptions{TrustedProxies: test.trusted}})
			nc, r := ask(t, n, webSocketRequest("/", test.header+"\r\n"))
			if r.StatusCode != 101 {
				t.Fatal(r.Status)
			}
			want := test.want
			if want == "" {
				want = nc.LocalAddr().String()
			}
			if got := n.next().RemoteString(); got != want {
				t.Fatalf("remote %s, want %s", got, want)
			}
		})
	}
}

func TestMaxFrame(t *testing.T) {
	n := open(t, Options{URL: anyWS, WebSocket: WSOptions{MaxFrame: 100}})
	nc := dialWebSocket(t, n, nil)
	sends(t, nc, frame(0x82, make([]byte, 100)))
	c := n.next()
	expect(t, c, make([]byte, 100))
	sends(t, nc, frame(0x82, make([]byte, 101)))
	_, _ = collect(c, 1000, never) // its error is tested elsewhere
	receives(t, nc, closed(closeTooBig))
}
