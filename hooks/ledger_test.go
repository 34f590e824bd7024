package hooks

import (
	"testing"

	mochiauth "github.com/mochi-mqtt/server/v2/hooks/auth"
)

// ledger lets bob in with his password and anybody from elsewhere not; he may write
// below out/ and read below in/.
const ledger = `
auth:
  - {username: bob, password: secret, remote: "127.0.0.1:*", allow: true}
acl:
  - {username: bob, filters: {"out/#": 2, "in/#": 1, "both/#": 3, "#": 0}}
`

// TestLedger: mochi's own hook for users and rules works as it is.
func TestLedger(t *testing.T) {
	c, err := New(Options{Hooks: []Loaded{{Hook: new(mochiauth.Hook), Config: &mochiauth.Options{Data: []byte(ledger)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Has() != (Has{Authenticate: true, ACL: true}) {
		t.Errorf("Has = %+v", c.Has())
	}
	for _, tc := range []struct {
		user, password string
		want           byte
	}{{"bob", "secret", 0}, {"bob", "wrong", 0x86}, {"ann", "secret", 0x86}, {"", "", 0x86}} {
		pk := connectPacket("c1", tc.user, tc.password)
		if a := c.Authenticate(t.Context(), c.client(pk), pk); a.Code != tc.want {
			t.Errorf("%s/%s: %+v", tc.user, tc.password, a)
		}
	}
	h := c.client(connectPacket("c1", "bob", "secret"))
	for _, tc := range []struct {
		topic string
		ok    map[Action]bool
	}{
		{"out/x", map[Action]bool{Publish: true}},
		{"in/x", map[Action]bool{Subscribe: true, Deliver: true}},
		{"both/x", map[Action]bool{Publish: true, Subscribe: true, Deliver: true}},
		{"else", map[Action]bool{}},
	} {
		for _, a := range []Action{Publish, Subscribe, Deliver} {
			if d := c.Authorize(h, Request{Action: a, Topic: tc.topic}); d.Allowed() != tc.ok[a] || !d.PerMessage {
				t.Errorf("%s %s: %+v", a, tc.topic, d)
			}
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}

	// A ledger and mochi's hook that allows all: the ledger still counts.
	c = chain(t, Options{}, new(mochiauth.AllowHook), new(mochiauth.Hook))
	pk := connectPacket("c1", "bob", "secret")
	if a := c.Authenticate(t.Context(), c.client(pk), pk); a.Code != 0x86 || a.Why != "hook auth-ledger" {
		t.Errorf("an empty ledger let somebody in: %+v", a)
	}
	if _, err := New(Options{Hooks: []Loaded{{Hook: new(mochiauth.Hook), Config: 7}}}); err == nil {
		t.Error("a wrong configuration was taken")
	}
}
