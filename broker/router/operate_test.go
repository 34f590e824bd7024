package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// posted publishes without a connection and answers the outcomes in words.
func (g *rig) posted(ctx context.Context, receipts bool, list ...*Message) string {
	g.t.Helper()
	s := g.r.NewSender(Identity{Name: "http/ops", User: "ops"})
	out, done := s.Publish(ctx, list, receipts)
	return inWords(out, done)
}

func inWords(out []Posted, done bool) string {
	var words []string
	for i := range out {
		o := &out[i]
		words = append(words, fmt.Sprintf("%02X %t %d=%d+%d+%d", o.Code, o.Committed, o.Matched, o.Delivered, o.Dropped, o.Pending))
	}
	return fmt.Sprint(strings.Join(words, " "), " ", done)
}

func text(topic, payload string, qos byte) *Message {
	return &Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

func TestPublishWithoutAConnection(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		a, b := g.connect("a", dial{}), g.connect("b", dial{clean: true, ends: true})
		a.subscribe(2, "t/#")
		b.subscribe(0, "t/1")
		a.frames()
		b.frames()
		kept := text("t/2", "kept", 1)
		kept.Retain = true
		got := g.posted(t.Context(), false, text("t/1", "x", 1), text("nobody", "x", 0), text("a/+", "x", 1), text("$SYS/x", "x", 0), kept)
		if want := "00 true 2=0+0+0 10 true 0=0+0+0 90 false 0=0+0+0 87 false 0=0+0+0 00 true 1=0+0+0 true"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if got := payloads(b.receive()); got != "x" {
			t.Errorf("b got %q", got)
		}
		if m := g.r.RetainedMessage("t/2"); m == nil || m.User != "ops" || m.Publisher != "http/ops" || m.Created == 0 {
			t.Errorf("retained %+v", m)
		}
	})
}

// Whoever waits for receipts is told of each way that a message can end.
func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(s *setup) { s.Queue = session.Limits{Messages: 1, Overflow: session.DropNewest} })
		acks := g.connect("acks", dial{})
		acks.subscribe(2, "t")
		refuses := g.connect("refuses", dial{})
		refuses.subscribe(1, "t")
		g.connect("loose", dial{}).subscribe(0, "t")
		away := g.connect("away", dial{})
		away.subscribe(1, "t")
		away.bye()
		ends := g.connect("ends", dial{})
		ends.subscribe(1, "t")
		member := g.connect("member", dial{})
		member.subscribe(1, "$share/g/t")
		for _, p := range []*peer{acks, refuses, ends, member} {
			p.frames()
		}

		done := make(chan string, 1)
		go func() { done <- g.posted(t.Context(), true, text("t", "x", 2)) }()
		synctest.Wait()
		if g.r.follows.byID == nil || !g.r.follows.watched() {
			t.Fatal("nobody is watched")
		}
		acks.receive() // and answers
		acks.receive()
		acks.receive()
		f := refuses.frames()
		if err := g.r.Acked(refuses.link, []Ack{{ID: f[0].id, Type: typePuback, Code: 0x97}}); err != nil {
			t.Fatal(err)
		}
		member.receive()
		if ok, err := g.r.Remove(t.Context(), "away", "test"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		select {
		case got := <-done:
			t.Fatalf("done before all: %s", got)
		default:
		}
		go func() { <-ends.gone; ends.bye() }()
		if ok, err := g.r.Remove(t.Context(), "ends", "test"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got, want := <-done, "00 true 6=3+3+0 true"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if n := g.dropped(stats.DropOperator); n != 2 {
			t.Errorf("%d dropped by the operator", n)
		}
		if g.r.follows.watched() || len(g.r.follows.byID) > 0 {
			t.Error("still followed")
		}
	})
}

// The end of the wait is not the end of the message.
func TestReceiptsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.connect("p", dial{})
		p.subscribe(1, "t")
		p.frames()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := g.posted(ctx, true, text("t", "x", 1)); got != "00 true 1=0+0+1 false" {
			t.Error(got)
		}
		if got := payloads(p.receive()); got != "x" {
			t.Errorf("got %q", got)
		}
		g.store.hold()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := g.posted(ctx, false, text("t", "y", 1)); got != "00 false 1=0+0+0 false" {
			t.Error(got)
		}
		g.store.open()
		g.store.refuse = errBroken
		if got := g.posted(t.Context(), false, text("t", "z", 1)); got != "88 false 1=0+0+0 true" {
			t.Error(got)
		}
	})
}

func TestSendToOneSession(t *testing.T) {
	bothStores(t, func(s *setup) { s.auth = deny{hooks.Deliver: "secret", hooks.Publish: "forbidden"} }, func(g *rig) {
		p := g.connect("p", dial{})
		p.frames()
		s := g.r.NewSender(Identity{Name: "http/ops", User: "ops"})
		send := func(id, topic string) string {
			o, done, err := s.Send(t.Context(), ClientID(id), text(topic, topic, 1), false)
			return fmt.Sprint(inWords([]Posted{o}, done), " ", err)
		}
		if got, want := send("p", "one"), "00 true 1=0+0+0 true <nil>"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		p.bye()
		for topic, want := range map[string]string{"two": "00 true 1=", "secret": "87 false 0=", "forbidden": "87 false 0="} {
			if got := send("p", topic); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s", topic, got)
			}
		}
		if got := send("nobody", "x"); !strings.HasSuffix(got, ErrNoSession.Error()) {
			t.Error(got)
		}
		if got := payloads(g.connect("p", dial{}).receive()); !strings.HasSuffix(got, "two") {
			t.Errorf("got %q", got)
		}
	})
}

// deny refuses one topic for each action.
type deny map[hooks.Action]string

func (d deny) Authorize(_ *hooks.Client, q hooks.Request) hooks.Decision {
	if d[q.Action] == q.Topic {
		return hooks.Decision{Code: codeNotAuthorized, Rule: "test"}
	}
	return hooks.Decision{}
}

func (deny) Generation() uint64 { return 0 }

func TestClientPages(t *testing.T) {
	g := newRig(t, nil)
	const n = 700
	for i := range n {
		p := g.connect(fmt.Sprintf("c%04d", i), dial{user: []string{"", "eve"}[i%2]})
		if i%7 == 0 {
			p.bye()
		}
	}
	for _, keep := range []func(*ClientInfo) bool{nil, func(i *ClientInfo) bool { return i.User == "eve" }, func(i *ClientInfo) bool { return !i.Connected }} {
		var got []ClientID
		for q := (ClientQuery{Limit: 13, Keep: keep}); ; {
			page, more := g.r.Clients(q)
			for _, i := range page {
				got = append(got, i.ID)
			}
			if !more {
				break
			}
			if len(page) != 13 {
				t.Fatalf("a page of %d", len(page))
			}
			q.After = page[12].ID
		}
		var want []ClientID
		for i := range n {
			info, ok := g.r.Client(ClientID(fmt.Sprintf("c%04d", i)))
			if !ok {
				t.Fatal(i)
			}
			if keep == nil || keep(&info) {
				want = append(want, info.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d clients, want %d", len(got), len(want))
		}
	}
	top, more := g.r.Clients(ClientQuery{Limit: 2, Less: func(a, b *ClientInfo) int { return strings.Compare(string(b.ID), string(a.ID)) }})
	if !more || len(top) != 2 || top[0].ID != "c0699" || top[1].ID != "c0698" {
		t.Errorf("the last: %+v", top)
	}
}

func TestClientInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		will := &Will{Message: text("w", "w", 0)}
		p := g.connect("p", dial{user: "eve", window: 1, will: will, limit: 200})
		p.subscribe(1, "a/#", "b", "$share/g/c")
		p.frames()
		g.posted(t.Context(), false, text("b", strings.Repeat("x", 300), 1), text("b", "2", 1), text("b", "3", 1), text("b", "4", 0))
		i, ok := g.r.Client("p")
		since := time.Now().UnixNano()
		if !ok || !i.Connected || i.User != "eve" || !i.HasUser || i.Version != 5 || !i.Will || i.Subscriptions != 3 || i.Inflight != 1 ||
			i.Queued != 2 || i.QueuedBytes != 4 || i.Expiry != 3600 || i.Since != since || !i.Stalled || i.Dropped() != 1 || i.Drops[stats.DropOutputFull] != 1 {
			t.Errorf("%+v", i)
		}
		p.bye()
		if i, _ = g.r.Client("p"); i.Connected || i.Stalled || i.Since != 0 || i.ExpiresAt != since+3600e9 || i.Will {
			t.Errorf("away: %+v", i)
		}
		subs, more, ok := g.r.Subscriptions("p", "", 2)
		if !ok || !more || len(subs) != 2 || subs[0].Filter != "$share/g/c" || subs[1].Filter != "a/#" {
			t.Errorf("%+v %t", subs, more)
		}
		subs, more, _ = g.r.Subscriptions("p", "a/#", 2)
		if more || len(subs) != 1 || subs[0].Filter != "b" {
			t.Errorf("%+v %t", subs, more)
		}
		who, more := g.r.Subscribers("a/b/c", 10)
		if more || len(who) != 1 || who[0].Client != "p" || who[0].QoS != 1 {
			t.Errorf("%+v", who)
		}
		if who, _ = g.r.Subscribers("c", 10); len(who) != 1 || who[0].Group != "g" || who[0].Filter != "c" {
			t.Errorf("%+v", who)
		}
	})
}

// The head of a queue is in memory, in the store, or in both.
func TestHeads(t *testing.T) {
	for name, limits := range map[string]session.Limits{"memory": {Messages: 1000}, "pages": {Messages: 1000, PageMessages: 8, PageBytes: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			bothStores(t, func(s *setup) { s.Queue, s.QueueQoS0 = limits, true }, func(g *rig) {
				p := g.connect("p", dial{window: 2})
				p.subscribe(1, "t")
				p.frames()
				check := func(when string) {
					t.Helper()
					g.store.settle()
					for _, n := range []int{1, 5, 12, 100} {
						list, more, ok, err := g.r.Queue(t.Context(), "p", n)
						if !ok || err != nil || more != (n < 28) || len(list) != min(n, 28) {
							t.Fatalf("%s: %d of %d, more %t, %v", when, len(list), n, more, err)
						}
						for i, h := range list {
							if string(h.Msg.Payload) != fmt.Sprint(i+2) || h.Phase != store.Queued || h.ID != 0 {
								t.Errorf("%s: %d is %s", when, i, h.Msg.Payload)
							}
						}
					}
					list, more, ok, err := g.r.Inflight(t.Context(), "p", 1)
					if !ok || err != nil || !more || len(list) != 1 || list[0].ID != 1 || list[0].Phase != store.Sent || string(list[0].Msg.Payload) != "0" {
						t.Errorf("%s: in flight %+v %v", when, list, err)
					}
				}
				for i := range 30 {
					g.posted(t.Context(), false, text("t", fmt.Sprint(i), 1))
				}
				check("connected")
				p.bye()
				check("away")
				was := g.r
				g.r = again(g)
				check("restored")
				g.r = was
			})
		})
	}
}

// again is a router that starts with what the store of a rig holds.
func again(g *rig) *Router {
	r := New(Options{Log: g.r.log, Hooks: g.hooks, Store: g.store, Stats: stats.NewNode(), Due: g.due, Now: time.Now, Settings: *g.r.Settings()})
	if err := r.Restore(context.Background()); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(r.Close)
	return r
}

func TestLevels(t *testing.T) {
	g := newRig(t, nil)
	names := []string{"a", "a/b", "a/b-x", "a/b/c", "a/b/d/e", "a//x", "a/", "/", "b", "z/1/2/3", "a!/q"}
	for _, name := range names {
		m := text(name, "x", 0)
		m.Retain = true
		g.posted(t.Context(), false, m)
	}
	g.r.Inject(&message.Message{Topic: "$SYS/broker/x", Payload: []byte("1"), Retain: true})
	for parent, want := range map[string]string{
		"":     "a+/ a!/ b+ z/ / $SYS/",
		"a":    "+/ b+/ b-x+",
		"a/b":  "c+ d/",
		"z":    "1/",
		"none": "",
		"$SYS": "broker/",
	} {
		for _, limit := range []int{1, 2, 100} {
			all := map[string]string{}
			for after := ""; ; {
				list, next := g.r.Levels(parent, after, limit)
				for _, l := range list {
					if prefix := parent + "/"; parent != "" && l.Topic != prefix+l.Name || parent == "" && l.Topic != l.Name {
						t.Errorf("%q of %q", l.Topic, parent)
					}
					w := l.Name
					if l.Retained {
						w += "+"
					}
					if l.Below {
						w += "/"
					}
					if old := all[l.Name]; len(w) > len(old) {
						all[l.Name] = w
					}
				}
				if after = next; next == "" {
					break
				}
			}
			var got []string
			for _, w := range all {
				got = append(got, w)
			}
			expect := strings.Split(want, " ")
			if want == "" {
				expect = nil
			}
			slices.Sort(got)
			slices.Sort(expect)
			if limit == 100 && !slices.Equal(got, expect) || limit < 100 && len(got) != len(expect) {
				t.Errorf("below %q by %d: %q, want %q", parent, limit, got, expect)
			}
		}
	}
	page, more := g.r.RetainedPage("a/#", "a/", 2)
	if !more || len(page) != 2 || page[0].Topic != "a//x" || page[1].Topic != "a/b" {
		t.Errorf("%v %t", page, more)
	}
}

func TestKick(t *testing.T) {
	g := newRig(t, nil)
	p, q := g.connect("p", dial{user: "eve"}), g.connect("q", dial{})
	if !g.r.Kick("p", "test") || g.r.Kick("nobody", "test") {
		t.Error("kick")
	}
	<-p.gone
	p.bye()
	if p.code != codeAdministrative {
		t.Errorf("%02X", p.code)
	}
	if _, ok := g.r.Client("p"); !ok {
		t.Error("the session is gone")
	}
	if n := g.r.KickAll(func(h *hooks.Client) bool { return h.ID() == "q" }, codeNotAuthorized, "test"); n != 1 {
		t.Errorf("%d", n)
	}
	<-q.gone
	q.bye()
	if ok, err := g.r.Remove(t.Context(), "p", "test"); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, _ := g.r.Remove(t.Context(), "p", "test"); ok {
		t.Error("removed twice")
	}
	stuck := g.connect("stuck", dial{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var refused *ConnectError
	if ok, err := g.r.Remove(ctx, "stuck", "test"); ok || !errors.As(err, &refused) {
		t.Error(ok, err)
	}
	stuck.bye()
}
