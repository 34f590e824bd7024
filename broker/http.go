package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/api"
	"github.com/skeinmq/skein/broker/api/ui"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/listen"
)

// web is the HTTP listener with what belongs to it alone.
type web struct {
	api   *api.Server
	ws    *listen.Adopter
	tls   atomic.Pointer[tls.Config] // nil in it without TLS
	files config.HTTPTLS
}

// newWeb makes the HTTP listener; nil when it is off.
func (n *Node) newWeb(o *Options) (*web, error) {
	h := &n.cfg.HTTP
	if h.Address == "" {
		return nil, nil
	}
	w := &web{files: h.TLS}
	swap, err := w.prepare()
	if err != nil {
		return nil, err
	}
	swap()
	w.ws = listen.NewAdopter(listen.Options{
		Name: config.HTTPName, HandshakeTimeout: n.cfg.Limits.HandshakeTimeout.Std(), Log: n.log, WebSocket: listen.WSOptions{Origins: []string{"*"}}, // api has judged it
	})
	if o.Pages == nil {
		o.Pages = ui.Files()
	}
	a := api.Options{
		Address: h.Address, Settings: apiSettings(n.cfg), Log: n.log, Level: n.level, Now: time.Now, Stats: n.stats, Router: n.router,
		Info:   api.Info{Node: n.cfg.Node.Name, Version: n.version, Started: time.Now()},
		Health: n.ready, Drainer: n.drain, Bans: bans{n}, WebSocket: http.HandlerFunc(n.adopt),
		Pages: o.Pages, Collectors: append(slices.Clone(o.Collectors), newLoginCollector(n.access.counters)), Tracer: tracer{n.router, n.cfg.Node.Name},
	}
	if n.cluster != nil {
		a.Cluster = n.cluster.peers
		a.Collectors = append(a.Collectors, newClusterCollector(n.cluster.bridge))
	}
	if w.tls.Load() != nil {
		a.TLS = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: w.tls.Load().NextProtos, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return w.tls.Load(), nil
		}}
	}
	if o.Reload != nil {
		a.Reload = n.reloadBy(o.Reload)
	}
	if w.api, err = api.New(a); err != nil {
		return nil, err
	}
	return w, nil
}

// prepare reads the certificate again and checks it; swap makes connections to come use
// it.
func (w *web) prepare() (swap func(), err error) {
	if w == nil || w.files.Cert == "" {
		return func() {}, nil
	}
	c, err := listen.Certificate(w.files.Cert, w.files.Key)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return func() { w.tls.Store(c) }, nil
}

// configure takes over what a reload may change.
func (w *web) configure(cfg *config.Config) {
	if w != nil {
		w.api.Configure(apiSettings(cfg))
	}
}

// start binds the listener. It is stopped after everything that clients use, so that
// health can be asked for until the end.
func (w *web) start(onStop func(func(context.Context) error)) error {
	if w == nil {
		return nil
	}
	onStop(w.api.Stop)
	return w.api.Start()
}

// open lets the API be used.
func (w *web) open(onStop func(func(context.Context) error)) {
	if w == nil {
		return
	}
	onStop(func(context.Context) error { w.ws.Close(); return nil })
	w.api.Open()
}

// apiSettings are the HTTP listener's part of the configuration.
func apiSettings(c *config.Config) api.Settings {
	h := &c.HTTP
	set := api.Settings{
		Hosts: append([]string{c.Node.Name}, h.Hosts...), Origins: h.Origins, MaxBody: int64(h.MaxBody), Streams: h.Streams,
		Health: h.Local(), Metrics: h.Local(), Page: h.Local(),
	}
	if host := h.Host(); host != "" {
		set.Hosts = append(set.Hosts, host)
	}
	for _, p := range h.Public {
		switch p {
		case config.PublicHealth:
			set.Health = true
		case config.PublicMetrics:
			set.Metrics = true
		case config.PublicPage:
			set.Page = true
		}
	}
	for _, t := range h.Tokens {
		scope, user := api.ScopeRead, t.User
		if t.Scope == config.ScopeWrite {
			scope = api.ScopeWrite
		}
		if user == "" {
			user = t.Name
		}
		set.Tokens = append(set.Tokens, api.NewToken(t.Name, user, scope, t.Secret.Reveal()))
	}
	return set
}

// adopt makes an MQTT connection of a WebSocket request.
func (n *Node) adopt(w http.ResponseWriter, r *http.Request) {
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be taken over", http.StatusHTTPVersionNotSupported)
		return
	}
	var head bytes.Buffer
	_, _ = fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host) // a buffer takes all
	_ = r.Header.Write(&head)                                                                         // as before
	_, _ = head.WriteString("\r\n")                                                                   // as before
	behind, _ := buffered.Peek(buffered.Reader.Buffered())
	_, _ = head.Write(behind) // as before
	n.web.ws.Adopt(nc, head.Bytes(), func(c *listen.Conn) { n.server.Serve(transport{c}) })
}

// reloadBy is a reload that the API asks for.
func (n *Node) reloadBy(reload func(context.Context) error) api.Reload {
	return func(ctx context.Context) ([]string, error) {
		if err := reload(ctx); err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.restart, nil
	}
}

// HTTP is the URL of the HTTP listener, with the port that the system chose; empty when
// it is off.
func (n *Node) HTTP() string {
	if n.web == nil {
		return ""
	}
	return n.web.api.URL()
}
