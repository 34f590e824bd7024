package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policy is whom a listener lets in.
type Policy struct {
	// Sources are the names of the sources to ask, in this order; nil is all.
	Sources []string
	// Anonymous lets clients in that show neither user name nor password, when no
	// source knows them. With no source at all it believes every name.
	Anonymous bool
}

// CheckerConfig configures [NewChecker].
type CheckerConfig struct {
	// Listeners are the policies of listeners by name, Default that of all others.
	Listeners map[string]Policy
	Default   Policy
	Bans      *Bans
	Backoff   *Backoff
	Counters  *Counters
	// Now is the time, [time.Now] but in tests.
	Now func() time.Time
	// Sources are all sources, in the order in which they are asked. Those that are
	// [ScramUsers] too make up SCRAM-SHA-256 on the listeners that ask them.
	Sources []Source
	// Binding is which client ids a user may have of whom no source says more.
	Binding Binding
	// Methods are further methods of enhanced authentication, on all listeners.
	Methods []Method
}

// Checker says who a connection is: bans first, then the back-off, then the
// sources. It is immutable; a reload makes a new one with the bans, the back-off,
// the counters and the pool of the old one, and swaps it whole.
type Checker struct {
	listeners map[string]*policy
	standard  *policy
	bans      *Bans
	backoff   *Backoff
	counters  *Counters
	binding   Binding
	now       func() time.Time
}

// policy is a Policy whose names have been found.
type policy struct {
	sources   []Source
	methods   []Method
	anonymous bool
}

// NewChecker makes a Checker. An error names all that is wrong with the names.
func NewChecker(cfg CheckerConfig) (*Checker, error) {
	k := &Checker{
		listeners: make(map[string]*policy, len(cfg.Listeners)),
		bans:      cfg.Bans, backoff: cfg.Backoff, counters: cfg.Counters, binding: cfg.Binding, now: cfg.Now,
	}
	var errs []error
	for i, s := range cfg.Sources {
		if slices.ContainsFunc(cfg.Sources[:i], func(o Source) bool { return o.Name() == s.Name() }) {
			errs = append(errs, fmt.Errorf("two sources of identity are named %q", s.Name()))
		}
	}
	var err error
	if k.standard, err = cfg.policy(cfg.Default); err != nil {
		errs = append(errs, err)
	}
	for name, p := range cfg.Listeners {
		if k.listeners[name], err = cfg.policy(p); err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", name, err))
		}
	}
	return k, errors.Join(errs...)
}

func (cfg *CheckerConfig) policy(p Policy) (*policy, error) {
	out := &policy{sources: cfg.Sources, anonymous: p.Anonymous}
	if p.Sources != nil {
		out.sources = nil
		for _, name := range p.Sources {
			i := slices.IndexFunc(cfg.Sources, func(s Source) bool { return s.Name() == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no source of identity named %q", name)
			}
			out.sources = append(out.sources, cfg.Sources[i])
		}
	}
	var scram []ScramUsers
	for _, s := range out.sources {
		if u, ok := s.(ScramUsers); ok {
			scram = append(scram, u)
		}
	}
	if scram != nil {
		out.methods = append(out.methods, NewScram(scram...))
	}
	out.methods = append(out.methods, cfg.Methods...)
	return out, nil
}

func (k *Checker) policy(listener string) *policy {
	if p := k.listeners[listener]; p != nil {
		return p
	}
	return k.standard
}

// stillWelcome reports whether the login has not been backed off since it began.
func (c *Credentials) stillWelcome() bool {
	return c.backoff == nil || c.backoff.still(c.User, c.Remote)
}

// Check says who a connection is, or why it may not come in. Its outcome is Allow
// or Deny. It takes as long as the sources and a password hash do, and ends early
// with ctx. Denials for a wrong user and for a wrong password are the same, also
// in time; only Why tells them apart.
func (k *Checker) Check(ctx context.Context, c Credentials) Answer {
	if a := k.banned(&c, c.User, c.HasUser); a.Outcome == Deny {
		return k.count(a)
	}
	p := k.policy(c.Listener)
	if len(p.sources) == 0 && p.anonymous {
		return k.count(k.admit(&c, Allowed(Named(c.User, c.HasUser))))
	}
	guess := c.HasUser || c.HasPassword
	if guess {
		if why, ok := k.backoff.Welcome(c.User, c.Remote); !ok {
			return k.count(p.recall(c, why))
		}
		c.backoff = k.backoff
	}
	a := p.ask(ctx, c)
	if guess {
		k.settle(c.User, &c, &a)
	}
	return k.count(k.admit(&c, a))
}

// admit turns away an identity whose client id is not its own, and one that is banned
// under a name that only a source told.
func (k *Checker) admit(c *Credentials, a Answer) Answer {
	if a.Outcome != Allow {
		return a
	}
	if a.Identity.HasUser && !a.bound && !k.binding.allows(a.Identity.User, c.ClientID) {
		d := Denied(CodeClientID, "the client id is not the user's: auth.client_id is "+string(k.binding))
		d.source = a.source
		return d
	}
	if a.Identity.User == c.User && a.Identity.HasUser == c.HasUser {
		return a
	}
	if b := k.banned(c, a.Identity.User, a.Identity.HasUser); b.Outcome == Deny {
		return b
	}
	return a
}

func (k *Checker) banned(c *Credentials, user string, has bool) Answer {
	b, ok := k.bans.Match(Who{ClientID: c.ClientID, User: user, HasUser: has, Remote: c.Remote}, k.now())
	if !ok {
		return Answer{}
	}
	return Denied(CodeBanned, "banned: "+b.Kind.String())
}

// settle tells the back-off how a login ended. What was not judged does not count.
func (k *Checker) settle(user string, c *Credentials, a *Answer) {
	switch {
	case a.Outcome == Allow:
		k.backoff.Succeeded(user, c.Remote)
	case a.backedOff:
	case a.Code == CodeBadCredentials || a.Code == CodeNotAuthorized:
		k.backoff.Failed(user, c.Remote)
	}
}

// ask asks the sources.
func (p *policy) ask(ctx context.Context, c Credentials) Answer {
	var decoy Decoy
	for _, s := range p.sources {
		a := s.Check(ctx, c)
		a.source = s.Name()
		switch a.Outcome {
		case Allow:
			return a
		case NotMine:
			if d, ok := s.(Decoy); ok && decoy == nil {
				decoy = d
			}
		default:
			return p.deny(ctx, c, decoy, refusal(a))
		}
	}
	return p.nobodys(ctx, c, decoy)
}

// nobodys answers for a connection that no source knows.
func (p *policy) nobodys(ctx context.Context, c Credentials, decoy Decoy) Answer {
	switch {
	case c.HasUser || c.HasPassword:
		return p.deny(ctx, c, decoy, Denied(CodeBadCredentials, "no source knows the user"))
	case p.anonymous:
		return Allowed(Identity{})
	}
	return Denied(CodeNotAuthorized, "neither user name nor password, and anonymous clients are not let in")
}

// deny spends what a source that does not know the user would have spent on a wrong
// password.
func (p *policy) deny(ctx context.Context, c Credentials, decoy Decoy, a Answer) Answer {
	if decoy == nil || a.backedOff || a.Code == CodeBusy || a.Code == CodeUnavailable {
		return a
	}
	if err := decoy.Spend(ctx, c); err != nil {
		return DeniedBy(err)
	}
	return a
}

// recall answers a login that is backed off: only what is known at no cost counts.
func (p *policy) recall(c Credentials, why string) Answer {
	for _, s := range p.sources {
		r, ok := s.(Recaller)
		if !ok {
			break
		}
		if a, known := r.Recall(c); !known {
			break
		} else if a.Outcome != NotMine {
			a.source = s.Name()
			return refusal(a)
		}
	}
	return Answer{Outcome: Deny, Code: CodeBadCredentials, Why: why, backedOff: true}
}

// refusal gives a denial its reason code.
func refusal(a Answer) Answer {
	if a.Outcome == Allow {
		return a
	}
	a.Outcome = Deny
	if a.Code < 0x80 {
		a.Code = CodeBadCredentials
	}
	return a
}

// DeniedBy is the answer of a source that could not find out because of err.
func DeniedBy(err error) Answer {
	switch {
	case errors.Is(err, ErrStale):
		return Answer{Outcome: Deny, Code: CodeBadCredentials, Why: err.Error(), backedOff: true}
	case errors.Is(err, ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Denied(CodeBusy, err.Error())
	}
	return Denied(CodeUnavailable, err.Error())
}

// Begin begins an enhanced authentication, as [Method.Begin] does; its last step's
// answer is Allow or Deny. Failures count as those of passwords do. Denials have
// codes that both CONNACK and DISCONNECT can carry, but for [CodeBanned].
func (k *Checker) Begin(ctx context.Context, method string, c Credentials, data []byte) MethodStep {
	if a := k.banned(&c, c.User, c.HasUser); a.Outcome == Deny {
		return MethodStep{Done: true, Answer: k.count(a)}
	}
	p := k.policy(c.Listener)
	i := slices.IndexFunc(p.methods, func(m Method) bool { return m.Name() == method })
	if i < 0 {
		return MethodStep{Done: true, Answer: k.count(Denied(CodeBadMethod, "unknown authentication method"))}
	}
	step := p.methods[i].Begin(ctx, c, data)
	if why, ok := k.backoff.Welcome(step.User, c.Remote); !ok {
		a := Answer{Outcome: Deny, Code: CodeNotAuthorized, Why: why, backedOff: true}
		return MethodStep{Done: true, User: step.User, Answer: k.count(a)}
	}
	return k.proceed(&c, step.User, step)
}

// proceed settles a step that is the last one, and follows the others.
func (k *Checker) proceed(c *Credentials, user string, step MethodStep) MethodStep {
	if !step.Done {
		next := step.Next
		step.Next = func(ctx context.Context, data []byte) MethodStep {
			return k.proceed(c, user, next(ctx, data))
		}
		return step
	}
	if step.Answer.Outcome != Allow {
		if step.Answer.Code < 0x80 {
			step.Answer.Code = CodeNotAuthorized
		}
		step.Answer = refusal(step.Answer)
	}
	k.settle(user, c, &step.Answer)
	step.Answer = k.count(k.admit(c, step.Answer))
	return step
}
