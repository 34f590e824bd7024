package harness

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

var dialer = net.Dialer{Timeout: Deadline}

// DialConn opens tcp://, ssl://, ws://, wss:// and unix:// for a client that brings
// its own MQTT. Certificates of the broker are checked against the harness's own
// authority.
func DialConn(url string) (net.Conn, error) {
	scheme, addr, _ := strings.Cut(url, "://")
	switch scheme {
	case "tcp":
		return dialer.Dial("tcp", addr)
	case "unix":
		return dialer.Dial("unix", addr)
	case "ssl":
		return tls.DialWithDialer(&dialer, "tcp", addr, ClientTLS())
	case "ws", "wss":
		return dialWebSocket(url, "mqtt")
	}
	return nil, fmt.Errorf("scheme %q", scheme)
}
