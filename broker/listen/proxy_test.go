package listen

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	proxied  = ProxyOptions{Enabled: true, Trusted: loopback}
)

func proxyV2(t testing.TB, command proxyproto.ProtocolVersionAndCommand, src, dst net.Addr, tlv int) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, src, dst)
	h.Command = command
	if tlv > 0 {
		tlvs := []proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: pattern(tlv)}}
		if err := h.SetTLVs(tlvs); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tcpAddr(s string) *net.TCPAddr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func TestProxyHeaders(t *testing.T) {
	v4, v6, dst4, dst6 := tcpAddr("192.0.2.7:4711"), tcpAddr("[2001:db8::7]:4711"), tcpAddr("192.0.2.1:1883"), tcpAddr("[2001:db8::1]:1883")
	unix := &net.UnixAddr{Net: "unix", Name: "/a"}
	v2 := func(src, dst net.Addr, tlv int) string { return proxyV2(t, proxyproto.PROXY, src, dst, tlv) }
	for name, test := range map[string]struct{ header, remote string }{ // remote empty: the peer's own
		"v1":            {"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n", "192.0.2.7:4711"},
		"v1 IPv6":       {"PROXY TCP6 2001:db8::7 2001:db8::1 4711 1883\r\n", "[2001:db8::7]:4711"},
		"v1 mapped":     {"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 1883\r\n", "192.0.2.7:4711"},
		"v1 UNKNOWN":    {"PROXY UNKNOWN\r\n", ""},
		"v1 UNKNOWN ..": {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""},
		"v2":            {v2(v4, dst4, 0), "192.0.2.7:4711"},
		"v2 IPv6":       {v2(v6, dst6, 0), "[2001:db8::7]:4711"},
		"v2 TLVs":       {v2(v4, dst4, 200), "192.0.2.7:4711"},
		"v2 many TLVs":  {v2(v6, dst6, 4000), "[2001:db8::7]:4711"},
		"v2 LOCAL":      {proxyV2(t, proxyproto.LOCAL, v4, dst4, 0), ""},
		"v2 LOCAL bare": {string(proxyproto.SIGV2) + "\x20\x00\x00\x00", ""},
		"v2 Unix":       {v2(unix, unix, 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, Options{URL: anyTCP, Proxy: proxied})
			nc := n.dial()
			sends(t, nc, []byte(test.header+"behind it"))
			c := n.next()
			want := test.remote
			if want == "" {
				want = nc.LocalAddr().String()
			}
			if c.RemoteString() != want {
				t.Errorf("remote %s, want %s", c.RemoteString(), want)
			}
			expect(t, c, []byte("behind it"))
			sends(t, nc, []byte("later"))
			expect(t, c, []byte("later"))
		})
	}
}

// The header may come in any pieces.
func TestProxyHeaderInPieces(t *testing.T) {
	for _, header := range []string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n",
		proxyV2(t, proxyproto.PROXY, tcpAddr("192.0.2.7:4711"), tcpAddr("192.0.2.1:1883"), 9),
	} {
		a, b := net.Pipe()
		go func() {
			for _, piece := range strings.SplitAfter(header+"rest", "") {
				_, _ = io.WriteString(b, piece)
			}
			_ = b.Close()
		}()
		got, rest, err := readProxyHeader(a)
		if err != nil || string(got)+string(rest) != header {
			t.Fatalf("%q %q %v", got, rest, err)
		}
		if b, err := io.ReadAll(a); err != nil || string(b) != "rest" {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

func TestProxyHeadersRefused(t *testing.T) {
	sig := string(proxyproto.SIGV2)
	for name, in := range map[string]string{
		"none":             "\x10\x1a\x00\x04MQTT",
		"HTTP":             "GET / HTTP/1.1\r\n\r\n",
		"almost v1":        "PROXYTCP4 192.0.2.7 192.0.2.1 4711 1883\r\n",
		"v1 no addresses":  "PROXY TCP4\r\n",
		"v1 bad address":   "PROXY TCP4 192.0.2.777 192.0.2.1 4711 1883\r\n",
		"v1 wrong family":  "PROXY TCP4 ::1 ::1 4711 1883\r\n",
		"v1 bad port":      "PROXY TCP4 192.0.2.7 192.0.2.1 66666 1883\r\n",
		"v1 no CR":         "PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\n",
		"v1 endless":       "PROXY UNKNOWN " + strings.Repeat("x", 200),
		"v2 version 3":     sig + "\x31\x11\x00\x0c" + strings.Repeat("x", 12),
		"v2 command":       sig + "\x2f\x11\x00\x0c" + strings.Repeat("x", 12),
		"v2 family":        sig + "\x21\x41\x00\x0c" + strings.Repeat("x", 12),
		"v2 too short":     sig + "\x21\x11\x00\x04" + strings.Repeat("x", 4),
		"v2 too large":     sig + "\x21\x11\xff\xff",
		"v2 bad signature": sig[:11] + "\x00\x21\x11\x00\x0c" + strings.Repeat("x", 12),
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, Options{URL: anyTCP, Proxy: proxied})
			nc := n.dial()
			sends(t, nc, []byte(in))
			refuses(t, nc)
			wait(t, "counted", func() bool { return n.Stats().Failed.Load() == 1 })
			if n.Stats().Established.Load() != 0 {
				t.Fatal("established")
			}
		})
	}
}

func TestProxyFromUntrusted(t *testing.T) {
	o := Options{URL: anyTCP, Proxy: ProxyOptions{Enabled: true, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	n := open(t, o)
	nc := n.dial()
	_, _ = nc.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n")) // may be refused already
	refuses(t, nc)
	wait(t, "counted", func() bool { return n.Stats().Untrusted.Load() == 1 })
}

func TestProxyHeaderTimeout(t *testing.T) {
	n := open(t, Options{URL: anyTCP, Proxy: proxied, HandshakeTimeout: 20 * time.Millisecond})
	nc := n.dial()
	sends(t, nc, []byte("PROXY"))
	refuses(t, nc)
	wait(t, "counted", func() bool { return n.Stats().TimedOut.Load() == 1 })
}

func TestProxyOverUnix(t *testing.T) {
	n := open(t, Options{URL: "unix://" + socketPath(t), Proxy: ProxyOptions{Enabled: true}})
	nc := n.dial()
	sends(t, nc, []byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\nx"))
	c := n.next()
	if c.RemoteString() != "192.0.2.7:4711" {
		t.Fatal(c.RemoteString())
	}
	expect(t, c, []byte("x"))
}
