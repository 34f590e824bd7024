package auth

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNamed(t *testing.T) {
	for _, tc := range []struct {
		user string
		has  bool
		want string
	}{{"bob", true, "bob"}, {"", true, ""}, {"ignored", false, ""}} {
		if got := Named(tc.user, tc.has); got.User != tc.want || got.HasUser != tc.has || got.ExpiresAt != 0 || got.Groups != nil || got.Rules != nil {
			t.Errorf("Named(%q, %v) = %+v", tc.user, tc.has, got)
		}
	}
}

func TestExpired(t *testing.T) {
	for _, tc := range []struct {
		at, now int64
		want    bool
	}{{0, 1 << 62, false}, {10, 9, false}, {10, 10, true}, {10, 11, true}} {
		id := Identity{ExpiresAt: tc.at}
		if got := id.Expired(tc.now); got != tc.want {
			t.Errorf("ends at %d: Expired(%d) = %v", tc.at, tc.now, got)
		}
	}
}

func TestSame(t *testing.T) {
	nobody, empty, ann, bob := Named("", false), Named("", true), Named("ann", true), Named("bob", true)
	all := []*Identity{&nobody, &empty, &ann, &bob}
	for i, a := range all {
		for j, b := range all {
			if a.Same(b) != (i == j) {
				t.Errorf("%+v and %+v: Same = %v", a, b, a.Same(b))
			}
		}
	}
	other := Identity{User: "ann", HasUser: true, Groups: []string{"g"}, ExpiresAt: 5}
	if !ann.Same(&other) {
		t.Error("groups and times make another user")
	}
}
