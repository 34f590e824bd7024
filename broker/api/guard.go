package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

const contentPolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

// guard is the outermost handler: what holds for every request.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			s.answerProblem(w, r, failf(http.StatusServiceUnavailable, "the node stops"))
			return
		}
		defer s.handlers.Done()
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		defer s.recovered(w, r)
		if !s.hostIsOurs(r) {
			s.answerProblem(w, r, failf(http.StatusMisdirectedRequest, "this listener does not go by that name: http.hosts has its names"))
			return
		}
		switch cross, ok := s.origin(r); {
		case !ok:
			s.answerProblem(w, r, failf(http.StatusForbidden, "pages of that origin may not use this listener: http.origins has those that may"))
			return
		case cross:
			allowOrigin(h, r.Header.Get("Origin"))
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// recovered is deferred around every handler. What has been answered already cannot be
// taken back: then the connection is cut.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil || v == http.ErrAbortHandler { //nolint:errorlint // recover answers a value, not a wrapped error
		if v != nil {
			panic(v)
		}
		return
	}
	s.log.Error("api handler panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if rec, ok := w.(*recorder); ok && rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.answerProblem(w, r, failf(http.StatusInternalServerError, "the node's log has more"))
}

// hostIsOurs judges the Host header. A page elsewhere that has its own name point here
// (DNS rebinding) would be of the same origin as this listener, so only names that
// nobody else can give out are taken: addresses, localhost, and those of the
// configuration. HTTP/1.0 need not send one; browsers do.
func (s *Server) hostIsOurs(r *http.Request) bool {
	host := hostOnly(r.Host)
	if host == "" {
		return !r.ProtoAtLeast(1, 1)
	}
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	return slices.ContainsFunc(s.settings().Hosts, func(name string) bool { return strings.EqualFold(name, host) })
}

// hostOnly is a host without its port and brackets.
func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}

// origin judges the Origin header, which browsers send: ok says that the page may use
// this listener, cross that it is one of elsewhere.
func (s *Server) origin(r *http.Request) (cross, ok bool) {
	list := r.Header.Values("Origin")
	if len(list) == 0 {
		return false, true
	}
	if len(list) > 1 {
		return false, false
	}
	u, err := url.Parse(list[0])
	if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, r.Host) {
		return false, true
	}
	allowed := slices.ContainsFunc(s.settings().Origins, func(o string) bool { return strings.EqualFold(o, list[0]) })
	return allowed, allowed
}

// allowOrigin tells a browser that a page of elsewhere may read the answer.
func allowOrigin(h http.Header, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// recorder remembers the status of an answer, for the audit and the metrics.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
