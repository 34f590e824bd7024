package listen

import (
	"crypto/tls"
	"log/slog"
	"net"
)

// Adopter makes transports of connections that somebody else accepted: WebSocket
// connections that came to an HTTP server. It binds nothing.
type Adopter struct{ l *Listener }

// NewAdopter makes one. Of the options Name, WebSocket, HandshakeTimeout and Log count.
func NewAdopter(o Options) *Adopter {
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = defaultHandshakeTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Listener{opts: o, target: target{kind: KindWS}, closed: make(chan struct{}), log: o.Log.With("listener", o.Name)}
	l.slots.init()
	return &Adopter{l}
}

// Adopt owns nc from now on. read is the WebSocket request as it came and what followed
// it. When the request is answered, handle gets the transport on a goroutine of its own;
// it owns it and must close it. Adopt does not wait.
func (a *Adopter) Adopt(nc net.Conn, read []byte, handle func(*Conn)) {
	l := a.l
	l.stats.Accepted.Add(1)
	l.stats.Open.Add(1)
	c := newConn(nc, l)
	c.in.prefix = read
	s := l.enter(c)
	if s == nil {
		_ = c.Close() // the adopter was closed meanwhile
		return
	}
	l.handshakes.Add(1)
	go func() {
		defer l.handshakes.Done()
		l.handshake(c, s, handle)
	}()
}

// Close ends the handshakes under way and waits for them. Established connections live
// on. Nothing may be adopted any more.
func (a *Adopter) Close() {
	a.l.closing.Do(func() {
		close(a.l.closed)
		a.l.slots.close()
	})
	a.l.handshakes.Wait()
}

// Certificate reads a certificate and its key (PEM) for a server that is not one of this
// package.
func Certificate(cert, key string) (*tls.Config, error) {
	o := TLSOptions{CertFile: cert, KeyFile: key}
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	c.NextProtos = []string{"http/1.1"} // what a connection can be taken over from
	return c, nil
}
