package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/api"
	"github.com/skeinmq/skein/broker/router"
)

func TestHost(t *testing.T) {
	g := newRig(t, nil)
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8083": 200, "[::1]:8083": 200, "[::1]": 200, "10.1.2.3": 200, "localhost": 200, "LOCALHOST:1": 200,
		"localhost.": 200, "broker.example:8083": 200, "Broker.Example": 200,
		"evil.example": 421, "evil.example:8083": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421, "x:y:z": 421, "broker.example.evil": 421,
	} {
		for _, path := range []string{"/healthz", "/api/v1/version", "/"} {
			if w := g.do("GET", path, writer, "", func(r *http.Request) { r.Host = host }); w.Code != want {
				t.Errorf("host %q: %d %s", host, w.Code, w.Body)
			}
		}
	}
	if w := g.do("GET", "/readyz", "", "", func(r *http.Request) { r.Host, r.Proto, r.ProtoMajor, r.ProtoMinor = "", "HTTP/1.0", 1, 0 }); w.Code != 200 {
		t.Errorf("HTTP/1.0 without a host: %d", w.Code)
	}
}

func TestOrigin(t *testing.T) {
	g := newRig(t, nil)
	for origin, want := range map[string]int{
		"http://127.0.0.1": 200, "https://127.0.0.1": 200, "https://ops.example": 200,
		"http://127.0.0.1:1": 403, "http://evil.example": 403, "null": 403, "http://ops.example": 403, "file://127.0.0.1": 403, "127.0.0.1": 403, "": 403,
	} {
		for _, path := range []string{"/api/v1/version", "/healthz", "/mqtt"} {
			w := g.do("GET", path, writer, "", func(r *http.Request) { r.Header.Set("Origin", origin) })
			if (w.Code == 403) != (want == 403) {
				t.Errorf("origin %q: %d %s", origin, w.Code, w.Body)
			}
			if allowed := w.Header().Get("Access-Control-Allow-Origin"); (allowed != "") != (origin == "https://ops.example") {
				t.Errorf("origin %q is told %q", origin, allowed)
			}
		}
	}
	w := g.do("GET", "/healthz", "", "", func(r *http.Request) { r.Header["Origin"] = []string{"http://127.0.0.1", "http://evil.example"} })
	if w.Code != 403 {
		t.Errorf("two origins: %d", w.Code)
	}
	// A preflight has no token; that of a page that may not gets nothing.
	w = g.do("OPTIONS", "/api/v1/publish", "", "", func(r *http.Request) { r.Header.Set("Origin", "https://ops.example") })
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	g := newRig(t, nil)
	for _, path := range []string{"/", "/healthz", "/metrics", "/api/v1/version", "/none", "/api/none", "/ui/app.js"} {
		h := g.do("GET", path, "", "").Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// panicking is a router that panics.
type panicking struct{ api.Router }

func (panicking) Client(router.ClientID) (router.ClientInfo, bool) { panic("boom") }

func TestAPanicIsAnAnswer(t *testing.T) {
	g := newRig(t, nil)
	o := g.api.Options
	o.Router = panicking{g.router}
	other, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	other.Open()
	g.api, other = other, g.api
	g.call("client", "/api/v1/clients/x", "", http.StatusInternalServerError)
	g.api = other
	if text := g.log.take(); !strings.Contains(text, "api handler panicked") || !strings.Contains(text, "boom") {
		t.Error(text)
	}
}

func TestAudit(t *testing.T) {
	g := newRig(t, nil)
	g.session("victim")
	g.log.take()
	g.call("disconnect", "/api/v1/clients/victim/disconnect", "", 204)
	g.call("addBan", "/api/v1/bans", `{"kind":"user","value":"eve"}`, 200)
	g.call("removeBan", "/api/v1/bans?kind=user&value=eve", "", 204)
	g.call("setLogLevel", "/api/v1/log-level", `{"level":"info"}`, 200)
	g.call("deleteClient", "/api/v1/clients/none", "", 404)
	g.call("publish", "/api/v1/publish", `{"topic":"a"}`, 200)
	g.call("clients", "/api/v1/clients", "", 200)
	text := g.log.take()
	for _, want := range []string{
		`msg="api change" token=w remote=192.0.2.1:1234 operation=disconnect target=victim query="" status=204`,
		`operation=addBan target="" query="" status=200`, "kind=user value=eve", `operation=removeBan target="" query="kind=user&value=eve" status=204`,
		"operation=setLogLevel", "operation=deleteClient target=none query=\"\" status=404",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line with %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "operation=publish") || strings.Contains(text, "operation=clients") {
		t.Errorf("what is no change was logged\n%s", text)
	}
}

func TestTheNodeLoads(t *testing.T) {
	g := newRig(t, nil)
	o := g.api.Options
	closed, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	open := g.api
	g.api = closed
	g.ports.why = "loading"
	g.call("clients", "/api/v1/clients", "", http.StatusServiceUnavailable)
	g.call("health", "/healthz", "", 200)
	if b := g.call("ready", "/readyz", "", 503); string(b) != "not ready: loading\n" {
		t.Errorf("%s", b)
	}
	g.ports.why = ""
	g.api = open
	if b := g.call("ready", "/readyz", "", 200); string(b) != "ready\n" {
		t.Errorf("%s", b)
	}
	if err := errors.Join(closed.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	g.api = closed
	if w := g.do("GET", "/healthz", "", ""); w.Code != 503 {
		t.Errorf("after its end: %d", w.Code)
	}
	g.api = open
}

func TestFiles(t *testing.T) {
	g := newRig(t, nil)
	for path, want := range map[string]int{"/": 200, "/ui/app.js": 200, "/ui/index.html": 301, "/ui/none": 404, "/ui/d": 404, "/ui/../x": 404, "/ui/%2e%2e/x": 404, "/ui/": 404, "/x": 404} {
		if w := g.do("GET", path, "", ""); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := g.do("GET", "/", "", ""); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Error(w.Header())
	}
	for _, path := range []string{"/healthz", "/", "/metrics"} {
		w := g.do("POST", path, "", "{}")
		if w.Code != 405 || w.Header().Get("Allow") != "GET" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}
