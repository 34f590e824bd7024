package listen

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Options are the settings of one listener.
type Options struct {
	Name string // in logs, Conn.Listener; the URL when empty
	URL  string // tcp://host:port, ssl://, ws://host:port/path, wss://, unix:///path

	TLS       TLSOptions
	Proxy     ProxyOptions
	WebSocket WSOptions

	UnixMode         os.FileMode   // of the socket file; 0 leaves what the umask gives
	HandshakeTimeout time.Duration // PROXY, TLS and WebSocket together; 0 is 10 s
	MaxConnections   int           // at a time, handshakes included; 0 is no limit
	KeepAlive        time.Duration // TCP keep-alive period; 0 is the system's of Go (15 s), negative off

	Log *slog.Logger // nil discards
}

// TLSOptions are the certificates and rules of ssl:// and wss://.
type TLSOptions struct {
	CertFile, KeyFile string   // PEM
	ClientCAFile      string   // PEM, several certificates allowed
	ClientAuth        string   // none (or empty), optional (checked if sent), require
	MinVersion        string   // 1.2 (or empty), 1.3
	Ciphers           []string // Go's names, of TLS 1.2; those of 1.3 are fixed; empty is Go's choice
}

// ProxyOptions switch the PROXY protocol on. When enabled, the header is
// required, version 1 or 2, and only Trusted addresses may connect. The peer of a
// Unix socket has no address; its file mode is what makes it trusted.
type ProxyOptions struct {
	Enabled bool
	Trusted []netip.Prefix
}

// WSOptions are the rules of ws:// and wss://.
type WSOptions struct {
	Path           string         // of the request, without query; empty is any; a path in the URL wins
	Origins        []string       // scheme://host[:port] or host[:port], or "*"; empty: the request's own host
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	MaxFrame       int            // payload bytes of one frame; 0 is no limit (frames are not buffered)
}

// Kind is the scheme of a listener's URL.
type Kind string

// The kinds of transport.
const (
	KindTCP  Kind = "tcp"
	KindSSL  Kind = "ssl"
	KindWS   Kind = "ws"
	KindWSS  Kind = "wss"
	KindUnix Kind = "unix"
	KindPipe Kind = "pipe" // from NewConn
)

func (k Kind) tls() bool       { return k == KindSSL || k == KindWSS }
func (k Kind) webSocket() bool { return k == KindWS || k == KindWSS }

const defaultHandshakeTimeout = 10 * time.Second

// target is a listener's URL, taken apart.
type target struct {
	kind    Kind
	network string
	address string
	path    string // of a WebSocket request
}

func parseURL(s string) (target, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return target{}, fmt.Errorf("listen: %q is not a URL such as tcp://127.0.0.1:1883", s)
	}
	t := target{kind: Kind(scheme)}
	switch t.kind {
	case KindUnix:
		if rest == "" {
			return t, fmt.Errorf("listen: %q names no socket file", s)
		}
		t.network, t.address = "unix", rest
		return t, nil
	case KindTCP, KindSSL, KindWS, KindWSS:
	default:
		return t, fmt.Errorf("listen: %q: scheme must be tcp, ssl, ws, wss or unix", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return t, fmt.Errorf("listen: %w", err)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return t, fmt.Errorf("listen: %q: %w", s, err)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || !t.kind.webSocket() && u.Path != "" && u.Path != "/" {
		return t, fmt.Errorf("listen: %q has more than a host, a port%s", s, map[bool]string{true: " and a path"}[t.kind.webSocket()])
	}
	t.network, t.address = "tcp", u.Host
	if u.Path != "/" {
		t.path = u.Path
	}
	return t, nil
}

func (o *Options) check(k Kind) error {
	if k.tls() && (o.TLS.CertFile == "" || o.TLS.KeyFile == "") {
		return fmt.Errorf("listen: %s needs a certificate and a key", o.URL)
	}
	if o.Proxy.Enabled && len(o.Proxy.Trusted) == 0 && k != KindUnix {
		return fmt.Errorf("listen: %s: the PROXY protocol needs trusted addresses", o.URL)
	}
	if o.MaxConnections < 0 || o.WebSocket.MaxFrame < 0 || o.HandshakeTimeout < 0 {
		return errors.New("listen: limits must not be negative")
	}
	return nil
}

// contains reports whether a is in one of the prefixes; IPv4 inside IPv6 counts as IPv4.
func contains(ps []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
