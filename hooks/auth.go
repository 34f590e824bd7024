package hooks

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/skeinmq/skein/auth"
)

// Access is what an [Auth] decides by. It is immutable once it is given to one.
type Access struct {
	Checker *auth.Checker
	Rules   *auth.Rules   // nil is none
	Service *auth.HTTPACL // nil is none
}

// Auth is the [Authenticator] and [Authorizer] of package auth. What it decides by is
// swapped whole, while it is asked.
type Auth struct {
	access     atomic.Pointer[inUse]
	generation atomic.Uint64
}

// inUse is an Access with those who decide by it at this moment, so that what it asks
// is not closed under them.
type inUse struct {
	Access
	users   atomic.Int64
	retired atomic.Bool
	once    sync.Once
	idle    chan struct{} // closed when it is retired and nobody uses it
}

// take is the Access of now; release must follow.
func (x *Auth) take() *inUse {
	for {
		u := x.access.Load()
		u.users.Add(1)
		if x.access.Load() == u { // else its end may have been waited for already
			return u
		}
		u.release()
	}
}

func (u *inUse) release() {
	if u.users.Add(-1) == 0 && u.retired.Load() {
		u.end()
	}
}

func (u *inUse) end() { u.once.Do(func() { close(u.idle) }) }

// NewAuth makes an Auth that decides by a.
func NewAuth(a Access) *Auth {
	x := &Auth{}
	x.put(a)
	return x
}

// put answers what was there before, nil at first.
func (x *Auth) put(a Access) *inUse {
	if a.Rules == nil {
		a.Rules = &auth.Rules{}
	}
	return x.access.Swap(&inUse{Access: a, idle: make(chan struct{})})
}

// Swap makes an Auth decide by a from now on, and makes others forget what they know of
// its decisions. Exchanges under way end with what they began with, and questions get
// their answers: the channel is closed when nobody asks what was there before.
func (x *Auth) Swap(a Access) <-chan struct{} {
	old := x.put(a)
	x.generation.Add(1) // after it: who sees the new generation asks the new rules
	old.retired.Store(true)
	if old.users.Load() == 0 {
		old.end()
	}
	return old.idle
}

// Review says whether a connection would be let in now that came in when old decided,
// as far as that can be told: 0, or the reason code to disconnect it with, and why. See
// [auth.Checker.Review].
func (x *Auth) Review(old *auth.Checker, h *Client) (code byte, why string) {
	id := h.Identity()
	c := auth.Credentials{ClientID: h.id, User: id.User, HasUser: id.HasUser, Remote: h.Address(), Listener: h.listener}
	if a := x.access.Load().Checker.Review(old, c, &id); a.Outcome != auth.Allow {
		return disconnectCode(a.Code), a.Why
	}
	return CodeSuccess, ""
}

// Begin implements Authenticator.
func (x *Auth) Begin(ctx context.Context, q Connect) Step {
	u := x.take()
	defer u.release()
	k := u.Checker
	c := auth.Credentials{
		ClientID: q.Client.id, User: q.User, HasUser: q.HasUser, Password: q.Password, HasPassword: q.HasPassword,
		TLS: q.TLS, Remote: q.Client.Address(), Listener: q.Client.listener,
	}
	if cert := auth.CertificateOf(q.TLS); !q.Again && (cert.DN != "" || len(cert.SANs) > 0) {
		q.Client.cert = &cert
	}
	if q.Method == "" {
		return stepOf(auth.MethodStep{Answer: k.Check(ctx, c), Done: true}, false)
	}
	return stepOf(k.Begin(ctx, q.Method, c, q.Data), q.Again)
}

// methodExchange is an exchange of package auth as one of this package.
type methodExchange struct {
	next  func(ctx context.Context, data []byte) auth.MethodStep
	again bool
}

// Continue implements Exchange.
func (e methodExchange) Continue(ctx context.Context, data []byte) Step {
	return stepOf(e.next(ctx, data), e.again)
}

func stepOf(s auth.MethodStep, again bool) Step {
	switch a := &s.Answer; {
	case !s.Done:
		return Continue(s.Data, methodExchange{s.Next, again})
	case a.Outcome == auth.Allow:
		return Accept(a.Identity, s.Data)
	case again:
		return Refuse(disconnectCode(a.Code), a.Why)
	default:
		return Refuse(a.Code, a.Why)
	}
}

// disconnectCode is a code of CONNACK as DISCONNECT can say it (MQTT 5 table 3-13).
func disconnectCode(code byte) byte {
	switch code {
	case auth.CodeUnspecified, auth.CodeBusy, auth.CodeBadMethod, CodeProtocol, CodeSpecific:
		return code
	case auth.CodeUnavailable:
		return auth.CodeUnspecified
	}
	return CodeNotAuthorized
}

var (
	_ Authenticator = (*Auth)(nil)
	_ Authorizer    = (*Auth)(nil)
)
