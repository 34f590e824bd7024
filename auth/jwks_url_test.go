package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeService is a http.RoundTripper, so that a test has the time in its hand.
type fakeService struct {
	mu     sync.Mutex
	asked  []time.Time
	answer func() (status int, body []byte, err error)
	wait   time.Duration
}

func (s *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	answer, wait := s.answer, s.wait
	s.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status, body, err := answer()
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (s *fakeService) set(status int, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func() (int, []byte, error) { return status, body, err }
}

func (s *fakeService) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// newFakeJWT is a JWT whose URL is a fake service.
func newFakeJWT(t *testing.T, s *fakeService, cfg JWKSConfig) *JWT {
	t.Helper()
	cfg.URL, cfg.Log = "https://keys.example.org/", slog.New(slog.DiscardHandler)
	u, err := newJWKSURL(cfg, "jwt")
	if err != nil {
		t.Fatal(err)
	}
	u.client = &http.Client{Transport: s}
	j := &JWT{cfg: JWTConfig{UserClaim: "sub", MaxBytes: defaultTokenBytes}, files: &keySet{}, url: u}
	u.start()
	t.Cleanup(j.Close)
	return j
}

func kidToken(t *testing.T, kid string, key crypto.Signer) Credentials {
	return tokenOf(signToken(t, fields{"alg": "ES256", "kid": kid}, fields{"sub": "ann", "exp": time.Now().Add(24 * time.Hour).Unix()}, key))
}

func TestJWKSURLRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newTestKey(t), newTestKey(t)
		s := &fakeService{}
		s.set(200, jwksOf(jwk(t, one.Public(), fields{"kid": "one"})), nil)
		j := newFakeJWT(t, s, JWKSConfig{})
		if a := j.Check(t.Context(), kidToken(t, "one", one)); a.Outcome != Allow { // waits for the first fetch
			t.Fatalf("%+v", a)
		}
		s.set(200, jwksOf(jwk(t, one.Public(), fields{"kid": "one"}), jwk(t, two.Public(), fields{"kid": "two"})), nil)
		for range 100 { // just fetched: no miss causes another one
			if a := j.Check(t.Context(), kidToken(t, "two", two)); a.Outcome != Deny || a.Code != CodeBadCredentials {
				t.Fatalf("%+v", a)
			}
		}
		if n := s.times(); n != 1 {
			t.Fatalf("%d fetches", n)
		}
		<-time.After(11 * time.Second)
		var wg sync.WaitGroup
		for range 50 { // all wait for the same fetch
			wg.Go(func() {
				if a := j.Check(t.Context(), kidToken(t, "two", two)); a.Outcome != Allow {
					t.Errorf("%+v", a)
				}
			})
		}
		wg.Wait()
		if n := s.times(); n != 2 {
			t.Fatalf("%d fetches", n)
		}
		s.set(200, jwksOf(), nil) // all keys are revoked
		<-time.After(67 * time.Minute)
		if a := j.Check(t.Context(), kidToken(t, "one", one)); a.Outcome != Deny || s.times() < 3 {
			t.Errorf("%+v after %d fetches", a, s.times())
		}
	})
}

func TestJWKSURLFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newTestKey(t)
		s := &fakeService{}
		s.set(0, nil, errors.New("no route"))
		j := newFakeJWT(t, s, JWKSConfig{})
		if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Deny || a.Code != CodeUnavailable {
			t.Fatalf("%+v", a)
		}
		<-time.After(20 * time.Minute)
		if n := s.times(); n < 8 || n > 30 { // 1 s, 2 s, 4 s ... 5 min
			t.Errorf("%d fetches in 20 minutes of failure", n)
		}
		s.set(200, jwksOf(jwk(t, key.Public(), fields{"kid": "k"})), nil)
		<-time.After(5 * time.Minute)
		if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Allow {
			t.Fatalf("%+v", a)
		}
		for i, bad := range [][]byte{[]byte("<html>"), []byte("{}"), bytes.Repeat([]byte(" "), maxKeysBytes+1)} {
			s.set(200, bad, nil)
			<-time.After(2 * time.Hour)
			if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Allow {
				t.Errorf("bad answer %d: the last good keys are gone: %+v", i, a)
			}
		}
		s.set(500, jwksOf(), nil)
		<-time.After(2 * time.Hour)
		if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Allow {
			t.Errorf("status 500: the last good keys are gone: %+v", a)
		}
		other := newFakeJWT(t, s, JWKSConfig{}) // as a reload makes
		other.Inherit(j)
		if a := other.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Allow {
			t.Errorf("the reloaded one: %+v", a)
		}
	})
}

func TestJWKSURLStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newTestKey(t)
		s := &fakeService{wait: time.Hour}
		s.set(200, jwksOf(jwk(t, key.Public(), fields{"kid": "k"})), nil)
		j := newFakeJWT(t, s, JWKSConfig{Timeout: 30 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if a := j.Check(ctx, kidToken(t, "k", key)); a.Outcome != Deny || a.Code != CodeUnavailable || time.Since(begun) != time.Second {
			t.Errorf("%+v after %v", a, time.Since(begun))
		}
		if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != Deny || time.Since(begun) != 30*time.Second {
			t.Errorf("%+v after %v", a, time.Since(begun))
		}
		waited := make(chan Answer)
		<-time.After(11 * time.Second) // another fetch is under way
		go func() { waited <- j.Check(t.Context(), kidToken(t, "k", key)) }()
		synctest.Wait()
		j.url.cancel() // as Close does, which then waits
		if a := <-waited; a.Outcome != Deny {
			t.Errorf("%+v", a)
		}
	})
}

func TestJWKSURLOverTLS(t *testing.T) {
	key := newTestKey(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwksOf(jwk(t, key.Public(), fields{"kid": "k"}))) // the client looks at what it gets
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	server := httptest.NewTLSServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer server.Close()
	ca := writeTemp(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))
	strange := newTestCA(t, "strange", nil)
	for path, tc := range map[string]struct {
		tls  ClientTLS
		want Outcome
	}{
		"/keys":             {ClientTLS{CAFile: ca}, Allow},
		"/keys?key=hunter2": {ClientTLS{CAFile: writeTemp(t, pemOf("CERTIFICATE", strange.Raw))}, Deny},
		"/keys?name":        {ClientTLS{CAFile: ca, ServerName: "other.invalid"}, Deny},
		"/moved":            {ClientTLS{CAFile: ca}, Deny},
	} {
		j, err := NewJWT(JWTConfig{JWKS: JWKSConfig{URL: server.URL + path, TLS: tc.tls, Log: logger}})
		if err != nil {
			t.Fatal(err)
		}
		if a := j.Check(t.Context(), kidToken(t, "k", key)); a.Outcome != tc.want {
			t.Errorf("%s: %+v", path, a)
		}
		j.Close()
		if a := j.Check(t.Context(), kidToken(t, "other", key)); a.Outcome != Deny {
			t.Errorf("%s, closed: %+v", path, a)
		}
	}
	if s := log.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, (&x509.UnknownAuthorityError{}).Error()[:5]) {
		t.Errorf("the log: %s", s)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
