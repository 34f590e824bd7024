package conn_test

import (
	"context"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/testing/harness"
)

// enter connects from an address and answers what came.
func (g *rig) enter(address, id string) (*client, string) {
	c := g.dial(address, false)
	c.send(harness.Connect{ID: id}.Bytes())
	return c, c.take()
}

func TestConnectionLimits(t *testing.T) {
	test(t, func(s *setup) { s.Admit.Connections = 3; s.Admit.PerAddress = 2 }, func(g *rig) {
		a, _ := g.enter("192.0.2.1", "a")
		_, two := g.enter("192.0.2.1", "b")
		_, three := g.enter("192.0.2.1", "c")
		if two != "connack:00" || three != "connack:97" {
			t.Errorf("second %s, third %s", two, three)
		}
		wait(time.Second)
		if _, other := g.enter("192.0.2.2", "d"); other != "connack:00" {
			t.Errorf("another address: %s", other)
		}
		if c, full := g.enter("192.0.2.3", "e"); full != "" || !c.gone() {
			t.Errorf("over the limit: %s", full)
		}
		a.send(harness.Disconnect(0))
		wait(time.Second)
		if _, again := g.enter("192.0.2.1", "f"); again != "connack:00" {
			t.Errorf("in the place of one that left: %s", again)
		}
	})
}

func TestConnectRates(t *testing.T) {
	test(t, func(s *setup) { s.Admit.Rate = 4; s.Admit.RatePerAddress = 2 }, func(g *rig) {
		refused := func(address string, n int) (no int) {
			for range n {
				if _, got := g.enter(address, ""); got == "connack:9f" {
					no++
				}
			}
			return no
		}
		if n := refused("192.0.2.1", 4); n != 2 {
			t.Errorf("%d of 4 from one address were refused", n)
		}
		if n := refused("192.0.2.2", 2) + refused("192.0.2.3", 2); n != 2 {
			t.Errorf("%d of 4 over all were refused", n)
		}
		wait(time.Second)
		if n := refused("192.0.2.1", 1); n != 0 {
			t.Error("refused after a second")
		}
	})
}

func TestFlapping(t *testing.T) {
	test(t, func(s *setup) {
		s.Admit.FlapConnects = 3
		s.Admit.FlapWindow = time.Minute
		s.Admit.FlapBan = time.Hour
	}, func(g *rig) {
		var last string
		for range 5 {
			_, last = g.enter(home, "flap")
			wait(time.Second)
		}
		if last != "connack:8a" {
			t.Errorf("after five connects: %s", last)
		}
		if _, other := g.enter(home, "other"); other != "connack:00" {
			t.Errorf("another client: %s", other)
		}
		wait(2 * time.Hour)
		if _, got := g.enter(home, "flap"); got != "connack:00" {
			t.Errorf("after the ban: %s", got)
		}
	})
}

// Nobody can have the client identifier of somebody else banned.
func TestFlappingOfARefusedClient(t *testing.T) {
	test(t, func(s *setup) {
		s.auth = onlyAnn{}
		s.Admit.FlapConnects, s.Admit.FlapWindow, s.Admit.FlapBan = 3, time.Minute, time.Hour
	}, func(g *rig) {
		for range 10 {
			if _, got := g.enter(home, "victim"); got != "connack:87" {
				t.Fatalf("got %s", got)
			}
		}
		c := g.dial(home, false)
		c.send(harness.Connect{ID: "victim", User: "ann"}.Bytes())
		c.want("connack:00")
	})
}

// onlyAnn lets a user named ann in.
type onlyAnn struct{}

func (onlyAnn) Begin(_ context.Context, q hooks.Connect) hooks.Step {
	if q.User != "ann" {
		return hooks.Refuse(0x87, "not ann")
	}
	return hooks.Accept(auth.Named(q.User, true), nil)
}

func TestMemoryIsShort(t *testing.T) {
	short := true
	test(t, func(s *setup) { s.Admit.OverLimit = func() bool { return short } }, func(g *rig) {
		if c, got := g.enter(home, "a"); got != "" || !c.gone() {
			t.Errorf("got %s", got)
		}
		short = false
		if _, got := g.enter(home, "a"); got != "connack:00" {
			t.Errorf("got %s", got)
		}
	})
}

func TestConnectRateOfAUser(t *testing.T) {
	test(t, func(s *setup) { s.Admit.RatePerUser = 2 }, func(g *rig) {
		refused := func(user string, n int) (no int) {
			for range n {
				c := g.dial(home, false)
				c.send(harness.Connect{User: user}.Bytes())
				if c.take() == "connack:9f" {
					no++
				}
			}
			return no
		}
		if n := refused("ann", 5); n != 3 {
			t.Errorf("%d of 5 were refused", n)
		}
		if n := refused("bob", 2) + refused("", 5); n != 0 {
			t.Errorf("%d of others were refused", n)
		}
		wait(time.Second)
		if n := refused("ann", 1); n != 0 {
			t.Error("refused after a second")
		}
	})
}
