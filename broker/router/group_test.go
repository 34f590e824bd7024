package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
)

const shared = "$share/g/t"

func (g *rig) members(n int, d dial) []*peer {
	list := make([]*peer, n)
	for i := range list {
		list[i] = g.connect(fmt.Sprintf("m%d", i), d)
		list[i].subscribe(2, shared)
		list[i].frames()
	}
	return list
}

func TestSharedOnceAndEverybodyElse(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(3, dial{version: 4})
		list[0].subscribe(1, "t", "$share/other/t")
		list[0].frames()
		p := g.connect("p", dial{})
		for qos := range byte(3) {
			for i := range 30 {
				p.publish("t", fmt.Sprint(i), qos)
			}
			total := 0
			for i, m := range list {
				n := len(m.receive())
				if total += n; n < 10 || i > 0 && n != 10 {
					g.t.Errorf("QoS %d: member %d got %d", qos, i, n)
				}
			}
			if total != 90 { // its group, the other group, the ordinary subscription
				g.t.Errorf("QoS %d: %d", qos, total)
			}
		}
		for _, m := range list {
			m.bye()
		}
		g.balanced()
	})
}

func TestStrategies(t *testing.T) {
	counts := func(list []*peer) (n []int) {
		for _, m := range list {
			n = append(n, len(m.receive()))
		}
		return n
	}
	for strategy, ok := range map[Strategy]func(g *rig, n []int) bool{
		RoundRobin: func(_ *rig, n []int) bool { return n[0] == 20 && n[1] == 20 && n[2] == 20 },
		Sticky:     func(_ *rig, n []int) bool { return max(n[0], n[1], n[2]) == 60 },
		HashClient: func(_ *rig, n []int) bool { return max(n[0], n[1], n[2]) == 60 },
		HashTopic:  func(_ *rig, n []int) bool { return max(n[0], n[1], n[2]) == 60 },
		Random:     func(_ *rig, n []int) bool { return n[0] > 0 && n[1] > 0 && n[2] > 0 },
		LeastInflight: func(_ *rig, n []int) bool {
			return n[0] > 0 && n[1] > 0 && n[2] > 0
		},
	} {
		bothStores(t, func(s *setup) { s.Strategy = strategy }, func(g *rig) {
			list := g.members(3, dial{window: 100})
			p := g.connect("p", dial{})
			for i := range 60 {
				p.publish("t", fmt.Sprint(i), 1)
				g.store.settle()
			}
			n := counts(list)
			if n[0]+n[1]+n[2] != 60 || !ok(g, n) {
				g.t.Errorf("strategy %d: %v", strategy, n)
			}
			// Never an offline member while one is online.
			list[0].bye()
			list[1].bye()
			for i := range 10 {
				p.publish("t", fmt.Sprint(i), 1)
			}
			if n := len(list[2].receive()); n != 10 {
				g.t.Errorf("strategy %d: %d of 10 to the one member online", strategy, n)
			}
		})
	}
}

// Per member, messages come in order, with full windows and through the group's queue.
func TestSharedOrderAndQueue(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(2, dial{window: 3})
		p := g.connect("p", dial{})
		last := []int{-1, -1}
		total := 0
		look := func(i int) {
			for _, f := range list[i].receive() {
				n := 0
				_, _ = fmt.Sscan(f.payload, &n)
				if n <= last[i] {
					g.t.Errorf("member %d: %d after %d", i, n, last[i])
				}
				last[i] = n
				total++
			}
		}
		for i := range 100 {
			p.publish("t", fmt.Sprint(i), 1)
			if i%9 == 0 {
				look(i % 2)
			}
		}
		for range 10 {
			look(0)
			look(1)
		}
		if total != 100 {
			g.t.Errorf("%d of 100", total)
		}
	})
}

func TestSharedMemberLeaves(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(2, dial{window: 10, expiry: 100})
		p := g.connect("p", dial{})
		for i := range 8 {
			p.publish("t", fmt.Sprint(i), 1+byte(i/4)) // 0-3 at QoS 1, 4-7 at QoS 2
		}
		a := list[0].frames()
		list[0].drop()
		got := list[1].receive()
		words := payloads(got)
		for _, f := range a {
			if there := strings.Contains(words, f.payload); there != (f.qos == 1) {
				g.t.Errorf("QoS %d: %s, the other member got %s", f.qos, f.payload, words)
			}
		}
		for _, f := range got {
			if f.dup {
				g.t.Errorf("%v is sent there for the first time", f)
			}
		}
		m := g.connect("m0", dial{window: 10, expiry: 100})
		for _, f := range m.receive() { // what was sent at QoS 2 waited for it
			if f.qos != 2 || !f.dup {
				g.t.Errorf("resumed with %v", f)
			}
		}
		g.balanced()
	})
}

// Nobody is online: the messages wait for the sessions.
func TestSharedOffline(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(2, dial{window: 2})
		p := g.connect("p", dial{})
		p.publish("t", "0", 1)
		p.publish("t", "1", 1)
		for _, m := range list {
			m.drop() // the first gives its message to the second
		}
		for i := 2; i < 6; i++ {
			p.publish("t", fmt.Sprint(i), 1)
		}
		p.publish("t", "lost", 0)
		seen := map[string]bool{}
		for i := range list {
			m := g.connect(list[i].id, dial{window: 2})
			for _, f := range m.receive() {
				seen[f.payload] = true
			}
		}
		if len(seen) != 6 {
			g.t.Errorf("received %v", seen)
		}
		if n := g.dropped(stats.DropQoS0Offline); n != 1 {
			g.t.Errorf("%d dropped", n)
		}
		g.balanced()
	})
}

func TestSharedUnsubscribeAndEnd(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(2, dial{window: 1})
		p := g.connect("p", dial{})
		for i := range 6 { // one each, four wait
			p.publish("t", fmt.Sprint(i), 1)
		}
		list[0].unsubscribe(shared)
		if n := len(list[0].receive()); n != 1 { // a delivery that has begun is completed
			g.t.Errorf("%d after UNSUBSCRIBE", n)
		}
		if n := len(list[1].receive()); n != 5 {
			g.t.Errorf("%d to the other", n)
		}
		for i := range 3 {
			p.publish("t", fmt.Sprint(i), 1)
		}
		list[1].frames()
		list[1].bye()
		p.publish("t", "x", 1)
		g.connect("m1", dial{clean: true}).bye() // the last member's session ends, and the group
		if s := g.stats.Snapshot(); s.SharedGroups != 0 || s.SharedSubscriptions != 0 {
			g.t.Errorf("%d groups, %d subscriptions", s.SharedGroups, s.SharedSubscriptions)
		}
		if n := g.dropped(stats.DropSessionEnded); n != 4 {
			g.t.Errorf("%d dropped with the group", n)
		}
		g.balanced()
	})
}

func TestSharedRefusedMessageEnds(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		list := g.members(2, dial{window: 5})
		p := g.connect("p", dial{})
		p.publish("t", "x", 1)
		p.publish("t", "y", 2)
		for _, m := range list {
			for _, f := range m.frames() {
				if err := g.r.Acked(m.link, []Ack{{ID: f.id, Type: []byte{0, typePuback, typePubrec}[f.qos], Code: 0x80}}); err != nil {
					g.t.Error(err)
				}
			}
			m.drop()
		}
		for _, m := range list {
			if f := g.connect(m.id, dial{}).receive(); len(f) > 0 { // [MQTT-4.8.2-6]
				g.t.Errorf("came again: %v", f)
			}
		}
		if n := g.dropped(stats.DropRefused); n != 2 {
			g.t.Errorf("%d refused", n)
		}
		g.balanced()
	})
}

func TestSharedQueueOverflow(t *testing.T) {
	for rule, want := range map[session.Overflow]string{session.DropOldest: "3 4 5", session.DropNewest: "0 1 2"} {
		bothStores(t, func(s *setup) { s.Queue = session.Limits{Messages: 3, Overflow: rule} }, func(g *rig) {
			m := g.members(1, dial{})[0]
			m.bye()
			p := g.connect("p", dial{})
			for i := range 6 {
				p.publish("t", fmt.Sprint(i), 1)
			}
			if got := payloads(g.connect("m0", dial{}).receive()); got != want {
				g.t.Errorf("rule %d: %s", rule, got)
			}
			if n := g.dropped(stats.DropQueueFull); n != 3 {
				g.t.Errorf("%d dropped", n)
			}
		})
	}
}

// A full output does not hold a message for itself: it wakes when it has room.
func TestSharedFullOutput(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		m := g.connect("m", dial{limit: 200})
		m.subscribe(1, shared)
		m.frames()
		p := g.connect("p", dial{})
		for i := range 20 {
			p.publish("t", fmt.Sprintf("%02d%s", i, strings.Repeat("x", 50)), 1)
		}
		n := 0
		for range 20 {
			n += len(m.receive())
		}
		if n != 20 {
			g.t.Errorf("%d of 20", n)
		}
	})
}
