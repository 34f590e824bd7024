package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/testing/harness"
)

// stream is a subscription over a real connection.
type stream struct {
	t    *testing.T
	res  *http.Response
	in   *bufio.Reader
	end  context.CancelFunc
	last string // id
}

// serve gives the rig a listener.
func (g *rig) serve() string {
	s := httptest.NewServer(g.api.Handler())
	g.t.Cleanup(s.Close)
	return s.URL
}

func open(t *testing.T, base, query, last string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/subscribe?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+reader)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, res: res, in: bufio.NewReader(res.Body), end: cancel}
	t.Cleanup(s.close)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return s
}

func (s *stream) close() {
	s.end()
	_ = s.res.Body.Close() // it was cut
	http.DefaultClient.CloseIdleConnections()
}

// next is the next event: its kind and data.
func (s *stream) next(v any) (kind string) {
	s.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			s.last = value
		case "event":
			kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), v); err != nil {
				s.t.Fatalf("%v in %s", err, line)
			}
		case "":
			if kind != "" {
				return kind
			}
		}
	}
}

// take is the payloads of the next n messages.
func (s *stream) take(n int) string {
	s.t.Helper()
	var got []string
	for range n {
		var e v1.Event
		if kind := s.next(&e); kind != "message" {
			s.t.Fatalf("%s instead of a message", kind)
		}
		got = append(got, *e.Payload)
	}
	return strings.Join(got, " ")
}

func (s *stream) begun() (v v1.Subscribed) {
	s.t.Helper()
	if kind := s.next(&v); kind != "subscribed" {
		s.t.Fatalf("%s first", kind)
	}
	return v
}

func TestSubscribe(t *testing.T) {
	g := newRig(t, nil)
	base := g.serve()
	s := open(t, base, "filter=a/%23&filter=b&filter=bad%23", "")
	if b := s.begun(); b.Session || len(b.Filters) != 3 || b.Filters[0].Code != 1 || b.Filters[2].Code != 0x8F || !strings.HasPrefix(b.Client, "http/r/~") {
		t.Errorf("%+v", b)
	}
	g.publishOne("a/1", "1", 1, false)
	g.publishOne("b", "2", 0, false)
	g.publishOne("c", "3", 1, false)
	if got := s.take(2); got != "1 2" {
		t.Error(got)
	}
	if r := into[v1.Published](g, "publish", "/api/v1/publish?wait=delivered", `{"topic":"a/2","payload":"4","qos":1}`); r.Results[0].Delivered != 1 {
		t.Errorf("%+v", r)
	}
	clients := into[v1.Clients](g, "clients", "/api/v1/clients", "").Clients
	if len(clients) != 1 || clients[0].Transport != "sse" || *clients[0].User != "r-user" || clients[0].Since == nil {
		t.Errorf("%+v", clients)
	}
	g.call("disconnect", "/api/v1/clients/"+strings.ReplaceAll(clients[0].ID, "/", "%2F")+"/disconnect", "", 204)
	if got := s.take(1); got != "4" {
		t.Error(got)
	}
	var end v1.Ended
	if kind := s.next(&end); kind != "end" || end.Code != 0x98 {
		t.Errorf("%s %+v", kind, end)
	}
}

func TestSubscribeResumes(t *testing.T) {
	g := newRig(t, nil)
	base := g.serve()
	s := open(t, base, "filter=a&session=one", "")
	if b := s.begun(); b.Client != "http/r/one" || b.Session {
		t.Errorf("%+v", b)
	}
	for i := range 5 {
		g.publishOne("a", fmt.Sprint(i), 1, false)
	}
	s.take(3)
	at := s.last
	s.take(2)
	s.close()
	harness.Poll(t, 0, func() bool {
		return !into[v1.Client](g, "client", "/api/v1/clients/http%2Fr%2Fone", "").Connected
	})
	g.publishOne("a", "away", 1, false)
	s = open(t, base, "filter=a&session=one", at)
	if b := s.begun(); !b.Session {
		t.Errorf("%+v", b)
	}
	if got := s.take(3); got != "3 4 away" {
		t.Error(got)
	}
	w := g.do("GET", "/api/v1/subscribe?filter=a&session=one", reader, "", func(r *http.Request) { r.Header.Set("Last-Event-ID", "x") })
	if w.Code != 400 {
		t.Errorf("%d", w.Code)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	g := newRig(t, nil)
	base := g.serve()
	for range 4 {
		open(t, base, "filter=a", "").begun()
	}
	g.call("subscribe", "/api/v1/subscribe?filter=a", "", 503)
	if w := g.do("HEAD", "/api/v1/subscribe?filter=a", reader, ""); w.Code != 405 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

// The end of the server is told to streams.
func TestStopEndsStreams(t *testing.T) {
	g := newRig(t, func(s *setup) { s.Address = "127.0.0.1:0" })
	if err := g.api.Start(); err != nil {
		t.Fatal(err)
	}
	s := open(t, g.api.URL(), "filter=a", "")
	s.begun()
	if err := g.api.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var end v1.Ended
	if kind := s.next(&end); kind != "end" || end.Code != 0x8B {
		t.Errorf("%s %+v", kind, end)
	}
}
