package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a Lookup in memory.
type shelf struct {
	mu    sync.Mutex
	users map[string]map[string]string
	err   error
	hold  chan struct{} // not nil: answers wait for it, or the end of their context
	asked atomic.Int64
}

func (s *shelf) Lookup(ctx context.Context, user string) (map[string]string, error) {
	s.asked.Add(1)
	s.mu.Lock()
	fields, err, hold := s.users[user], s.err, s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return fields, err
}

func (*shelf) Close() error { return nil }

func (s *shelf) set(err error, hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hold = err, hold
}

func lookup(t *testing.T, s *shelf, change ...func(*LookupConfig)) *LookupUsers {
	t.Helper()
	cfg := LookupConfig{
		Name: "store", Lookup: s, Secret: []byte("secret"), Timeout: time.Second, MaxCalls: 2, MaxWaiting: 1, CacheSize: 160,
		AllowTTL: time.Minute, DenyTTL: 10 * time.Second, BreakAfter: 3, BreakFor: 5 * time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Passwords: NewPasswords(PasswordsConfig{Pool: NewPool(1, 100), Counters: &Counters{}, Now: time.Now, TTL: time.Minute}),
	}
	for _, f := range change {
		f(&cfg)
	}
	u := NewLookupUsers(cfg)
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func login(user, pass string) Credentials {
	return Credentials{ClientID: "c1", User: user, Password: []byte(pass), HasUser: true, HasPassword: true}
}

func TestLookedUpUsersAreJudged(t *testing.T) {
	s := &shelf{users: map[string]map[string]string{
		"bob":      {FieldPassword: cheap("b"), FieldGroups: "ops,all"},
		"off":      {FieldPassword: cheap("b"), FieldDisabled: "1"},
		"on":       {FieldPassword: cheap("b"), FieldDisabled: "no"},
		"mine":     {FieldPassword: cheap("b"), FieldClientID: "x,c*"},
		"other":    {FieldPassword: cheap("b"), FieldClientID: "x,y*"},
		"scram":    {FieldScram: testVerifier},
		"plain":    {FieldPassword: "topsecret"},
		"nothing":  {FieldGroups: "ops"},
		"maybe":    {FieldPassword: cheap("b"), FieldDisabled: "topsecret"},
		"verifier": {FieldPassword: cheap("b"), FieldScram: "topsecret"},
		"groups":   {FieldPassword: cheap("b"), FieldGroups: "topsecret ,"},
		"clients":  {FieldPassword: cheap("b"), FieldClientID: "topsecret "},
	}}
	u := lookup(t, s)
	for _, c := range []struct {
		user, pass string
		outcome    Outcome
		code       byte
	}{
		{"bob", "b", Allow, 0}, {"bob", "x", Deny, CodeBadCredentials}, {"none", "b", NotMine, 0},
		{"off", "b", Deny, CodeBadCredentials}, {"off", "x", Deny, CodeBadCredentials}, {"on", "b", Allow, 0},
		{"mine", "b", Allow, 0}, {"other", "b", Deny, CodeClientID}, {"other", "x", Deny, CodeBadCredentials}, {"scram", "b", Deny, CodeBadCredentials},
		{"plain", "b", Deny, CodeUnavailable}, {"nothing", "b", Deny, CodeUnavailable}, {"maybe", "b", Deny, CodeUnavailable},
		{"verifier", "b", Deny, CodeUnavailable}, {"groups", "b", Deny, CodeUnavailable}, {"clients", "b", Deny, CodeUnavailable},
	} {
		a := u.Check(t.Context(), login(c.user, c.pass))
		if a.Outcome != c.outcome || a.Code != c.code || strings.Contains(a.Why, "topsecret") {
			t.Errorf("%s/%s: %v %#x %s", c.user, c.pass, a.Outcome, a.Code, a.Why)
		}
		if a.Outcome == Allow && a.Identity.User != c.user {
			t.Errorf("%s is %q", c.user, a.Identity.User)
		}
	}
	if a := u.Check(t.Context(), login("bob", "b")); fmt.Sprint(a.Identity.Groups) != "[ops all]" {
		t.Errorf("bob's groups are %q", a.Identity.Groups)
	}
	if a := u.Check(t.Context(), Credentials{}); a.Outcome != NotMine {
		t.Errorf("without credentials: %v", a.Outcome)
	}
}

func TestUsersAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{users: map[string]map[string]string{"bob": {FieldPassword: cheap("b")}}}
		u := lookup(t, s)
		ask := func(user string, want int64) {
			t.Helper()
			u.Check(t.Context(), login(user, "b"))
			if n := s.asked.Load(); n != want {
				t.Errorf("%s: asked %d times, want %d", user, n, want)
			}
		}
		ask("bob", 1)
		ask("bob", 1)
		ask("none", 2)
		ask("none", 2)
		if a, known := u.Recall(login("bob", "b")); !known || a.Outcome != Allow {
			t.Error("the right password is not recalled")
		}
		if _, known := u.Recall(login("bob", "x")); known {
			t.Error("a wrong password is")
		}
		if a, known := u.Recall(login("none", "x")); !known || a.Outcome != NotMine {
			t.Error("that nobody is there is not recalled")
		}
		if _, known := u.Recall(login("new", "x")); known {
			t.Error("who was never asked for is recalled")
		}
		<-time.After(10 * time.Second)
		ask("none", 3)
		ask("bob", 3)
		<-time.After(time.Minute)
		ask("bob", 4)
	})
}

func TestAStoreThatFailsDeniesAndIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{users: map[string]map[string]string{"bob": {FieldPassword: cheap("b")}, "ann": {FieldPassword: cheap("b")}}}
		u := lookup(t, s, func(cfg *LookupConfig) { cfg.AllowTTL, cfg.DenyTTL = 0, 0 })
		s.set(errors.New("connection refused"), nil)
		for i := range 6 {
			if a := u.Check(t.Context(), login("bob", "b")); a.Outcome != Deny || a.Code != CodeUnavailable {
				t.Errorf("%d: %v %#x", i, a.Outcome, a.Code)
			}
		}
		if n := s.asked.Load(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
		s.set(nil, nil)
		if a := u.Check(t.Context(), login("bob", "b")); a.Outcome != Deny {
			t.Error("the breaker is not open")
		}
		<-time.After(5 * time.Second)
		if a := u.Check(t.Context(), login("bob", "b")); a.Outcome != Allow {
			t.Errorf("it answers again: %v %s", a.Outcome, a.Why)
		}
		s.set(fmt.Errorf("%w: WRONGTYPE", ErrMalformed), nil)
		for range 5 {
			u.Check(t.Context(), login("ann", "b"))
		}
		s.set(nil, nil)
		if a := u.Check(t.Context(), login("bob", "b")); a.Outcome != Allow {
			t.Error("one user's malformed hash keeps the others out")
		}
	})
}

func TestAStoreThatStallsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan struct{})}
		u := lookup(t, s, func(cfg *LookupConfig) { cfg.BreakAfter = 100 })
		codes := make(chan byte, 4) // one for each login
		for i := range 3 {
			go func() { codes <- u.Check(t.Context(), login(fmt.Sprint("u", i), "b")).Code }()
			synctest.Wait()
		}
		if a := u.Check(t.Context(), login("u9", "b")); a.Code != CodeBusy {
			t.Errorf("beyond those that may wait: %#x", a.Code)
		}
		// The same user again waits for the answer that is on its way.
		go func() { codes <- u.Check(t.Context(), login("u0", "b")).Code }()
		synctest.Wait()
		if n := s.asked.Load(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
		got := map[byte]int{}
		for range 4 {
			got[<-codes]++
		}
		if got[CodeUnavailable] < 3 || got[CodeUnavailable]+got[CodeBusy] != 4 {
			t.Errorf("got %v", got)
		}
	})
}

func TestTheEndOfOneLoginIsNotThatOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s := &shelf{hold: hold, users: map[string]map[string]string{"bob": {FieldPassword: cheap("b")}}}
		u := lookup(t, s, func(cfg *LookupConfig) { cfg.BreakAfter = 1 })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan Answer, 2) // one for each login
		go func() { done <- u.Check(ctx, login("bob", "b")) }()
		synctest.Wait()
		go func() { done <- u.Check(t.Context(), login("bob", "b")) }()
		synctest.Wait()
		cancel()
		if a := <-done; a.Outcome != Deny {
			t.Errorf("who is gone: %v", a.Outcome)
		}
		synctest.Wait()
		close(hold)
		if a := <-done; a.Outcome != Allow {
			t.Errorf("who waits: %v %s", a.Outcome, a.Why)
		}
	})
}

func TestCloseGivesUpQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan struct{})}
		u := lookup(t, s, func(cfg *LookupConfig) { cfg.Timeout = time.Hour })
		done := make(chan Answer, 1)
		go func() { done <- u.Check(t.Context(), login("bob", "b")) }()
		synctest.Wait()
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if a := <-done; a.Code != CodeUnavailable {
			t.Errorf("under way: %v %#x", a.Outcome, a.Code)
		}
		if a := u.Check(t.Context(), login("bob", "b")); a.Code != CodeUnavailable {
			t.Errorf("afterwards: %v %#x", a.Outcome, a.Code)
		}
	})
}

func TestScramOfLookedUpUsers(t *testing.T) {
	s := &shelf{users: map[string]map[string]string{
		"user": {FieldScram: rfcVerifier(t), FieldClientID: "good"}, "off": {FieldScram: rfcVerifier(t), FieldDisabled: "1"},
	}}
	u := lookup(t, s)
	m := NewScram(u)
	for _, c := range []struct {
		user, client string
		outcome      Outcome
		code         byte
	}{{"user", "good", Allow, 0}, {"user", "bad", Deny, CodeClientID}, {"off", "good", Deny, CodeNotAuthorized}, {"none", "good", Deny, CodeNotAuthorized}} {
		client := scramClient{user: c.user, password: "pencil", nonce: "fyko", gs2: "n,,"}
		step := client.talk(t, func(data []byte) MethodStep { return m.Begin(t.Context(), Credentials{ClientID: c.client}, data) })
		if step.Answer.Outcome != c.outcome || step.Answer.Code != c.code {
			t.Errorf("%s as %s: %v %#x %s", c.user, c.client, step.Answer.Outcome, step.Answer.Code, step.Answer.Why)
		}
	}
}

func TestClientIDs(t *testing.T) {
	l, err := ParseClientIDs("a,b*,*c")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"a": true, "ab": false, "b": true, "bc": true, "c": false, "*c": true, "xc": false, "": false} {
		if l.allow(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
	for _, bad := range []string{"", "a,", ",a", "a b", "a:b", "a\x00", "\xff", strings.Repeat("a,", 1000) + "a"} {
		if _, err := ParseClientIDs(bad); err == nil {
			t.Errorf("%.20q is one", bad)
		}
	}
	for _, c := range []struct {
		b        Binding
		user, id string
		want     bool
	}{
		{"", "u", "x", true}, {BindAny, "u", "x", true}, {BindUser, "u", "u", true}, {BindUser, "u", "ux", false},
		{BindPrefix, "u", "ux", true}, {BindPrefix, "u", "xu", false},
	} {
		if got := c.b.allows(c.user, c.id); got != c.want {
			t.Errorf("%s %s as %s: %v", c.b, c.user, c.id, got)
		}
	}
}
