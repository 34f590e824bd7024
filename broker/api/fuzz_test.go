package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzRequests sends anything to every operation: no answer is a 500, none panics, and
// each problem is one.
func FuzzRequests(f *testing.F) {
	d := readDocument(f)
	for i := range d.operations {
		f.Add(uint8(i), "x", "limit=1&after=a&topic=a/b&filter=a/%23&kind=user&value=x", `{"topic":"a","payload":"x","qos":1}`, "1", "127.0.0.1", true)
	}
	f.Add(uint8(3), "a/../b", "scope=node&session=s&expiry=1h&wait=delivered&timeout=1ms", `{"messages":[{"topic":"a"}]}`, "18446744073709551615", "[::1]:1", false)
	f.Add(uint8(9), "%00", "parent=a&max_payload=0&client=x&ip=::/0&rate=5&duration=1s", `{"kind":"user","value":"x","until":"2030-01-01T00:00:00Z"}`, "-1", "", true)
	f.Fuzz(func(t *testing.T, op uint8, id, query, body, last, host string, token bool) {
		g := newRig(t, nil)
		g.session("x", "a/#", "$share/g/b")
		o := g.doc.operations[int(op)%len(g.doc.operations)]
		path := strings.NewReplacer("{id}", url.PathEscape(id), "{path}", url.PathEscape(id)).Replace(o.path)
		u := &url.URL{Scheme: "http", Host: "127.0.0.1", RawQuery: query}
		parsed, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip()
		}
		u.Path, u.RawPath = parsed.Path, parsed.RawPath
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // streams end
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, o.method, "/", strings.NewReader(body))
		r.URL, r.Host = u, host
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Last-Event-ID", last)
		if token {
			r.Header.Set("Authorization", "Bearer "+writer)
		}
		w := httptest.NewRecorder()
		g.api.Handler().ServeHTTP(w, r)
		switch {
		case w.Code == http.StatusInternalServerError:
			t.Errorf("%s %s: %s\n%s", o.method, u, w.Body, g.log.take())
		case w.Code >= 400 && w.Code != http.StatusServiceUnavailable && w.Header().Get("Content-Type") != "application/problem+json":
			t.Errorf("%s %s: %d is %s", o.method, u, w.Code, w.Header().Get("Content-Type"))
		case !token && strings.HasPrefix(o.path, "/api") && w.Code < 400:
			t.Errorf("%s %s without a token: %d", o.method, u, w.Code)
		}
	})
}
