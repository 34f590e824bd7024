package router

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store/memory"
)

func TestSessionPresent(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		for i, step := range []struct {
			d       dial
			present bool
			ended   bool
		}{
			{dial{}, false, false},
			{dial{}, true, false},
			{dial{clean: true}, false, false},
			{dial{ends: true}, true, true}, // resumed, and ends now
			{dial{}, false, false},
			{dial{version: 4, clean: true}, false, true},
			{dial{version: 4}, false, false},
			{dial{version: 3}, true, false},
		} {
			p, res, err := g.tryConnect("c", step.d)
			if err != nil || res.Present != step.present {
				g.t.Errorf("step %d: present %v, %v", i, res.Present, err)
			}
			if ended := p.drop(); ended != step.ended {
				g.t.Errorf("step %d: ended %v", i, ended)
			}
		}
		if s := g.stats.Snapshot(); s.Sessions != 1 || s.PersistentSessions != 1 {
			g.t.Errorf("%d sessions, %d persistent", s.Sessions, s.PersistentSessions)
		}
	})
}

func TestSubscriptionsOutliveTheConnection(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		s := g.connect("s", dial{})
		s.subscribe(2, "t")
		s.bye()
		p := g.connect("p", dial{})
		for i := range 6 {
			p.publish("t", fmt.Sprint(i), 1+byte(i%2))
		}
		s = g.connect("s", dial{window: 3})
		first := s.frames()
		if payloads(first) != "0 2 1" { // QoS 2 waits for its identifier's commit
			g.t.Fatalf("first %v", first)
		}
		s.drop() // none acknowledged
		s = g.connect("s", dial{window: 100})
		var seen []string
		for _, f := range s.receive() {
			if dup := f.payload < "3"; f.dup != dup {
				g.t.Errorf("%v: DUP", f)
			}
			if f.qos == 1 {
				seen = append(seen, f.payload)
			}
		}
		if fmt.Sprint(seen) != "[0 2 4]" {
			g.t.Errorf("QoS 1: %v", seen)
		}
		g.balanced()
	})
}

func TestQoS2RepetitionsAreRoutedOnce(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		s := g.connect("s", dial{})
		s.subscribe(2, "t")
		s.frames()
		for _, d := range []dial{{}, {version: 4}} {
			p := g.connect("p", d)
			m := message.Message{Topic: "t", Payload: []byte("x"), QoS: 2}
			for i := range 3 {
				p.put(m, 7, i > 0)
			}
			p.pub.Flush()
			p.put(m, 7, true)
			p.pub.Flush()
			p.want("5#7/00 5#7/00 5#7/00 5#7/00")
			p.drop()
			p = g.connect("p", d)
			p.put(m, 7, true)
			p.pub.Flush()
			p.ack(typePubrel, 7)
			p.ack(typePubrel, 7)
			if got := p.got(); got != "5#7/00 7#7/00 7#7/92" && got != "5#7/00 7#7/00 7#7/00" {
				g.t.Errorf("answered %s", got)
			}
			p.put(m, 7, false)
			p.pub.Flush()
			if got := payloads(s.receive()); got != "x x" {
				g.t.Errorf("arrived %s", got)
			}
			p.ack(typePubrel, 7)
			p.bye()
		}
	})
}

func TestTakeOver(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		old := g.connect("c", dial{})
		old.subscribe(1, "t")
		p := g.connect("p", dial{})
		p.publish("t", "1", 1)
		next := make(chan *peer)
		go func() { next <- g.connect("c", dial{}) }()
		<-old.gone
		if old.code != codeTakenOver {
			g.t.Errorf("%#x", old.code)
		}
		select {
		case <-next:
			g.t.Error("the new connection came before the old one had left")
		default:
		}
		p.publish("t", "2", 1)
		old.drop()
		c := <-next
		p.publish("t", "3", 1)
		if got := payloads(c.receive()); got != "1 2 3" {
			g.t.Errorf("received %s", got)
		}
		g.balanced()
	})
}

// An old connection that does not leave keeps the new one waiting as long as that may
// take, and no longer.
func TestTakeOverOfAStuckConnection(t *testing.T) {
	g := newRig(t, nil)
	old := g.connect("c", dial{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-old.gone; cancel() }()
	l := &Link{Out: &output{limit: 1}, Version: 5, Hook: old.link.Hook, End: func(byte, string) {}}
	err := g.r.Connect(ctx, ConnectRequest{ID: "c", Link: l}, nil)
	var e *ConnectError
	if !asConnectError(err, &e) || e.Code != codeUnavailable {
		t.Errorf("%v", err)
	}
	old.drop()
	g.connect("c", dial{}).bye()
}

func TestSessionsBelongToTheirUser(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect("c", dial{user: "ann"})
	for _, other := range []string{"bob", ""} {
		_, _, err := g.tryConnect("c", dial{user: other, clean: true})
		var e *ConnectError
		if !asConnectError(err, &e) || e.Code != codeIDInvalid {
			t.Errorf("%q: %v", other, err)
		}
	}
	select {
	case <-c.gone:
		t.Error("the refused connect closed the connection")
	default:
	}
	c.bye()
	g.connect("free", dial{}).bye()
	g.connect("free", dial{user: "ann"}).bye() // a session without a user belongs to nobody
}

func TestPersistentSessionsAreLimited(t *testing.T) {
	g := newRig(t, func(s *setup) { s.MaxPersistent = 2 })
	g.connect("1", dial{}).bye()
	g.connect("2", dial{})
	_, _, err := g.tryConnect("3", dial{})
	var e *ConnectError
	if !asConnectError(err, &e) || e.Code != codeQuotaExceeded {
		t.Errorf("%v", err)
	}
	g.connect("3", dial{ends: true})
	g.connect("1", dial{}) // has one
}

func TestExpiryIsCapped(t *testing.T) {
	g := newRig(t, func(s *setup) { s.MaxExpiry = 100; s.Expiry3x = 50 })
	for want, d := range map[uint32]dial{100: {expiry: NoExpiry}, 7: {expiry: 7}, 0: {ends: true}, 50: {version: 4}} {
		p, res, err := g.tryConnect(fmt.Sprint(want), d)
		if err != nil || res.Expiry != want {
			t.Errorf("%+v: %+v, %v", d, res, err)
		}
		g.r.Disconnect(p.link, DisconnectRequest{HasExpiry: true, Expiry: 1000})
	}
}

func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s := g.connect("s", dial{expiry: 10})
		s.subscribe(1, "t")
		s.bye()
		p := g.connect("p", dial{})
		p.publish("t", "1", 1)
		<-time.After(9 * time.Second)
		s, res, _ := g.tryConnect("s", dial{expiry: 10}) // in time
		if !res.Present || payloads(s.receive()) != "1" {
			t.Error("the session is gone before its time")
		}
		<-time.After(20 * time.Second) // connected sessions do not expire
		g.r.Disconnect(s.link, DisconnectRequest{HasExpiry: true, Expiry: 30})
		<-time.After(29 * time.Second)
		synctest.Wait()
		if n := g.stats.Snapshot().ExpiredSessions; n != 0 {
			t.Errorf("%d expired", n)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		snap := g.stats.Snapshot()
		if snap.ExpiredSessions != 1 || snap.Sessions != 1 || snap.Subscriptions != 0 {
			t.Errorf("%d expired, %d sessions, %d subscriptions", snap.ExpiredSessions, snap.Sessions, snap.Subscriptions)
		}
		if _, err := g.store.Load(t.Context(), "s"); err == nil {
			t.Error("still stored")
		}
		if _, res, _ = g.tryConnect("s", dial{}); res.Present {
			t.Error("an expired session was resumed")
		}
		g.balanced()
		never := g.connect("never", dial{expiry: NoExpiry})
		never.bye()
		<-time.After(1e6 * time.Second)
		if _, res, _ := g.tryConnect("never", dial{}); !res.Present {
			t.Error("a session that never expires did")
		}
	})
}

// A connect that is refused just when the session expires leaves the expiry.
func TestExpiryDuringARefusedConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.connect("s", dial{expiry: 10, user: "ann"}).bye()
		leave, err := g.r.reg.gates.enter(t.Context(), "s") // a connect is under way
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(11 * time.Second)
		synctest.Wait()
		if n := g.stats.Snapshot().ExpiredSessions; n != 0 {
			t.Fatal("expired under a connect")
		}
		leave() // refused
		<-time.After(5 * time.Second)
		synctest.Wait()
		if n := g.stats.Snapshot().ExpiredSessions; n != 1 {
			t.Error("the session lives for ever")
		}
	})
}

func will(payload string, delay uint32) *Will {
	return &Will{Message: &message.Message{Topic: "will", Payload: []byte(payload), QoS: 1}, Delay: delay}
}

func TestWills(t *testing.T) {
	for name, tc := range map[string]struct {
		d    dial
		end  DisconnectRequest
		then func(g *rig)
		wait time.Duration
		want string
	}{
		"lost":                       {d: dial{will: will("w", 0)}, end: DisconnectRequest{Will: true}, want: "w"},
		"goodbye":                    {d: dial{will: will("w", 0)}, end: DisconnectRequest{}, wait: 2 * time.Hour},
		"delayed":                    {d: dial{will: will("w", 10)}, end: DisconnectRequest{Will: true}, wait: 11 * time.Second, want: "w"},
		"delayed, not yet":           {d: dial{will: will("w", 10)}, end: DisconnectRequest{Will: true}, wait: 9 * time.Second},
		"delay ends with session":    {d: dial{will: will("w", 100), expiry: 5}, end: DisconnectRequest{Will: true}, wait: 6 * time.Second, want: "w"},
		"delay of no session":        {d: dial{will: will("w", 100), ends: true}, end: DisconnectRequest{Will: true}, want: "w"},
		"expiry 0 at the end":        {d: dial{will: will("w", 100)}, end: DisconnectRequest{Will: true, HasExpiry: true}, want: "w"},
		"back in time":               {d: dial{will: will("w", 10)}, end: DisconnectRequest{Will: true}, then: func(g *rig) { g.connect("c", dial{}) }, wait: time.Hour},
		"clean start":                {d: dial{will: will("w", 10)}, end: DisconnectRequest{Will: true}, then: func(g *rig) { g.connect("c", dial{clean: true}) }, want: "w"},
		"server stops":               {d: dial{will: will("w", 0)}, end: DisconnectRequest{Will: true, Stopping: true}, wait: time.Minute},
		"server stops, session ends": {d: dial{will: will("w", 9), ends: true}, end: DisconnectRequest{Will: true, Stopping: true}, want: "w"},
		"goodbye then expiry":        {d: dial{will: will("w", 0), expiry: 5}, end: DisconnectRequest{}, wait: time.Minute},
		"back, and lost again":       {d: dial{will: will("w", 10)}, end: DisconnectRequest{Will: true}, then: func(g *rig) { g.connect("c", dial{will: will("v", 0)}).drop() }, wait: time.Minute, want: "v"},
		"server stops, then resume":  {d: dial{will: will("w", 0)}, end: DisconnectRequest{Will: true, Stopping: true}, then: func(g *rig) { g.connect("c", dial{}).bye() }, wait: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, nil)
				o := g.connect("o", dial{expiry: NoExpiry})
				o.subscribe(1, "will")
				o.frames()
				c := g.connect("c", tc.d)
				g.r.Disconnect(c.link, tc.end)
				if tc.then != nil {
					tc.then(g)
				}
				<-time.After(tc.wait)
				synctest.Wait()
				if got := payloads(o.receive()); got != tc.want {
					t.Errorf("sent %q, want %q", got, tc.want)
				}
				<-time.After(3 * time.Hour)
				synctest.Wait()
				if n := g.stats.Snapshot().Wills; n != 0 {
					t.Errorf("%d wills wait", n)
				}
			})
		})
	}
}

// Taken over with Clean Start the old session ends, and its will is sent at once; without,
// it waits for its delay, and the new connection has cancelled it.
// Without a store that outlives the node its stop ends every session.
func TestWillsAtTheStopOfANodeWithoutADisk(t *testing.T) {
	bothStores(t, func(s *setup) { s.Durable = false }, func(g *rig) {
		o := g.connect("o", dial{})
		o.subscribe(1, "will")
		o.frames()
		for i, delay := range []uint32{0, 60} {
			c := g.connect(fmt.Sprint(i), dial{will: will(fmt.Sprint(delay), delay)})
			g.r.Disconnect(c.link, DisconnectRequest{Will: true, Stopping: true})
		}
		if got := payloads(o.receive()); got != "0 60" {
			g.t.Errorf("sent %q", got)
		}
	})
}

func TestWillOfATakenOverConnection(t *testing.T) {
	for _, clean := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, nil)
			o := g.connect("o", dial{})
			o.subscribe(1, "will")
			o.frames()
			c := g.connect("c", dial{will: will("w", 60)})
			go func() { <-c.gone; c.drop() }()
			g.connect("c", dial{clean: clean})
			<-time.After(2 * time.Minute)
			synctest.Wait()
			if got := payloads(o.receive()); (got == "w") != clean {
				t.Errorf("clean %v: %q", clean, got)
			}
		})
	}
}

// What the store holds comes back: sessions, messages under way, wills, retained and
// delayed messages.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &lagging{Store: memory.New()}
		g := newRig(t, func(s *setup) { s.store = st })
		s := g.connect("s", dial{will: will("w", 0)})
		s.subscribe(2, "t", "$exclusive/x")
		p := g.connect("p", dial{})
		p.publish("t", "1", 1)
		p.publish("t", "2", 2)
		p.publish("t", "3", 2)
		for _, f := range s.frames() {
			if f.payload == "2" {
				s.ack(typePubrec, f.id)
			}
		}
		p.send(message.Message{Topic: "kept", Payload: []byte("r"), QoS: 1, Retain: true})
		p.publish("$delayed/100/t", "d", 1)
		p.put(message.Message{Topic: "t", Payload: []byte("once"), QoS: 2}, 99, false)
		p.pub.Flush()

		h := newRig(t, func(s *setup) { s.store = st }) // the first was killed
		o := h.connect("o", dial{})
		o.subscribe(1, "will", "kept")
		if got := payloads(o.receive()); got != "r" {
			t.Errorf("retained %q", got)
		}
		if codes := o.subscribe(1, "$exclusive/x"); codes[0] != codeQuotaExceeded {
			t.Errorf("the exclusive holder was forgotten: %#x", codes)
		}
		p2 := h.connect("p", dial{})
		p2.put(message.Message{Topic: "t", Payload: []byte("once"), QoS: 2}, 99, true)
		p2.pub.Flush()
		p2.want("5#99/00")
		<-time.After(30 * time.Second) // longer than the grace for wills
		synctest.Wait()
		if got := payloads(o.receive()); got != "w" {
			t.Errorf("will %q", got)
		}
		s2, res, err := h.tryConnect("s", dial{})
		if err != nil || !res.Present {
			t.Fatalf("%v %v", res, err)
		}
		<-time.After(100 * time.Second)
		synctest.Wait()
		counts := map[string]int{}
		for _, f := range s2.receive() {
			counts[f.payload]++
			if f.payload == "2" {
				t.Error("a released message was sent again")
			}
		}
		if fmt.Sprint(counts) != "map[1:1 3:1 d:1 once:1]" {
			t.Errorf("received %v", counts)
		}
		h.balanced()
	})
}

// A connect that meets the end of the session gets another one, and never one that
// ends under it.
func TestConnectWhileTheSessionEnds(t *testing.T) {
	g := newRig(t, nil)
	p := g.connect("p", dial{})
	for range 300 {
		c := g.connect("c", dial{})
		c.subscribe(1, "t")
		var wg sync.WaitGroup
		wg.Go(func() { g.r.Disconnect(c.link, DisconnectRequest{HasExpiry: true}) })
		d := g.connect("c", dial{ends: true})
		wg.Wait()
		d.subscribe(1, "t")
		d.frames()
		p.publish("t", "x", 1)
		if got := payloads(d.receive()); got != "x" {
			t.Fatalf("received %q", got)
		}
		d.bye()
	}
	if n := g.stats.Snapshot().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestEndedSessionsCountWhatTheyDrop(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		s := g.connect("s", dial{window: 1})
		s.subscribe(1, "t")
		p := g.connect("p", dial{})
		for range 5 {
			p.publish("t", "x", 1)
		}
		s.bye()
		g.connect("s", dial{clean: true}).bye()
		if n := g.dropped(stats.DropSessionEnded); n < 4 {
			g.t.Errorf("%d dropped", n)
		}
		g.store.settle()
		g.balanced()
	})
}

func TestSessionsOfAnybody(t *testing.T) {
	g := newRig(t, func(s *setup) { s.AnyUser = true; s.MaxPerUser = 1; s.MaxUserSubscriptions = 1 })
	c := g.connect("c", dial{user: "ann"})
	c.subscribe(1, "a")
	c.bye()
	c, res, err := g.tryConnect("c", dial{user: "bob"})
	if err != nil || !res.Present {
		t.Fatalf("bob did not get ann's session: %+v, %v", res, err)
	}
	// What it has counts for bob now.
	if codes := c.subscribe(1, "b")[0]; codes != codeQuotaExceeded {
		t.Errorf("bob's second subscription: %#x", codes)
	}
	ann := g.connect("d", dial{user: "ann"})
	if code := ann.subscribe(1, "b")[0]; code != 1 {
		t.Errorf("ann's first subscription: %#x", code)
	}
}

func TestConnectionsOfAUserAreLimited(t *testing.T) {
	g := newRig(t, func(s *setup) { s.MaxUserConnections = 2 })
	one, two := g.connect("1", dial{user: "ann"}), g.connect("2", dial{user: "ann"})
	_, _, err := g.tryConnect("3", dial{user: "ann"})
	var e *ConnectError
	if !asConnectError(err, &e) || e.Code != codeQuotaExceeded || e.Why != "limits.connections_per_user" {
		t.Errorf("%v", err)
	}
	for i := range 5 {
		g.connect(fmt.Sprint("nobody", i), dial{})
		g.connect(fmt.Sprint("bob", i), dial{user: fmt.Sprint("bob", i)})
	}
	next := make(chan *peer)
	go func() { next <- g.connect("2", dial{user: "ann"}) }() // her own is taken over
	<-two.gone
	two.drop()
	<-next
	one.bye()
	g.connect("3", dial{user: "ann"})
	if _, _, err := g.tryConnect("4", dial{user: "ann"}); err == nil {
		t.Error("a third came in")
	}
}

func TestSubscriptionsOfAUserAreLimited(t *testing.T) {
	g := newRig(t, func(s *setup) { s.MaxUserSubscriptions = 2 })
	a, b := g.connect("a", dial{user: "ann"}), g.connect("b", dial{user: "ann"})
	for i, c := range []struct {
		p      *peer
		filter string
		want   byte
	}{{a, "1", 1}, {b, "2", 1}, {a, "3", codeQuotaExceeded}, {b, "2", 1}, {g.connect("n", dial{}), "1", 1}, {g.connect("o", dial{user: "bob"}), "1", 1}} {
		if got := c.p.subscribe(1, c.filter)[0]; got != c.want {
			t.Errorf("%d: %s: %#x, want %#x", i, c.filter, got, c.want)
		}
	}
	b.unsubscribe("2")
	if got := a.subscribe(1, "3")[0]; got != 1 {
		t.Errorf("in the place of one that went: %#x", got)
	}
	a.bye()
	g.connect("a", dial{user: "ann", clean: true}) // its session's are gone
	if got := b.subscribe(1, "4")[0]; got != 1 {
		t.Errorf("after a session's end: %#x", got)
	}
}
