package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/api"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// peers joins rigs: a request to a peer goes to its handler.
type peers struct {
	self string
	all  map[string]*rig
	dead map[string]bool
}

func (p *peers) Peers() (names []string) {
	for name := range p.all {
		if name != p.self {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *peers) Ask(_ context.Context, peer string, r *http.Request) (*http.Response, error) {
	if p.dead[peer] {
		return nil, errors.New("no route to host")
	}
	w := httptest.NewRecorder()
	r = r.WithContext(context.Background()) // it comes over a connection
	r.Host = "127.0.0.1"
	p.all[peer].api.Handler().ServeHTTP(w, r)
	return w.Result(), nil
}

func (p *peers) Mailboxes() []v1.Mailbox { return []v1.Mailbox{{ID: "box-" + p.self, Epoch: 1}} }

// three are three nodes that know each other.
func three(t *testing.T) (list []*rig, dead map[string]bool) {
	all, dead := map[string]*rig{}, map[string]bool{}
	for _, name := range []string{"n1", "n2", "n3"} {
		g := newRig(t, func(s *setup) {
			s.Info.Node = name
			s.Cluster = &peers{self: name, all: all, dead: dead}
		})
		all[name] = g
		list = append(list, g)
	}
	return list, dead
}

func TestAnyNodeAnswersForAll(t *testing.T) {
	list, dead := three(t)
	for i := range 30 {
		list[i%3].session(fmt.Sprintf("c%02d", i), "t")
	}
	for _, g := range list {
		var got []string
		for after := ""; ; {
			page := into[v1.Clients](g, "clients", "/api/v1/clients?limit=7&after="+after, "")
			for _, c := range page.Clients {
				got = append(got, c.ID)
				if want := list[len(got)%3]; c.ID == "" || want == nil {
					t.Errorf("%+v", c)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(got) != 30 || !slices.IsSorted(got) {
			t.Errorf("%q", got)
		}
		if page := into[v1.Clients](g, "clients", "/api/v1/clients?scope=node", ""); len(page.Clients) != 10 {
			t.Errorf("%d of the node", len(page.Clients))
		}
		n := into[v1.Nodes](g, "nodes", "/api/v1/nodes", "")
		self := 0
		for i, o := range n.Nodes {
			if o.Name != fmt.Sprint("n", i+1) || o.Sessions != 10 || len(o.Mailboxes) != 1 {
				t.Errorf("%+v", o)
			}
			if o.Self {
				self++
			}
		}
		if len(n.Nodes) != 3 || self != 1 {
			t.Errorf("%+v", n)
		}
		if who := into[v1.Subscribers](g, "subscribers", "/api/v1/subscribers?topic=t", ""); len(who.Subscribers) != 30 {
			t.Errorf("%d subscribers", len(who.Subscribers))
		}
		if s := into[v1.Stats](g, "stats", "/api/v1/stats?node=n2", ""); s.Node != "n2" || s.Sessions != 10 {
			t.Errorf("%+v", s)
		}
	}
	// One client is asked for at the node that has it, and changed once.
	if c := into[v1.Client](list[0], "client", "/api/v1/clients/c01", ""); c.Node != "n2" {
		t.Errorf("%+v", c)
	}
	list[0].call("sendMessage", "/api/v1/clients/c02/messages", `{"topic":"x","payload":"p","qos":1}`, 200)
	if q := into[v1.Entries](list[1], "queue", "/api/v1/clients/c02/queue", ""); len(q.Entries) != 1 || *q.Entries[0].Payload != "p" {
		t.Errorf("%+v", q)
	}
	list[2].call("deleteClient", "/api/v1/clients/c01", "", 204)
	list[2].call("deleteClient", "/api/v1/clients/c01", "", 404)
	list[0].call("drain", "/api/v1/drain?node=n3", "", 202)
	if phase, _ := list[2].ports.DrainPhase(); phase != api.DrainWaiting {
		t.Error(phase)
	}
	if phase, _ := list[0].ports.DrainPhase(); phase != api.DrainNone {
		t.Error(phase)
	}

	// A node that is away is named; what the others have is answered.
	dead["n3"] = true
	page := into[v1.Clients](list[0], "clients", "/api/v1/clients?limit=100", "")
	if len(page.Clients) != 19 || !slices.Equal(page.Missing, []string{"n3"}) {
		t.Errorf("%d clients, missing %q", len(page.Clients), page.Missing)
	}
	n := into[v1.Nodes](list[0], "nodes", "/api/v1/nodes", "")
	if len(n.Nodes) != 3 || n.Nodes[2].Name != "n3" || n.Nodes[2].Error == "" {
		t.Errorf("%+v", n)
	}
	list[0].call("client", "/api/v1/clients/c05", "", http.StatusBadGateway)
	list[0].call("stats", "/api/v1/stats?node=n3", "", http.StatusBadGateway)
	list[0].call("stats", "/api/v1/stats?node=n4", "", http.StatusNotFound)
}

// Every client id can be asked for, from any node: also those that paths do not keep.
func TestAnyClientID(t *testing.T) {
	list, _ := three(t)
	for _, id := range []string{".", "..", "-", "a/b", "%2E", "?id=x", "../nodes"} {
		list[1].session(id, "t")
		in := url.QueryEscape(id)
		encoded := strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
		for _, g := range list {
			for _, path := range []string{"/api/v1/clients/-?id=" + in, "/api/v1/clients/" + encoded} {
				if c := into[v1.Client](g, "client", path, ""); c.ID != id || c.Node != "n2" {
					t.Errorf("%s: %+v", path, c)
				}
			}
			if s := into[v1.Subscriptions](g, "subscriptions", "/api/v1/clients/-/subscriptions?limit=1&id="+in, ""); len(s.Subscriptions) != 1 {
				t.Errorf("%q: %+v", id, s)
			}
		}
		list[0].call("sendMessage", "/api/v1/clients/-/messages?id="+in, `{"topic":"x","payload":"p","qos":1}`, 200)
		if q := into[v1.Entries](list[2], "queue", "/api/v1/clients/-/queue?id="+in, ""); len(q.Entries) != 1 {
			t.Errorf("%q: %+v", id, q)
		}
		list[0].call("deleteClient", "/api/v1/clients/-?id="+in, "", 204)
		list[0].call("client", "/api/v1/clients/-?id="+in, "", 404)
	}
	list[0].call("client", "/api/v1/clients/-?id=a&id=b", "", 400)
	list[0].call("client", "/api/v1/clients/-?id=%ff", "", 400)
	list[0].call("nodes", "/api/v1/nodes?id=a", "", 400)
}

// Who is banned at one node is kept out of all.
func TestBansHoldEverywhere(t *testing.T) {
	list, dead := three(t)
	const ban, other = `{"kind":"user","value":"eve"}`, `{"kind":"client","value":"c"}`
	if out := into[v1.BanAdded](list[0], "addBan", "/api/v1/bans", ban); out.Missing != nil {
		t.Errorf("%+v", out)
	}
	for _, g := range list {
		if own := into[v1.Bans](g, "bans", "/api/v1/bans?scope=node", ""); len(own.Bans) != 1 || own.Bans[0].Value != "eve" {
			t.Errorf("%+v", own)
		}
		if all := into[v1.Bans](g, "bans", "/api/v1/bans", ""); len(all.Bans) != 1 {
			t.Errorf("%+v", all)
		}
	}
	list[1].call("removeBan", "/api/v1/bans?kind=user&value=eve", "", 204)
	for _, g := range list {
		if own := into[v1.Bans](g, "bans", "/api/v1/bans?scope=node", ""); len(own.Bans) != 0 {
			t.Errorf("%+v", own)
		}
	}
	list[1].call("removeBan", "/api/v1/bans?kind=user&value=eve", "", 404)

	dead["n3"] = true
	if out := into[v1.BanAdded](list[0], "addBan", "/api/v1/bans", other); !slices.Equal(out.Missing, []string{"n3"}) {
		t.Errorf("%+v", out)
	}
	if all := into[v1.Bans](list[1], "bans", "/api/v1/bans", ""); len(all.Bans) != 1 || !slices.Equal(all.Missing, []string{"n3"}) {
		t.Errorf("%+v", all)
	}
	list[1].call("removeBan", "/api/v1/bans?kind=client&value=c", "", http.StatusBadGateway)
	delete(dead, "n3")
	list[1].call("removeBan", "/api/v1/bans?kind=client&value=c", "", 404)
}

// A request that is sent on has its token: a peer lets nobody in for another's sake.
func TestPeersAskForTheToken(t *testing.T) {
	list, _ := three(t)
	list[1].session("c")
	set := *list[1].api.Settings()
	set.Tokens = nil
	list[1].api.Configure(set)
	w := list[0].do("DELETE", "/api/v1/clients/c", writer, "")
	if w.Code != http.StatusUnauthorized || strings.Contains(list[1].log.take(), "api change") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// tracing is a Tracer that shows one event and loses one.
type tracing string

func (n tracing) Trace(ctx context.Context, q api.TraceQuery, emit func(*v1.TraceEvent) error) (uint64, error) {
	err := emit(&v1.TraceEvent{Node: string(n), Client: q.Client, Kind: "packet"})
	<-ctx.Done()
	return 1, err
}

func TestATraceIsOneOfAllNodes(t *testing.T) {
	all, dead := map[string]*rig{}, map[string]bool{}
	var list []*rig
	for _, name := range []string{"n1", "n2", "n3"} {
		g := newRig(t, func(s *setup) {
			s.Info.Node, s.Tracer = name, tracing(name)
			s.Cluster = &peers{self: name, all: all, dead: dead}
		})
		all[name] = g
		list = append(list, g)
	}
	for _, tc := range []struct {
		dead string
		want []string
		end  string
	}{
		{"", []string{"n1", "n2", "n3"}, `{"reason":"time","lost":3}`},
		{"n3", []string{"n1", "n2"}, `{"reason":"time","lost":2,"missing":["n3"]}`},
	} {
		dead[tc.dead] = true
		body := list[0].do(http.MethodGet, "/api/v1/trace?client=c&duration=1s", writer, "").Body.String()
		for _, name := range []string{"n1", "n2", "n3"} {
			if n := strings.Count(body, `"node":"`+name+`","client":"c"`); (n == 1) != slices.Contains(tc.want, name) {
				t.Errorf("%s shows %d times in\n%s", name, n, body)
			}
		}
		if !strings.HasSuffix(body, "event: end\ndata: "+tc.end+"\n\n") {
			t.Error(body)
		}
	}
	if body := list[0].do(http.MethodGet, "/api/v1/trace?client=c&duration=1s&scope=node", writer, "").Body.String(); strings.Contains(body, "n2") {
		t.Error(body)
	}
}
