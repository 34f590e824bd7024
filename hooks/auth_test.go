package hooks

import (
	"context"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/message"
)

// fixed is a source that knows one user.
type fixed struct{ id auth.Identity }

func (fixed) Name() string { return "fixed" }

func (f fixed) Check(_ context.Context, c auth.Credentials) auth.Answer {
	if c.User != f.id.User {
		return auth.Answer{}
	}
	if string(c.Password) != "right" {
		return auth.Denied(auth.CodeBadCredentials, "wrong password")
	}
	return auth.Allowed(f.id)
}

// steps is a method that asks once.
type steps struct{}

func (steps) Name() string { return "steps" }

func (steps) Begin(_ context.Context, c auth.Credentials, _ []byte) auth.MethodStep {
	return auth.MethodStep{User: "bob", Data: []byte("question"), Next: func(_ context.Context, data []byte) auth.MethodStep {
		if string(data) != "right" {
			return auth.MethodStep{Done: true, Answer: auth.Denied(auth.CodeBanned, "no")}
		}
		return auth.MethodStep{Done: true, Answer: auth.Allowed(auth.Named("bob", true))}
	}}
}

func testChecker(t *testing.T, p auth.Policy, bans *auth.Bans, id auth.Identity) *auth.Checker {
	t.Helper()
	k, err := auth.NewChecker(auth.CheckerConfig{
		Default: p, Bans: bans, Backoff: auth.NewBackoff(auth.DefaultBackoff(time.Now)), Counters: &auth.Counters{}, Now: time.Now,
		Sources: []auth.Source{fixed{id}}, Methods: []auth.Method{steps{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testRules(t *testing.T, mode auth.SubscribeMode, specs ...auth.RuleSpec) *auth.Rules {
	t.Helper()
	r, problems := auth.Compile(specs, mode)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

func TestAuthBegins(t *testing.T) {
	x := NewAuth(Access{Checker: testChecker(t, auth.Policy{}, auth.NewBans(), auth.Named("bob", true))})
	c := chain(t, Options{Authenticator: x, Authorizer: x})
	h := c.NewClient(Info{ID: "c", Remote: "192.0.2.1:5", Listener: "l", Version: message.V5})
	begin := func(q Connect) Step {
		q.Client = h
		return x.Begin(context.Background(), q)
	}
	if s := begin(Connect{User: "bob", HasUser: true, Password: []byte("right"), HasPassword: true}); s.Code != 0 || s.Identity.User != "bob" {
		t.Errorf("%+v", s)
	}
	if s := begin(Connect{User: "bob", HasUser: true, Password: []byte("wrong"), HasPassword: true}); s.Code != auth.CodeBadCredentials {
		t.Errorf("%+v", s)
	}
	if s := begin(Connect{Method: "none"}); s.Code != auth.CodeBadMethod {
		t.Errorf("%+v", s)
	}
	for _, again := range []bool{false, true} {
		s := begin(Connect{Method: "steps", Again: again})
		if s.Code != CodeContinue || string(s.Data) != "question" {
			t.Fatalf("%+v", s)
		}
		if good := s.Next.Continue(context.Background(), []byte("right")); good.Code != 0 || good.Identity.User != "bob" {
			t.Errorf("%+v", good)
		}
		want := map[bool]byte{false: auth.CodeBanned, true: CodeNotAuthorized}[again] // DISCONNECT has no 0x8A
		if bad := begin(Connect{Method: "steps", Again: again}).Next.Continue(context.Background(), nil); bad.Code != want {
			t.Errorf("again %t: %+v", again, bad)
		}
	}
}

func TestAuthReviews(t *testing.T) {
	bans := auth.NewBans()
	open := testChecker(t, auth.Policy{Sources: []string{}, Anonymous: true}, bans, auth.Identity{})
	x := NewAuth(Access{Checker: open})
	c := chain(t, Options{Authenticator: x, Authorizer: x})
	named := c.NewClient(Info{ID: "c", User: "bob", HasUser: true, Remote: "192.0.2.1:5", Listener: "l"})
	nobody := c.NewClient(Info{ID: "d", Remote: "[2001:db8::1]:5", Listener: "l"})
	want := func(h *Client, code byte) {
		t.Helper()
		if got, why := x.Review(open, h); got != code {
			t.Errorf("%s: %#x (%s), want %#x", h.ID(), got, why, code)
		}
	}
	want(named, 0)
	want(nobody, 0)
	before := x.Generation()
	x.Swap(Access{Checker: testChecker(t, auth.Policy{Anonymous: true}, bans, auth.Identity{})})
	if x.Generation() == before {
		t.Error("the generation is the same")
	}
	want(named, CodeNotAuthorized) // nobody vouched for it
	want(nobody, 0)
	x.Swap(Access{Checker: testChecker(t, auth.Policy{}, bans, auth.Identity{})})
	want(nobody, CodeNotAuthorized)
	x.Swap(Access{Checker: open})
	if err := bans.Add(auth.Ban{Kind: auth.BanAddress, Value: "2001:db8::/32"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	want(named, 0)
	want(nobody, CodeNotAuthorized)
}

func TestAuthAuthorizes(t *testing.T) {
	deny := auth.RuleSpec{Effect: "deny", Action: "all", Topics: []string{"secret"}}
	allow := auth.RuleSpec{Effect: "allow", Action: "all", Topics: []string{"known"}}
	near := auth.RuleSpec{Effect: "allow", Action: "all", Topics: []string{"near"}, Addresses: []string{"192.0.2.0/24"}}
	own := testRules(t, auth.Covered, auth.RuleSpec{Effect: "allow", Action: "all", Topics: []string{"own", "secret"}})
	k := testChecker(t, auth.Policy{}, auth.NewBans(), auth.Identity{})
	rules := Access{Checker: k, Rules: testRules(t, auth.Covered, deny, allow, near)}
	token := auth.Identity{User: "bob", HasUser: true, Rules: &auth.Grant{Rules: own}}
	for _, tc := range []struct {
		name   string
		access Access
		id     auth.Identity
		stored bool // the client was read from a store
		again  bool
		want   map[string]bool
	}{
		{"no rules", Access{Checker: k}, auth.Identity{}, false, false, map[string]bool{"secret": true, "any": true}},
		{"rules", rules, auth.Identity{}, false, false, map[string]bool{"secret": false, "known": true, "near": true, "any": false}},
		{"rules of its own", Access{Checker: k}, token, false, false, map[string]bool{"own": true, "secret": true, "known": false}},
		{"both", rules, token, false, false, map[string]bool{"own": true, "secret": false, "known": false, "any": false}},
		{"stored", rules, auth.Identity{}, true, false, map[string]bool{"near": false, "any": false, "known": true}},
		{"stored, again", rules, auth.Identity{}, true, true, map[string]bool{"near": true, "secret": false, "known": true}},
		{"again", rules, auth.Identity{}, false, true, map[string]bool{"any": false, "secret": false, "known": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := NewAuth(tc.access)
			c := chain(t, Options{Authorizer: x})
			in := Info{ID: "c", Remote: "192.0.2.1:5", Listener: "l"}
			if tc.stored {
				in = Info{ID: "c"}
			}
			h := c.NewClient(in)
			h.SetIdentity(tc.id)
			for topic, want := range tc.want {
				if d := c.Authorize(h, Request{Action: Publish, Topic: topic, Again: tc.again}); d.Allowed() != want || !want && d.Rule == "" {
					t.Errorf("%s: %+v, want %t", topic, d, want)
				}
			}
			if n := testing.AllocsPerRun(100, func() { c.Authorize(h, Request{Topic: "known"}) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// A new identity is judged as such, though the old one was judged before.
func TestAuthSeesANewIdentity(t *testing.T) {
	x := NewAuth(Access{Checker: testChecker(t, auth.Policy{}, auth.NewBans(), auth.Identity{}), Rules: testRules(t, auth.Covered,
		auth.RuleSpec{Effect: "allow", Action: "all", Topics: []string{"g/%g"}})})
	c := chain(t, Options{Authorizer: x})
	h := c.NewClient(Info{ID: "c", Listener: "l"})
	for _, group := range []string{"a", "b"} {
		h.SetIdentity(auth.Identity{User: "bob", HasUser: true, Groups: []string{group}})
		for _, topic := range []string{"a", "b"} {
			if d := c.Authorize(h, Request{Topic: "g/" + topic}); d.Allowed() != (topic == group) {
				t.Errorf("group %s, topic %s: %+v", group, topic, d)
			}
		}
	}
}

// slow is a source that answers when it is told to.
type slow struct{ asked, answer chan struct{} }

func (slow) Name() string { return "slow" }

func (s slow) Check(context.Context, auth.Credentials) auth.Answer {
	s.asked <- struct{}{}
	<-s.answer
	return auth.Allowed(auth.Named("bob", true))
}

// What is replaced must not be closed under a login that asks it.
func TestSwapTellsWhenNobodyAsksTheOld(t *testing.T) {
	s := slow{asked: make(chan struct{}), answer: make(chan struct{})}
	k, err := auth.NewChecker(auth.CheckerConfig{
		Bans: auth.NewBans(), Backoff: auth.NewBackoff(auth.DefaultBackoff(time.Now)), Counters: &auth.Counters{}, Now: time.Now, Sources: []auth.Source{s},
	})
	if err != nil {
		t.Fatal(err)
	}
	other := testChecker(t, auth.Policy{}, auth.NewBans(), auth.Named("ann", true))
	x := NewAuth(Access{Checker: k})
	c := chain(t, Options{Authenticator: x, Authorizer: x})
	h := c.NewClient(Info{ID: "c", Version: message.V5})
	done := make(chan Step)
	go func() { done <- x.Begin(context.Background(), Connect{Client: h, User: "bob", HasUser: true}) }()
	<-s.asked
	idle := x.Swap(Access{Checker: other})
	select {
	case <-idle:
		t.Fatal("the old access is idle while it is asked")
	default:
	}
	if s := x.Begin(context.Background(), Connect{Client: h, User: "ann", HasUser: true, Password: []byte("right"), HasPassword: true}); s.Code != 0 {
		t.Errorf("the new one does not decide: %#x", s.Code)
	}
	close(s.answer)
	if s := <-done; s.Code != 0 {
		t.Errorf("the login under way: %#x", s.Code)
	}
	<-idle
	<-x.Swap(Access{Checker: other}) // nobody asks it
}
