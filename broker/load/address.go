package load

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// transport is how the bytes of MQTT travel.
type transport byte

const (
	overTCP transport = iota
	overTLS
	overWS
	overWSS
	overUnix
)

// Address is where a broker listens.
type Address struct {
	transport transport
	host      string // for the TLS server name
	target    string // host:port, or a path
	url       *url.URL
}

// schemes are those that brokers and clients use, each with its usual port.
var schemes = map[string]struct {
	transport transport
	port      string
}{
	"tcp": {overTCP, "1883"}, "mqtt": {overTCP, "1883"},
	"ssl": {overTLS, "8883"}, "tls": {overTLS, "8883"}, "mqtts": {overTLS, "8883"},
	"ws": {overWS, "80"}, "wss": {overWSS, "443"},
}

// ParseAddress reads HOST:PORT, tcp://HOST:PORT, ssl://HOST:PORT,
// ws://HOST:PORT/PATH, wss://HOST:PORT/PATH or unix://PATH. A port that is missing
// is the usual one; the path of a WebSocket is /mqtt if there is none.
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if path == "" {
			return Address{}, fmt.Errorf("%q has no path", s)
		}
		return Address{transport: overUnix, target: path}, nil
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "tcp://" + s
	}
	u, err := url.Parse(full)
	if err != nil || !isHost(u.Hostname()) {
		return Address{}, fmt.Errorf("%q is not an address: HOST:PORT, or with tcp://, ssl://, ws://, wss://, or unix://PATH", s)
	}
	scheme, ok := schemes[strings.ToLower(u.Scheme)]
	if !ok {
		return Address{}, fmt.Errorf("%q: nothing speaks %s:// here: tcp, ssl, ws, wss or unix", s, u.Scheme)
	}
	port := u.Port()
	if port == "" {
		port = scheme.port
	}
	a := Address{transport: scheme.transport, host: u.Hostname(), target: net.JoinHostPort(u.Hostname(), port)}
	if a.isWebSocket() {
		if u.Path == "" {
			u.Path = "/mqtt"
		}
		a.url = u
	}
	return a, nil
}

func (a Address) isWebSocket() bool { return a.transport == overWS || a.transport == overWSS }
func (a Address) isTLS() bool       { return a.transport == overTLS || a.transport == overWSS }

// isHost is false for what is empty, and for colons that are not an IPv6 address.
func isHost(s string) bool {
	return s != "" && (!strings.Contains(s, ":") || net.ParseIP(s) != nil)
}
