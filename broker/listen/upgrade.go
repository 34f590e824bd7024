package listen

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// maxRequest is the size of a WebSocket client's HTTP request in bytes; cookies
// and tokens make it long.
const maxRequest = 16 << 10

// Subprotocols.
const (
	protocolMQTT   = "mqtt"
	protocolMQTT31 = "mqttv3.1"
)

var errRequestSize = errors.New("HTTP request is too large")

// request is what is learned from the HTTP request.
type request struct {
	host, origin string
	forwarded    []string // X-Forwarded-For, in order
	mqtt         bool     // a subprotocol of ours was offered
}

// upgrade answers the HTTP request of a WebSocket client. What a hasty client
// sent behind it is kept for the first read.
func (l *Listener) upgrade(c *Conn) error {
	rw := &requestReader{c: c}
	var req request
	u := ws.Upgrader{
		ProtocolCustom: req.protocol,
		OnRequest:      l.checkPath,
		OnHost: func(h []byte) error {
			req.host = string(h)
			return nil
		},
		OnHeader: req.header,
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			return ws.HandshakeHeaderString(""), l.checkRequest(&req)
		},
	}
	if _, err := u.Upgrade(rw); err != nil {
		return err
	}
	if contains(l.opts.WebSocket.TrustedProxies, c.remote.Addr()) {
		c.remote = forwarded(c.remote, req.forwarded, l.opts.WebSocket.TrustedProxies)
	}
	c.ws = &frames{limit: uint64(l.opts.WebSocket.MaxFrame), ahead: bytes.Clone(rw.rest)}
	return nil
}

func (l *Listener) checkPath(uri []byte) error {
	want := l.opts.WebSocket.Path
	if want == "" {
		return nil
	}
	u, err := url.ParseRequestURI(string(uri))
	if err != nil || u.Path != want {
		return reject(http.StatusNotFound, "no such path")
	}
	return nil
}

// protocol chooses among the offered subprotocols: mqtt wherever it stands
// [MQTT-6.0.0-4], the name that clients of 3.1 use only without it.
func (r *request) protocol(list []byte) (chosen string, ok bool) {
	for name := range bytes.SplitSeq(list, []byte(",")) {
		switch string(bytes.TrimSpace(name)) {
		case protocolMQTT:
			r.mqtt = true
			return protocolMQTT, true
		case protocolMQTT31:
			r.mqtt, chosen = true, protocolMQTT31
		}
	}
	return chosen, true
}

func (r *request) header(key, value []byte) error {
	switch string(key) {
	case "Origin":
		r.origin = string(value)
	case "X-Forwarded-For":
		r.forwarded = append(r.forwarded, strings.Split(string(value), ",")...)
	}
	return nil
}

// checkRequest is the last word before the upgrade. A client must offer mqtt
// [MQTT-6.0.0-3].
func (l *Listener) checkRequest(r *request) error {
	if !r.mqtt {
		return reject(http.StatusBadRequest, "subprotocol mqtt is not offered")
	}
	if !originAllowed(r.origin, r.host, l.opts.WebSocket.Origins) {
		return reject(http.StatusForbidden, "origin is not allowed")
	}
	return nil
}

// originAllowed judges the Origin header: browsers send it, other clients need not.
func originAllowed(origin, host string, allowed []string) bool {
	if origin == "" {
		return true
	}
	_, originHost, _ := strings.Cut(origin, "://")
	if len(allowed) == 0 {
		return originHost != "" && strings.EqualFold(originHost, host)
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == "*" || strings.EqualFold(a, origin) || originHost != "" && strings.EqualFold(a, originHost)
	})
}

// forwarded is the client's address according to X-Forwarded-For: each proxy
// appends who connected to it, so from the right the first address that is not a
// trusted proxy is the last one that can be believed.
func forwarded(peer netip.AddrPort, list []string, trusted []netip.Prefix) netip.AddrPort {
	for _, s := range slices.Backward(list) {
		a, ok := parseForwarded(strings.TrimSpace(s))
		if !ok {
			return peer
		}
		peer = a
		if !contains(trusted, a.Addr()) {
			return peer
		}
	}
	return peer
}

func parseForwarded(s string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	a, err := netip.ParseAddrPort(s)
	return unmap(a), err == nil
}

func reject(status int, reason string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(reason))
}

// requestReader gives the Upgrader the request and no byte more: its own buffer
// would swallow the first frames of a client that does not wait for the answer.
type requestReader struct {
	c     *Conn
	buf   []byte // read so far
	given int
	end   int    // of the request in buf; 0 while it is not complete
	rest  []byte // behind the request
}

var requestEnd = []byte("\r\n\r\n")

func (r *requestReader) Read(p []byte) (int, error) {
	if r.given == len(r.buf) || r.end == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.given:r.end])
	r.given += n
	return n, nil
}

// fill reads up to the end of the request.
func (r *requestReader) fill() error {
	if r.end > 0 {
		return errRequestSize // asked for more than a request has
	}
	for {
		if len(r.buf) == maxRequest {
			return errRequestSize
		}
		seen := max(len(r.buf)-len(requestEnd)+1, 0)
		r.buf = slices.Grow(r.buf, 1024)
		n, err := r.c.readHandshake(r.buf[len(r.buf):min(cap(r.buf), maxRequest)])
		r.buf = r.buf[:len(r.buf)+n]
		if i := bytes.Index(r.buf[seen:], requestEnd); i >= 0 {
			r.end = seen + i + len(requestEnd)
			r.rest, r.buf = r.buf[r.end:], r.buf[:r.end]
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *requestReader) Write(p []byte) (int, error) {
	if r.c.tls != nil {
		return r.c.tls.Write(p)
	}
	return r.c.nc.Write(p)
}
