package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// Every route is in the document and every operation of the document is a route, with
// the same scope.
func TestTheDocumentIsTheTable(t *testing.T) {
	g := newRig(t, nil)
	var routes, operations []string
	for _, r := range g.api.Table() {
		path := strings.ReplaceAll(r.Path, "...}", "}")
		routes = append(routes, fmt.Sprint(r.Method, " ", path, " ", r.Name, " ", r.Scope))
	}
	for _, o := range g.doc.operations {
		scope := o.Scope
		if scope == "" {
			scope = "none"
		}
		if open := o.Security != nil; open != (scope == "none") {
			t.Errorf("%s: security and x-scope say different things", o.ID)
		}
		operations = append(operations, fmt.Sprint(o.method, " ", o.path, " ", o.ID, " ", scope))
	}
	slices.Sort(routes)
	slices.Sort(operations)
	for _, r := range routes {
		if !slices.Contains(operations, r) {
			t.Errorf("not in the document: %s", r)
		}
	}
	for _, o := range operations {
		if !slices.Contains(routes, o) {
			t.Errorf("not served: %s", o)
		}
	}
}

// Every schema has the fields of its Go type, and the other way round.
func TestTheSchemasAreTheTypes(t *testing.T) {
	d := readDocument(t)
	schemas := maps.Clone(d.root["components"].(map[string]any)["schemas"].(map[string]any))
	for _, v := range []any{
		v1.Problem{}, v1.Version{}, v1.Node{}, v1.Mailbox{}, v1.Nodes{}, v1.Stats{}, v1.Traffic{}, v1.Latency{}, v1.Client{}, v1.Clients{},
		v1.Subscription{}, v1.Subscriptions{}, v1.Message{}, v1.UserProperty{}, v1.Stored{}, v1.Entry{}, v1.Entries{}, v1.Topic{}, v1.Topics{},
		v1.Subscriber{}, v1.Subscribers{}, v1.Retained{}, v1.Publish{}, v1.Published{}, v1.Result{}, v1.Event{}, v1.Subscribed{}, v1.Granted{},
		v1.Ended{}, v1.Ban{}, v1.Bans{}, v1.BanAdded{}, v1.Refusal{}, v1.Refusals{}, v1.Drain{}, v1.LogLevel{}, v1.Reloaded{}, v1.TraceEvent{}, v1.TraceEnd{},
	} {
		typ := reflect.TypeOf(v)
		schema, ok := schemas[typ.Name()].(map[string]any)
		if !ok {
			t.Errorf("there is no schema %s", typ.Name())
			continue
		}
		delete(schemas, typ.Name())
		var have, want []string
		for name := range schema["properties"].(map[string]any) {
			have = append(have, name)
		}
		for _, f := range reflect.VisibleFields(typ) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				want = append(want, name)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s has %q, its type %q", typ.Name(), have, want)
		}
	}
	delete(schemas, "RetainedBody")
	for name := range schemas {
		t.Errorf("schema %s has no type", name)
	}
}

// Whatever is asked for below /api: without a token the answer is 401, and a token that
// may only read changes nothing.
func TestNoTokenIs401Everywhere(t *testing.T) {
	g := newRig(t, nil)
	paths := []string{"/api", "/api/", "/api/v1", "/api/v1/none", "/api/v2/clients", "/api//v1/clients", "/api/./v1/version", "//api/v1/version", "/api/v1/clients/a/b/c"}
	for _, o := range g.doc.operations {
		if strings.HasPrefix(o.path, "/api") {
			paths = append(paths, strings.NewReplacer("{id}", "x").Replace(o.path))
		}
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} {
			for _, auth := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + writer, writer, "Bearer " + writer[1:]} {
				w := g.do(method, path, "", "", func(r *http.Request) {
					if auth != "" {
						r.Header.Set("Authorization", auth)
					}
				})
				if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s %s with %q: %d %s", method, path, auth, w.Code, w.Body)
				}
			}
		}
	}
	for _, o := range g.doc.operations {
		if o.Scope == "write" {
			w := g.do(o.method, strings.ReplaceAll(o.path, "{id}", "x"), reader, "")
			g.doc.judge(o, w.Code, w.Header().Get("Content-Type"), w.Body.Bytes())
			if w.Code != http.StatusForbidden {
				t.Errorf("%s with a read token: %d", o.ID, w.Code)
			}
		}
	}
	if strings.Contains(g.log.take(), writer[:10]) {
		t.Error("a token is in the log")
	}
}

// What is not public where other hosts can connect needs a token too.
func TestWhatIsPublic(t *testing.T) {
	paths := []string{"/healthz", "/readyz", "/metrics", "/", "/ui/app.js"}
	for i, open := range []string{"11111", "11000", "00100", "00011"} {
		g := newRig(t, func(s *setup) {
			set := &s.Settings
			set.Health, set.Metrics, set.Page = open[0] == '1', open[2] == '1', open[3] == '1'
		})
		for k, path := range paths {
			want := http.StatusUnauthorized
			if open[k] == '1' {
				want = http.StatusOK
			}
			if w := g.do("GET", path, "", ""); w.Code != want {
				t.Errorf("%d: %s: %d", i, path, w.Code)
			}
			if w := g.do("GET", path, reader, ""); w.Code != http.StatusOK {
				t.Errorf("%d: %s with a token: %d", i, path, w.Code)
			}
		}
	}
}
