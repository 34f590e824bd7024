package router

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

func TestPublishReachesEveryKindOfSubscriber(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		for _, version := range []byte{3, 4, 5} {
			for _, ends := range []bool{true, false} {
				for granted := range byte(3) {
					s := g.connect(fmt.Sprintf("s%d%v%d", version, ends, granted), dial{version: version, clean: ends, ends: ends})
					s.subscribe(granted, "a/+", "a/#") // overlapping: once, with the highest QoS
					s.frames()
					p := g.connect("p", dial{version: version, ends: true, clean: true})
					for qos := range byte(3) {
						p.publish("a/b", "x", qos)
						q := min(qos, granted)
						id := ""
						if q == 0 {
							id = "0"
						}
						got := s.frames()
						if len(got) != 1 || got[0].qos != q || got[0].payload != "x" || (got[0].id == 0) != (id == "0") {
							g.t.Fatalf("version %d, ends %v, granted %d, published %d: %v", version, ends, granted, qos, got)
						}
						if q > 0 {
							s.ack([]byte{0, typePuback, typePubrec}[q], got[0].id)
						}
						for _, f := range s.frames() {
							s.ack(typePubcomp, f.id)
						}
					}
					p.want("4#1/00 5#2/00")
					p.bye()
					s.unsubscribe("a/+", "a/#")
					s.bye()
				}
			}
		}
		g.balanced()
	})
}

// What one read holds is one run: versions, windows and QoS of the targets differ.
func TestRunKeepsOrderPastTheWindow(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		for qos := byte(1); qos <= 2; qos++ {
			bothStores(t, nil, func(g *rig) {
				s := g.connect("s", dial{version: 4, clean: !persistent, window: 3})
				s5 := g.connect("s5", dial{ends: !persistent, window: 4})
				s.subscribe(qos, "t")
				s5.subscribe(qos, "t")
				s.frames()
				s5.frames()
				p := g.connect("p", dial{version: 4, clean: true})
				var want []string
				for i := range 20 {
					p.put(message.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 2}, message.PacketID(i+1), false)
					want = append(want, fmt.Sprint(i))
				}
				p.pub.Flush()
				if n := len(p.frames()); n != 20 {
					g.t.Errorf("%d of 20 acknowledged", n)
				}
				for _, s := range []*peer{s, s5} {
					if n := len(s.frames()); n != s.link.Window {
						g.t.Errorf("%d sent, window %d", n, s.link.Window)
					}
					list := make([]message.PacketID, s.link.Window)
					for i := range list {
						list[i] = message.PacketID(i + 1)
					}
					first := want[:len(list)]
					if qos == 1 {
						s.ack(typePuback, list...)
					} else {
						s.ack(typePubrec, list...)
						s.frames()
						s.ack(typePubcomp, list...)
					}
					if got := payloads(s.receive()); got != strings.Join(want[len(first):], " ") {
						g.t.Errorf("QoS %d, persistent %v: %s", qos, persistent, got)
					}
				}
				g.balanced()
			})
		}
	}
}

// A block goes out while the window has room; what is queued keeps its place.
func TestBlockAfterQueueEmpties(t *testing.T) {
	g := newRig(t, nil)
	s := g.connect("s", dial{version: 4, clean: true, window: 2})
	s.subscribe(1, "t")
	s.frames()
	p := g.connect("p", dial{version: 4, clean: true})
	n := 0
	var seen []string
	for round := range 50 {
		for range 1 + round%5 {
			p.publish("t", fmt.Sprint(n), 1)
			n++
		}
		for _, f := range s.frames() {
			seen = append(seen, f.payload)
			s.ack(typePuback, f.id)
		}
	}
	for _, f := range s.receive() {
		seen = append(seen, f.payload)
	}
	if len(seen) != n {
		t.Fatalf("%d of %d", len(seen), n)
	}
	for i, w := range seen {
		if w != fmt.Sprint(i) {
			t.Fatalf("%d-th is %s: %v", i, w, seen)
		}
	}
}

func TestFullOutputWaitsForDrained(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		for _, ends := range []bool{true, false} {
			s := g.connect("s", dial{ends: ends, limit: 300, clean: true})
			s.subscribe(1, "t")
			p := g.connect("p", dial{ends: true})
			for i := range 30 {
				p.publish("t", fmt.Sprintf("%02d%s", i, strings.Repeat("x", 60)), 1)
			}
			list := s.receive()
			for range 30 { // each taking makes room
				list = append(list, s.receive()...)
			}
			if len(list) != 30 {
				g.t.Fatalf("%d of 30 arrived", len(list))
			}
			for i, f := range list {
				if f.payload[:2] != fmt.Sprintf("%02d", i) {
					g.t.Errorf("%d-th is %s", i, f.payload[:2])
				}
			}
			// QoS 0 over the limit is dropped and counted.
			was := g.dropped(stats.DropOutputFull)
			for range 30 {
				p.publish("t", strings.Repeat("x", 60), 0)
			}
			got := len(s.frames())
			if d := int(g.dropped(stats.DropOutputFull) - was); got == 30 || got+d != 30 {
				g.t.Errorf("%d arrived, %d dropped of 30", got, d)
			}
			s.bye()
			p.bye()
		}
		g.balanced()
	})
}

func TestOverflowRules(t *testing.T) {
	for rule, want := range map[session.Overflow]string{
		session.DropOldest: "3 4 5 6 7", session.DropNewest: "0 1 2 3 4", session.Disconnect: "0 1 2 3 4",
	} {
		bothStores(t, func(s *setup) { s.Queue = session.Limits{Messages: 3, Overflow: rule} }, func(g *rig) {
			s := g.connect("s", dial{window: 2})
			s.subscribe(1, "t")
			s.frames()
			p := g.connect("p", dial{version: 4, clean: true})
			for i := range 8 { // one run
				p.put(message.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}, message.PacketID(i+1), false)
			}
			p.pub.Flush()
			if got := payloads(s.receive()); got != want {
				g.t.Errorf("rule %d: %s", rule, got)
			}
			if d := g.dropped(stats.DropQueueFull); d != 3 {
				g.t.Errorf("rule %d: %d dropped, want 3", rule, d)
			}
			select {
			case <-s.gone:
				if rule != session.Disconnect || s.code != codeQuotaExceeded {
					g.t.Errorf("rule %d ended the connection with %#x", rule, s.code)
				}
			default:
				if rule == session.Disconnect {
					g.t.Error("not disconnected")
				}
			}
			p.want("4#1/00 4#2/00 4#3/00 4#4/00 4#5/00 4#6/00 4#7/00 4#8/00")
			g.balanced()
		})
	}
}

func TestQueuedQoS0KeepsItsPlace(t *testing.T) {
	bothStores(t, func(s *setup) { s.QueueQoS0 = true }, func(g *rig) {
		s := g.connect("s", dial{window: 1})
		s.subscribe(1, "t")
		s.frames()
		p := g.connect("p", dial{})
		p.publish("t", "1", 1)
		s.bye()
		for _, m := range []string{"2", "3"} {
			p.publish("t", m, 0)
		}
		s = g.connect("s", dial{window: 1})
		p.publish("t", "4", 1)
		p.publish("t", "5", 0)
		p.send(message.Message{Topic: "t", Payload: []byte("6"), Retain: true})
		if got := payloads(s.receive()); got != "1 2 3 4 5 6" {
			g.t.Errorf("received %s", got)
		}
	})
	g := newRig(t, nil)
	s := g.connect("s", dial{})
	s.subscribe(1, "t")
	s.bye()
	p := g.connect("p", dial{})
	p.publish("t", "1", 0)
	p.send(message.Message{Topic: "t", Payload: []byte("2"), Retain: true})
	if d := g.dropped(stats.DropQoS0Offline); d != 2 {
		t.Errorf("%d dropped", d)
	}
}

func TestNoLocalAndIdentifiers(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		c := g.connect("c", dial{})
		c.subscribeTo(
			Subscription{Filter: "a", QoS: 1, NoLocal: true, ID: 1},
			Subscription{Filter: "b", QoS: 1, ID: 2}, Subscription{Filter: "+", QoS: 0, ID: 3},
		)
		c.frames()
		o := g.connect("o", dial{})
		for _, from := range []*peer{c, o} {
			for qos := range byte(2) {
				from.publish("a", "x", qos)
				from.publish("b", "y", qos)
				var a, b []frame
				for _, f := range c.receive() {
					if f.topic == "a" {
						a = append(a, f)
					} else {
						b = append(b, f)
					}
				}
				wantQoS, ids := qos, 2
				if from == c { // its own come by "+" alone, at QoS 0
					wantQoS, ids = 0, 1
				}
				if len(a) != 1 || a[0].qos != wantQoS || a[0].subIDs != ids {
					g.t.Errorf("from %s, QoS %d: %v", from.id, qos, a)
				}
				if len(b) != 1 || b[0].qos != qos || b[0].subIDs != 2 {
					g.t.Errorf("from %s, QoS %d: %v", from.id, qos, b)
				}
			}
		}
	})
}

func TestTooLargeForOneClient(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		small, all := g.connect("small", dial{max: 50}), g.connect("all", dial{})
		for _, s := range []*peer{small, all} {
			s.subscribe(2, "t")
			s.frames()
		}
		p := g.connect("p", dial{})
		for qos := range byte(3) {
			p.publish("t", strings.Repeat("x", 100), qos)
			p.publish("t", "y", qos)
			if got := payloads(small.receive()); got != "y" {
				g.t.Errorf("QoS %d: small got %s", qos, got)
			}
			if got := len(all.receive()); got != 2 {
				g.t.Errorf("QoS %d: all got %d", qos, got)
			}
		}
		if d := g.dropped(stats.DropTooLarge); d != 3 {
			g.t.Errorf("%d dropped", d)
		}
		g.balanced()
	})
}

func TestAliasesAreOfTheConnection(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		s := g.connect("s", dial{alias: 1})
		s.subscribe(2, "#")
		s.frames()
		p := g.connect("p", dial{})
		p.publish("one", "1", 2) // waits for its commit: establishes nothing
		p.publish("one", "2", 1)
		p.publish("one", "3", 0)
		p.publish("two", "4", 0)
		names := ""
		for _, f := range s.frames() {
			if f.kind == 3 {
				names += "[" + f.topic + f.payload + "]"
			}
		}
		for _, w := range []string{"[one1]", "[one2]", "[3]", "[two4]"} {
			if !strings.Contains(names, w) {
				g.t.Errorf("sent %s", names)
			}
		}
	})
}

func TestRefusedAndUnroutedPublishes(t *testing.T) {
	bothStores(t, func(s *setup) {
		s.NoMatchCode = true
		s.CheckFormat = true
		s.MaxLevels = 3
		s.MaximumQoS = 1
		s.RetainAvailable = false
	}, func(g *rig) {
		p := g.connect("p", dial{})
		old := g.connect("old", dial{version: 4})
		p.publish("t", "x", 1)
		old.publish("t", "x", 1)
		p.want("4#1/10")
		old.want("4#1/00")
		for _, name := range []string{"$SYS/x", "$SYS", "a/b/c/d"} {
			p.publish(name, "x", 1)
			old.publish(name, "x", 1)
			p.publish(name, "x", 0)
		}
		p.want("4#2/87 4#3/87 4#4/90")
		old.want("4#2/00 4#3/00 4#4/00")
		p.send(message.Message{Topic: "t", Payload: []byte{0xff}, Props: []byte{1, 1}, QoS: 1})
		p.want("4#5/99")
		for name, o := range map[string]Outcome{
			"QoS": p.publish("t", "x", 2), "retain": p.send(message.Message{Topic: "t", Retain: true}), "wildcard": p.publish("a/#", "", 0), "empty": p.publish("", "", 0),
		} {
			if !o.Close || o.Code < 0x80 {
				g.t.Errorf("%s: %+v", name, o)
			}
		}
		p.want("")
	})
}

func TestMemoryIsShort(t *testing.T) {
	short := false
	g := newRig(t, func(s *setup) { s.OverLimit = func() bool { return short } })
	s := g.connect("s", dial{})
	s.subscribe(1, "t")
	s.frames()
	p := g.connect("p", dial{})
	short = true
	p.publish("t", "0", 0)
	p.send(message.Message{Topic: "t", Payload: []byte("r"), Retain: true})
	p.publish("t", "1", 1)
	if got := payloads(s.receive()); got != "1" {
		t.Errorf("received %s", got)
	}
	short = false
	p.publish("t", "2", 0)
	if got := payloads(s.receive()); got != "2" {
		t.Errorf("received %s", got)
	}
}

// A stale route: the session behind it has ended, or is another one by now.
func TestRoutesFollowTheirTargets(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		for i := range 10 {
			s := g.connect("s", dial{clean: true, ends: i%2 == 0})
			p.publish("t", "unsubscribed", 1)
			s.subscribe(1, "t")
			s.frames()
			p.publish("t", fmt.Sprint(i), 1)
			if got := payloads(s.receive()); got != fmt.Sprint(i) {
				g.t.Fatalf("round %d: %q", i, got)
			}
			if i%3 == 0 {
				s.unsubscribe("t")
				s.frames()
				p.publish("t", "after", 1)
				s.want("")
			}
			s.bye()
		}
		g.connect("s", dial{clean: true}).bye()
		if g.stats.Snapshot().Subscriptions != 0 {
			g.t.Errorf("%d subscriptions left", g.stats.Snapshot().Subscriptions)
		}
		g.balanced()
	})
}

func TestMoreTopicsThanRoutes(t *testing.T) {
	g := newRig(t, nil)
	s := g.connect("s", dial{})
	s.subscribe(0, "#")
	s.frames()
	p := g.connect("p", dial{version: 4})
	for i := range 2*maxRoutes + 10 {
		p.put(message.Message{Topic: fmt.Sprintf("t/%d", i), Payload: []byte("x")}, 0, false)
	}
	p.pub.Flush()
	if n := len(s.frames()); n != 2*maxRoutes+10 {
		t.Errorf("%d", n)
	}
	if len(p.pub.routes) > maxRoutes {
		t.Errorf("%d routes", len(p.pub.routes))
	}
}

func TestManyTargetsEachOnce(t *testing.T) {
	g := newRig(t, nil)
	var all []*peer
	for i := range 5 * indexFrom {
		s := g.connect(fmt.Sprintf("s%d", i), dial{ends: i%2 == 0})
		s.subscribe(1, "a/b", "a/+", "+/b", "#")
		s.frames()
		all = append(all, s)
	}
	p := g.connect("p", dial{})
	p.publish("a/b", "x", 1)
	p.publish("a/c", "y", 1)
	for _, s := range all {
		if got := payloads(s.receive()); got != "x y" {
			t.Errorf("%s got %q", s.id, got)
		}
	}
	g.balanced()
}

// P1: nothing that promises something leaves before it is committed.
func TestNothingLeavesBeforeItsCommit(t *testing.T) {
	g := newRig(t, nil)
	st := g.store
	s := g.connect("s", dial{})
	st.hold()

	subscribed := make(chan struct{})
	go func() { defer close(subscribed); s.subscribe(2, "t") }()
	for st.held() == 0 {
		runtime.Gosched()
	}
	if b := s.out.take(); len(b) > 0 {
		t.Errorf("before the commit of SUBSCRIBE: % x", b)
	}
	st.release(1)
	<-subscribed
	s.want("9#0/00")

	s.unsubscribe("other") // nothing to commit
	s.want("11#0/00")

	st.open()
	p := g.connect("p", dial{})
	st.hold()
	p.publish("t", "1", 1)
	p.publish("t", "2", 2)
	p.publish("other", "3", 1) // needs no commit, keeps its place
	if f := p.out.take(); len(f) > 0 {
		t.Errorf("publishes acknowledged before their commit: % x", f)
	}
	s.want("t=1/1") // QoS 1 may be sent: PUBACK is what promises
	for st.held() > 1 {
		st.release(1)
		if f := p.out.take(); st.held() > 1 && len(f) > 4+1 {
			t.Errorf("too early: % x", f)
		}
	}
	st.release(-1)
	if got := p.got(); !strings.HasSuffix(got, "5#2/00 4#3/00") {
		t.Errorf("acknowledged %s", got)
	}
	s.want("t=2/2")

	s.ack(typePubrec, 2)
	if f := s.out.take(); len(f) > 0 {
		t.Errorf("PUBREL before its commit: % x", f)
	}
	st.release(-1)
	s.want("6#2/00")
	p.ack(typePubrel, 2)
	if f := p.out.take(); len(f) > 0 {
		t.Errorf("PUBCOMP before its commit: % x", f)
	}
	st.release(-1)
	p.want("7#2/00")
	p.send(message.Message{Topic: "kept", Payload: []byte("r"), QoS: 1, Retain: true})
	p.publish("$delayed/10/t", "d", 1)
	p.want("")
	st.release(-1)
	p.want("4#4/00 4#5/00")

	s.unsubscribe("t")
	if f := s.out.take(); len(f) > 0 {
		t.Errorf("UNSUBACK before its commit: % x", f)
	}
	st.release(-1)
	s.want("11#0/00")

	connected := make(chan *peer)
	go func() { connected <- g.connect("late", dial{}) }()
	for st.held() == 0 {
		runtime.Gosched()
	}
	select {
	case <-connected:
		t.Error("CONNACK before its commit")
	default:
	}
	st.release(-1)
	<-connected
	st.open()
}

// A refused commit closes who waits for it, and answers nothing.
func TestRefusedCommits(t *testing.T) {
	g := newRig(t, nil)
	s, p := g.connect("s", dial{}), g.connect("p", dial{})
	s.subscribe(1, "t")
	s.frames()
	g.store.hold()
	p.publish("t", "1", 1)
	g.store.fail(errBroken)
	p.want("")
	if !p.acks.refused {
		t.Error("the publisher was not told")
	}
	<-s.gone
	if s.code != codeUnavailable {
		t.Errorf("%#x", s.code)
	}
	g.store.open()

	c := g.connect("c", dial{})
	g.store.hold()
	done := make(chan struct{})
	go func() { defer close(done); c.subscribe(1, "u") }()
	for g.store.held() == 0 {
		runtime.Gosched()
	}
	g.store.fail(errBroken)
	<-done
	<-c.gone
	c.want("")
	refused := make(chan error, 1)
	go func() { _, _, err := g.tryConnect("n", dial{}); refused <- err }()
	for g.store.held() == 0 {
		runtime.Gosched()
	}
	g.store.fail(errBroken)
	var e *ConnectError
	if err := <-refused; !asConnectError(err, &e) || e.Code != codeUnavailable {
		t.Errorf("%v", err)
	}
	g.store.fail(errBroken) // what is said of the session afterwards
	g.store.open()
}

func asConnectError(err error, e **ConnectError) bool {
	c, ok := err.(*ConnectError)
	*e = c
	return ok
}

var _ store.Store = (*lagging)(nil)
