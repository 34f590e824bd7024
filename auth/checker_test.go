package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSource answers what it is told to and notes who asked.
type fakeSource struct {
	name   string
	answer Answer
	asked  int
}

func (s *fakeSource) Name() string { return s.name }

func (s *fakeSource) Check(context.Context, Credentials) Answer {
	s.asked++
	return s.answer
}

// decoySource is a fakeSource whose denials cost.
type decoySource struct {
	fakeSource
	spent int
	err   error
}

func (s *decoySource) Spend(context.Context, Credentials) error {
	s.spent++
	return s.err
}

// testbed is a Checker and what it works with.
type testbed struct {
	*Checker
	bans     *Bans
	backoff  *Backoff
	counters *Counters
	clock    *handClock
}

func testChecker(t testing.TB, def Policy, listeners map[string]Policy, sources ...Source) *testbed {
	t.Helper()
	b, c := testBackoff()
	bed := &testbed{bans: NewBans(), backoff: b, counters: &Counters{}, clock: c}
	var err error
	bed.Checker, err = NewChecker(CheckerConfig{
		Listeners: listeners, Default: def, Bans: bed.bans, Backoff: b, Counters: bed.counters, Now: c.now, Sources: sources,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bed
}

func from(c Credentials, address string) Credentials {
	c.Remote = netip.MustParseAddr(address)
	return c
}

func TestSourcesAreAskedInOrderUntilOneKnows(t *testing.T) {
	no, yes, never := Answer{}, Allowed(Named("bob", true)), Denied(CodeNotAuthorized, "never")
	for name, c := range map[string]struct {
		answers []Answer
		want    Outcome
		code    byte
		asked   int
	}{
		"first":              {[]Answer{yes, never}, Allow, 0, 1},
		"second":             {[]Answer{no, yes}, Allow, 0, 2},
		"denied first":       {[]Answer{never, yes}, Deny, CodeNotAuthorized, 1},
		"nobody":             {[]Answer{no, no}, Deny, CodeBadCredentials, 2},
		"denied without why": {[]Answer{{Outcome: Deny}, yes}, Deny, CodeBadCredentials, 1},
		"nonsense":           {[]Answer{{Outcome: 9, Identity: Named("bob", true)}, yes}, Deny, CodeBadCredentials, 1},
		"failed":             {[]Answer{DeniedBy(errors.New("gone")), yes}, Deny, CodeUnavailable, 1},
		"no sources":         {nil, Deny, CodeBadCredentials, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var sources []Source
			for i, a := range c.answers {
				sources = append(sources, &fakeSource{name: fmt.Sprint(i), answer: a})
			}
			bed := testChecker(t, Policy{}, nil, sources...)
			a := bed.Check(t.Context(), as("bob", "x"))
			if a.Outcome != c.want || a.Code != c.code {
				t.Errorf("%+v", a)
			}
			asked := 0
			for _, s := range sources {
				asked += s.(*fakeSource).asked
			}
			if asked != c.asked {
				t.Errorf("%d asked, want %d", asked, c.asked)
			}
		})
	}
}

func TestListenersHaveTheirOwnSources(t *testing.T) {
	one := &fakeSource{name: "one", answer: Allowed(Named("one", true))}
	two := &fakeSource{name: "two", answer: Allowed(Named("two", true))}
	bed := testChecker(t, Policy{}, map[string]Policy{
		"two": {Sources: []string{"two", "one"}}, "none": {Sources: []string{}}, "open": {Sources: []string{}, Anonymous: true},
	}, one, two)
	for listener, want := range map[string]string{"two": "two", "other": "one", "": "one", "open": "bob", "none": ""} {
		c := as("bob", "x")
		c.Listener = listener
		if a := bed.Check(t.Context(), c); a.Identity.User != want || (a.Outcome == Allow) != (want != "") {
			t.Errorf("%q: %+v, want %q", listener, a, want)
		}
	}
}

func TestWrongNamesOfSourcesAreNamed(t *testing.T) {
	s := &fakeSource{name: "users"}
	_, err := NewChecker(CheckerConfig{
		Default: Policy{Sources: []string{"usres"}}, Listeners: map[string]Policy{"l": {Sources: []string{"x"}}}, Sources: []Source{s, s},
	})
	for _, want := range []string{`two sources of identity are named "users"`, `there is no source of identity named "usres"`, `listener "l": there is no source of identity named "x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestAnonymousClientsComeInOnlyWhereTheyMay(t *testing.T) {
	u := testUsers(t, "bob:"+cheap("b"))
	bed := testChecker(t, Policy{}, map[string]Policy{"open": {Anonymous: true}}, u)
	password := Credentials{Password: []byte("b"), HasPassword: true}
	name := Credentials{User: "bob", HasUser: true}
	for what, c := range map[string]struct {
		c    Credentials
		open bool
	}{"nothing": {Credentials{}, true}, "a password alone": {password, false}, "a name alone": {name, false}, "an unknown user": {as("al", "x"), false}, "a wrong password": {as("bob", "x"), false}} {
		for _, listener := range []string{"closed", "open"} {
			c.c.Listener = listener
			a := bed.Check(t.Context(), c.c)
			if want := c.open && listener == "open"; (a.Outcome == Allow) != want || want && a.Identity.HasUser {
				t.Errorf("%s at %s: %+v", what, listener, a)
			}
		}
	}
	if a := bed.Check(t.Context(), Credentials{}); a.Code != CodeNotAuthorized {
		t.Errorf("%+v", a)
	}
}

func TestTheBannedAreTurnedAwayFirst(t *testing.T) {
	s := &fakeSource{name: "cert", answer: Allowed(Named("real", true))}
	bed := testChecker(t, Policy{}, nil, s)
	mustAdd(t, bed.bans, Ban{Kind: BanUser, Value: "bob"}, Ban{Kind: BanClient, Value: "c"}, Ban{Kind: BanAddress, Value: "192.0.2.0/24"}, Ban{Kind: BanUser, Value: "real", Until: banNow.Add(time.Hour)})
	for _, c := range []Credentials{as("bob", "x"), {ClientID: "c"}, from(as("al", "x"), "192.0.2.1")} {
		if a := bed.Check(t.Context(), c); a.Outcome != Deny || a.Code != CodeBanned || !strings.HasPrefix(a.Why, "banned: ") || s.asked != 0 {
			t.Errorf("%v: %+v, %d asked", c, a, s.asked)
		}
	}
	if a := bed.Check(t.Context(), as("al", "x")); a.Code != CodeBanned || s.asked != 1 {
		t.Errorf("the name that a source told is not looked up: %+v", a)
	}
	bed.clock.pass(time.Hour)
	if a := bed.Check(t.Context(), as("al", "x")); a.Outcome != Allow {
		t.Errorf("banned for too long: %+v", a)
	}
	if n := bed.counters; n.Banned.Load() != 4 || n.Denied.Load() != 4 || n.Allowed.Load() != 1 {
		t.Errorf("%d banned, %d denied, %d allowed", n.Banned.Load(), n.Denied.Load(), n.Allowed.Load())
	}
}

func TestWrongUserAndWrongPasswordAreAnsweredAlike(t *testing.T) {
	p, n := testPasswords(NewPool(1, 0), time.Minute, 0)
	u := NewUsers(UsersConfig{Name: "users", List: users(t, "bob:"+cheap("b")), Passwords: p})
	http := &fakeSource{name: "http"}
	bed := testChecker(t, Policy{}, nil, u, http)
	for i, c := range []Credentials{as("bob", "x"), as("al", "x"), as("bob", ""), as("al", "")} {
		a := bed.Check(t.Context(), from(c, fmt.Sprintf("192.0.2.%d", i)))
		if a.Outcome != Deny || a.Code != CodeBadCredentials || n.Hashed.Load() != int64(i+1) {
			t.Errorf("%v: %+v, %d hashed, want %d", c, a, n.Hashed.Load(), i+1)
		}
	}
	http.answer = Denied(CodeNotAuthorized, "http: no")
	if a := bed.Check(t.Context(), as("al", "x")); a.Code != CodeNotAuthorized || n.Hashed.Load() != 5 {
		t.Errorf("%+v, %d hashed", a, n.Hashed.Load())
	}
	http.answer = Allowed(Named("al", true))
	if a := bed.Check(t.Context(), as("al", "x")); a.Outcome != Allow || n.Hashed.Load() != 5 {
		t.Errorf("who comes in pays: %+v, %d hashed", a, n.Hashed.Load())
	}
}

func TestADecoyThatHasNoRoomIsAnsweredAsAHashWithout(t *testing.T) {
	for err, want := range map[error]byte{ErrBusy: CodeBusy, context.Canceled: CodeBusy, ErrStale: CodeBadCredentials, errors.New("x"): CodeUnavailable} {
		s := &decoySource{fakeSource: fakeSource{name: "s"}, err: err}
		if a := testChecker(t, Policy{}, nil, s).Check(t.Context(), as("bob", "x")); a.Outcome != Deny || a.Code != want || s.spent != 1 {
			t.Errorf("%v: %+v, %d spent", err, a, s.spent)
		}
	}
}

func TestFailedLoginsBackOffWithoutHashing(t *testing.T) {
	p, n := testPasswords(NewPool(1, 0), time.Hour, 0)
	u := NewUsers(UsersConfig{Name: "users", List: users(t, "bob:"+cheap("b")), Passwords: p})
	bed := testChecker(t, Policy{}, nil, u)
	check := func(c Credentials) Answer { return bed.Check(t.Context(), from(c, "192.0.2.1")) }
	for _, user := range []string{"bob", "nobody"} {
		hashed := n.Hashed.Load()
		for range 100 {
			if a := check(as(user, "x")); a.Outcome != Deny || a.Code != CodeBadCredentials {
				t.Fatalf("%+v", a)
			}
		}
		if n.Hashed.Load()-hashed != 4 {
			t.Errorf("%s: %d hashed, want 4", user, n.Hashed.Load()-hashed)
		}
	}
	if a := check(as("bob", "b")); a.Outcome != Deny || bed.counters.BackedOff.Load() != 2*96+1 {
		t.Errorf("%+v, %d backed off", a, bed.counters.BackedOff.Load())
	}
	bed.clock.pass(time.Second)
	if a := check(as("bob", "b")); a.Outcome != Allow {
		t.Errorf("after the pause: %+v", a)
	}
	for range 10 {
		check(as("bob", "x"))
	}
	if a := check(as("bob", "b")); a.Outcome != Allow {
		t.Errorf("a remembered password is backed off: %+v", a)
	}
}

func TestWhatWasNotJudgedIsNoFailure(t *testing.T) {
	s := &fakeSource{name: "s"}
	bed := testChecker(t, Policy{}, nil, s)
	for _, a := range []Answer{DeniedBy(ErrBusy), DeniedBy(errors.New("gone")), DeniedBy(ErrStale), DeniedBy(context.DeadlineExceeded)} {
		s.answer = a
		for range 10 {
			bed.Check(t.Context(), as("bob", "x"))
		}
	}
	s.answer = Answer{}
	for range 30 {
		bed.Check(t.Context(), from(Credentials{}, "192.0.2.1")) // nothing was guessed
	}
	s.answer = Allowed(Named("bob", true))
	if a := bed.Check(t.Context(), from(as("bob", "x"), "192.0.2.1")); a.Outcome != Allow {
		t.Errorf("%+v", a)
	}
	if n := bed.counters; n.Busy.Load() != 20 || n.Failed.Load() != 10 || n.BackedOff.Load() != 10 {
		t.Errorf("%d busy, %d failed, %d backed off", n.Busy.Load(), n.Failed.Load(), n.BackedOff.Load())
	}
}

func TestBackedOffLoginsAreRecalledInTheOrderOfSources(t *testing.T) {
	bob := testUsers(t, "bob:"+cheap("b"))
	other := NewUsers(UsersConfig{Name: "other", List: users(t, "al:"+cheap("a")), Passwords: bob.passwords})
	asked := &fakeSource{name: "asked"}
	c := from(as("bob", "b"), "192.0.2.1")
	for name, tc := range map[string]struct {
		sources []Source
		want    Outcome
	}{"behind one that does not know": {[]Source{other, bob}, Allow}, "behind one that must be asked": {[]Source{asked, bob}, Deny}} {
		bed := testChecker(t, Policy{}, nil, tc.sources...)
		if a := bed.Check(t.Context(), c); a.Outcome != Allow {
			t.Fatalf("%s: %+v", name, a)
		}
		fail(bed.backoff, "bob", "192.0.2.1", 10)
		before := asked.asked
		if a := bed.Check(t.Context(), c); a.Outcome != tc.want || asked.asked != before {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestScramThroughTheChecker(t *testing.T) {
	u := testUsers(t, "user:"+cheap("x")+":scram="+rfcVerifier(t))
	bed := testChecker(t, Policy{}, map[string]Policy{"without": {Sources: []string{}}}, u)
	login := func(password, address, listener string) Answer {
		t.Helper()
		c := scramClient{gs2: "n,,", user: "user", password: password, nonce: "abc"}
		return c.talk(t, func(data []byte) MethodStep {
			return bed.Begin(t.Context(), MethodScram, from(Credentials{Listener: listener}, address), data)
		}).Answer
	}
	if a := login("pencil", "192.0.2.1", ""); a.Outcome != Allow || a.Identity.User != "user" {
		t.Errorf("%+v", a)
	}
	if a := login("pencil", "192.0.2.1", "without"); a.Code != CodeBadMethod {
		t.Errorf("without the source: %+v", a)
	}
	for range 4 {
		if a := login("wrong", "192.0.2.1", ""); a.Code != CodeNotAuthorized || a.backedOff {
			t.Errorf("%+v", a)
		}
	}
	if a := login("pencil", "192.0.2.1", ""); a.Code != CodeNotAuthorized || !a.backedOff {
		t.Errorf("not backed off: %+v", a)
	}
	if a := login("pencil", "192.0.2.2", ""); a.Outcome != Allow {
		t.Errorf("from elsewhere: %+v", a)
	}
	mustAdd(t, bed.bans, Ban{Kind: BanUser, Value: "user"}, Ban{Kind: BanAddress, Value: "192.0.2.3"})
	for _, address := range []string{"192.0.2.2", "192.0.2.3"} {
		if a := login("pencil", address, ""); a.Code != CodeBanned {
			t.Errorf("banned: %+v", a)
		}
	}
	if step := bed.Begin(t.Context(), "KERBEROS", Credentials{}, nil); !step.Done || step.Answer.Code != CodeBadMethod {
		t.Errorf("%+v", step)
	}
	for i := range 10 {
		step := bed.Begin(t.Context(), MethodScram, from(Credentials{}, "192.0.2.9"), []byte("nonsense"))
		if !step.Done || step.Answer.Outcome != Deny || step.Answer.backedOff != (i >= 4) {
			t.Errorf("nonsense %d: %+v", i, step.Answer)
		}
	}
}

// A login storm: 2,000 wrong passwords a second for 15 seconds, from one address, and
// from 500 at once. What it may cost is a few hashes; who is not part of it comes in.
func TestALoginStormCostsFewHashesAndKeepsNobodyOut(t *testing.T) {
	p, n := testPasswords(NewPool(1, 4), time.Hour, 0)
	u := NewUsers(UsersConfig{Name: "users", List: users(t, "bob:"+cheap("b"), "al:"+cheap("a")), Passwords: p})
	bed := testChecker(t, Policy{}, nil, u)
	guess := 0
	for range 15 {
		for range 2000 {
			guess++
			bed.Check(t.Context(), from(as(fmt.Sprint("u", guess%1000), fmt.Sprint(guess)), "198.51.100.1"))
		}
		bed.clock.pass(time.Second)
	}
	if n.Hashed.Load() > 40 {
		t.Errorf("%d of %d guesses hashed", n.Hashed.Load(), guess)
	}
	if a := bed.Check(t.Context(), from(as("bob", "b"), "192.0.2.1")); a.Outcome != Allow {
		t.Errorf("another client: %+v", a)
	}
	before := n.Hashed.Load()
	for i := range 15 * 2000 {
		bed.Check(t.Context(), from(as("al", fmt.Sprint(i)), fmt.Sprintf("198.18.%d.%d", i%500/250, i%250)))
		if i%2000 == 1999 {
			bed.clock.pass(time.Second)
		}
	}
	// 500 addresses would have 4 guesses each before their own pause; the pause of the
	// user as a whole comes first.
	if hashed := n.Hashed.Load() - before; hashed > 100 {
		t.Errorf("%d hashed for a user whom 500 addresses guess at", hashed)
	}
	if a := bed.Check(t.Context(), from(as("bob", "b"), "192.0.2.1")); a.Outcome != Allow {
		t.Errorf("another client: %+v", a)
	}
}

// With the pool full, those who are remembered come in, and all others are told so
// at once; what has waited costs nothing once its sender is backed off.
func TestAFullPoolTurnsAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, 10)
		p, n := testPasswords(pool, time.Hour, 0)
		u := NewUsers(UsersConfig{Name: "users", List: users(t, "bob:"+cheap("b")), Passwords: p})
		bed := testChecker(t, Policy{}, nil, u)
		good := from(as("bob", "b"), "192.0.2.1")
		if a := bed.Check(t.Context(), good); a.Outcome != Allow {
			t.Fatalf("%+v", a)
		}
		release := make(chan struct{})
		go func() { _ = pool.Do(t.Context(), 1, always, func() { <-release }) }()
		synctest.Wait()
		answers := make(chan Answer, 200)
		for i := range 200 {
			go func() { answers <- bed.Check(t.Context(), from(as("al", fmt.Sprint(i)), "198.51.100.1")) }()
		}
		synctest.Wait()
		if len(answers) != 190 {
			t.Errorf("%d turned away at once, want 190", len(answers))
		}
		for range len(answers) {
			if a := <-answers; a.Code != CodeBusy {
				t.Errorf("%+v", a)
			}
		}
		if a := bed.Check(t.Context(), good); a.Outcome != Allow {
			t.Errorf("who is remembered waits: %+v", a)
		}
		close(release)
		for range 10 {
			if a := <-answers; a.Code != CodeBadCredentials {
				t.Errorf("%+v", a)
			}
		}
		if n.Hashed.Load() != 1+4 {
			t.Errorf("%d hashed, want those before the pause", n.Hashed.Load())
		}
	})
}

func BenchmarkCheckRemembered(b *testing.B) {
	bed := testChecker(b, Policy{}, nil, testUsers(b, "bob:"+cheap("b")))
	c := from(as("bob", "b"), "192.0.2.1")
	for b.Loop() {
		if a := bed.Check(b.Context(), c); a.Outcome != Allow {
			b.Fatal(a)
		}
	}
}

func BenchmarkCheckBackedOff(b *testing.B) {
	bed := testChecker(b, Policy{}, nil, testUsers(b, "bob:"+cheap("b")))
	c := from(as("bob", "x"), "192.0.2.1")
	for b.Loop() {
		if a := bed.Check(b.Context(), c); a.Outcome != Deny {
			b.Fatal(a)
		}
	}
}

func TestClientIDsAreBoundToUsers(t *testing.T) {
	for _, c := range []struct {
		binding Binding
		user    string
		id      string
		want    bool
	}{
		{BindAny, "bob", "x", true}, {BindUser, "bob", "bob", true}, {BindUser, "bob", "bob2", false}, {BindPrefix, "bob", "bob2", true},
		{BindUser, "ann", "ann-1", true}, {BindUser, "ann", "ann", false}, {BindAny, "ann", "bob", false}, // who has a list of her own
		{BindUser, "", "x", true}, // nobody
	} {
		b := testChecker(t, Policy{Anonymous: true}, nil, NewUsers(UsersConfig{
			Name: "users", List: users(t, "bob:"+cheap("b"), "ann:"+cheap("b")+":clients=ann-*"),
			Passwords: NewPasswords(PasswordsConfig{Pool: NewPool(1, 10), Counters: &Counters{}, Now: time.Now}),
		}))
		b.binding = c.binding
		who := Credentials{ClientID: c.id}
		if c.user != "" {
			who = login(c.user, "b")
			who.ClientID = c.id
		}
		a := b.Check(t.Context(), who)
		if (a.Outcome == Allow) != c.want || !c.want && a.Code != CodeClientID {
			t.Errorf("%s, %q as %q: %v %#x %s", c.binding, c.user, c.id, a.Outcome, a.Code, a.Why)
		}
	}
}

func TestLoginsAreCountedBySource(t *testing.T) {
	b := testChecker(t, Policy{Anonymous: true}, nil, NewUsers(UsersConfig{
		Name: "users", List: users(t, "bob:"+cheap("b")+":clients=c1"),
		Passwords: NewPasswords(PasswordsConfig{Pool: NewPool(1, 10), Counters: &Counters{}, Now: time.Now}),
	}))
	other := login("bob", "b")
	other.ClientID = "c2"
	for _, c := range []Credentials{login("bob", "b"), login("bob", "b"), login("bob", "x"), login("ann", "x"), other, {}} {
		b.Check(t.Context(), c)
	}
	want := "[{  1} { credentials 1} {users  2} {users client_id 1} {users credentials 1}]"
	if got := fmt.Sprint(b.counters.Logins()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
