package router

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
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

// What a session has when it ends is told, wherever it is.
func TestReceiptsOfEndedSessions(t *testing.T) {
	const n = 9
	for _, page := range []int{0, 2} {
		for name, end := range map[string]func(*rig, *peer){
			"clean start": func(g *rig, s *peer) { s.drop(); g.connect("s", dial{clean: true}) },
			"expiry 0":    func(g *rig, s *peer) { g.r.Disconnect(s.link, DisconnectRequest{HasExpiry: true}); s.out.close() },
			"reconnected": func(g *rig, s *peer) {
				s.drop()
				s = g.connect("s", dial{window: 2})
				s.drop()
				g.connect("s", dial{clean: true})
			},
			"after a load": func(g *rig, s *peer) { s.drop(); g.connect("s", dial{clean: true}) },
		} {
			t.Run(fmt.Sprint(name, " page ", page), func(t *testing.T) {
				bothStores(t, func(s *setup) {
					s.Queue = session.Limits{Messages: 1000, PageMessages: page, PageBytes: 1 << 20}
				}, func(g *rig) {
					p := g.asker()
					s := g.connect("s", dial{window: 2})
					s.subscribe(2, "t")
					s.frames()
					var want []string
					for i := range n {
						p.send(ask("t", fmt.Sprint(i), 1+byte(i)%2))
						want = append(want, fmt.Sprintf("%d dropped session_ended s", i))
						p.publish("t", "plain", 1)
					}
					g.store.settle()
					p.receive()
					end(g, s)
					p.wantTold(want...)
					g.nothingWaits()
				})
			})
		}
	}
	bothStores(t, func(s *setup) { s.QueueQoS0 = true }, func(g *rig) { // one that ends with its connection
		p := g.asker()
		s := g.connect("s", dial{ends: true, window: 1})
		s.subscribe(1, "t")
		s.frames()
		p.send(ask("t", "a", 1))
		p.send(ask("t", "b", 1))
		p.send(ask("t", "c", 0))
		s.frames()
		s.drop()
		p.wantTold("a dropped session_ended s", "b dropped session_ended s", "c dropped session_ended s")
		g.nothingWaits()
	})
}

// drain takes n messages, which may have to be read from the store first.
func (p *peer) drain(n int) {
	for n > 0 {
		n -= len(p.receive())
		runtime.Gosched()
	}
}

// restart makes a router on what the store of g has, as after kill -9.
func (g *rig) restart() *rig {
	g.store.settle()
	t := g.t.(*testing.T)
	set := *g.r.Settings()
	return newRig(t, func(s *setup) {
		s.Settings = set
		s.store = &lagging{Store: g.store.Store}
	})
}

func TestReceiptsAfterRestart(t *testing.T) {
	for _, page := range []int{0, 2} {
		g := newRig(t, func(s *setup) { s.Queue = session.Limits{Messages: 1000, PageMessages: page, PageBytes: 1 << 20} })
		p := g.asker()
		s := g.connect("s", dial{window: 3})
		s.subscribe(2, "t")
		s.frames()
		var want []string
		for i := range 8 {
			p.send(ask("t", fmt.Sprint(i), 1+byte(i)%2))
			want = append(want, fmt.Sprintf("%d acknowledged s", i))
		}
		g = g.restart()
		s = g.connect("s", dial{})
		g.hold(true)
		s.drain(8)
		g = g.restart() // acknowledged, and not told yet
		p = g.connect("p", dial{})
		g.idle()
		p.wantTold(want...)
		g = g.restart()
		p = g.connect("p", dial{})
		p.wantTold() // once
		g.nothingWaits()
	}
}

// hold keeps receipts from being published.
func (g *rig) hold(on bool) {
	g.r.outcomes.mu.Lock()
	g.r.outcomes.held = on
	g.r.outcomes.mu.Unlock()
	if !on {
		g.r.outcomes.start()
	}
}

// A session whose queue is in the store when the process ended is read for its end.
func TestReceiptsOfAnEndAfterRestart(t *testing.T) {
	g := newRig(t, func(s *setup) { s.Queue = session.Limits{PageMessages: 2, PageBytes: 1 << 20} })
	p := g.asker()
	s := g.connect("s", dial{window: 2})
	s.subscribe(2, "t")
	s.frames()
	var want []string
	for i := range 7 {
		p.send(ask("t", fmt.Sprint(i), 1+byte(i)%2))
		want = append(want, fmt.Sprintf("%d dropped session_ended s", i))
	}
	g = g.restart()
	p = g.connect("p", dial{})
	g.connect("s", dial{clean: true})
	p.wantTold(want...)
	g.nothingWaits()
}

// summary takes the one receipt that p got, as "targets outcome=n ... reason=n ...".
func (p *peer) summary() string {
	p.g.t.Helper()
	p.g.idle()
	list := p.receive()
	for tries := 0; len(list) == 0 && tries < patience; tries++ {
		runtime.Gosched()
		list = p.receive()
	}
	if len(list) != 1 {
		return fmt.Sprint(len(list), " receipts")
	}
	var b receiptBody
	if err := json.Unmarshal([]byte(list[0].payload), &b); err != nil {
		p.g.t.Fatal(err)
	}
	words := []string{b.Outcome, fmt.Sprint(b.Targets)}
	for _, m := range []map[string]int{b.Counts, b.Reasons} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			words = append(words, fmt.Sprintf("%s=%d", k, m[k]))
			if v, ok := message.UserProperty([]byte(list[0].props), propCount+k); ok && v != fmt.Sprint(m[k]) {
				p.g.t.Errorf("property of %s is %s", k, v)
			}
		}
	}
	return strings.Join(words, " ")
}

func TestReceiptSummary(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		for i := range 6 { // up to 3 are told of one by one
			s := g.connect(fmt.Sprint("s", i), dial{ends: i == 4})
			s.subscribe(byte(min(i, 2)), "t")
			if i < 4 {
				s.bye()
			} else {
				s.frames()
			}
		}
		p.send(ask("t", "m", 1))
		p.wantTold()
		g.r.endSession(g.r.reg.get("s1"))
		g.connect("s2", dial{}).receive()
		p.wantTold()
		g.connect("s3", dial{}).receive()
		for _, id := range []string{"s4", "s5"} {
			c := g.r.reg.get(ClientID(id))
			if err := g.r.Acked(c.link, []Ack{{ID: 1, Type: typePuback}}); err != nil {
				g.t.Error(err)
			}
		}
		if got := p.summary(); got != "summary 6 acknowledged=4 dropped=2 qos0_offline=1 session_ended=1" {
			g.t.Error(got)
		}
		g.nothingWaits()
	})
}

// A summary goes on over restarts; what had no record is counted as lost with them.
func TestReceiptSummaryAfterRestart(t *testing.T) {
	g := newRig(t, nil)
	p := g.asker()
	for i := range 5 {
		s := g.connect(fmt.Sprint("s", i), dial{ends: i == 4})
		s.subscribe(2, "t")
		if i < 4 {
			s.bye()
		}
	}
	p.send(ask("t", "m", 2))
	g.connect("s0", dial{}).receive()
	p.wantTold()
	g = g.restart()
	g.connect("s1", dial{}).drain(1)
	g = g.restart()
	p = g.connect("p", dial{})
	p.wantTold()
	g.connect("s2", dial{}).drain(1)
	g.connect("s3", dial{clean: true})
	if got := p.summary(); got != "summary 5 acknowledged=3 dropped=2 restart=1 session_ended=1" {
		t.Error(got)
	}
	g.nothingWaits()
	if n := g.stats.Snapshot().Receipts; n != 1 {
		t.Errorf("%d receipts", n)
	}
}

// All outcomes are in, and the process ends before the summary is published.
func TestReceiptSummaryIsPublishedOnce(t *testing.T) {
	g := newRig(t, nil)
	p := g.asker()
	for i := range 4 {
		s := g.connect(fmt.Sprint("s", i), dial{})
		s.subscribe(1, "t")
		s.bye()
	}
	p.send(ask("t", "m", 1))
	g.hold(true)
	for i := range 4 {
		g.connect(fmt.Sprint("s", i), dial{}).receive()
	}
	g = g.restart()
	p = g.connect("p", dial{})
	if got := p.summary(); got != "summary 4 acknowledged=4" {
		t.Error(got)
	}
	g = g.restart()
	p = g.connect("p", dial{})
	p.wantTold()
	g.nothingWaits()
}

func TestReceiptSummariesAreLimited(t *testing.T) {
	g := newRig(t, func(s *setup) { s.ReceiptsOpen = 1 })
	p := g.asker()
	for i := range 4 {
		s := g.connect(fmt.Sprint("s", i), dial{})
		s.subscribe(1, "t")
		s.bye()
	}
	for i, code := range []byte{0, codeQuotaExceeded} {
		if o := p.send(ask("t", fmt.Sprint(i), 1)); o.Code != code {
			t.Errorf("%+v, want %x", o, code)
		}
	}
	if n := g.dropped(stats.DropQuota); n != 1 {
		t.Errorf("%d refused", n)
	}
}

func TestReceiptsOfSharedGroups(t *testing.T) {
	bothStores(t, func(s *setup) { s.Queue = session.Limits{Messages: 3} }, func(g *rig) {
		p := g.asker()
		a, b := g.connect("a", dial{window: 1}), g.connect("b", dial{window: 1, ends: true})
		for _, m := range []*peer{a, b} {
			m.subscribe(2, "$share/g/t")
			m.frames()
		}
		for i := range 4 { // two are sent, two wait for the group
			p.send(ask("t", fmt.Sprint(i), 1))
		}
		p.wantTold()
		got := map[string]string{}
		for _, m := range []*peer{a, b} {
			for _, f := range m.receive() {
				got[f.payload] = m.id
			}
		}
		var want []string
		for i := range 4 {
			want = append(want, fmt.Sprintf("%d acknowledged %s", i, got[fmt.Sprint(i)]))
		}
		p.wantTold(want...)
		a.bye()
		b.bye()
		for i := range 5 { // two too many wait
			p.send(ask("t", fmt.Sprint(i), 1))
		}
		p.send(ask("t", "q0", 0))
		p.wantTold("0 dropped queue_full", "1 dropped queue_full", "q0 dropped qos0_offline")
		g.r.endSession(g.r.reg.get("a")) // and with it the group
		p.wantTold("2 dropped session_ended", "3 dropped session_ended", "4 dropped session_ended")
		g.nothingWaits()
		n := 0
		_ = g.store.GroupEntries(g.t.Context(), func(string, uint64, *message.Message) bool { n++; return true })
		if n != 0 {
			g.t.Errorf("%d records of the group are left", n)
		}
	})
}

// A member that ends with its connection has what the group lent it; it is told when it
// is through, with the group's record.
func TestReceiptOfWhatAGroupLent(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		keeper := g.connect("keeper", dial{})
		keeper.subscribe(1, "$share/g/t")
		keeper.bye()
		p.send(ask("t", "1", 1))
		p.send(ask("t", "2", 2))
		p.send(ask("t", "0", 1))
		m := g.connect("m", dial{ends: true, window: 2})
		m.subscribe(1, "$share/g/t")
		list := m.frames()
		p.wantTold()
		for _, f := range list {
			if f.kind == 3 {
				m.ack(typePuback, f.id)
			}
		}
		p.wantTold("1 acknowledged m", "2 acknowledged m")
		m.subscribe(0, "$share/g/t") // the last is with m at QoS 1, and goes back
		m.drop()
		m = g.connect("m", dial{ends: true})
		m.subscribe(0, "$share/g/t")
		m.frames()
		p.wantTold("0 sent m")
		n := 0
		_ = g.store.GroupEntries(g.t.Context(), func(string, uint64, *message.Message) bool { n++; return true })
		if n != 0 {
			g.t.Errorf("%d records of the group are left", n)
		}
	})
}

// Whoever gets a retained message by subscribing is no target of its publish.
func TestReceiptsAndRetained(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		m := ask("t", "m", 1)
		m.Retain = true
		p.send(m)
		p.wantTold("m no_subscriber")
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		if f := s.receive(); len(f) != 1 || !strings.Contains(f[0].props, message.ReceiptProperty) {
			g.t.Errorf("got %v", f)
		}
		p.wantTold()
		m.Payload = []byte("n")
		p.send(m)
		s.receive()
		p.wantTold("m acknowledged s")
	})
}

func TestReceiptOfAWill(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		m := ask("t", "gone", 1)
		w := g.connect("w", dial{ends: true, will: &Will{Message: &m}})
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		s.frames()
		w.drop()
		s.receive()
		p.wantTold("gone acknowledged s")
	})
}

// QoS 0 that was appended and never written is told as lost.
func TestReceiptOfALostConnection(t *testing.T) {
	g := newRig(t, nil)
	p := g.asker()
	s := g.connect("s", dial{})
	s.subscribe(0, "t")
	s.frames()
	p.send(ask("t", "m", 1))
	p.wantTold()
	s.drop()
	p.wantTold("m dropped connection_lost s")
}

// A publish that asks waits while too many receipts do.
func TestReceiptsHoldThePublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.asker()
		g.hold(true)
		for range maxTold {
			g.r.outcomes.push(told{})
		}
		done := make(chan struct{})
		go func() { defer close(done); p.send(ask("t", "m", 1)) }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("it did not wait")
		default:
		}
		g.hold(false)
		<-done
		p.wantTold("m no_subscriber")
	})
}

// A refused commit tells nothing, and a summary does not wait for it.
func TestReceiptOfARefusedCommit(t *testing.T) {
	g := newRig(t, nil)
	p := g.asker()
	s := g.connect("s", dial{})
	s.subscribe(1, "t")
	s.frames()
	p.send(ask("t", "m", 1))
	g.store.mu.Lock()
	g.store.refuse = errBroken
	g.store.mu.Unlock()
	s.receive()
	g.store.mu.Lock()
	g.store.refuse = nil
	g.store.mu.Unlock()
	p.wantTold()
	if n := g.stats.Snapshot().ReceiptsFailed; n != 1 {
		t.Errorf("%d failed", n)
	}
	g = g.restart()
	p = g.connect("p", dial{})
	g.connect("s", dial{}).drain(1) // it is still there
	p.wantTold("m acknowledged s")
}
