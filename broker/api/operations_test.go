package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks"
)

// publishOne publishes through the API.
func (g *rig) publishOne(topic, payload string, qos int, retain bool) v1.Result {
	g.t.Helper()
	b, err := json.Marshal(v1.Message{Topic: topic, Payload: &payload, QoS: qos, Retain: retain})
	if err != nil {
		g.t.Fatal(err)
	}
	return into[v1.Published](g, "publish", "/api/v1/publish", string(b)).Results[0]
}

func TestClients(t *testing.T) {
	g := newRig(t, nil)
	for i := range 25 {
		g.session(fmt.Sprintf("c%02d", i), "a/#", "b")
	}
	g.session("odd/id with ümläut", "$share/g/x")
	g.publishOne("b", "x", 1, false)
	var got []string
	for after := ""; ; {
		page := into[v1.Clients](g, "clients", "/api/v1/clients?limit=10&after="+url.QueryEscape(after), "")
		for _, c := range page.Clients {
			got = append(got, c.ID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(got) != 26 || got[0] != "c00" || got[24] != "c24" || got[25] != "odd/id with ümläut" {
		t.Errorf("%q", got)
	}
	for q, want := range map[string]int{
		"search=C0": 10, "search=ÜML": 1, "user=u": 26, "user=x": 0, "connected=false": 26, "connected=true": 0, "stalled=true": 0,
		"version=5": 26, "version=4": 0, "listener=http": 0, "sort=queued&limit=3": 3, "sort=id&search=c1&limit=4": 4,
	} {
		if page := into[v1.Clients](g, "clients", "/api/v1/clients?"+q, ""); len(page.Clients) != want {
			t.Errorf("%s: %d clients", q, len(page.Clients))
		}
	}
	c := into[v1.Client](g, "client", "/api/v1/clients/odd%2Fid%20with%20%C3%BCml%C3%A4ut", "")
	if c.Subscriptions != 1 || !c.Persistent || c.Node != "n1" || c.User == nil || *c.User != "u" || c.Expiry == nil || *c.Expiry != 3600 || c.ExpiresAt == nil {
		t.Errorf("%+v", c)
	}
	g.call("client", "/api/v1/clients/none", "", 404)
	subs := into[v1.Subscriptions](g, "subscriptions", "/api/v1/clients/c00/subscriptions?limit=1", "")
	if len(subs.Subscriptions) != 1 || subs.Next != "a/#" {
		t.Errorf("%+v", subs)
	}
	subs = into[v1.Subscriptions](g, "subscriptions", "/api/v1/clients/c00/subscriptions?after=a/%23", "")
	if len(subs.Subscriptions) != 1 || subs.Subscriptions[0].Filter != "b" || subs.Next != "" {
		t.Errorf("%+v", subs)
	}
	q := into[v1.Entries](g, "queue", "/api/v1/clients/c00/queue", "")
	if len(q.Entries) != 1 || q.More || *q.Entries[0].Payload != "x" || q.Entries[0].Phase != "queued" || q.Entries[0].Publisher != "http/w" || q.Entries[0].User != "w-user" {
		t.Errorf("%+v", q)
	}
	if f := into[v1.Entries](g, "inflight", "/api/v1/clients/c00/inflight?max_payload=0", ""); len(f.Entries) != 0 || f.More {
		t.Errorf("%+v", f)
	}
	g.call("deleteClient", "/api/v1/clients/c00", "", 204)
	g.call("deleteClient", "/api/v1/clients/c00", "", 404)
	for _, id := range []string{"client", "queue", "inflight", "subscriptions"} {
		path := map[string]string{"client": ""}[id]
		if id != "client" {
			path = "/" + id
		}
		g.call(id, "/api/v1/clients/c00"+path, "", 404)
	}
	g.call("disconnect", "/api/v1/clients/c01/disconnect", "", 204)
	g.call("disconnect", "/api/v1/clients/c00/disconnect", "", 404)
}

func TestTopics(t *testing.T) {
	g := newRig(t, nil)
	for _, name := range []string{"a/b", "a/b/c", "a/d", "e", "/lead"} {
		g.publishOne(name, "payload of "+name, 1, true)
	}
	g.session("s", "a/#")
	g.session("m", "$share/g/a/+")
	var got []string
	for after := ""; ; {
		page := into[v1.Topics](g, "topics", "/api/v1/topics?limit=1&after="+after, "")
		for _, l := range page.Topics {
			got = append(got, fmt.Sprint(l.Topic, l.Retained, l.Children))
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[false true afalse true etrue false]" {
		t.Error(got)
	}
	if page := into[v1.Topics](g, "topics", "/api/v1/topics?parent=a", ""); len(page.Topics) != 2 || !page.Topics[0].Children || !page.Topics[0].Retained {
		t.Errorf("%+v", page)
	}
	who := into[v1.Subscribers](g, "subscribers", "/api/v1/subscribers?topic=a/b", "")
	if len(who.Subscribers) != 2 || who.Subscribers[0].Group != "g" || who.Subscribers[1].Client != "s" || who.More {
		t.Errorf("%+v", who)
	}
	if who = into[v1.Subscribers](g, "subscribers", "/api/v1/subscribers?topic=a/b&limit=1", ""); len(who.Subscribers) != 1 || !who.More {
		t.Errorf("%+v", who)
	}
	page := into[v1.Retained](g, "retained", "/api/v1/retained?filter=a/%23&limit=2&max_payload=4", "")
	if len(page.Messages) != 2 || page.Next != "a/b/c" || *page.Messages[0].Payload != "payl" || !page.Messages[0].Truncated || page.Messages[0].Size != len("a/bpayload of a/b") {
		t.Errorf("%+v", page)
	}
	page = into[v1.Retained](g, "retained", "/api/v1/retained?filter=a/%23&after=a/b/c", "")
	if len(page.Messages) != 1 || page.Next != "" || page.Messages[0].Topic != "a/d" || page.Messages[0].Truncated {
		t.Errorf("%+v", page)
	}
	g.call("setRetained", "/api/v1/retained/message?topic=new", `{"payload_base64":"/w==","qos":1,"expiry":60}`, 200)
	m := into[v1.Stored](g, "retainedMessage", "/api/v1/retained/message?topic=new", "")
	if string(m.PayloadBase64) != "\xff" || !m.Retain || m.ExpiresAt == nil || m.ExpiresAt.Sub(m.Created) != time.Minute {
		t.Errorf("%+v", m)
	}
	g.call("setRetained", "/api/v1/retained/message?topic=new", `{"payload":""}`, 400)
	g.call("setRetained", "/api/v1/retained/message?topic=new", `{"topic":"other","payload":"x"}`, 400)
	g.call("deleteRetained", "/api/v1/retained/message?topic=new", "", 204)
	g.call("deleteRetained", "/api/v1/retained/message?topic=new", "", 404)
	g.call("retainedMessage", "/api/v1/retained/message?topic=new", "", 404)
}

func TestPublish(t *testing.T) {
	g := newRig(t, func(s *setup) { s.auth = rules{hooks.Publish: "forbidden", hooks.Deliver: "unread"} })
	g.session("s", "a/#")
	full := `{"topic":"a/full","payload":"x","qos":1,"payload_format":1,"content_type":"text/plain","response_topic":"r","correlation_data":"AAE=",` +
		`"user_properties":[{"name":"k","value":"v"},{"name":"k","value":"w"}],"expiry":100}`
	res := into[v1.Published](g, "publish", "/api/v1/publish", full)
	if r := res.Results[0]; len(res.Results) != 1 || r.Code != 0 || !r.Committed || r.Matched != 1 || res.TimedOut {
		t.Errorf("%+v", res)
	}
	q := into[v1.Entries](g, "queue", "/api/v1/clients/s/queue", "")
	var back, sent v1.Message
	_ = json.Unmarshal([]byte(full), &sent)
	back = q.Entries[0].Message
	sent.Expiry = nil // expires_at has it
	if a, b := toJSON(t, back), toJSON(t, sent); a != b || q.Entries[0].ExpiresAt == nil {
		t.Errorf("%s\nwant %s", a, b)
	}
	res = into[v1.Published](g, "publish", "/api/v1/publish", `{"messages":[{"topic":"a/1"},{"topic":"nobody"},{"topic":"forbidden"},{"topic":"x/+"},{"topic":"a/2","qos":2}]}`)
	if got := fmt.Sprint(codes(res)); got != "[0 16 135 144 0]" {
		t.Errorf("%s: %+v", got, res)
	}
	for body, want := range map[string]int{
		`{"topic":"forbidden"}`: 403, `{"topic":"x/#"}`: 400, `{"topic":"$SYS/x"}`: 403, `{"topic":"$delayed/9999999/x"}`: 400, `{"topic":"$delayed/1/x"}`: 200,
		`{}`: 400, `{"messages":[]}`: 400, `{"topic":"a","messages":[{"topic":"b"}]}`: 400, `{"topic":"a","qos":3}`: 400, `{"topic":"a","qos":-1}`: 400,
		`{"topic":"a","payload":"x","payload_base64":"eA=="}`: 400, `{"topic":"a","payload_base64":"!"}`: 400, `{"topic":"a","x":1}`: 400,
		`{"topic":"a"}{}`: 400, `[]`: 400, `{"topic":"a"`: 400, `nonsense`: 400, `{"topic":1}`: 400, `{"topic":"a","expiry":-1}`: 400,
		`{"topic":"a","response_topic":"x/#"}`: 400, `{"topic":"a","payload_format":2}`: 400, `{"topic":"a","content_type":"\u0000"}`: 400,
		`{"topic":"` + strings.Repeat("x", 65536) + `"}`: 413, `{"topic":"a","user_properties":[{"name":"a","value":"\ud800"}]}`: 200,
	} {
		g.call("publish", "/api/v1/publish", body, want)
	}
	w := g.do("POST", "/api/v1/publish", writer, `{"topic":"a"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form of a page elsewhere: %d", w.Code)
	}
	// One client alone.
	g.call("sendMessage", "/api/v1/clients/s/messages", `{"topic":"only/you","payload":"p","qos":1}`, 200)
	g.call("sendMessage", "/api/v1/clients/none/messages", `{"topic":"only/you"}`, 404)
	g.call("sendMessage", "/api/v1/clients/s/messages", `{"topic":"x","retain":true}`, 400)
	g.call("sendMessage", "/api/v1/clients/s/messages", `{"topic":"unread"}`, 403)
	g.call("sendMessage", "/api/v1/clients/s/messages", `{"topic":"forbidden"}`, 403)
	q = into[v1.Entries](g, "queue", "/api/v1/clients/s/queue", "")
	if last := q.Entries[len(q.Entries)-1]; last.Topic != "only/you" || *last.Payload != "p" {
		t.Errorf("%+v", last)
	}
	// What nobody acknowledges in time is told so.
	g.call("publish", "/api/v1/publish?wait=delivered&timeout=1ms", `{"topic":"a/3","qos":1}`, http.StatusAccepted)
	g.call("publish", "/api/v1/publish?wait=delivered", `{"topic":"nobody","qos":1}`, 200)
	if list := into[v1.Refusals](g, "refusals", "/api/v1/refusals?limit=2", ""); len(list.Refusals) != 2 || list.Refusals[0].What != "publish" || list.Refusals[0].User != "w-user" {
		t.Errorf("%+v", list)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func codes(p v1.Published) (list []int) {
	for _, r := range p.Results {
		list = append(list, r.Code)
	}
	return list
}

// rules refuse one topic for each action.
type rules map[hooks.Action]string

func (d rules) Authorize(_ *hooks.Client, q hooks.Request) hooks.Decision {
	if d[q.Action] == q.Topic {
		return hooks.Decision{Code: 0x87, Rule: "test"}
	}
	return hooks.Decision{}
}

func (rules) Generation() uint64 { return 0 }

func TestParameters(t *testing.T) {
	g := newRig(t, nil)
	g.session("s")
	for target, want := range map[string]int{
		"/api/v1/clients?limit=0": 400, "/api/v1/clients?limit=1001": 400, "/api/v1/clients?limit=x": 400, "/api/v1/clients?limit=1&limit=2": 400,
		"/api/v1/clients?sorted=id": 400, "/api/v1/clients?sort=name": 400, "/api/v1/clients?connected=1": 400, "/api/v1/clients?version=2": 400,
		"/api/v1/clients?scope=all": 400, "/api/v1/clients?scope=node": 200, "/api/v1/clients?search=%ff": 400, "/api/v1/clients?a;b": 400,
		"/api/v1/clients?after=" + strings.Repeat("x", 70000): 414, "/api/v1/topics?after=!": 400, "/api/v1/topics?parent=a/%23": 400,
		"/api/v1/retained?filter=a%23": 400, "/api/v1/retained?filter=$share/g/a": 400, "/api/v1/retained?max_payload=-1": 400,
		"/api/v1/retained/message": 400, "/api/v1/retained/message?topic=%2B": 400, "/api/v1/subscribers": 400, "/api/v1/stats?node=other": 404,
		"/api/v1/stats?node=n1": 200, "/api/v1/drain?node=x": 404, "/api/v1/clients/s/queue?limit=0": 400, "/api/v1/version?x": 400,
		"/api/v1/subscribe": 400, "/api/v1/subscribe?filter=a&qos=2": 400, "/api/v1/subscribe?filter=a&session=a/b": 400, "/api/v1/subscribe?filter=a&expiry=-1s": 400,
		"/api/v1/subscribe?filter=a%23": 400, "/api/v1/trace": 400, "/api/v1/trace?client=a": 501, "/api/v1/trace?ip=x": 400, "/api/v1/trace?topic=a%23": 400,
		"/api/v1/trace?client=a&duration=1h": 400, "/api/v1/trace?client=a&rate=0": 400, "/api/v1/trace?ip=10.1.1.1/8&topic=a/%23": 501,
	} {
		w := g.do("GET", target, writer, "")
		if w.Code != want {
			t.Errorf("%.60s: %d, want %d: %s", target, w.Code, want, w.Body)
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.60s is answered %s", target, w.Header().Get("Content-Type"))
		}
	}
}

func TestOperate(t *testing.T) {
	g := newRig(t, nil)
	g.call("document", "/api/v1/openapi.yaml", "", 200)
	if v := into[v1.Version](g, "version", "/api/v1/version", ""); v.Version != "test" || v.Node != "n1" {
		t.Errorf("%+v", v)
	}
	if b := into[v1.Bans](g, "bans", "/api/v1/bans", ""); len(b.Bans) != 0 {
		t.Errorf("%+v", b)
	}
	if b := into[v1.BanAdded](g, "addBan", "/api/v1/bans", `{"kind":"network","value":"10.0.0.0/8","until":"2999-01-01T00:00:00Z","reason":"x"}`); b.Disconnected != 3 {
		t.Errorf("%+v", b)
	}
	for _, body := range []string{`{"kind":"x","value":"y"}`, `{"kind":"user","value":""}`, `{"kind":"user","value":"y","until":"2001-01-01T00:00:00Z"}`, `{"kind":"user","value":"y","file":true}`} {
		g.call("addBan", "/api/v1/bans", body, 400)
	}
	g.call("removeBan", "/api/v1/bans?kind=network&value=10.0.0.0/8", "", 204)
	g.call("removeBan", "/api/v1/bans?kind=network&value=10.0.0.0/8", "", 404)
	g.call("removeBan", "/api/v1/bans?value=x", "", 400)
	g.call("removeBan", "/api/v1/bans?kind=user", "", 400)

	if d := into[v1.Drain](g, "drainState", "/api/v1/drain", ""); d.Draining || d.Phase != "none" || d.Clients != 7 {
		t.Errorf("%+v", d)
	}
	g.call("drain", "/api/v1/drain?node=n1", "", 202)
	if n := into[v1.Nodes](g, "nodes", "/api/v1/nodes", ""); len(n.Nodes) != 1 || !n.Nodes[0].Self || !n.Nodes[0].Draining || !n.Nodes[0].Ready {
		t.Errorf("%+v", n)
	}
	if d := into[v1.Drain](g, "undrain", "/api/v1/drain", ""); d.Draining {
		t.Errorf("%+v", d)
	}
	if r := into[v1.Reloaded](g, "reload", "/api/v1/reload", ""); len(r.Restart) != 0 || g.ports.reloads != 1 {
		t.Errorf("%+v", r)
	}
	g.ports.fail = errors.New("the file is wrong")
	if b := g.call("reload", "/api/v1/reload", "", 422); !strings.Contains(string(b), "the file is wrong") {
		t.Errorf("%s", b)
	}
	g.call("addBan", "/api/v1/bans", `{"kind":"user","value":"y"}`, 400)
	for _, level := range []string{"debug", "warn", "error", "info"} {
		if l := into[v1.LogLevel](g, "setLogLevel", "/api/v1/log-level", `{"level":"`+level+`"}`); l.Level != level {
			t.Errorf("%+v", l)
		}
		if l := into[v1.LogLevel](g, "logLevel", "/api/v1/log-level", ""); l.Level != level {
			t.Errorf("%+v", l)
		}
	}
	g.call("setLogLevel", "/api/v1/log-level", `{"level":"loud"}`, 400)
	if s := into[v1.Stats](g, "stats", "/api/v1/stats", ""); s.Node != "n1" || s.Drops["acl"] != 0 || len(s.Drops) < 15 {
		t.Errorf("%+v", s)
	}
}

// A page of 15,000 clients is complete and in order, whatever the filter.
func TestManyClients(t *testing.T) {
	const n = 15_000
	g := newRig(t, func(s *setup) { s.router.Queue = session.Limits{Messages: 10} })
	for i := range n {
		g.session(fmt.Sprintf("client-%05d", i))
	}
	seen := 0
	for after := ""; ; {
		page := into[v1.Clients](g, "clients", "/api/v1/clients?limit=1000&after="+after, "")
		for _, c := range page.Clients {
			if want := fmt.Sprintf("client-%05d", seen); c.ID != want {
				t.Fatalf("%s, want %s", c.ID, want)
			}
			seen++
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if seen != n {
		t.Errorf("%d of %d", seen, n)
	}
	if page := into[v1.Clients](g, "clients", "/api/v1/clients?search=-149&limit=1000", ""); len(page.Clients) != 100 || page.Next != "" {
		t.Errorf("%d found", len(page.Clients))
	}
}
