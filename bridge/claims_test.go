package bridge

import (
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// The first step of a claim names it in the record of a session that may be had, and
// touches no other.
func TestClaimNames(t *testing.T) {
	s := startRedis(t)
	b := openBridge(t, s.URL())
	long := strings.Repeat("x", 300) // its length takes two bytes
	tests := []struct {
		name string
		head store.Session
		who  store.Claimant
		want int64
	}{
		{"nobody's", store.Session{ID: "c", Expiry: 60}, store.Claimant{}, foundMine},
		{"nobody's, by a user", store.Session{ID: "c", Expiry: 60}, store.Claimant{User: "u", HasUser: true}, foundMine},
		{"the user's", store.Session{ID: "c", Expiry: 60, User: "u", HasUser: true}, store.Claimant{User: "u", HasUser: true}, foundMine},
		{"the user's, long", store.Session{ID: message.ClientID(long), Expiry: 1 << 31, Epoch: 1 << 40, User: long, HasUser: true}, store.Claimant{User: long, HasUser: true}, foundMine},
		{"of the empty user", store.Session{ID: "c", Expiry: 60, HasUser: true}, store.Claimant{HasUser: true}, foundMine},
		{"of the empty user, by nobody", store.Session{ID: "c", Expiry: 60, HasUser: true}, store.Claimant{}, foundOther},
		{"another user's", store.Session{ID: "c", Expiry: 60, User: "u", HasUser: true}, store.Claimant{User: "v", HasUser: true}, foundOther},
		{"a user's, by nobody", store.Session{ID: "c", Expiry: 60, User: "u", HasUser: true}, store.Claimant{User: "u"}, foundOther},
		{"another user's, by whoever comes", store.Session{ID: "c", Expiry: 60, User: "u", HasUser: true}, store.Claimant{AnyUser: true}, foundMine},
		{"ends with its connection", store.Session{ID: "c"}, store.Claimant{}, foundOther},
		{"has a will", store.Session{ID: "c", Expiry: 60, Will: &store.Will{Delay: 3}}, store.Claimant{}, foundMine},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id := message.ClientID(test.name)
			key := b.keys.session(id) + sessionHead
			err := b.client.HSet(t.Context(), key, fieldOwner, "other 1", fieldToken, "older", fieldReady, "older",
				fieldFigures, appendFigures(nil, &figures{n: 1}), fieldHead, appendHead(nil, &test.head)).Err()
			if err != nil {
				t.Fatal(err)
			}
			test.who.ID = id
			w := &claim{claims: b.claims, id: id, key: key, box: b.own, tag: "mine 1", who: &test.who, token: "newer"}
			f, err := w.look(within(t))
			if err != nil || f.state != test.want || f.owner != "other 1" || f.head == "" || f.figures == "" {
				t.Fatalf("found %+v, %v, want state %d", f, err, test.want)
			}
			got := b.client.HMGet(t.Context(), key, fieldToken, fieldTokenBox, fieldReady).Val()
			want := []any{"older", nil, "older"}
			if test.want == foundMine {
				want = []any{"newer", "mine 1", nil}
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("the record has %v, want %v", got, want)
				}
			}
		})
	}
}
