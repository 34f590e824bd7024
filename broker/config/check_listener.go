package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxCertificates is the size of a file of certificates that is read.
const maxCertificates = 16 << 20

func (c *Config) checkListeners(r *report) {
	if len(c.Listeners) == 0 {
		r.add("listeners", "must have at least one")
	}
	names, urls := map[string]string{}, map[string]string{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		path := item("listeners", i)
		ck := listenerCheck{report: r, l: l, path: path}
		unique(r, names, l.Name, below(path, "name"))
		if !ck.url() {
			continue
		}
		if ck.port != 0 || ck.scheme == "unix" {
			unique(r, urls, ck.host+":"+strconv.Itoa(ck.port), below(path, "url"))
		}
		ck.anybody(c.Auth.Anonymous || l.Anonymous || len(c.SourcesOf(l)) > 0)
		ck.tls()
		ck.proxy()
		ck.webSocket()
	}
}

// unique reports a value that an earlier listener has.
func unique(r *report, seen map[string]string, value, path string) {
	if first, ok := seen[value]; ok && value != "" {
		r.add(path, "is the same as %s", first)
		return
	}
	seen[value] = path
}

// listenerCheck judges one listener.
type listenerCheck struct {
	*report
	l    *Listener
	path string

	scheme string
	host   string // without brackets; the file of a Unix socket
	port   int
}

func (c *listenerCheck) key(k string) string { return below(c.path, k) }

// url takes the URL apart and reports whether it can be used.
func (c *listenerCheck) url() bool {
	path := c.key("url")
	if c.l.URL == "" {
		c.add(path, "must be set, such as tcp://127.0.0.1:1883")
		return false
	}
	scheme, rest, ok := strings.Cut(c.l.URL, "://")
	switch {
	case !ok || strings.ContainsFunc(c.l.URL, unprintable):
		c.add(path, "must be a URL such as tcp://127.0.0.1:1883, is %s", shown(c.l.URL))
		return false
	case scheme == "unix":
		c.scheme, c.host = scheme, rest
		if rest == "" {
			c.add(path, "must name a file, such as unix:///run/skein.sock")
		}
		return rest != ""
	case scheme != "tcp" && scheme != "ssl" && scheme != "ws" && scheme != "wss":
		c.add(path, "must start with tcp://, ssl://, ws://, wss:// or unix://, is %s", shown(c.l.URL))
		return false
	}
	c.scheme = scheme
	return c.address(path)
}

func (c *listenerCheck) address(path string) bool {
	u, err := url.Parse(c.l.URL)
	if err != nil {
		c.add(path, "must be a URL such as tcp://127.0.0.1:1883, is %s", shown(c.l.URL))
		return false
	}
	host, port, err := net.SplitHostPort(u.Host)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil {
		c.add(path, "must have a port between 0 and 65535, such as %s://127.0.0.1:1883", c.scheme)
		return false
	}
	ws := c.scheme == "ws" || c.scheme == "wss"
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || !ws && u.Path != "" && u.Path != "/" {
		c.add(path, "has more than a host, a port and, for WebSocket, a path")
		return false
	}
	c.host, c.port = host, int(n)
	return true
}

// anybody is P7: nobody gets in by default.
func (c *listenerCheck) anybody(allowed bool) {
	if allowed || c.scheme == "unix" || loopback(c.host) {
		return
	}
	c.add(c.key("url"), "can be reached from other hosts, and nothing checks who connects: "+
		"listen on a loopback address such as 127.0.0.1, name who knows the clients in auth.sources, or let everybody in "+
		"with auth.anonymous: true (SKEIN_AUTH__ANONYMOUS=true; for this listener alone anonymous: true)")
}

// Local reports whether other hosts cannot connect, judged by the URL alone.
func (l *Listener) Local() bool {
	scheme, rest, _ := strings.Cut(l.URL, "://")
	u, err := url.Parse(l.URL)
	return scheme == "unix" && rest != "" || err == nil && u.Host != "" && loopback(u.Hostname())
}

// loopback judges the address itself: a name may mean something else tomorrow.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (c *listenerCheck) tls() {
	t := &c.l.TLS
	if c.scheme != "ssl" && c.scheme != "wss" {
		for _, k := range []struct {
			key string
			set bool
		}{
			{"tls.cert", t.Cert != ""}, {"tls.key", t.Key != ""}, {"tls.client_ca", t.ClientCA != ""},
			{"tls.client_auth", t.ClientAuth != ClientAuthNone}, {"tls.ciphers", len(t.Ciphers) > 0},
		} {
			if k.set {
				c.add(c.key(k.key), "is only for ssl:// and wss://")
			}
		}
		return
	}
	c.certificate(t)
	c.authorities(t)
	for i, name := range t.Ciphers {
		if !knownCipher(name) {
			c.add(item(c.key("tls.ciphers"), i), "is not a cipher of TLS 1.2 that is safe to use: %s", shown(name))
		}
	}
}

func (c *listenerCheck) certificate(t *TLS) {
	cert, okCert := c.file("tls.cert", t.Cert, "must be a file with the certificate (PEM)")
	key, okKey := c.file("tls.key", t.Key, "must be a file with the private key (PEM)")
	if !okCert || !okKey {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		c.add(c.key("tls.cert"), "%s and its key cannot be used: %s", shown(t.Cert), strings.TrimPrefix(err.Error(), "tls: "))
	}
}

func (c *listenerCheck) authorities(t *TLS) {
	if t.ClientAuth == ClientAuthNone && t.ClientCA == "" {
		return
	}
	// Without a file the system's roots would count: anybody's certificate.
	pem, ok := c.file("tls.client_ca", t.ClientCA, "must be a file with the authorities of clients (PEM), for client_auth "+string(t.ClientAuth))
	if ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		c.add(c.key("tls.client_ca"), "there is no certificate in %s", shown(t.ClientCA))
	}
}

// file reads a file that the listener needs.
func (c *listenerCheck) file(key, name, missing string) ([]byte, bool) {
	if name == "" {
		c.add(c.key(key), "%s", missing)
		return nil, false
	}
	b, err := readFile(name, maxCertificates)
	if err != nil {
		c.add(c.key(key), "%s: %s", shown(name), err)
	}
	return b, err == nil
}

func knownCipher(name string) bool {
	for _, s := range tls.CipherSuites() {
		if s.Name != name {
			continue
		}
		for _, v := range s.SupportedVersions {
			if v == tls.VersionTLS12 {
				return true
			}
		}
	}
	return false
}

func (c *listenerCheck) proxy() {
	p := &c.l.Proxy
	if p.Enabled && len(p.Trusted) == 0 && c.scheme != "unix" {
		c.add(c.key("proxy.trusted"), "must name the proxies: whoever may send the header chooses the address a client seems to have")
	}
}

func (c *listenerCheck) webSocket() {
	w := &c.l.WebSocket
	if c.scheme != "ws" && c.scheme != "wss" {
		for _, k := range []struct {
			key string
			set bool
		}{
			{"websocket.path", w.Path != ""}, {"websocket.origins", len(w.Origins) > 0},
			{"websocket.trusted_proxies", len(w.TrustedProxies) > 0}, {"websocket.max_frame", w.MaxFrame != 0},
		} {
			if k.set {
				c.add(c.key(k.key), "is only for ws:// and wss://")
			}
		}
		return
	}
	if w.Path != "" && w.Path[0] != '/' {
		c.add(c.key("websocket.path"), "must start with /, is %s", shown(w.Path))
	}
	for i, o := range w.Origins {
		if !validOrigin(o) {
			c.add(item(c.key("websocket.origins"), i), `must be "*", a host, or scheme://host, is %s`, shown(o))
		}
	}
}

// validOrigin reports whether a browser could send it, or a host alone, or all.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}
