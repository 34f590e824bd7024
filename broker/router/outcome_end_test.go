package router

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
)

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
