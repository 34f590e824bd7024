package harness

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

var dialer = net.Dialer{Timeout: Deadline}

// dial opens tcp://, ssl://, ws://, wss:// and unix://. Certificates of the broker
// are checked against the harness's own authority.
func dial(url string) (net.Conn, error) {
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
