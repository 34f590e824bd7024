package router

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks"
)

// ask is a message whose publisher wants to be told at topic r what became of it.
func ask(name, payload string, qos byte) message.Message {
	p := appendUser(nil, "a", "b")
	p = appendUser(p, message.ReceiptProperty, "r")
	p = appendUser(p, message.ReceiptProperty, "second/#") // the first counts
	p = appendString(append(p, message.PropCorrelationData), payload)
	return message.Message{Topic: name, Payload: []byte(payload), QoS: qos, Props: p}
}

// idle waits until every receipt has been published.
func (g *rig) idle() {
	for {
		g.store.settle()
		s := &g.r.outcomes
		s.mu.Lock()
		idle := !s.running && (len(s.list) == 0 || s.held)
		s.mu.Unlock()
		if idle {
			return
		}
		runtime.Gosched()
	}
}

// told takes the receipts that p got, as "correlation outcome reason client", sorted.
func (p *peer) told() (list []string) {
	p.g.t.Helper()
	p.g.idle()
	for _, f := range p.receive() {
		if f.topic != "r" {
			p.g.t.Errorf("%s got %v", p.id, f)
			continue
		}
		props := []byte(f.props)
		get := func(name string) string { v, _ := message.UserProperty(props, name); return v }
		words := []string{string(message.Property(props, message.PropCorrelationData)), get(propOutcome), get(propReason), get(propCode), get(propClient)}
		list = append(list, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		if f.retain {
			p.g.t.Error("a receipt is retained")
		}
		if _, err := time.Parse(receiptTime, get(propTime)); err != nil {
			p.g.t.Error(err)
		}
		var b receiptBody
		if err := json.Unmarshal([]byte(f.payload), &b); err != nil || b.Outcome != get(propOutcome) || b.Client != get(propClient) || b.Reason != get(propReason) || b.Time != get(propTime) || string(b.Correlation) != words[0] {
			p.g.t.Errorf("payload %s, %v", f.payload, err)
		}
	}
	slices.Sort(list)
	return list
}

func (p *peer) wantTold(want ...string) {
	p.g.t.Helper()
	got := p.told()
	for tries := 0; len(got) < len(want) && tries < patience; tries++ { // they may be read from the store
		runtime.Gosched()
		got = append(got, p.told()...)
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		p.g.t.Fatalf("told %q, want %q", got, want)
	}
}

// patience is how often a test looks for what another goroutine is about to do.
const patience = 100_000

// asker is a publisher that gets its receipts.
func (g *rig) asker() *peer {
	p := g.connect("p", dial{})
	p.subscribeTo(Subscription{Filter: "r", QoS: 2, NoLocal: true})
	p.frames()
	return p
}

// toldWords are outcomes and clients, sorted.
func toldWords(list []frame) string {
	var words []string
	for _, f := range list {
		o, _ := message.UserProperty([]byte(f.props), propOutcome)
		c, _ := message.UserProperty([]byte(f.props), propClient)
		words = append(words, o+" "+c)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestReceiptOfEachQoS(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		var list []*peer
		for q := range byte(3) {
			s := g.connect(fmt.Sprint("s", q), dial{ends: q == 1})
			s.subscribe(q, "t")
			s.frames()
			list = append(list, s)
		}
		for q := range byte(3) {
			p.send(ask("t", fmt.Sprint("m", q), q))
			p.frames()
			p.wantTold() // nobody has acknowledged, nothing is written
			for _, s := range list {
				f := s.receive()
				if len(f) != 1 || !strings.Contains(f[0].props, message.ReceiptProperty) {
					g.t.Fatalf("%s got %v", s.id, f)
				}
			}
			g.idle()
			got := p.receive()
			for _, f := range got {
				if f.qos != q || f.topic != "r" || f.retain {
					g.t.Errorf("receipt %v for QoS %d", f, q)
				}
			}
			words := toldWords(got)
			if want := [3]string{"sent s0 sent s1 sent s2", "acknowledged s1 acknowledged s2 sent s0", "acknowledged s1 acknowledged s2 sent s0"}[q]; words != want {
				g.t.Errorf("told %q, want %q", words, want)
			}
		}
		if n := g.stats.Snapshot(); n.Receipts != 9 || n.ReceiptsFailed != 0 {
			g.t.Errorf("%d receipts, %d failed", n.Receipts, n.ReceiptsFailed)
		}
	})
}

func TestReceiptWords(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		p.send(ask("t", "nobody", 1))
		p.wantTold("nobody no_subscriber")
		s := g.connect("s", dial{})
		s.subscribe(2, "t")
		s.frames()
		p.send(ask("t", "one", 1))
		p.send(ask("t", "two", 2))
		s.receive()
		p.wantTold("one acknowledged s", "two acknowledged s")
		p.publish("t", "plain", 1)
		s.receive()
		p.wantTold()
		p.send(ask("t", "x", 1))
		p.send(ask("t", "y", 2))
		for _, f := range s.frames() {
			if err := g.r.Acked(s.link, []Ack{{ID: f.id, Type: []byte{0, typePuback, typePubrec}[f.qos], Code: 0x97}}); err != nil {
				g.t.Error(err)
			}
		}
		p.wantTold("x dropped refused 0x97 s", "y dropped refused 0x97 s")
		set := *g.r.Settings()
		set.ReceiptsClient = false
		g.r.Configure(set)
		p.send(ask("t", "hidden", 1))
		s.receive()
		p.wantTold("hidden acknowledged")
		set.Receipts = false
		g.r.Configure(set)
		p.send(ask("t", "off", 1))
		s.receive()
		p.wantTold()
		g.idle()
		g.nothingWaits()
	})
}

// nothingWaits fails if records of receipts are left.
func (g *rig) nothingWaits() {
	g.t.Helper()
	g.idle()
	n := 0
	_ = g.store.Delayed(g.t.Context(), func(uint64, int64, *message.Message) bool { n++; return true })
	if n != 0 || len(g.r.outcomes.tallies) != 0 {
		g.t.Errorf("%d records and %d summaries are left", n, len(g.r.outcomes.tallies))
	}
}

func TestReceiptTopicRefused(t *testing.T) {
	rules := denies(func(h *hooks.Client, q hooks.Request) bool {
		return q.Action == hooks.Publish && q.Topic == "no" || q.Action == hooks.Deliver && h.Identity().User == "u2"
	})
	bothStores(t, func(s *setup) { s.auth = rules; s.MaxTopicLength = 20 }, func(g *rig) {
		p, s := g.asker(), g.connect("s", dial{})
		s.subscribe(1, "#")
		s.frames()
		for topic, code := range map[string]byte{
			"no": 0x87, "$SYS/x": 0x87, "a/+": 0x90, "#": 0x90, "": 0x90, "$delayed/1/a": 0x90, strings.Repeat("x", 21): 0x90,
		} {
			for q := range byte(3) {
				m := message.Message{Topic: "t", QoS: q, Props: appendUser(nil, message.ReceiptProperty, topic)}
				if o := p.send(m); o.Code != code || o.Close {
					g.t.Errorf("%q at QoS %d: %+v, want %x", topic, q, o, code)
				}
			}
			w := &Will{Message: &message.Message{Topic: "t", Props: appendUser(nil, message.ReceiptProperty, topic)}}
			if got := g.r.JudgeWill(p.link.Hook, w); got != code {
				g.t.Errorf("will with %q: %x, want %x", topic, got, code)
			}
			m := message.Message{Topic: "$delayed/1/t", QoS: 1, Props: appendUser(nil, message.ReceiptProperty, topic)}
			if o := p.send(m); o.Code != code {
				g.t.Errorf("%q delayed: %+v, want %x", topic, o, code)
			}
		}
		s.want("")
		p.frames()
		s2 := g.connect("s2", dial{user: "u2"})
		s2.subscribe(1, "t")
		p.send(ask("t", "m", 1)) // s may have it, s2 not, and p gets it not either
		s.receive()
		p.wantTold("m acknowledged s", "m dropped acl s2")
	})
}

// denies is an Authorizer by what it refuses.
type denies func(*hooks.Client, hooks.Request) bool

func (d denies) Authorize(h *hooks.Client, q hooks.Request) hooks.Decision {
	if d(h, q) {
		return hooks.Decision{Code: codeNotAuthorized, Rule: "test"}
	}
	return hooks.Decision{}
}

func (denies) Generation() uint64 { return 0 }

func TestReceiptsOfDrops(t *testing.T) {
	for rule, want := range map[session.Overflow][]string{
		session.DropOldest: {"0 dropped queue_full s", "1 dropped queue_full s"}, session.DropNewest: {"2 dropped queue_full s", "3 dropped queue_full s"},
	} {
		bothStores(t, func(s *setup) { s.Queue = session.Limits{Messages: 2, Overflow: rule} }, func(g *rig) {
			p := g.asker()
			s := g.connect("s", dial{})
			s.subscribe(2, "t")
			s.bye()
			for i := range 4 {
				p.send(ask("t", fmt.Sprint(i), 1+byte(i)%2))
			}
			p.send(ask("t", "q0", 0))
			p.wantTold(append(want, "q0 dropped qos0_offline s")...)
			s = g.connect("s", dial{max: 8})
			s.receive()
			if got := p.told(); len(got) != 2 || !strings.HasSuffix(got[0], "dropped too_large s") || !strings.HasSuffix(got[1], "dropped too_large s") {
				g.t.Errorf("told %q", got)
			}
			p.send(ask("t", "q0", 0))
			p.wantTold("q0 dropped too_large s")
			g.nothingWaits()
		})
	}
}

// A packet that no longer fits the client's new connection is told of once.
func TestReceiptOfWhatNoLongerFits(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		s := g.connect("s", dial{})
		s.subscribe(2, "t")
		s.frames()
		p.send(ask("t", "a", 1))
		p.send(ask("t", "b", 2))
		s.frames()
		s.drop()
		s = g.connect("s", dial{max: 8})
		g.idle()
		for _, f := range s.frames() {
			if f.kind == typePubrel {
				s.ack(typePubcomp, f.id)
			}
		}
		p.wantTold("a dropped too_large s", "b dropped too_large s")
		g.nothingWaits()
	})
}

func TestReceiptOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.asker()
		s := g.connect("s", dial{expiry: 100})
		s.subscribe(1, "t")
		s.bye()
		m := ask("t", "m", 1)
		m.Expires = time.Now().Add(10 * time.Second).UnixNano()
		p.send(m)
		d := ask("$delayed/20/t", "d", 1)
		d.Expires = m.Expires
		p.send(d)
		<-time.After(15 * time.Second)
		s = g.connect("s", dial{expiry: 100})
		synctest.Wait()
		p.wantTold("m expired s")
		<-time.After(10 * time.Second)
		synctest.Wait()
		p.wantTold("d expired")
		p.send(ask("$delayed/5/t", "later", 2))
		s.bye()
		<-time.After(6 * time.Second)
		synctest.Wait()
		<-time.After(101 * time.Second) // and the session
		synctest.Wait()
		p.wantTold("later dropped session_ended s")
		g.nothingWaits()
	})
}
