package config

import (
	"crypto/tls"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
)

// minToken is the shortest token in bytes: 128 bits in base64 are 22 characters.
const minToken = 20

func (c *Config) checkHTTP(r *report) {
	h := &c.HTTP
	if h.Address == "" {
		return
	}
	if _, _, ok := splitAddress(h.Address); !ok {
		r.add("http.address", "must be an address and a port such as 127.0.0.1:8083, is %s", shown(h.Address))
	} else if !h.Local() && len(h.Tokens) == 0 {
		r.add("http.address", "can be reached from other hosts, and there are no tokens: listen on a loopback address such as "+
			"127.0.0.1, or add one to http.tokens")
	}
	for i := range c.Listeners {
		if c.Listeners[i].Name == HTTPName {
			r.add(item("listeners", i)+".name", "must not be %s, which is the name of the HTTP listener", HTTPName)
		}
	}
	for i, p := range h.Public {
		oneOf(r, p, item("http.public", i), PublicHealth+"|"+PublicMetrics+"|"+PublicPage)
	}
	for i, o := range h.Origins {
		if !validOrigin(o) || !strings.Contains(o, "://") {
			r.add(item("http.origins", i), "must be scheme://host, is %s", shown(o))
		}
	}
	for i, name := range h.Hosts {
		if name == "" || strings.ContainsAny(name, "/ ") || strings.ContainsFunc(name, unprintable) {
			r.add(item("http.hosts", i), "must be a host name, is %s", shown(name))
		}
	}
	h.checkTLS(r)
	h.checkTokens(r)
}

func splitAddress(s string) (host string, port int, ok bool) {
	host, p, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(p, 10, 16)
	return host, int(n), err == nil && perr == nil && !strings.ContainsFunc(host, unprintable)
}

func (h *HTTPServer) checkTLS(r *report) {
	if h.TLS.Cert == "" && h.TLS.Key == "" {
		return
	}
	var pem [2][]byte
	for i, f := range []struct{ path, name string }{{"http.tls.cert", h.TLS.Cert}, {"http.tls.key", h.TLS.Key}} {
		if f.name == "" {
			r.add(f.path, "must be a file (PEM): a certificate and its key go together")
			return
		}
		b, err := readFile(f.name, maxCertificates)
		if err != nil {
			r.add(f.path, "%s: %s", shown(f.name), err)
			return
		}
		pem[i] = b
	}
	if _, err := tls.X509KeyPair(pem[0], pem[1]); err != nil {
		r.add("http.tls.cert", "%s and its key cannot be used: %s", shown(h.TLS.Cert), strings.TrimPrefix(err.Error(), "tls: "))
	}
}

func (h *HTTPServer) checkTokens(r *report) {
	names := map[string]string{}
	for i := range h.Tokens {
		t := &h.Tokens[i]
		path := item("http.tokens", i)
		if !tokenName(t.Name) {
			r.add(below(path, "name"), "must be a name of letters, digits, . _ and -, at most 64, is %s", shown(t.Name))
		}
		unique(r, names, t.Name, below(path, "name"))
		hash, hashed := strings.CutPrefix(t.Secret.Reveal(), HashedToken)
		switch sum, err := hex.DecodeString(hash); {
		case hashed && (err != nil || len(sum) != 32):
			r.add(below(path, "secret"), "must have 64 hexadecimal digits behind sha256:")
		case !hashed && len(t.Secret) < minToken:
			r.add(below(path, "secret"), "must have at least %d characters, such as `openssl rand -hex 24` makes", minToken)
		case strings.ContainsFunc(t.Secret.Reveal(), notHeader):
			r.add(below(path, "secret"), "must be of printable ASCII characters without blanks: it is sent in a header")
		}
	}
}

func notHeader(c rune) bool { return c <= ' ' || c > '~' }

func tokenName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
	})
}
