package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// handshakeTimeout bounds each step until a client is connected and subscribed.
const handshakeTimeout = 30 * time.Second

// perSource is how many connections leave from one loopback address: fewer than the
// ephemeral ports of a host, which limit connections between two addresses.
const perSource = 20_000

// Sizes of a connection's read buffer: what fills in one read while messages
// stream, and what a connection has that only waits.
const (
	readBuffer = 64 << 10
	idleBuffer = 512
)

// past is a deadline that has been missed: it ends what waits on a connection.
var past = time.Unix(1, 0)

// dialer opens the sockets of a run.
type dialer struct {
	addresses []Address
	tls       *tls.Config // nil when no address needs it
	buffer    int         // bytes of a read buffer
	made      atomic.Int64
}

func newDialer(o *Options) (*dialer, error) {
	d := &dialer{buffer: readBuffer}
	if o.Scenario == Idle || o.Scenario == Reconnect {
		d.buffer = idleBuffer
	}
	secure := false
	for _, s := range o.Addresses {
		a, err := ParseAddress(s)
		if err != nil {
			return nil, err
		}
		secure = secure || a.isTLS()
		d.addresses = append(d.addresses, a)
	}
	if !secure {
		return d, nil
	}
	var err error
	d.tls, err = tlsConfig(o)
	return d, err
}

func tlsConfig(o *Options) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--cafile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cafile: no certificate in %s", o.CAFile)
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dial connects to the address whose turn it is, up to the point where MQTT begins.
func (d *dialer) dial(ctx context.Context, turn int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	a := d.addresses[turn%len(d.addresses)]
	conn, err := d.dialSocket(ctx, a)
	if err != nil {
		return nil, err
	}
	upgraded, err := d.upgrade(ctx, a, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return upgraded, nil
}

func (d *dialer) dialSocket(ctx context.Context, a Address) (net.Conn, error) {
	var nd net.Dialer
	if a.transport == overUnix {
		return nd.DialContext(ctx, "unix", a.target)
	}
	nth := d.made.Add(1)
	if ip := net.ParseIP(a.host); ip != nil && ip.IsLoopback() && ip.To4() != nil {
		bindLoopback(&nd, int(nth/perSource))
	}
	return nd.DialContext(ctx, "tcp", a.target)
}

// upgrade puts TLS and WebSocket on a socket, as its address asks for.
func (d *dialer) upgrade(ctx context.Context, a Address, conn net.Conn) (net.Conn, error) {
	if a.isTLS() {
		c := d.tls.Clone()
		c.ServerName = a.host
		secure := tls.Client(conn, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS with %s: %w", a.target, err)
		}
		conn = secure
	}
	if !a.isWebSocket() {
		return conn, nil
	}
	w, err := upgradeWebSocket(ctx, conn, a.url, d.buffer)
	if err != nil {
		return nil, fmt.Errorf("WebSocket with %s: %w", a.target, err)
	}
	return w, nil
}
