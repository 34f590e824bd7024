package router

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks/store"
)

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

// A refused commit tells nothing until its records are written after all, once.
func TestReceiptOfARefusedCommit(t *testing.T) {
	for _, many := range []bool{false, true} {
		g := newRig(t, func(s *setup) {
			if many {
				s.ReceiptsEach = 0
			}
		})
		p := g.asker()
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		s.frames()
		p.send(ask("t", "m", 1))
		p.receive()
		g.refuse(errBroken)
		s.receive()
		<-s.gone
		g.refuse(nil)
		p.wantTold()
		s.drop()
		s = g.connect("s", dial{})
		s.want("")
		if many {
			if got := p.summary(); got != "summary 1 acknowledged=1" {
				t.Error(got)
			}
		} else {
			p.wantTold("m acknowledged s")
		}
		g.nothingWaits()
		if n := g.stats.Snapshot().ReceiptsFailed; n != 0 {
			t.Errorf("%d failed", n)
		}
	}
}

// So it is when the session ends instead, and its end may be refused too.
func TestReceiptOfARefusedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.asker()
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		s.frames()
		p.send(ask("t", "m", 1))
		p.send(ask("t", "n", 1))
		p.receive()
		g.refuse(errBroken)
		s.ack(typePuback, 1)
		s.drop()
		g.r.endSession(g.r.reg.get("s"))
		p.wantTold()
		g.refuse(nil)
		<-time.After(repeatAfter + time.Second)
		synctest.Wait()
		p.wantTold("m acknowledged s", "n dropped session_ended s")
		g.nothingWaits()
	})
}

// A session that is another process's keeps no summary waiting.
func TestReceiptOfAFencedSession(t *testing.T) {
	g := newRig(t, func(s *setup) { s.ReceiptsEach = 0 })
	p := g.asker()
	s := g.connect("s", dial{})
	s.subscribe(1, "t")
	s.frames()
	p.send(ask("t", "m", 1))
	p.receive()
	g.refuse(store.ErrFenced)
	s.ack(typePuback, 1)
	g.refuse(nil)
	if got := p.summary(); got != "summary 1 acknowledged=1" {
		t.Error(got)
	}
	if n := g.stats.Snapshot().ReceiptsFailed; n != 1 {
		t.Errorf("%d failed", n)
	}
}

func (g *rig) refuse(err error) {
	g.store.mu.Lock()
	defer g.store.mu.Unlock()
	g.store.refuse = err
}

func TestReceiptOfWhatAnOperatorEnds(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.asker()
		s := g.connect("s", dial{})
		s.subscribe(1, "t")
		s.bye()
		p.send(ask("t", "m", 1))
		c := g.r.reg.get("s")
		c.mu.Lock()
		c.operator = true
		c.mu.Unlock()
		g.r.endSession(c)
		p.wantTold("m dropped operator s")
	})
}

// What an adopted mailbox has of a summary goes on in the own one.
func TestReceiptSummaryMoves(t *testing.T) {
	g := newRig(t, nil)
	p := g.asker()
	for i := range 4 {
		s := g.connect(fmt.Sprint("s", i), dial{})
		s.subscribe(1, "t")
		s.bye()
	}
	p.send(ask("t", "m", 1))
	g.connect("s0", dial{}).receive()
	g.connect("s1", dial{}).receive()
	g.idle()
	s := &g.r.outcomes
	for _, tl := range s.tallies {
		tl.record.box = "x" // as if it had been read from there
	}
	before := g.r.delayed.seq.Load()
	if !s.move("other") || g.r.delayed.seq.Load() != before {
		t.Error("another mailbox's end changed something")
	}
	if !s.move("x") || g.r.delayed.seq.Load() != before+3 {
		t.Errorf("%d records were written", g.r.delayed.seq.Load()-before)
	}
	g = g.restart()
	p = g.connect("p", dial{})
	g.connect("s2", dial{}).drain(1)
	g.connect("s3", dial{}).drain(1)
	if got := p.summary(); got != "summary 4 acknowledged=4" {
		t.Error(got)
	}
	g.nothingWaits()
}
