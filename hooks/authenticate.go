package hooks

import (
	"context"
	"crypto/tls"
	"errors"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Answer is what to tell a client of its authentication.
type Answer struct {
	// Why names the rule that refused, for the log.
	Why string
	// Method and Data go into the packet that is sent, unless they are empty: AUTH
	// with 0x18; CONNACK [MQTT-4.12.0-5] or, on a living connection, AUTH with 0.
	Method string
	Data   []byte
	// Code is 0 (authenticated), 0x18 (the exchange goes on) or the reason code with
	// which the connection ends.
	Code byte
}

// exchange is what a connection's goroutine remembers between packets of an
// authentication.
type exchange struct {
	tls    *tls.ConnectionState
	method string          // that of CONNECT
	next   Exchange        // takes the client's next AUTH; nil when none is expected
	begun  *packets.Packet // the CONNECT until it is decided
	hooks  bool            // AUTH packets go to OnAuthPacket
	asked  bool            // a hook's 0x18 waits for the client's answer
}

// Authenticate asks who a connection is: the Authenticator first, then every hook
// with OnConnectAuthenticate, who must all say yes (a no is 0x86). It is called on
// the connection's goroutine; pk is the CONNECT. With 0x18 the client's next packet
// must be AUTH, for AuthPacket; with 0 the Client has its identity.
func (c *Chain) Authenticate(ctx context.Context, h *Client, pk *packets.Packet) Answer {
	x := h.exchange
	if x == nil {
		x = &exchange{}
	}
	x.method, x.begun = pk.Properties.AuthenticationMethod, pk
	h.exchange = x
	q := Connect{
		Client: h, TLS: x.tls, Method: x.method, Data: pk.Properties.AuthenticationData,
		User: string(pk.Connect.Username), HasUser: pk.Connect.UsernameFlag,
		Password: pk.Connect.Password, HasPassword: pk.Connect.PasswordFlag,
	}
	if x.method != "" && c.methodsAreHooks() {
		x.hooks, q.Method, q.Data = true, "", nil // the Authenticator judges the rest of the CONNECT
	}
	return c.take(h, c.begin(ctx, q))
}

// methodsAreHooks reports whether Authentication Methods are the business of hooks:
// there is an OnAuthPacket and our Authenticator knows no method.
func (c *Chain) methodsAreHooks() bool {
	if !c.has.AuthPacket {
		return false
	}
	switch a := c.authenticator.(type) {
	case Everybody:
		return true
	case *Auth:
		return !a.access.Load().Checker.HasMethods()
	}
	return false
}

// AuthPacket takes an AUTH of the client: the next step of the exchange that CONNECT
// began, or a re-authentication of a living connection. It is called on the
// connection's goroutine.
func (c *Chain) AuthPacket(ctx context.Context, h *Client, pk *packets.Packet) Answer {
	x := h.exchange
	goesOn, again := pk.ReasonCode == CodeContinue, pk.ReasonCode == CodeReauthenticate
	switch {
	case x == nil || x.method == "":
		return Answer{Code: CodeProtocol, Why: "AUTH without an authentication method in CONNECT [MQTT-4.12.0-7]"}
	case pk.Properties.AuthenticationMethod != x.method:
		return Answer{Code: CodeProtocol, Why: "AUTH with another authentication method than CONNECT [MQTT-4.12.0-5]"}
	case goesOn && x.asked, again && x.hooks && !x.asked:
		return c.hooksAuthPacket(h, x, pk)
	case goesOn && x.next != nil:
		return c.take(h, c.proceed(ctx, x.next, pk.Properties.AuthenticationData))
	case again && !x.hooks && x.next == nil && x.begun == nil:
		return c.take(h, c.beginAgain(ctx, h, pk))
	}
	return Answer{Code: CodeProtocol, Why: "AUTH out of turn"}
}

func (c *Chain) beginAgain(ctx context.Context, h *Client, pk *packets.Packet) Step {
	id := h.Identity()
	return c.begin(ctx, Connect{
		Client: h, TLS: h.exchange.tls, Method: h.exchange.method, Data: pk.Properties.AuthenticationData,
		User: id.User, HasUser: id.HasUser, Again: true,
	})
}

// take turns an Authenticator's step into an answer.
func (c *Chain) take(h *Client, step Step) Answer {
	x := h.exchange
	x.next = nil
	switch {
	case step.Code == CodeContinue && step.Next != nil && x.method != "":
		x.next = step.Next
		return Answer{Code: CodeContinue, Method: x.method, Data: step.Data}
	case step.Code == CodeSuccess:
		return c.accept(h, x, &step)
	case step.Code >= CodeUnspecified:
		return Answer{Code: step.Code, Why: step.Why}
	}
	c.log.Error("authenticator gave an impossible step", "code", step.Code, "method", x.method)
	return Answer{Code: CodeUnspecified, Why: "impossible step of the authenticator"}
}

func (c *Chain) accept(h *Client, x *exchange, step *Step) Answer {
	if pk := x.begun; pk != nil {
		h.SetIdentity(step.Identity)
		if why, ok := c.hooksAgree(h, pk); !ok {
			return Answer{Code: CodeBadCredentials, Why: why}
		}
		x.begun = nil
		if x.method == "" { // nothing more can come
			h.exchange = nil
		}
		return Answer{Method: x.method, Data: step.Data}
	}
	if old := h.Identity(); !step.Identity.Same(&old) {
		return Answer{Code: CodeNotAuthorized, Why: "re-authentication as another user"}
	}
	h.SetIdentity(step.Identity)
	return Answer{Method: x.method, Data: step.Data}
}

// hooksAgree asks every hook with OnConnectAuthenticate.
func (c *Chain) hooksAgree(h *Client, pk *packets.Packet) (why string, ok bool) {
	for _, k := range c.on[mqtt.OnConnectAuthenticate] {
		if !k.authenticates(h.bare(), pk) {
			return k.name, false
		}
	}
	return "", true
}

func (k *hook) authenticates(cl *mqtt.Client, pk *packets.Packet) (yes bool) {
	defer k.caught(mqtt.OnConnectAuthenticate)
	return k.OnConnectAuthenticate(cl, *pk)
}

// hooksAuthPacket hands an AUTH to every hook with OnAuthPacket; what the last one
// returns is the answer. One that hands the client's 0x19 back has not answered.
func (c *Chain) hooksAuthPacket(h *Client, x *exchange, pk *packets.Packet) Answer {
	out := *pk
	for _, k := range c.on[mqtt.OnAuthPacket] {
		var err error
		if out, err = k.authPacket(h.bare(), out); err != nil {
			return Answer{Code: authCode(err), Why: k.name + ": " + err.Error()}
		}
	}
	if out.ReasonCode != CodeSuccess && out.ReasonCode != CodeContinue {
		return Answer{Code: CodeBadMethod, Why: "no hook answered AUTH"}
	}
	x.asked = out.ReasonCode == CodeContinue
	return Answer{Code: out.ReasonCode, Method: x.method, Data: out.Properties.AuthenticationData}
}

func (k *hook) authPacket(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	err = errPanicked
	defer k.caught(mqtt.OnAuthPacket)
	return k.OnAuthPacket(cl, pk)
}

func (c *Chain) begin(ctx context.Context, q Connect) (s Step) {
	s = Refuse(CodeUnspecified, errPorts.Error())
	defer c.caughtPort("Begin")
	return c.authenticator.Begin(ctx, q)
}

func (c *Chain) proceed(ctx context.Context, next Exchange, data []byte) (s Step) {
	s = Refuse(CodeUnspecified, errPorts.Error())
	defer c.caughtPort("Continue")
	return next.Continue(ctx, data)
}

var errPorts = errors.New("authenticator panicked")
