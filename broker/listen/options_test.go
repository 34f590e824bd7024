package listen

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for url, want := range map[string]target{
		"tcp://127.0.0.1:1883":   {KindTCP, "tcp", "127.0.0.1:1883", ""},
		"tcp://:1883":            {KindTCP, "tcp", ":1883", ""},
		"tcp://[::1]:0/":         {KindTCP, "tcp", "[::1]:0", ""},
		"ssl://localhost:8883":   {KindSSL, "tcp", "localhost:8883", ""},
		"ws://127.0.0.1:80":      {KindWS, "tcp", "127.0.0.1:80", ""},
		"ws://127.0.0.1:80/":     {KindWS, "tcp", "127.0.0.1:80", ""},
		"wss://h:443/mqtt":       {KindWSS, "tcp", "h:443", "/mqtt"},
		"unix:///run/skein.sock": {KindUnix, "unix", "/run/skein.sock", ""},
	} {
		if got, err := parseURL(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	for _, url := range []string{
		"", "127.0.0.1:1883", "http://h:80", "unix://", "tcp://h", "tcp://h:1/path", "tcp://h:1?a=b",
		"ws://h:1/p#f", "tcp://u@h:1", "tcp://%zz:1",
	} {
		if got, err := parseURL(url); err == nil || !strings.HasPrefix(err.Error(), "listen: ") {
			t.Errorf("%q: %+v, %v", url, got, err)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, o := range map[string]Options{
		"no certificate":    {URL: "ssl://127.0.0.1:0"},
		"no key":            {URL: "wss://127.0.0.1:0", TLS: TLSOptions{CertFile: "cert.pem"}},
		"missing files":     {URL: "ssl://127.0.0.1:0", TLS: TLSOptions{CertFile: "none.pem", KeyFile: "none.pem"}},
		"nobody trusted":    {URL: "tcp://127.0.0.1:0", Proxy: ProxyOptions{Enabled: true}},
		"negative limit":    {URL: "tcp://127.0.0.1:0", MaxConnections: -1},
		"negative frame":    {URL: "ws://127.0.0.1:0", WebSocket: WSOptions{MaxFrame: -1}},
		"negative timeout":  {URL: "tcp://127.0.0.1:0", HandshakeTimeout: -1},
		"no such address":   {URL: "tcp://256.0.0.1:0"},
		"no such directory": {URL: "unix:///does/not/exist/skein.sock"},
		"no URL":            {},
	} {
		if l, err := Open(o); err == nil {
			_ = l.Close() // the test has failed
			t.Errorf("%s: no error", name)
		}
	}
}

func TestContains(t *testing.T) {
	ps := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	for a, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "fe80::1%eth0": true, "::1": false,
	} {
		if contains(ps, netip.MustParseAddr(a)) != want {
			t.Errorf("%s: not %v", a, want)
		}
	}
}
