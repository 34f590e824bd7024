package auth

import (
	"strings"
	"testing"
	"time"
)

func reviewed(t *testing.T, p Policy, sources ...Source) *Checker {
	t.Helper()
	k, err := NewChecker(CheckerConfig{Default: p, Sources: sources, Bans: NewBans(), Backoff: NewBackoff(DefaultBackoff(time.Now)), Counters: &Counters{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReviewFollowsTheUsersFile(t *testing.T) {
	source := func(text string) *Users {
		list, err := ParseUsers("users", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return NewUsers(UsersConfig{Name: "users", List: list})
	}
	const hash = "$6$c2FsdHNhbHQ=$"
	a, b := hash+strings.Repeat("A", 86)+"==", hash+strings.Repeat("BA", 43)+"=="
	old := reviewed(t, Policy{}, source("bob:"+a+":groups=x\n"))
	for text, want := range map[string]Outcome{
		"bob:" + a + ":groups=x\n": Allow, "ann:" + a + "\nbob:" + a + ":groups=x\n": Allow, "bob:" + a + "\n": Deny, "bob:" + b + ":groups=x\n": Deny, "": Deny,
	} {
		k := reviewed(t, Policy{}, source(text))
		bob := Named("bob", true)
		if got := k.Review(old, Credentials{}, &bob); got.Outcome != want {
			t.Errorf("%q: %v %s", text, got.Outcome, got.Why)
		}
		other := Named("token", true) // of a source that cannot be asked again
		if got := k.Review(old, Credentials{}, &other); got.Outcome != Allow {
			t.Errorf("%q: %v %s", text, got.Outcome, got.Why)
		}
	}
	if !old.HasMethods() || reviewed(t, Policy{}).HasMethods() {
		t.Error("methods come from somewhere else than users")
	}
}
