package hooks

import (
	"context"
	"net/netip"
	"slices"

	"github.com/skeinmq/skein/auth"
)

// subject is what rules see of a Client while it has an identity.
type subject struct {
	auth.Subject
	of *auth.Identity
}

// Generation implements Authorizer.
func (x *Auth) Generation() uint64 { return x.generation.Load() }

// Authorize implements Authorizer. A configured rule that denies is final. Beyond that,
// who came with rules of its own (of a token, or of a service) may do what these say.
// Everybody else may do what a configured rule allows, and where none decides, what the
// ACL service says.
//
// A client of which not everything is known, because it was read from a store, keeps
// what it was allowed before unless a rule denies it now.
func (x *Auth) Authorize(c *Client, q Request) Decision {
	a := x.access.Load()
	if a.Service != nil {
		a = x.take()
		defer a.release()
	}
	id := c.identity.Load()
	grant, _ := id.Rules.(*auth.Grant)
	own := grant != nil && grant.Rules != nil
	if a.Rules.Empty() && !own && a.Service == nil {
		return Decision{}
	}
	who := c.subjectOf(id)
	ask := auth.Query{Subject: &who.Subject, Topic: q.Topic, Action: actions[q.Action], QoS: q.QoS, Retain: q.Retain}
	v := a.Rules.Judge(&ask)
	undecided := v.Default() || a.Rules.Empty()
	switch {
	case !v.Allowed && !undecided:
	case own:
		v = both(v, grant.Rules.Judge(&ask))
	case !undecided:
	case a.Service != nil:
		v = both(v, askService(a.Service, &ask, id, &q))
	case who.Partial && (q.Again || q.Action == Deliver && a.Rules.Mode() == auth.Covered):
		v.Allowed = true
	}
	return decision(v)
}

var actions = [...]auth.Action{Publish: auth.Publish, Subscribe: auth.Subscribe, Deliver: auth.Deliver}

// both is the verdict next, after an undecided one that may hold for one message only.
func both(first, next auth.Verdict) auth.Verdict {
	next.PerMessage = next.PerMessage || first.PerMessage
	return next
}

// askService asks the ACL service: the one who asks waits, unless it is Again.
func askService(s *auth.HTTPACL, ask *auth.Query, id *auth.Identity, q *Request) auth.Verdict {
	if !q.Again {
		return s.Judge(context.Background(), ask, id) // its own timeout bounds it
	}
	v, known := s.Cached(ask, id)
	if !known {
		v.Allowed = true // it was, when it was made
	}
	return v
}

func decision(v auth.Verdict) Decision {
	if v.Allowed {
		return Decision{Rule: v.Rule, PerMessage: v.PerMessage}
	}
	return Decision{Code: CodeNotAuthorized, Rule: v.Rule, PerMessage: v.PerMessage}
}

// judges reports whether there are rules or a service.
func (x *Auth) judges() bool {
	a := x.access.Load()
	return !a.Rules.Empty() || a.Service != nil
}

// Alike reports whether rules that look at how a client is connected see the same in
// two connections.
func (h *Client) Alike(o *Client) bool {
	a, b := h.cert, o.cert
	same := a == b || a != nil && b != nil && a.CN == b.CN && a.DN == b.DN && slices.Equal(a.SANs, b.SANs)
	return same && h.listener == o.listener && h.Address() == o.Address()
}

// subjectOf is what rules see of the client as id.
func (h *Client) subjectOf(id *auth.Identity) *subject {
	if s := h.subject.Load(); s != nil && s.of == id {
		return s
	}
	s := &subject{of: id, Subject: auth.Subject{
		User: id.User, HasUser: id.HasUser, ClientID: h.id, Listener: h.listener, Groups: id.Groups,
		Address: h.Address(), Partial: h.listener == "",
	}}
	if h.cert != nil {
		s.Certificate = *h.cert
	}
	h.subject.Store(s)
	return s
}

// Address is the remote address; invalid where there is none.
func (h *Client) Address() netip.Addr {
	if a, err := netip.ParseAddrPort(h.remote); err == nil {
		return a.Addr()
	}
	a, err := netip.ParseAddr(h.remote)
	if err != nil {
		return netip.Addr{}
	}
	return a
}
