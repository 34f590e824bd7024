package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

const usersFile = "auth: {sources: [users_file], users_file: DIR/users}\n"

// try runs mosquitto_pub and reports whether it was let in.
func try(t *testing.T, url string, args ...string) bool {
	t.Helper()
	host, port := HostPort(t, url)
	p := Start(t, "mosquitto_pub", append([]string{"-h", host, "-p", port, "-q", "1", "-t", "a/b", "-m", "hello"}, args...)...)
	return p.Wait() == 0
}

func TestMosquittoClientsWithAUsersFile(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+usersFile, map[string]string{"users": users(t, [3]string{"bob", "builder", ""})})
	host, port := HostPort(t, b.TCP)
	b.Connect(t, as("bob", "builder")).Publish(Publish{Topic: "ready", Payload: "ready", QoS: 1, Retain: true})
	sub := Start(t, "mosquitto_sub", "-h", host, "-p", port, "-u", "bob", "-P", "builder", "-t", "ready", "-t", "a/#")
	sub.WaitOutput("ready")
	if !try(t, b.TCP, "-u", "bob", "-P", "builder") {
		t.Error("bob was refused")
	}
	sub.WaitOutput("hello")
	for _, args := range [][]string{{"-u", "bob", "-P", "wrong"}, {"-u", "ann", "-P", "builder"}, {}} {
		if try(t, b.TCP, args...) {
			t.Errorf("%q came in", args)
		}
	}
}

func TestAFileOfMosquittoPasswd(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/users"
	if p := Start(t, "mosquitto_passwd", "-c", "-b", file, "ann", "secret"); p.Wait() != 0 {
		t.Fatal(p.Output())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b := serve(t, plain+usersFile, map[string]string{"users": string(text)})
	if !try(t, b.TCP, "-u", "ann", "-P", "secret") || try(t, b.TCP, "-u", "ann", "-P", "secre") {
		t.Error("the file does not decide")
	}
	b.refused(as("ann", "wrong"), badCredentials)
	b.refused(Connect{Version: V311, User: "ann", Pass: "wrong"}, 4)
	b.refused(Connect{}, notAuthorized)
	b.refused(Connect{Version: V311}, 5)
	if n := b.node.AuthCounters(); n.Allowed.Load() != 1 || n.Denied.Load() != 5 {
		t.Errorf("%d were let in, %d denied", n.Allowed.Load(), n.Denied.Load())
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	certs := WriteCerts(t)
	b := serve(t, `
listeners:
  - {name: tls, url: 'ssl://127.0.0.1:0', auth: {sources: [certificate]}, tls: {cert: `+certs.Server+`, key: `+certs.ServerKey+`, client_ca: `+certs.CA+`, client_auth: optional}}
  - {name: open, url: 'tcp://127.0.0.1:0'}
auth:
  acl:
    rules:
      - {effect: allow, action: all, topics: ['%u/#'], cert_cn: [harness client], listeners: [tls]}
      - {effect: allow, action: subscribe, topics: ['#'], listeners: [open], anonymous: true}
`, nil)
	watch := b.Connect(t, Connect{})
	if code := watch.Subscribe("#", 1); code != 1 {
		t.Fatalf("%#x", code)
	}
	host, port := HostPort(t, b.TLS)
	pub := func(args ...string) int {
		return Start(t, "mosquitto_pub", append([]string{"-h", host, "-p", port, "-V", "5", "-q", "1", "--cafile", certs.CA}, args...)...).Wait()
	}
	own := []string{"--cert", certs.Client, "--key", certs.ClientKey}
	if code := pub(append(own, "-t", "harness client/x", "-m", "mine")...); code != 0 {
		t.Errorf("the certificate was refused: %d", code)
	}
	watch.ExpectMessage("harness client/x", "mine")
	pub(append(own, "-t", "other/x", "-m", "not mine")...)
	if code := pub("-t", "harness client/x", "-m", "nobody"); code == 0 {
		t.Error("nobody came in")
	}
	watch.ExpectNothing()
}

func token(claims map[string]any) string {
	encode := func(v any) string {
		b, _ := json.Marshal(v) // maps of texts and numbers
		return base64.RawURLEncoding.EncodeToString(b)
	}
	s := encode(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + encode(claims)
	m := hmac.New(sha256.New, []byte(tokenKey))
	m.Write([]byte(s))
	return s + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

const tokenKey = "0123456789abcdef0123456789abcdef"

func TestTokens(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+`
auth:
  sources: [jwt]
  jwt: {secret: '${file:DIR/key}', issuers: [us], acl_claim: acl, groups_claim: groups}
  acl: {rules: [{effect: deny, action: all, topics: ['secret/#']}, {effect: allow, action: publish, topics: ['group/%g']}]}
`, map[string]string{"key": tokenKey + "\n"})
	later := time.Now().Add(time.Hour).Unix()
	c := b.Connect(t, as("whoever", token(map[string]any{
		"sub": "dev", "iss": "us", "exp": later, "acl": []any{map[string]any{"action": "all", "topics": []string{"dev/%u", "secret/x"}}},
	})))
	for topic, code := range map[string]byte{"dev/dev": 0, "dev/other": notAuthorized, "secret/x": notAuthorized, "group/a": notAuthorized} {
		if ack := c.Publish(Publish{Topic: topic, QoS: 1}); ack.Code != code && (code != 0 || ack.Code != 0x10) {
			t.Errorf("%s: %v, want %#x", topic, ack, code)
		}
	}
	c = b.Connect(t, as("", token(map[string]any{"sub": "dev2", "iss": "us", "exp": later, "groups": []string{"a"}})))
	for topic, code := range map[string]byte{"group/a": 0, "group/b": notAuthorized} {
		if ack := c.Publish(Publish{Topic: topic, QoS: 1}); ack.Code != code && (code != 0 || ack.Code != 0x10) {
			t.Errorf("%s: %v, want %#x", topic, ack, code)
		}
	}
	if !try(t, b.TCP, "-u", "dev2", "-P", token(map[string]any{"sub": "dev2", "iss": "us", "exp": later, "groups": []string{"a"}})) {
		t.Error("mosquitto_pub was refused")
	}
	good := token(map[string]any{"sub": "dev3", "iss": "us", "exp": later})
	for name, bad := range map[string]string{
		"signature": good[:len(good)-2] + "AA", "issuer": token(map[string]any{"sub": "d", "iss": "them", "exp": later}),
		"expired": token(map[string]any{"sub": "e", "iss": "us", "exp": 1}), "no token": "password",
	} {
		b.refused(Connect{User: name, Pass: bad}, badCredentials)
	}
}

// The connection ends when the token does.
func TestATokensEnd(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+"auth: {sources: [jwt], jwt: {secret: "+tokenKey+"}}\n", nil)
	pass := token(map[string]any{"sub": "dev", "exp": time.Now().Add(4 * time.Second).Unix()})
	c, old := b.Connect(t, as("x", pass)), b.Connect(t, Connect{Version: V311, User: "x", Pass: pass, KeepAlive: NoKeepAlive})
	c.ExpectCode(DISCONNECT, connectTime)
	old.ReadAll()
}

func TestAService(t *testing.T) {
	t.Parallel()
	var stalls atomic.Bool
	released := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Username, Password, Topic string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if stalls.Load() {
			select {
			case <-released:
			case <-r.Context().Done():
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		answer := `{"result": "deny"}`
		switch {
		case r.URL.Path == "/acl" && strings.HasPrefix(q.Topic, q.Username+"/"):
			answer = `{"result": "allow"}`
		case r.URL.Path == "/login" && q.Password == "right":
			answer = `{"result": "allow", "groups": ["g"]}`
		}
		_, _ = w.Write([]byte(answer)) // the broker may be gone
	}))
	defer s.Close()
	defer close(released)
	b := serve(t, plain+`
auth:
  sources: [http]
  http: {url: '`+s.URL+`/login', timeout: 2s, tries: 1, allow_ttl: 0, deny_ttl: 0, break_after: 1000}
  acl:
    rules: [{effect: deny, action: all, topics: ['+/secret']}, {effect: allow, action: all, topics: [all]}]
    http: {url: '`+s.URL+`/acl', timeout: 2s, tries: 1, allow_ttl: 1h, deny_ttl: 0, break_after: 1000}
  backoff: {address: {max: 0}}
`, nil)
	c := b.Connect(t, Connect{User: "bob", Pass: "right", Will: &Will{Topic: "bob/will", Payload: "gone"}})
	watch := b.Connect(t, as("bob", "right"))
	for filter, code := range map[string]byte{"bob/x": 1, "bob/will": 1, "all": 1, "ann/x": notAuthorized, "bob/#": notAuthorized} {
		if got := subscribe(watch, filter); got != code {
			t.Errorf("%s: %#x, want %#x", filter, got, code)
		}
	}
	for topic, code := range map[string]byte{"bob/x": 0, "ann/x": notAuthorized, "bob/secret": notAuthorized} {
		if ack := c.Publish(Publish{Topic: topic, QoS: 1}); ack.Code != code {
			t.Errorf("%s: %v, want %#x", topic, ack, code)
		}
	}
	watch.ExpectMessage("bob/x", "")
	b.refused(as("bob", "wrong"), badCredentials)

	stalls.Store(true)
	b.refused(as("carl", "right"), unavailable)
	if ack := c.Publish(Publish{Topic: "bob/new", QoS: 1}); ack.Code != notAuthorized {
		t.Errorf("nobody was asked: %v", ack)
	}
	if ack := c.Publish(Publish{Topic: "bob/x", QoS: 1}); ack.Code != 0 { // it is remembered
		t.Errorf("%v", ack)
	}
	watch.ExpectMessage("bob/x", "")
	_ = c.Conn.Close() // its will was asked about at CONNECT
	watch.ExpectMessage("bob/will", "gone")
	s.CloseClientConnections()
	_ = s.Listener.Close() // and nobody listens any more
	b.refused(as("dora", "right"), unavailable)
}
