package hooks

import (
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// rules is an Authorizer that refuses one topic.
type rules struct {
	refuse     string
	panics     bool
	generation uint64
}

func (r *rules) Authorize(_ *Client, q Request) Decision {
	if r.panics {
		panic("rules panic")
	}
	if q.Topic == r.refuse {
		return Decision{Code: CodeNotAuthorized, Rule: "rule 7", PerMessage: q.Retain}
	}
	return Decision{}
}

func (r *rules) Generation() uint64 { return r.generation }

func aclHook(id, allowed string) *fake {
	return &fake{id: id, events: []byte{mqtt.OnACLCheck}, acl: func(_ *mqtt.Client, topic string, _ bool) bool { return topic == allowed || topic == "both" }}
}

func TestAllMustSayYes(t *testing.T) {
	a, b := aclHook("a", "only a"), aclHook("b", "only b")
	c := chain(t, Options{Authorizer: &rules{refuse: "forbidden", generation: 3}}, a, b)
	h := c.client(connectPacket("c1", "bob", ""))
	for _, tc := range []struct {
		topic string
		want  Decision
	}{
		{"both", Decision{PerMessage: true}},
		{"only a", Decision{Code: 0x87, Rule: "hook b", PerMessage: true}},
		{"only b", Decision{Code: 0x87, Rule: "hook a", PerMessage: true}},
		{"forbidden", Decision{Code: 0x87, Rule: "rule 7"}},
	} {
		for _, action := range []Action{Publish, Subscribe, Deliver} {
			if got := c.Authorize(h, Request{Action: action, Topic: tc.topic}); got != tc.want {
				t.Errorf("%s %s: %+v, want %+v", action, tc.topic, got, tc.want)
			}
		}
	}
	if c.Generation() != 3 {
		t.Errorf("Generation = %d", c.Generation())
	}
}

func TestAuthorizerAlone(t *testing.T) {
	r := &rules{refuse: "forbidden"}
	c := chain(t, Options{Authorizer: r})
	if c.Has() != (Has{ACL: true}) {
		t.Errorf("Has = %+v", c.Has())
	}
	h := c.client(connectPacket("c1", "bob", ""))
	if d := c.Authorize(h, Request{Topic: "free"}); d != (Decision{}) {
		t.Errorf("decision %+v", d)
	}
	if d := c.Authorize(h, Request{Topic: "forbidden", Retain: true}); d.Code != 0x87 || !d.PerMessage {
		t.Errorf("decision %+v", d)
	}
	if n := testing.AllocsPerRun(100, func() { c.Authorize(h, Request{Topic: "forbidden"}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	r.panics = true
	if d := c.Authorize(h, Request{Topic: "free"}); d.Code != 0x87 || !d.PerMessage {
		t.Errorf("decision of a panic %+v", d)
	}
}
