package router

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

func TestDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(s *setup) { s.DelayedCount = 3; s.DelayedMax = 100 * time.Second })
		p := g.connect("p", dial{})
		p.subscribeTo(Subscription{Filter: "t", QoS: 1, NoLocal: true})
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		s.frames()
		p.frames()
		p.publish("$delayed/20/t", "2", 1)
		p.publish("$delayed/10/t", "1", 1)
		p.send(message.Message{Topic: "$delayed/30/t", Payload: []byte("3"), QoS: 2, Expires: time.Now().Add(20 * time.Second).UnixNano()})
		p.publish("$delayed/1/t", "x", 1)
		p.publish("$delayed/101/t", "x", 1)
		p.publish("$delayed/x/t", "x", 1)
		p.publish("$delayed/1/$SYS/t", "x", 2)
		p.want("4#1/00 4#2/00 5#3/00 4#4/97 4#5/90 4#6/90 5#7/87")
		if n := g.stats.Snapshot().Delayed; n != 3 {
			t.Errorf("%d wait", n)
		}
		<-time.After(9 * time.Second)
		synctest.Wait()
		s.want("")
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := payloads(s.receive()); got != "1" {
			t.Errorf("after 11 s: %q", got)
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if got := payloads(s.receive()); got != "2" { // the third has expired
			t.Errorf("after 41 s: %q", got)
		}
		p.want("") // No Local
		if n := g.stats.Snapshot().Delayed; n != 0 || g.dropped(stats.DropExpired) != 1 {
			t.Errorf("%d wait, %d expired", n, g.dropped(stats.DropExpired))
		}
		n := 0
		_ = g.store.Delayed(t.Context(), func(uint64, int64, *message.Message) bool { n++; return true })
		if n != 0 {
			t.Errorf("%d still stored", n)
		}
	})
}

func TestExclusive(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		a, b := g.connect("a", dial{}), g.connect("b", dial{ends: true})
		if c := a.subscribe(1, "$exclusive/t"); c[0] != 1 {
			g.t.Errorf("%x", c)
		}
		if c := b.subscribe(1, "$exclusive/t", "t"); c[0] != codeQuotaExceeded || c[1] != 1 {
			g.t.Errorf("%x", c)
		}
		a.bye() // the session holds it
		if c := b.subscribe(1, "$exclusive/t"); c[0] != codeQuotaExceeded {
			g.t.Errorf("%x", c)
		}
		a = g.connect("a", dial{})
		a.unsubscribe("$exclusive/t")
		if c := b.subscribe(1, "$exclusive/t"); c[0] != 1 {
			g.t.Errorf("%x", c)
		}
		b.unsubscribe("$exclusive/t") // its plain twin stays
		b.frames()
		g.connect("p", dial{}).publish("t", "x", 1)
		if got := payloads(b.receive()); got != "x" {
			g.t.Errorf("received %q", got)
		}
		b.subscribe(1, "$exclusive/t")
		b.drop()
		if c := a.subscribe(1, "$exclusive/t"); c[0] != 1 {
			g.t.Errorf("%x", c)
		}
	})
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	bothStores(t, func(s *setup) {
		s.MaxSubscriptions = 2
		s.MaximumQoS = 1
		s.Wildcards = false
		s.Shared = false
		s.SubIDs = false
		s.MaxLevels = 3
	}, func(g *rig) {
		c := g.connect("c", dial{})
		for filter, want := range map[string]byte{"a/#": codeWildUnsupported, "$share/g/a": codeSharedUnsupported, "a/b/c/d": codeTopicFilterInvalid, "a#": codeTopicFilterInvalid, "$share/g": codeTopicFilterInvalid} {
			if got := c.subscribe(1, filter); got[0] != want {
				g.t.Errorf("%s: %#x, want %#x", filter, got[0], want)
			}
		}
		if got := c.subscribeTo(Subscription{Filter: "a", ID: 1}); got[0] != codeSubIDUnsupported {
			g.t.Errorf("%#x", got)
		}
		if got := c.subscribe(2, "a", "b", "c", "a"); fmt.Sprintf("%x", got) != "01019701" {
			g.t.Errorf("%x", got)
		}
		if got := c.unsubscribe("a", "x", "a#"); fmt.Sprintf("%x", got) != "00118f" {
			g.t.Errorf("%x", got)
		}
		c.bye()
		if n := g.stats.Snapshot().Subscriptions; n != 1 {
			g.t.Errorf("%d subscriptions", n)
		}
	})
}

// rules is an Authorizer: what it refuses is a set of "action topic".
type rules struct {
	mu      sync.Mutex
	refused []string
	each    bool
	gen     atomic.Uint64
}

func (r *rules) Authorize(h *hooks.Client, q hooks.Request) hooks.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := hooks.Decision{PerMessage: r.each}
	for _, w := range []string{q.Action.String() + " " + q.Topic, h.Identity().User + " " + q.Action.String() + " " + q.Topic} {
		if slices.Contains(r.refused, w) {
			d.Code, d.Rule = codeNotAuthorized, "test"
		}
	}
	return d
}

func (r *rules) Generation() uint64 { return r.gen.Load() }

func (r *rules) set(refused ...string) {
	r.mu.Lock()
	r.refused = refused
	r.mu.Unlock()
	if !r.each {
		r.gen.Add(1)
	}
}

func TestRulesHoldAtOnce(t *testing.T) {
	for _, each := range []bool{false, true} {
		rule := &rules{each: each}
		bothStores(t, func(s *setup) { s.auth = rule }, func(g *rig) {
			rule.set()
			s, p, old := g.connect("s", dial{}), g.connect("p", dial{}), g.connect("old", dial{version: 4})
			s.subscribe(1, "t", "$share/g/t")
			s.frames()
			try := func(want string, arrive int) {
				g.t.Helper()
				p.next = 0
				p.publish("t", "x", 1)
				p.publish("t", "x", 2)
				p.ack(typePubrel, 2)
				old.publish("t", "x", 1)
				got := p.got()
				if n := len(s.receive()); got[:14] != want || n != arrive {
					g.t.Errorf("each %v: answered %s, %d arrived; want %s, %d", each, got, n, want, arrive)
				}
			}
			try("4#1/00 5#2/00 "[:14], 6)
			rule.set("publish t")
			try("4#1/87 5#2/87 ", 0)
			rule.set("deliver t")
			try("4#1/00 5#2/00 ", 0)
			rule.set()
			try("4#1/00 5#2/00 ", 6)
			rule.set("subscribe u")
			if c := s.subscribe(1, "u", "$share/h/u", "v"); fmt.Sprintf("%x", c) != "878701" {
				g.t.Errorf("%x", c)
			}
			rule.set("subscribe t") // what is stored is judged again
			s.bye()
			s = g.connect("s", dial{})
			rule.set()
			try("4#1/00 5#2/00 ", 0)
			p.bye()
			old.bye()
		})
	}
}

// A session that another identity resumes is judged by that.
func TestDeliveriesFollowTheIdentity(t *testing.T) {
	rule := &rules{}
	bothStores(t, func(s *setup) { s.auth = rule }, func(g *rig) {
		rule.set(" deliver t")
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		p.publish("t", "1", 1)
		s.bye()
		s = g.connect("s", dial{user: "ann"})
		p.publish("t", "2", 1)
		if got := payloads(s.receive()); got != "2" {
			g.t.Errorf("received %q", got)
		}
	})
}

func TestRefused3xPublishCloses(t *testing.T) {
	rule := &rules{}
	bothStores(t, func(s *setup) { s.auth = rule; s.DenyClose = true }, func(g *rig) {
		rule.set("publish t")
		p := g.connect("p", dial{version: 4})
		s := g.connect("s", dial{})
		s.subscribe(2, "t")
		s.frames()
		for qos := range byte(3) {
			if o := p.publish("t", "x", qos); !o.Close || o.Code != codeNotAuthorized {
				g.t.Errorf("QoS %d: %+v", qos, o)
			}
		}
		p.want("")
		p.drop()
		rule.set()
		p = g.connect("p", dial{version: 4})
		p.put(message.Message{Topic: "t", Payload: []byte("again"), QoS: 2}, 2, true) // it was never acknowledged
		p.pub.Flush()
		if got := payloads(s.receive()); got != "again" {
			g.t.Errorf("received %q", got)
		}
	})
}

// hook is a mochi hook that changes, refuses and notes publishes.
type hook struct {
	mqtt.HookBase
	dropped chan struct{}
	mu      sync.Mutex
	notes   []string
}

func newHook() *hook { return &hook{dropped: make(chan struct{}, 100)} }

func (*hook) ID() string { return "test" }

func (*hook) Provides(b byte) bool {
	return slices.Contains([]byte{mqtt.OnPublish, mqtt.OnPublished, mqtt.OnPublishDropped, mqtt.OnWill, mqtt.OnWillSent, mqtt.OnClientExpired}, b)
}

func (h *hook) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

func (h *hook) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.notes
	h.notes = nil
	return n
}

func (h *hook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.TopicName {
	case "reject":
		return pk, packets.ErrNotAuthorized
	case "error":
		return pk, errors.New("no")
	case "ignore":
		return pk, packets.CodeSuccessIgnore
	case "move":
		pk.TopicName = "t"
	case "bad":
		pk.TopicName = "a/#"
	case "later":
		pk.TopicName = "$delayed/10/t"
	}
	pk.Payload = append([]byte("h:"), pk.Payload...)
	return pk, nil
}

func (h *hook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	h.note("published %s %s by %s", pk.TopicName, pk.Payload, cl.ID)
}

func (h *hook) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	h.note("dropped %s for %s", pk.Payload, cl.ID)
	h.dropped <- struct{}{}
}

func (h *hook) OnWill(_ *mqtt.Client, w mqtt.Will) (mqtt.Will, error) {
	if string(w.Payload) == "refused" {
		return w, errors.New("no")
	}
	w.Payload = append([]byte("h:"), w.Payload...)
	return w, nil
}

func (h *hook) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	h.note("will %s of %s", pk.Payload, cl.ID)
}
func (h *hook) OnClientExpired(cl *mqtt.Client) { h.note("expired %s", cl.ID) }

func TestHooksOfPublishes(t *testing.T) {
	for _, version := range []byte{4, 5} {
		h := newHook()
		bothStores(t, func(s *setup) { s.hooks = []mqtt.Hook{h}; s.Queue = session.Limits{Messages: 1} }, func(g *rig) {
			h.take()
			s := g.connect("s", dial{})
			s.subscribe(2, "#")
			s.frames()
			p := g.connect("p", dial{version: version})
			for _, name := range []string{"reject", "error", "ignore", "bad"} {
				for qos := range byte(3) {
					p.publish(name, "x", qos)
				}
			}
			want := "4#1/00 5#2/00 4#3/00 5#4/00 4#5/00 5#6/00 4#7/00 5#8/00"
			if version == 5 {
				want = "4#1/87 5#2/87 4#3/80 5#4/80 4#5/00 5#6/00 4#7/90 5#8/90"
			}
			if got := p.got(); got != want {
				g.t.Errorf("answered %s, want %s", got, want)
			}
			if f := s.receive(); len(f) > 0 {
				g.t.Errorf("refused messages arrived: %v", f)
			}
			if n := h.take(); len(n) > 0 {
				g.t.Errorf("told %v", n)
			}
			for qos := range byte(3) {
				p.publish("move", fmt.Sprint(qos), qos)
			}
			for _, f := range s.receive() {
				if f.topic != "t" || f.payload != fmt.Sprint("h:", f.qos) {
					g.t.Errorf("arrived %v", f)
				}
			}
			if n := h.take(); len(n) != 3 || n[0] != "published t h:0 by p" {
				g.t.Errorf("told %q", n)
			}
			s.bye()
			p.publish("t", "1", 1)
			p.publish("t", "2", 1)
			<-h.dropped // by another goroutine
			if n := h.take(); !slices.Contains(n, "dropped h:1 for s") {
				g.t.Errorf("told %q", n)
			}
		})
	}
}

func TestHooksOfWillsAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHook()
		g := newRig(t, func(s *setup) { s.hooks = []mqtt.Hook{h} })
		o := g.connect("o", dial{expiry: NoExpiry})
		o.subscribe(1, "will")
		o.frames()
		g.connect("c", dial{expiry: 10, will: will("w", 5)}).drop()
		g.connect("d", dial{expiry: 10, will: will("refused", 0)}).drop()
		<-time.After(7 * time.Second)
		synctest.Wait()
		if got := payloads(o.receive()); got != "h:w" {
			t.Errorf("received %q", got)
		}
		<-time.After(7 * time.Second)
		synctest.Wait()
		n := h.take()
		slices.Sort(n)
		if fmt.Sprint(n) != "[expired c expired d will h:w of c]" {
			t.Errorf("told %q", n)
		}
	})
}
