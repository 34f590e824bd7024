package api

import (
	"net/http"
	"strconv"
	"strings"
)

// handler answers a request. An error is answered as a problem.
type handler func(w http.ResponseWriter, r *http.Request) error

// route is one operation of the document.
type route struct {
	name    string // its operationId
	method  string
	path    string
	scope   Scope
	handler handler
}

// table is everything that is served. openapi.yaml says the same, which tests check.
func (s *Server) table() []route {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	return []route{
		{"health", get, "/healthz", ScopeNone, s.health},
		{"ready", get, "/readyz", ScopeNone, s.ready},
		{"page", get, "/", ScopeNone, s.page},
		{"pageFile", get, "/ui/{path...}", ScopeNone, s.pageFile},
		{"webSocket", get, "/mqtt", ScopeNone, s.webSocket},

		{"document", get, "/api/v1/openapi.yaml", ScopeRead, s.document},
		{"version", get, "/api/v1/version", ScopeRead, s.version},
		{"nodes", get, "/api/v1/nodes", ScopeRead, s.nodes},
		{"stats", get, "/api/v1/stats", ScopeRead, s.at(s.figures)},
		{"refusals", get, "/api/v1/refusals", ScopeRead, s.listRefusals},

		{"clients", get, "/api/v1/clients", ScopeRead, s.clients},
		{"client", get, "/api/v1/clients/{id}", ScopeRead, s.owner(s.client)},
		{"deleteClient", del, "/api/v1/clients/{id}", ScopeWrite, s.owner(s.deleteClient)},
		{"disconnect", post, "/api/v1/clients/{id}/disconnect", ScopeWrite, s.owner(s.disconnect)},
		{"subscriptions", get, "/api/v1/clients/{id}/subscriptions", ScopeRead, s.owner(s.subscriptions)},
		{"queue", get, "/api/v1/clients/{id}/queue", ScopeRead, s.owner(s.queue)},
		{"inflight", get, "/api/v1/clients/{id}/inflight", ScopeRead, s.owner(s.inflight)},
		{"sendMessage", post, "/api/v1/clients/{id}/messages", ScopeWrite, s.owner(s.sendMessage)},

		{"topics", get, "/api/v1/topics", ScopeRead, s.topics},
		{"subscribers", get, "/api/v1/subscribers", ScopeRead, s.subscribers},
		{"retained", get, "/api/v1/retained", ScopeRead, s.retained},
		{"retainedMessage", get, "/api/v1/retained/message", ScopeRead, s.retainedMessage},
		{"setRetained", put, "/api/v1/retained/message", ScopeWrite, s.setRetained},
		{"deleteRetained", del, "/api/v1/retained/message", ScopeWrite, s.deleteRetained},

		{"publish", post, "/api/v1/publish", ScopeWrite, s.publish},
		{"subscribe", get, "/api/v1/subscribe", ScopeRead, s.subscribe},

		{"bans", get, "/api/v1/bans", ScopeRead, s.listBans},
		{"addBan", post, "/api/v1/bans", ScopeWrite, s.addBan},
		{"removeBan", del, "/api/v1/bans", ScopeWrite, s.removeBan},

		{"drainState", get, "/api/v1/drain", ScopeRead, s.at(s.drainState)},
		{"drain", post, "/api/v1/drain", ScopeWrite, s.at(s.drain)},
		{"undrain", del, "/api/v1/drain", ScopeWrite, s.at(s.undrain)},
		{"reload", post, "/api/v1/reload", ScopeWrite, s.at(s.reload)},
		{"logLevel", get, "/api/v1/log-level", ScopeRead, s.at(s.logLevel)},
		{"setLogLevel", put, "/api/v1/log-level", ScopeWrite, s.at(s.setLogLevel)},
		{"trace", get, "/api/v1/trace", ScopeWrite, s.trace},
	}
}

// traffic are the operations that carry messages: they are counted, not audited.
var traffic = map[string]bool{"publish": true, "sendMessage": true}

// routes answers the handler of everything.
func (s *Server) routes(metrics http.Handler) http.Handler {
	table := append(s.table(), route{"metrics", http.MethodGet, "/metrics", ScopeNone, func(w http.ResponseWriter, r *http.Request) error {
		metrics.ServeHTTP(w, r)
		return nil
	}})
	mux := http.NewServeMux()
	allow := map[string][]string{}
	for _, rt := range table {
		mux.Handle(rt.method+" "+pattern(rt.path), s.handle(rt))
		allow[rt.path] = append(allow[rt.path], rt.method)
	}
	for path, methods := range allow {
		mux.Handle(pattern(path), s.handle(route{name: "other", path: path, scope: scopeOf(path), handler: func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			return failf(http.StatusMethodNotAllowed, "this path takes %s", strings.Join(methods, ", "))
		}}))
	}
	other := s.handle(route{name: "other", path: "/", handler: notFound})
	private := s.handle(route{name: "other", path: "/api", scope: ScopeRead, handler: notFound})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, found := mux.Handler(r)
		switch {
		case found != "" && !redirects(r):
			mux.ServeHTTP(w, r) // it sets the path's values, which h alone does not
		case strings.HasPrefix(strings.TrimLeft(r.URL.Path, "/."), "api"):
			private.ServeHTTP(w, r)
		default:
			_ = h
			other.ServeHTTP(w, r)
		}
	})
}

// redirects reports whether the mux would answer with a redirect to a cleaner path:
// there is no such path here.
func redirects(r *http.Request) bool {
	p := r.URL.EscapedPath()
	return strings.Contains(p, "//") || strings.Contains(p+"/", "/./") || strings.Contains(p+"/", "/../")
}

func notFound(http.ResponseWriter, *http.Request) error {
	return failf(http.StatusNotFound, "there is nothing here: /api/v1/openapi.yaml says what there is")
}

// pattern is a path as the mux takes it: the page is only the root.
func pattern(path string) string {
	if path == "/" {
		return "/{$}"
	}
	return path
}

func scopeOf(path string) Scope {
	if strings.HasPrefix(path, "/api/") {
		return ScopeRead
	}
	return ScopeNone
}

// public reports whether an operation needs no token.
func (s *Server) public(rt *route) bool {
	set := s.settings()
	switch rt.name {
	case "health", "ready":
		return set.Health
	case "metrics":
		return set.Metrics
	case "page", "pageFile":
		return set.Page
	case "webSocket": // its own authentication
		return true
	}
	return rt.name == "other" && rt.scope == ScopeNone
}

// handle is what holds for every operation: token, scope, size, audit and figures.
func (s *Server) handle(rt route) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w := &recorder{ResponseWriter: out}
		defer s.recovered(w, r)
		defer func() { s.requests.WithLabelValues(rt.name, strconv.Itoa(w.status)).Inc() }()
		r, err := s.admit(&rt, w, r)
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, s.settings().MaxBody)
			err = rt.handler(w, r)
		}
		if err != nil {
			s.answerProblem(w, r, err)
		}
		if rt.scope == ScopeWrite && !traffic[rt.name] && tokenOf(r).Scope != ScopeNone {
			s.log.Info("api change", "token", tokenOf(r).Name, "remote", r.RemoteAddr, "operation", rt.name,
				"target", target(r), "query", r.URL.RawQuery, "status", w.status)
		}
	})
}

// target is what an operation is about, as far as the path says it.
func target(r *http.Request) string { return r.PathValue("id") }

// admit judges a request's token.
func (s *Server) admit(rt *route, w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if s.public(rt) {
		return r, nil
	}
	t, p := s.authenticate(r)
	if p != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="skein"`)
		s.logRefusal(r, p)
		return r, p
	}
	r = withToken(r, t)
	switch {
	case t.Scope < rt.scope:
		return r, failf(http.StatusForbidden, "the token's scope is %s, and this needs %s", t.Scope, rt.scope)
	case rt.scope != ScopeNone && !s.isOpen():
		return r, failf(http.StatusServiceUnavailable, "the node is loading what it keeps")
	}
	return r, nil
}
