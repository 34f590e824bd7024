package hooks

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/auth"
)

// script is an Authenticator that answers what the test says.
type script struct {
	begin func(q Connect) Step
	seen  []Connect
}

func (s *script) Begin(_ context.Context, q Connect) Step {
	s.seen = append(s.seen, q)
	return s.begin(q)
}

type next func(data []byte) Step

func (n next) Continue(_ context.Context, data []byte) Step { return n(data) }

// withMethod adds an Authentication Method to a CONNECT.
func withMethod(pk *packets.Packet, method, data string) *packets.Packet {
	pk.Properties.AuthenticationMethod = method
	pk.Properties.AuthenticationData = []byte(data)
	return pk
}

func authPacket(code byte, method, data string) *packets.Packet {
	return withMethod(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: code, ProtocolVersion: 5}, method, data)
}

func TestEverybodyIsBelieved(t *testing.T) {
	c := chain(t, Options{})
	connect := connectPacket("c1", "bob", "secret")
	h := c.client(connect)
	if a := c.Authenticate(t.Context(), h, connect); a.Code != 0 {
		t.Errorf("answer %+v", a)
	}
	equal(t, "identity", h.Identity(), auth.Identity{User: "bob", HasUser: true})
	anonymous := connectPacket("c2", "", "")
	h = c.client(anonymous)
	c.Authenticate(t.Context(), h, anonymous)
	equal(t, "identity", h.Identity(), auth.Identity{})
}

func TestUnknownMethod(t *testing.T) {
	c := chain(t, Options{})
	connect := withMethod(connectPacket("c1", "bob", ""), "SCRAM-SHA-1", "x")
	if a := c.Authenticate(t.Context(), c.client(connect), connect); a.Code != CodeBadMethod {
		t.Errorf("answer %+v", a)
	}
}

func TestAuthenticatorSeesTheConnect(t *testing.T) {
	s := &script{begin: func(Connect) Step {
		return Accept(auth.Identity{User: "robert", HasUser: true, Groups: []string{"g"}}, nil)
	}}
	asked := &fake{id: "f", events: []byte{mqtt.OnConnectAuthenticate}}
	c := chain(t, Options{Authenticator: s}, asked)
	connect := connectPacket("c1", "bob", "secret")
	state := &tls.ConnectionState{ServerName: "here"}
	h := c.NewClient(Info{ID: "c1", Remote: "r", Listener: "l", ListenerKind: "tls", Version: 5, TLS: state, Packet: connect})
	if a := c.Authenticate(t.Context(), h, connect); a.Code != 0 {
		t.Errorf("answer %+v", a)
	}
	q := s.seen[0]
	if q.Client != h || q.TLS != state || q.User != "bob" || !q.HasUser || string(q.Password) != "secret" || !q.HasPassword || q.Again {
		t.Errorf("Connect %+v", q)
	}
	equal(t, "identity", h.Identity(), auth.Identity{User: "robert", HasUser: true, Groups: []string{"g"}})
	equal(t, "hooks are shown the user that was found", asked.noted(), []string{"OnConnectAuthenticate c1 robert secret"})
	if h.exchange != nil {
		t.Error("an authenticated connection still holds its TLS state")
	}
}

func TestEveryHookMustAuthenticate(t *testing.T) {
	user := func(id, name string) *fake {
		return &fake{id: id, events: []byte{mqtt.OnConnectAuthenticate}, authenticate: func(cl *mqtt.Client, _ packets.Packet) bool {
			return string(cl.Properties.Username) == name || string(cl.Properties.Username) == "both"
		}}
	}
	c := chain(t, Options{}, user("a", "ann"), user("b", "bob"))
	for name, want := range map[string]Answer{
		"both": {},
		"ann":  {Code: 0x86, Why: "hook b"},
		"bob":  {Code: 0x86, Why: "hook a"},
	} {
		connect := connectPacket("c1", name, "")
		equal(t, name, c.Authenticate(t.Context(), c.client(connect), connect), want)
	}
}

func TestRefusal(t *testing.T) {
	asked := &fake{id: "f", events: []byte{mqtt.OnConnectAuthenticate}}
	s := &script{begin: func(Connect) Step { return Refuse(0x8A, "banned") }}
	c := chain(t, Options{Authenticator: s}, asked)
	connect := connectPacket("c1", "bob", "")
	equal(t, "answer", c.Authenticate(t.Context(), c.client(connect), connect), Answer{Code: 0x8A, Why: "banned"})
	equal(t, "hooks asked after a refusal", len(asked.noted()), 0)
}

func TestImpossibleSteps(t *testing.T) {
	for name, begin := range map[string]func(Connect) Step{
		"panic":              func(Connect) Step { panic("port") },
		"continue to nobody": func(Connect) Step { return Step{Code: CodeContinue} },
		"no code of refusal": func(Connect) Step { return Step{Code: 0x10} },
		"continue and no method": func(q Connect) Step {
			return Continue(nil, next(func([]byte) Step { return Accept(auth.Identity{}, nil) }))
		},
	} {
		c := chain(t, Options{Authenticator: &script{begin: begin}})
		connect := connectPacket("c1", "bob", "")
		if name == "continue to nobody" {
			withMethod(connect, "m", "")
		}
		if a := c.Authenticate(t.Context(), c.client(connect), connect); a.Code != CodeUnspecified {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// challenge is an exchange of three steps whose last answer must be "ok".
func challenge(q Connect) Step {
	return Continue([]byte("first "+string(q.Data)), next(func(data []byte) Step {
		if string(data) != "one" {
			return Refuse(CodeNotAuthorized, "wrong answer")
		}
		return Continue([]byte("second"), next(func(data []byte) Step {
			if string(data) == "panic" {
				panic("exchange")
			}
			return Accept(auth.Identity{User: string(data), HasUser: true}, []byte("done"))
		}))
	}))
}

func TestExchange(t *testing.T) {
	asked := &fake{id: "f", events: []byte{mqtt.OnConnectAuthenticate}}
	c := chain(t, Options{Authenticator: &script{begin: challenge}}, asked)
	connect := withMethod(connectPacket("c1", "", "pw"), "m", "hi")
	h := c.client(connect)
	ctx := t.Context()
	equal(t, "CONNECT", c.Authenticate(ctx, h, connect), Answer{Code: CodeContinue, Method: "m", Data: []byte("first hi")})
	equal(t, "another begin during the exchange", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")).Code, CodeProtocol)
	equal(t, "another method", c.AuthPacket(ctx, h, authPacket(0x18, "n", "one")).Code, CodeProtocol)
	equal(t, "hooks asked too early", len(asked.noted()), 0)
	equal(t, "AUTH 1", c.AuthPacket(ctx, h, authPacket(0x18, "m", "one")), Answer{Code: CodeContinue, Method: "m", Data: []byte("second")})
	equal(t, "AUTH 2", c.AuthPacket(ctx, h, authPacket(0x18, "m", "ann")), Answer{Method: "m", Data: []byte("done")})
	equal(t, "identity", h.Identity(), auth.Identity{User: "ann", HasUser: true})
	equal(t, "hooks", asked.noted(), []string{"OnConnectAuthenticate c1 ann pw"})
	equal(t, "AUTH 0x18 when nothing was asked", c.AuthPacket(ctx, h, authPacket(0x18, "m", "x")).Code, CodeProtocol)
}

func TestReauthentication(t *testing.T) { // [MQTT-4.12.1-1], [MQTT-4.12.1-2]
	s := &script{begin: challenge}
	c := chain(t, Options{Authenticator: s})
	ctx := t.Context()
	ready := func() *Client {
		connect := withMethod(connectPacket("c1", "", ""), "m", "hi")
		h := c.client(connect)
		c.Authenticate(ctx, h, connect)
		c.AuthPacket(ctx, h, authPacket(0x18, "m", "one"))
		if a := c.AuthPacket(ctx, h, authPacket(0x18, "m", "ann")); a.Code != 0 {
			t.Fatalf("answer %+v", a)
		}
		return h
	}
	h := ready()
	equal(t, "begin", c.AuthPacket(ctx, h, authPacket(0x19, "m", "again")), Answer{Code: CodeContinue, Method: "m", Data: []byte("first again")})
	if q := s.seen[1]; !q.Again || q.User != "ann" || q.HasPassword {
		t.Errorf("Connect %+v", q)
	}
	c.AuthPacket(ctx, h, authPacket(0x18, "m", "one"))
	equal(t, "end", c.AuthPacket(ctx, h, authPacket(0x18, "m", "ann")), Answer{Method: "m", Data: []byte("done")})

	for data, want := range map[string]byte{"bob": CodeNotAuthorized, "panic": CodeUnspecified} {
		h := ready()
		c.AuthPacket(ctx, h, authPacket(0x19, "m", ""))
		c.AuthPacket(ctx, h, authPacket(0x18, "m", "one"))
		equal(t, "as "+data, c.AuthPacket(ctx, h, authPacket(0x18, "m", data)).Code, want)
		equal(t, "identity", h.Identity(), auth.Identity{User: "ann", HasUser: true})
	}
}

func TestAuthWithoutMethod(t *testing.T) { // [MQTT-4.12.0-7]
	c := chain(t, Options{}, &fake{id: "f", events: []byte{mqtt.OnAuthPacket}})
	connect := connectPacket("c1", "", "")
	h := c.client(connect)
	c.Authenticate(t.Context(), h, connect)
	equal(t, "code", c.AuthPacket(t.Context(), h, authPacket(0x19, "", "")).Code, CodeProtocol)
}

func TestAuthPacketOfHooks(t *testing.T) {
	var answer func(pk packets.Packet) (packets.Packet, error)
	f := &fake{id: "f", events: []byte{mqtt.OnAuthPacket}, authPacket: func(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) { return answer(pk) }}
	c := chain(t, Options{}, f)
	connect := withMethod(connectPacket("c1", "bob", ""), "m", "x")
	h := c.client(connect)
	ctx := t.Context()
	equal(t, "CONNECT", c.Authenticate(ctx, h, connect), Answer{Method: "m"})
	code := func(code byte, data string) {
		answer = func(pk packets.Packet) (packets.Packet, error) {
			pk.ReasonCode, pk.Properties.AuthenticationData = code, []byte(data)
			return pk, nil
		}
	}
	code(CodeContinue, "challenge")
	equal(t, "0x18 out of turn", c.AuthPacket(ctx, h, authPacket(0x18, "m", "")).Code, CodeProtocol)
	equal(t, "begin", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")), Answer{Code: CodeContinue, Method: "m", Data: []byte("challenge")})
	equal(t, "0x19 out of turn", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")).Code, CodeProtocol)
	code(CodeSuccess, "bye")
	equal(t, "end", c.AuthPacket(ctx, h, authPacket(0x18, "m", "")), Answer{Method: "m", Data: []byte("bye")})
	for want, err := range map[byte]error{0x87: errors.New("any"), 0x97: packets.ErrQuotaExceeded} {
		answer = func(pk packets.Packet) (packets.Packet, error) { return pk, err }
		equal(t, "error", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")).Code, want)
	}
	answer = func(pk packets.Packet) (packets.Packet, error) { return pk, nil } // handed back unanswered
	equal(t, "not answered", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")).Code, CodeBadMethod)
	f.panics = true
	equal(t, "panic", c.AuthPacket(ctx, h, authPacket(0x19, "m", "")).Code, CodeNotAuthorized)
}
