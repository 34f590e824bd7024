package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering is a client of a server that is a function.
func answering(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := New(Options{Address: s.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8083": "http://127.0.0.1:8083", "[::1]:1": "http://[::1]:1", "https://node.example": "https://node.example",
		"http://h:1/": "http://h:1", "": "", "ftp://h": "", "http://": "", "http://h/path": "", "http://user:pass@h": "", "http://h:x": "",
	} {
		c, err := New(Options{Address: address})
		switch {
		case err != nil && want != "":
			t.Errorf("%q: %v", address, err)
		case err == nil && c.base.String() != want:
			t.Errorf("%q: %s", address, c.base)
		case err != nil && strings.Contains(err.Error(), "pass"):
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestRequestsAreWhatTheAPIWants(t *testing.T) {
	var seen []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what did not come is missing below
		seen = append(seen, r.Method+" "+r.URL.EscapedPath()+" "+r.URL.RawQuery+" "+string(b))
		if r.Header.Get("Authorization") != "Bearer secret" || len(b) > 0 && r.Header.Get("Content-Type") != "application/json" {
			t.Error(r.Header)
		}
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, "{}") // the client would say so
	})
	ctx, yes := t.Context(), true
	for _, err := range []error{
		c.Disconnect(ctx, "a/b c"), c.DeleteRetained(ctx, "t/#"), c.RemoveBan(ctx, "client", ""),
		second(c.Clients(ctx, ClientQuery{Page: Page{After: "x", Limit: 5}, Search: "s", Stalled: &yes, Version: 5})),
		second(c.Queue(ctx, "q", 3, 0)), second(c.SetLogLevel(ctx, "n", "warn")), second(c.Publish(ctx, v1.Publish{Message: &v1.Message{Topic: "t"}}, Wait{Delivered: true})),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"POST /api/v1/clients/a%2Fb%20c/disconnect  ", "DELETE /api/v1/retained/message topic=t%2F%23 ", "DELETE /api/v1/bans kind=client&value= ",
		"GET /api/v1/clients after=x&limit=5&search=s&stalled=true&version=5 ", "GET /api/v1/clients/q/queue limit=3&max_payload=0 ",
		`PUT /api/v1/log-level node=n {"level":"warn"}`, `POST /api/v1/publish wait=delivered {"topic":"t","qos":0,"retain":false}`,
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\nwant %q", seen, want)
	}
}

func second[T any](_ T, err error) error { return err }

func TestErrorsSayWhatTheProblemDoes(t *testing.T) {
	for _, tc := range []struct {
		kind, body, want string
	}{
		{"application/problem+json; charset=utf-8", `{"title":"Conflict","status":409,"detail":"it is so","code":135}`, "409 Conflict: it is so (0x87)"},
		{"application/problem+json", `{`, "409 Conflict"},
		{"text/html", `<h1>proxy</h1>`, "409 Conflict"},
	} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tc.kind)
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, tc.body) // the client would say so
		})
		_, err := c.Nodes(t.Context())
		var e *Error
		if !errors.As(err, &e) || err.Error() != tc.want || e.Status != http.StatusConflict {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
}

// The token stays with who was named.
func TestRedirectsAreNotFollowed(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "elsewhere") {
			t.Error("followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	var e *Error
	if _, err := c.Nodes(t.Context()); !errors.As(err, &e) || e.Status != http.StatusFound {
		t.Error(err)
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"nodes":`) })
	if _, err := c.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "read answer") {
		t.Error(err)
	}
}

func TestEventsOfAStream(t *testing.T) {
	text := ":\n\nevent: a\nid: 7\ndata: {\ndata: }\n\nevent: b\n:beat\ndata: x\n\nunknown: 1\nevent: c\ndata: never ends"
	var seen []string
	err := readEvents(strings.NewReader(text), func(kind, id string, data []byte) error {
		seen = append(seen, kind+"|"+id+"|"+string(data))
		return nil
	})
	if want := []string{"||", "a|7|{}", "||", "b||x"}; !slices.Equal(seen, want) || !errors.Is(err, ErrStreamCut) {
		t.Errorf("%q, %v", seen, err)
	}
}

func TestHowStreamsEnd(t *testing.T) {
	body := "event: subscribed\ndata: {}\n\nevent: message\nid: 3\ndata: {\"topic\":\"t\"}\n\n"
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "2" || r.URL.RawQuery != "expiry=1m0s&filter=a&filter=b&qos=1&session=s" {
			t.Error(r.URL, r.Header)
		}
		_, _ = io.WriteString(w, body) // the client would say so
	})
	q := SubscribeQuery{Filters: []string{"a", "b"}, QoS: 1, Session: "s", Expiry: 60e9, LastID: "2"}
	got := ""
	s := Subscription{Message: func(id string, e v1.Event) error { got = id + e.Topic; return nil }}
	if err := c.Subscribe(t.Context(), q, s); !errors.Is(err, ErrStreamCut) || got != "3t" {
		t.Error(err, got)
	}
	body = "event: end\ndata: {\"code\":139,\"reason\":\"the node stops\"}\n\n"
	var ended *EndedError
	if err := c.Subscribe(t.Context(), q, s); !errors.As(err, &ended) || ended.Code != 139 {
		t.Error(err)
	}
	body = "event: message\ndata: {\n\n"
	if err := c.Subscribe(t.Context(), q, s); err == nil || errors.Is(err, ErrStreamCut) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Subscribe(ctx, q, s); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestATraceTellsItsEnd(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, ":\n\nevent: trace\ndata: {\"client\":\"c\"}\n\nevent: end\ndata: {\"reason\":\"time\",\"lost\":3}\n\n") // as above
	})
	var seen []string
	end, err := c.Trace(t.Context(), TraceQuery{Client: "c"}, func() { seen = append(seen, "began") }, func(e v1.TraceEvent) error {
		seen = append(seen, e.Client)
		return nil
	})
	if err != nil || end.Lost != 3 || end.Reason != "time" || !slices.Equal(seen, []string{"began", "c"}) {
		t.Error(err, end, seen)
	}
}
