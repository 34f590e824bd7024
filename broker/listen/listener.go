package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// Listener accepts the connections of one URL.
type Listener struct {
	opts   Options
	target target
	ln     net.Listener
	accept func() (net.Conn, error) // ln.Accept; tests inject errors
	tls    atomic.Pointer[tls.Config]
	stats  Stats
	log    *slog.Logger

	handshakes sync.WaitGroup // their goroutines
	slots      slots

	closing sync.Once
	closed  chan struct{}
	errs    error // of Close; set before closed is closed
}

// Open binds the listener and reads its certificates. Nothing is bound when it
// fails. A bind error wraps the system's (syscall.EADDRINUSE).
func Open(o Options) (*Listener, error) {
	t, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if err := o.check(t.kind); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = o.URL
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = defaultHandshakeTimeout
	}
	if t.path != "" {
		o.WebSocket.Path = t.path
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Listener{opts: o, target: t, closed: make(chan struct{}), log: o.Log.With("listener", o.Name)}
	l.slots.init()
	if err := l.Reload(); err != nil {
		return nil, err
	}
	if err := l.bind(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Listener) bind() error {
	if l.target.kind == KindUnix {
		if err := removeStale(l.target.address); err != nil {
			return err
		}
	}
	lc := net.ListenConfig{KeepAlive: l.opts.KeepAlive}
	lc.SetMultipathTCP(false) // its sockets are slower and not what the poller's fast path was measured with
	ln, err := lc.Listen(context.Background(), l.target.network, l.target.address)
	if err != nil {
		return fmt.Errorf("listen: %s: %w", l.opts.URL, err)
	}
	if l.target.kind == KindUnix && l.opts.UnixMode != 0 {
		if err := os.Chmod(l.target.address, l.opts.UnixMode); err != nil {
			_ = ln.Close() // the error that counts is chmod's
			return fmt.Errorf("listen: %w", err)
		}
	}
	l.ln, l.accept = ln, ln.Accept
	return nil
}

// Addr is the bound address; with port 0 the one the system chose.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Stats are the listener's counters.
func (l *Listener) Stats() *Stats { return &l.stats }

// Reload reads the certificates again. Connections made later use them; an error
// leaves the old ones. Without TLS it does nothing.
func (l *Listener) Reload() error {
	if !l.target.kind.tls() {
		return nil
	}
	c, err := l.opts.TLS.config()
	if err != nil {
		return err
	}
	l.tls.Store(c)
	return nil
}

// Close stops accepting, closes the connections still in handshake and removes
// the socket file. Established connections live on. It may be called again.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		l.errs = l.ln.Close()
		close(l.closed)
		l.slots.close()
	})
	return l.errs
}

// Serve accepts until Close, then waits for the handshakes and returns nil. Each
// established connection is given to handle on a goroutine of its own; handle
// owns it and must close it. Serve is called once.
func (l *Listener) Serve(handle func(*Conn)) error {
	defer l.handshakes.Wait()
	var backoff time.Duration
	var logged time.Time
	for {
		nc, err := l.accept()
		if err == nil {
			backoff = 0
			l.accepted(nc, handle)
			continue
		}
		if l.isClosed() || errors.Is(err, net.ErrClosed) {
			return nil
		}
		l.stats.AcceptErrors.Add(1)
		backoff = min(max(2*backoff, firstPause), longestPause)
		if now := time.Now(); now.Sub(logged) >= time.Second {
			logged = now
			l.log.Error("accept failed", "error", err)
		}
		l.pause(backoff)
	}
}

func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *Listener) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.closed:
	}
}

// accepted starts what follows accept: a handshake where there is one.
func (l *Listener) accepted(nc net.Conn, handle func(*Conn)) {
	l.stats.Accepted.Add(1)
	open := l.stats.Open.Add(1)
	c := newConn(nc, l)
	if m := l.opts.MaxConnections; m > 0 && open > int64(m) {
		l.stats.OverLimit.Add(1)
		l.log.Info("connection refused", "remote", c.RemoteString(), "error", "too many connections")
		_ = c.Close() // refused
		return
	}
	if !l.opts.Proxy.Enabled && !l.target.kind.tls() && !l.target.kind.webSocket() {
		l.stats.Established.Add(1)
		go handle(c)
		return
	}
	s := l.enter(c)
	if s == nil {
		_ = c.Close() // the listener was closed meanwhile
		return
	}
	l.handshakes.Add(1)
	go func() {
		defer l.handshakes.Done()
		l.handshake(c, s, handle)
	}()
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
