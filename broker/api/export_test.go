package api

import "net/http"

// Route is one line of the table, for tests.
type Route struct {
	Name, Method, Path string
	Scope              Scope
}

// Table is everything that is served.
func (s *Server) Table() (list []Route) {
	for _, r := range s.table() {
		list = append(list, Route{r.name, r.method, r.path, r.scope})
	}
	return append(list, Route{"metrics", http.MethodGet, "/metrics", ScopeNone})
}

// MetricTable are the names of the node's own metrics, with their help and whether they
// only grow.
func MetricTable() (list [][3]string) {
	for _, m := range metricTable {
		kind := "gauge"
		if m.kind == counter {
			kind = "counter"
		}
		list = append(list, [3]string{m.name, m.help, kind})
	}
	for _, h := range histogramTable {
		list = append(list, [3]string{h.name, h.help, "histogram"})
	}
	return list
}

// Document is the document that is served.
func Document() []byte { return document }

// Settings are those in force.
func (s *Server) Settings() *Settings { return s.settings() }
