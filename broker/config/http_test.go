package config

import (
	"slices"
	"strings"
	"testing"
)

const (
	goodSecret = Secret("0123456789abcdefghij")
	goodHash   = HashedToken + "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
)

func TestHTTPListener(t *testing.T) {
	cert, key := certificate(t)
	token := []Token{{Name: "ops", Scope: ScopeWrite, Secret: goodSecret}}
	for name, c := range map[string]struct {
		change func(*HTTPServer)
		want   []string // the paths, with a word of each
	}{
		"off":       {func(h *HTTPServer) { h.Public = []string{"x"} }, nil},
		"here":      {func(h *HTTPServer) { h.Address = "127.0.0.1:8083" }, nil},
		"here too":  {func(h *HTTPServer) { h.Address = "[::1]:0" }, nil},
		"all":       {func(h *HTTPServer) { h.Address = ":8083" }, []string{"http.address: can be reached"}},
		"a name":    {func(h *HTTPServer) { h.Address = "example.org:80" }, []string{"http.address: can be reached"}},
		"no port":   {func(h *HTTPServer) { h.Address = "127.0.0.1" }, []string{"http.address: must be an address"}},
		"port":      {func(h *HTTPServer) { h.Address = "127.0.0.1:http" }, []string{"http.address: must be an address"}},
		"tokens":    {func(h *HTTPServer) { h.Address, h.Tokens = "0.0.0.0:8083", token }, nil},
		"public":    {func(h *HTTPServer) { h.Address, h.Public = "[::1]:1", []string{"page", "api"} }, []string{"http.public[1]: must be health, metrics or page"}},
		"origin":    {func(h *HTTPServer) { h.Address, h.Origins = "[::1]:1", []string{"https://a.b:1", "a.b"} }, []string{"http.origins[1]: must be scheme://host"}},
		"host":      {func(h *HTTPServer) { h.Address, h.Hosts = "[::1]:1", []string{"a.b", "http://a"} }, []string{"http.hosts[1]: must be a host name"}},
		"tls":       {func(h *HTTPServer) { h.Address, h.TLS = "[::1]:1", HTTPTLS{cert, key} }, nil},
		"half tls":  {func(h *HTTPServer) { h.Address, h.TLS.Cert = "[::1]:1", cert }, []string{"http.tls.key: must be a file"}},
		"wrong tls": {func(h *HTTPServer) { h.Address, h.TLS = "[::1]:1", HTTPTLS{key, key} }, []string{"http.tls.cert: "}},
		"no file":   {func(h *HTTPServer) { h.Address, h.TLS = "[::1]:1", HTTPTLS{cert, "none"} }, []string{"http.tls.key: "}},
		"secrets": {func(h *HTTPServer) {
			h.Address, h.Tokens = "[::1]:1", []Token{
				{Name: "a", Scope: "read", Secret: goodHash}, {Name: "b", Scope: "read", Secret: "short"},
				{Name: "c", Scope: "read", Secret: HashedToken + "12"}, {Name: "d", Scope: "read", Secret: goodSecret + " x"},
			}
		}, []string{"http.tokens[1].secret: must have at least 20", "http.tokens[2].secret: must have 64", "http.tokens[3].secret: must be of printable"}},
		"names": {func(h *HTTPServer) {
			h.Address, h.Tokens = "[::1]:1", []Token{
				{Name: "a", Scope: "admin", Secret: goodSecret}, {Name: "a", Scope: "read", Secret: goodSecret},
				{Name: "a/b", Scope: "read", Secret: goodSecret}, {Scope: "read", Secret: goodSecret},
			}
		}, []string{"http.tokens[0].scope: must be read or write", "http.tokens[1].name: is the same", "http.tokens[2].name: must be a name", "http.tokens[3].name: must be a name"}},
	} {
		cfg := Default()
		c.change(&cfg.HTTP)
		got := lines(cfg.Check())
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q", name, got)
		}
		if text := strings.Join(got, ""); strings.Contains(text, string(goodSecret)) || strings.Contains(text, "short") {
			t.Errorf("%s tells a secret: %s", name, text)
		}
	}
	cfg := Default()
	cfg.HTTP.Address, cfg.Listeners[0].Name = "[::1]:1", HTTPName
	if got := lines(cfg.Check()); len(got) != 1 || !strings.HasPrefix(got[0], "listeners[0].name: ") {
		t.Errorf("%q", got)
	}
}
