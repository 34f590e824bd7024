package hooks

import (
	"context"
	"crypto/tls"

	"github.com/skeinmq/skein/auth"
)

// Authenticator says who a connection is. It is asked on the connection's
// goroutine, which waits for it: nobody else does. It must be safe for concurrent
// use. A panic refuses the connection with 0x80.
type Authenticator interface {
	// Begin judges a CONNECT, or the AUTH that begins a re-authentication. ctx ends
	// when the connection has no more time or is gone.
	Begin(ctx context.Context, q Connect) Step
}

// Exchange is an enhanced authentication under way (MQTT 5 section 4.12). It
// belongs to one connection. It holds nothing that would have to be closed: when
// the connection ends it is dropped.
type Exchange interface {
	// Continue takes the Authentication Data of the client's next AUTH; nil is none.
	Continue(ctx context.Context, data []byte) Step
}

// Connect is what an Authenticator learns of a connection.
type Connect struct {
	// Client has the client identifier (already assigned when the client left it
	// empty), the protocol version, the remote address and the listener. Its identity
	// is the one that holds until now: when Again is set, that of CONNECT.
	Client *Client
	// TLS is the state of the TLS connection, nil without TLS.
	TLS *tls.ConnectionState
	// User is the user name, valid with HasUser.
	User string
	// Password is valid with HasPassword. It must not be kept or logged.
	Password []byte
	// Method is the Authentication Method, empty without one.
	Method string
	// Data is the Authentication Data; nil is none.
	Data        []byte
	HasUser     bool
	HasPassword bool
	// Again is set for a re-authentication. It has no user name and password of its
	// own, and must end with the user it began with.
	Again bool
}

// Step is what an Authenticator answers: one of [Accept], [Refuse] and [Continue].
type Step struct {
	// Identity is who the connection is, valid when Code is 0.
	Identity auth.Identity
	// Next takes the client's answer, needed when Code is 0x18.
	Next Exchange
	// Why names the rule that refused, for the log; clients do not see it.
	Why string
	// Data is the Authentication Data to send: in AUTH with 0x18, in CONNACK or the
	// last AUTH with 0. Nil is none.
	Data []byte
	// Code is 0 (accepted), 0x18 (continue) or the reason code that refuses.
	Code byte
}

// Accept ends an exchange: the connection is id. Data is for the last packet of an
// enhanced authentication; nil is none.
func Accept(id auth.Identity, data []byte) Step { return Step{Identity: id, Data: data} }

// Refuse ends an exchange with a reason code from 0x80 on.
func Refuse(code byte, why string) Step { return Step{Code: code, Why: why} }

// Continue sends data to the client and hands its answer to next.
func Continue(data []byte, next Exchange) Step {
	return Step{Code: CodeContinue, Data: data, Next: next}
}

// Everybody is the Authenticator that believes everybody. It knows no
// Authentication Method.
type Everybody struct{}

// Begin accepts who the CONNECT says it is.
func (Everybody) Begin(_ context.Context, q Connect) Step {
	if q.Method != "" {
		return Refuse(CodeBadMethod, "unknown authentication method")
	}
	return Accept(auth.Named(q.User, q.HasUser), nil)
}

// Authorizer says what a connection may do. It is asked on the hot path when a
// cache of decisions is not valid any more: it must be quick, must not block, and
// must be safe for concurrent use. A panic refuses.
type Authorizer interface {
	// Authorize judges one request of a connection.
	Authorize(c *Client, q Request) Decision
	// Generation changes when rules may have changed: decisions that were made under
	// another generation do not hold.
	Generation() uint64
}

// Action is what a connection wants to do.
type Action byte

// Actions of a Request.
const (
	Publish   Action = iota // send a message to a topic, also its will
	Subscribe               // subscribe to a topic filter
	Deliver                 // get a message of a topic
)

// String names the action for logs.
func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Deliver:
		return "deliver"
	}
	return "unknown"
}

// Request is a question to an Authorizer.
type Request struct {
	// Topic is a topic name, or for Subscribe a topic filter without $share/group/
	// and the like: rules for a topic cannot be passed by sharing it.
	Topic  string
	Action Action
	QoS    byte
	Retain bool
	// Again says that the request was allowed when it was made and is judged once more:
	// a will that is sent, a delayed message, a subscription of a session that goes on.
	// It is asked on a goroutine that works for many, or under a lock, and must not wait;
	// what cannot be told without that is allowed.
	Again bool
}

// Decision is the answer to a Request. The zero value allows.
type Decision struct {
	// Rule names what refused, for the log, or what allowed, for a trace; it may be empty
	// then.
	Rule string
	// Code is 0 when allowed, else the reason code of the refusal.
	Code byte
	// PerMessage is set when the answer holds for this one request only: it depends on
	// QoS or retain, or a hook wants to be asked each time. It must not be cached.
	PerMessage bool
}

// Allowed reports whether the decision allows the request.
func (d *Decision) Allowed() bool { return d.Code == 0 }

// AllowAll is the Authorizer that allows everything.
type AllowAll struct{}

// Authorize allows.
func (AllowAll) Authorize(*Client, Request) Decision { return Decision{} }

// Generation never changes.
func (AllowAll) Generation() uint64 { return 0 }
