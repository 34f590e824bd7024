package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// authServer answers what the handler says; it is closed with the test.
func authServer(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func newTestHTTP(t testing.TB, cfg HTTPConfig) *HTTP {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	h, err := NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// says answers with JSON.
func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body) // the client looks at what it gets
	}
}

func ann() Credentials {
	return Credentials{
		ClientID: "c1", User: "ann", HasUser: true, Password: []byte("hunter2"), HasPassword: true,
		Remote: netip.MustParseAddr("192.0.2.1"), Listener: "tls",
	}
}

func TestHTTPQuestion(t *testing.T) {
	var got map[string]any
	var header http.Header
	var path string
	s := authServer(t, func(w http.ResponseWriter, r *http.Request) {
		got, header, path = nil, r.Header, r.Method+" "+r.URL.Path
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		says(`{"result":"allow"}`)(w, r)
	})
	h := newTestHTTP(t, HTTPConfig{URL: s.URL + "/auth", Headers: map[string]Secret{"Authorization": "Bearer x"}})
	if a := h.Check(t.Context(), ann()); a.Outcome != Allow || a.Identity.User != "ann" || a.Identity.Rules != nil {
		t.Fatalf("%+v", a)
	}
	want := map[string]any{"client_id": "c1", "username": "ann", "password": "hunter2", "remote": "192.0.2.1", "listener": "tls"}
	if !maps.Equal(got, want) || header.Get("Authorization") != "Bearer x" || header.Get("Content-Type") != "application/json" || path != "POST /auth" {
		t.Errorf("asked %v with %v at %s", got, header, path)
	}
	ca := newTestCA(t, "ca", nil)
	leaf := ca.issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "dev"}, DNSNames: []string{"d.example.org"}})
	if a := h.Check(t.Context(), Credentials{ClientID: "c2", Password: []byte{0xff}, HasPassword: true, TLS: stateOf(leaf, ca.Certificate)}); a.Outcome != Allow || a.Identity.HasUser {
		t.Fatalf("%+v", a)
	}
	cert, _ := got["certificate"].(map[string]any)
	if got["password_base64"] != "/w==" || got["username"] != nil || got["password"] != nil || cert["cn"] != "dev" || cert["dn"] != "CN=dev" || cert["serial"] != "7" || len(cert["fingerprint"].(string)) != 64 {
		t.Errorf("asked %v", got)
	}
}

func TestHTTPAnswers(t *testing.T) {
	var body atomic.Value
	s := authServer(t, func(w http.ResponseWriter, r *http.Request) { says(body.Load().(string))(w, r) })
	h := newTestHTTP(t, HTTPConfig{URL: s.URL, CacheSize: -1, BreakAfter: 1000, OnFailure: FailIgnore})
	later := time.Now().Add(time.Hour).Unix()
	for answer, want := range map[string]Answer{
		`{"result":"allow"}`:           {Outcome: Allow, Identity: Identity{User: "ann", HasUser: true}},
		`{"result":"deny"}`:            {Outcome: Deny, Code: CodeBadCredentials},
		`{"result":"deny","groups":1}`: {Outcome: Deny, Code: CodeBadCredentials},
		`{"result":"ignore"}`:          {Outcome: NotMine},
		`{"result":"allow","username":"bob","groups":["a","b"],"new":1}`: {Outcome: Allow, Identity: Identity{User: "bob", HasUser: true, Groups: []string{"a", "b"}}},
		fmt.Sprintf(`{"result":"allow","expires_at":%d}`, later):         {Outcome: Allow, Identity: Identity{User: "ann", HasUser: true, ExpiresAt: later * 1e9}},
		`{"result":"allow","expires_at":1}`:                              {Outcome: Deny, Code: CodeBadCredentials},
	} {
		body.Store(answer)
		a := h.Check(t.Context(), ann())
		if a.Outcome != want.Outcome || a.Code != want.Code || a.Identity.User != want.Identity.User || a.Identity.HasUser != want.Identity.HasUser ||
			a.Identity.ExpiresAt != want.Identity.ExpiresAt || !slices.Equal(a.Identity.Groups, want.Identity.Groups) {
			t.Errorf("%s: %+v", answer, a)
		}
		if h.Stats().Failures != 0 {
			t.Fatalf("%s counts as a failure", answer)
		}
	}
	body.Store(`{"result":"allow","attributes":{"site":"x"},"acl":[{"action":"publish","topics":["a"]}]}`)
	a := h.Check(t.Context(), ann())
	g, _ := a.Identity.Rules.(*Grant)
	if g == nil || g.Attributes["site"] != "x" || g.Rules == nil || g.Rules.Len() != 1 {
		t.Errorf("%+v", a)
	}
	for i, lie := range []string{
		``, `null`, `[]`, `"allow"`, `{}`, `{"result":true}`, `{"result":"yes"}`, `{"result":"Allow"}`, `{"Result":"allow"}`,
		`{"result":"allow"`, `{"result":"allow"}{}`, `{"result":"deny","result":"allow"}`, "{\"result\":\"allow\",\"x\":\"\xff\"}",
		`{"result":"allow","username":7}`, `{"result":"allow","username":""}`, `{"result":"allow","username":null}`,
		`{"result":"allow","groups":{}}`, `{"result":"allow","groups":[1]}`, `{"result":"allow","groups":null}`,
		`{"result":"allow","expires_at":"x"}`, `{"result":"allow","expires_at":-1}`, `{"result":"allow","expires_at":1e300}`,
		`{"result":"allow","attributes":[]}`, `{"result":"allow","attributes":{"a":1}}`,
		`{"result":"allow","acl":{}}`, `{"result":"allow","acl":[{"action":"publish","topics":["a"],"only":"x"}]}`,
		`{"result":"allow","x":"` + strings.Repeat("x", maxAnswer) + `"}`,
	} {
		body.Store(lie)
		a := h.Check(t.Context(), ann())
		if a.Outcome != NotMine || h.Stats().Failures != int64(i+1) { // ignored, as configured
			t.Errorf("%.80s: %+v, %+v", lie, a, h.Stats())
		}
	}
}

func TestHTTPFailures(t *testing.T) {
	stop := make(chan struct{})
	other := authServer(t, says(`{"result":"allow"}`))
	handlers := map[string]http.HandlerFunc{
		"/stall": func(_ http.ResponseWriter, r *http.Request) { <-stop },
		"/slowbody": func(w http.ResponseWriter, r *http.Request) {
			says(`{"result":`)(w, r)
			w.(http.Flusher).Flush()
			<-stop
		},
		"/die":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"/html": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"result":"allow"}`) },
		"/texttype": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/json")
			_, _ = io.WriteString(w, `{"result":"allow"}`)
		},
		"/500": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"result":"allow"}`)
		},
		"/201": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"result":"allow"}`)
		},
		"/204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"/404": http.NotFound,
		"/moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"/header": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeaderBytes))
			says(`{"result":"allow"}`)(w, r)
		},
		"/endless": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
					return
				}
			}
		},
	}
	mux := http.NewServeMux()
	for path, handler := range handlers {
		mux.HandleFunc(path, handler)
	}
	s := authServer(t, mux.ServeHTTP)
	defer close(stop)
	dead := httptest.NewServer(nil)
	dead.Close()
	urls := []string{dead.URL}
	for path := range handlers {
		urls = append(urls, s.URL+path)
	}
	for _, url := range urls {
		for policy, want := range map[Failure]Outcome{"": Deny, FailDeny: Deny, FailAllow: Allow, FailIgnore: NotMine} {
			h := newTestHTTP(t, HTTPConfig{URL: url + "?key=topsecret", Timeout: 100 * time.Millisecond, OnFailure: policy})
			a := h.Check(t.Context(), ann())
			if a.Outcome != want || a.Outcome == Deny && a.Code != CodeUnavailable || a.Outcome == Allow && a.Identity.User != "ann" {
				t.Errorf("%s, %q: %+v", url, policy, a)
			}
			if a.Why == "" || strings.Contains(a.Why, "topsecret") || strings.Contains(a.Why, "hunter2") {
				t.Errorf("%s: the reason is %q", url, a.Why)
			}
			if st := h.Stats(); st.Failures != 1 || st.Calls != 1 {
				t.Errorf("%s: %+v", url, st)
			}
			if _, known := h.Recall(ann()); known {
				t.Errorf("%s: a failure is remembered", url)
			}
		}
	}
	for _, code := range []int{401, 403} { // a service that says no in another way is not failing
		s := authServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		h := newTestHTTP(t, HTTPConfig{URL: s.URL, OnFailure: FailAllow})
		if a := h.Check(t.Context(), ann()); a.Outcome != Deny || a.Code != CodeBadCredentials || h.Stats().Failures != 0 {
			t.Errorf("%d: %+v", code, a)
		}
	}
}

func TestHTTPRetries(t *testing.T) {
	var n atomic.Int64
	stop := make(chan struct{})
	defer close(stop)
	s := authServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			w.WriteHeader(503)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			<-stop // this try runs out of its part of the time
		default:
			says(`{"result":"allow"}`)(w, r)
		}
	})
	h := newTestHTTP(t, HTTPConfig{URL: s.URL, Tries: 4, Timeout: 2 * time.Second})
	if a := h.Check(t.Context(), ann()); a.Outcome != Allow || n.Load() != 4 || h.Stats().Calls != 1 {
		t.Errorf("%+v after %d tries", a, n.Load())
	}
}

func TestHTTPKeepsConnections(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(says(`{"result":"allow"}`))
	s.Config.ConnState = func(_ net.Conn, c http.ConnState) {
		if c == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	h := newTestHTTP(t, HTTPConfig{URL: s.URL, CacheSize: -1})
	for range 20 {
		if a := h.Check(t.Context(), ann()); a.Outcome != Allow {
			t.Fatalf("%+v", a)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections for 20 questions in a row", conns.Load())
	}
}

func TestHTTPOverTLS(t *testing.T) {
	ca := newTestCA(t, "ca", nil)
	leaf, key := ca.issueKey(t, x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(says(`{"result":"allow"}`))
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	s.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	trust := writeTemp(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	certFile, keyFile := writeTemp(t, pemOf("CERTIFICATE", leaf.Raw)), writeTemp(t, pemOf("PRIVATE KEY", der))
	for name, tc := range map[string]struct {
		tls  ClientTLS
		want Outcome
	}{
		"both":           {ClientTLS{CAFile: trust, CertFile: certFile, KeyFile: keyFile}, Allow},
		"no certificate": {ClientTLS{CAFile: trust}, Deny},
		"another CA":     {ClientTLS{CAFile: certFile, CertFile: certFile, KeyFile: keyFile}, Deny},
		"another name":   {ClientTLS{CAFile: trust, CertFile: certFile, KeyFile: keyFile, ServerName: "other.invalid"}, Deny},
	} {
		h := newTestHTTP(t, HTTPConfig{URL: s.URL, TLS: tc.tls})
		if a := h.Check(t.Context(), ann()); a.Outcome != tc.want {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestHTTPMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		s.set(200, []byte(`{"result":"allow"}`), nil)
		h := newTestHTTP(t, HTTPConfig{URL: "http://127.0.0.1/", AllowTTL: time.Minute, DenyTTL: 10 * time.Second})
		h.client = &http.Client{Transport: s}
		ask := func(cr Credentials, want Outcome, asked int) {
			t.Helper()
			if a := h.Check(t.Context(), cr); a.Outcome != want || s.times() != asked {
				t.Errorf("%+v after %d questions, want %v after %d", a, s.times(), want, asked)
			}
		}
		ask(ann(), Allow, 1)
		ask(ann(), Allow, 1)
		if a, known := h.Recall(ann()); !known || a.Outcome != Allow {
			t.Errorf("Recall: %+v, %v", a, known)
		}
		different := []func(*Credentials){ // each thing that is asked makes another question
			func(c *Credentials) { c.Password = []byte("hunter3") }, func(c *Credentials) { c.HasPassword = false },
			func(c *Credentials) { c.User = "bob" }, func(c *Credentials) { c.HasUser = false }, func(c *Credentials) { c.ClientID = "c2" },
			func(c *Credentials) { c.Remote = netip.Addr{} }, func(c *Credentials) { c.Listener = "tcp" },
		}
		s.set(200, []byte(`{"result":"deny"}`), nil)
		for i, change := range different {
			cr := ann()
			change(&cr)
			ask(cr, Deny, 2+i)
			ask(cr, Deny, 2+i)
		}
		n := s.times()
		<-time.After(11 * time.Second)
		wrong := ann()
		wrong.Password = []byte("hunter3")
		ask(wrong, Deny, n+1) // a no has run out
		ask(ann(), Allow, n+1)
		<-time.After(50 * time.Second)
		ask(ann(), Deny, n+2) // and a yes
		s.set(200, []byte(fmt.Sprintf(`{"result":"allow","expires_at":%d}`, time.Now().Add(5*time.Second).Unix())), nil)
		<-time.After(11 * time.Second) // its no has run out; the answer has expired by now
		ask(ann(), Deny, n+3)
		s.set(200, []byte(fmt.Sprintf(`{"result":"allow","expires_at":%d}`, time.Now().Add(15*time.Second).Unix())), nil)
		<-time.After(11 * time.Second)
		ask(ann(), Allow, n+4)
		ask(ann(), Allow, n+4)
		<-time.After(5 * time.Second)
		if _, known := h.Recall(ann()); known {
			t.Error("an identity that has ended is remembered")
		}
	})
}

func TestHTTPForgetsPasswords(t *testing.T) {
	s := authServer(t, says(`{"result":"allow"}`))
	h := newTestHTTP(t, HTTPConfig{URL: s.URL})
	if a := h.Check(t.Context(), ann()); a.Outcome != Allow {
		t.Fatalf("%+v", a)
	}
	for _, c := range []*ttlCache[Answer]{h.cache.yes, h.cache.no} {
		for i := range c.shards {
			for key, e := range c.shards[i].items {
				if len(key) != 32 || strings.Contains(fmt.Sprintf("%s %+v", key, e.Value), "hunter2") {
					t.Errorf("%q %+v", key, e.Value)
				}
			}
		}
	}
	other := newTestHTTP(t, HTTPConfig{URL: s.URL})
	cr := ann()
	_, one := h.question(&cr)
	_, two := other.question(&cr)
	if bytes.Equal(one, two) {
		t.Error("two have the same key")
	}
}

func TestHTTPBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{wait: time.Second}
		s.set(200, []byte(`{"result":"allow"}`), nil)
		h := newTestHTTP(t, HTTPConfig{URL: "http://127.0.0.1/", MaxCalls: 2, MaxWaiting: 3, CacheSize: -1, Timeout: 90 * time.Second, OnFailure: FailAllow})
		h.client = &http.Client{Transport: s}
		var allowed, busy atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				switch a := h.Check(t.Context(), ann()); {
				case a.Outcome == Allow && a.Why == "":
					allowed.Add(1)
				case a.Outcome == Deny && a.Code == CodeBusy:
					busy.Add(1)
				default:
					t.Errorf("%+v", a)
				}
			})
		}
		wg.Wait()
		if allowed.Load() != 5 || busy.Load() != 5 || h.Stats().Busy != 5 || h.Stats().Failures != 0 {
			t.Errorf("%d allowed, %d busy, %+v", allowed.Load(), busy.Load(), h.Stats())
		}
		for i := 1; i < len(s.asked); i++ { // two at a time
			if i >= 2 && s.asked[i].Sub(s.asked[i-2]) < time.Second {
				t.Errorf("question %d at %v, %d at %v", i, s.asked[i], i-2, s.asked[i-2])
			}
		}
		s.wait = time.Hour // whoever waits longer than the timeout for its turn is told busy
		for range 2 {
			wg.Go(func() { h.Check(t.Context(), ann()) })
		}
		synctest.Wait()
		<-time.After(60 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if a := h.Check(ctx, ann()); a.Code != CodeBusy {
			t.Errorf("%+v", a)
		}
		wg.Wait()
	})
}

func TestHTTPBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		s.set(200, []byte(`{`), nil)
		var log bytes.Buffer
		h := newTestHTTP(t, HTTPConfig{URL: "http://127.0.0.1/", BreakAfter: 3, BreakFor: 10 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
		h.client = &http.Client{Transport: s}
		for i := range 20 {
			if a := h.Check(t.Context(), ann()); a.Outcome != Deny || a.Code != CodeUnavailable {
				t.Fatalf("%d: %+v", i, a)
			}
		}
		if s.times() != 3 {
			t.Errorf("%d questions", s.times())
		}
		<-time.After(10 * time.Second)
		h.Check(t.Context(), ann()) // the probe, which fails
		h.Check(t.Context(), ann())
		if s.times() != 4 {
			t.Errorf("%d questions", s.times())
		}
		s.set(200, []byte(`{"result":"allow"}`), nil)
		s.wait = time.Second
		<-time.After(10 * time.Second)
		gone, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.Check(gone, ann()) }) // a probe whose client goes away says nothing
		synctest.Wait()
		if a := h.Check(t.Context(), ann()); a.Code != CodeUnavailable || s.times() != 5 {
			t.Errorf("beside a probe: %+v, %d questions", a, s.times())
		}
		cancel()
		wg.Wait()
		if a := h.Check(t.Context(), ann()); a.Outcome != Allow || s.times() != 6 {
			t.Errorf("%+v, %d questions", a, s.times())
		}
		if st := h.Stats(); st.Opened != 1 || st.Failures != 4 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("%+v, log %s", st, log.String())
		}
	})
}

func TestHTTPClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{wait: time.Hour}
		s.set(200, []byte(`{"result":"allow"}`), nil)
		h := newTestHTTP(t, HTTPConfig{URL: "http://127.0.0.1/", BreakAfter: 1, OnFailure: FailAllow})
		h.client = &http.Client{Transport: s}
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if a := h.Check(ctx, ann()); a.Outcome != Deny {
				t.Errorf("%+v", a)
			}
		}
		if st := h.Stats(); st.Failures != 0 || st.Opened != 0 {
			t.Errorf("%+v", st)
		}
		done := make(chan Answer)
		go func() { done <- h.Check(t.Context(), ann()) }()
		synctest.Wait()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if a := <-done; a.Outcome != Deny {
			t.Errorf("closed meanwhile: %+v", a)
		}
		if a := h.Check(t.Context(), ann()); a.Outcome != Deny {
			t.Errorf("closed: %+v", a)
		}
	})
}

func TestBadHTTPConfig(t *testing.T) {
	for name, cfg := range map[string]HTTPConfig{
		"no URL":             {},
		"another scheme":     {URL: "ftp://127.0.0.1/"},
		"no host":            {URL: "https:///x"},
		"junk":               {URL: "http://hunter2 %zz"},
		"a user":             {URL: "https://u:hunter2@example.org/"},
		"plain to others":    {URL: "http://auth.example.org/?key=hunter2"},
		"policy":             {URL: "http://127.0.0.1/", OnFailure: "maybe"},
		"negative calls":     {URL: "http://127.0.0.1/", MaxCalls: -1},
		"negative time":      {URL: "http://127.0.0.1/", Timeout: -1},
		"no such CA":         {URL: "http://127.0.0.1/", TLS: ClientTLS{CAFile: "/does/not/exist"}},
		"key without a cert": {URL: "http://127.0.0.1/", TLS: ClientTLS{KeyFile: "/does/not/exist"}},
	} {
		if _, err := NewHTTP(cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := NewHTTPACL(cfg); err == nil {
			t.Errorf("%s: taken for the ACL", name)
		}
	}
	for _, cfg := range []HTTPConfig{{URL: "http://localhost:1/"}, {URL: "http://[::1]/"}, {URL: "http://auth.example.org/", AllowPlain: true}, {URL: "https://auth.example.org/"}} {
		newTestHTTP(t, cfg)
	}
}
