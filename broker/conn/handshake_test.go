package conn_test

import (
	"context"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/testing/harness"
)

func TestConnectOfEachVersion(t *testing.T) {
	test(t, nil, func(g *rig) {
		for _, version := range []byte{3, 4, 5} {
			c := g.connect(harness.Connect{Version: version, ID: "c"})
			c.send(harness.Ping())
			c.want("pong")
			c.send(harness.Disconnect(0)[:2:2])
			if c.want(""); !c.gone() {
				t.Errorf("version %d: not closed", version)
			}
		}
		if s := g.stats.Snapshot(); s.Connections != 0 || s.Sessions != 0 {
			t.Errorf("%d connections, %d sessions", s.Connections, s.Sessions)
		}
	})
}

// However the bytes come, all that they ask for is done in order.
func TestPiecesAndPipelines(t *testing.T) {
	for _, version := range []byte{4, 5} {
		all := harness.Cat(
			harness.Connect{Version: version, ID: "c"}.Bytes(),
			harness.Subscribe(version, 7, nil, harness.To("t", 1)),
			publish("a", 0, version), publish("b", 1, version), harness.Ping(), publish("c", 2, version), harness.Unsubscribe(version, 8, "t"),
		)
		test(t, nil, func(g *rig) {
			const want = "connack:00 suback:7 a pong b puback:1 c puback:2 unsuback:8"
			for _, piece := range []int{1, 2, 7, len(all)} {
				c := g.dial(home, false)
				c.version = version
				for b := all; len(b) > 0; b = b[min(piece, len(b)):] {
					c.send(b[:min(piece, len(b))])
				}
				got := c.take()
				if piece < 7 && got != "connack:00 suback:7 a b puback:1 pong c puback:2 unsuback:8" || piece == len(all) && len(got) != len(want) {
					t.Errorf("in pieces of %d: %s", piece, got)
				}
				_ = c.nc.Close()
			}
		})
	}
}

func TestWhoDoesNotConnectInTime(t *testing.T) {
	whole := harness.Connect{ID: "c"}.Bytes()
	for name, sent := range map[string][]byte{"silent": nil, "half": whole[:len(whole)/2]} {
		test(t, nil, func(g *rig) {
			c := g.dial(home, false)
			c.send(sent)
			wait(9 * time.Second)
			if c.gone() {
				t.Errorf("%s: closed too early", name)
			}
			wait(2 * time.Second)
			if !c.gone() {
				t.Errorf("%s: not closed", name)
			}
			c.want("")
		})
	}
}

func TestWhatIsNoConnect(t *testing.T) {
	for name, sent := range map[string][]byte{
		"ping": harness.Ping(), "publish": publish("x", 0, 4), "http": []byte("GET / HTTP/1.1\r\n\r\n"),
		"too long": {0x10, 0xff, 0xff, 0x7f}, "TLS": {0x16, 3, 1, 0, 5},
	} {
		test(t, nil, func(g *rig) {
			c := g.dial(home, false)
			c.send(sent)
			wait(time.Second)
			if !c.gone() {
				t.Errorf("%s: not closed", name)
			}
			c.want("")
		})
	}
}

// patient is an Authenticator that takes its time.
type patient struct{ takes time.Duration }

func (p patient) Begin(ctx context.Context, _ hooks.Connect) hooks.Step {
	select {
	case <-time.After(p.takes):
		return hooks.Accept(auth.Identity{}, nil)
	case <-ctx.Done():
		return hooks.Refuse(0x88, "no time")
	}
}

// The time that authentication takes is not the client's silence.
func TestSlowAuthentication(t *testing.T) {
	test(t, func(s *setup) { s.auth = patient{8 * time.Second} }, func(g *rig) {
		c := g.dial(home, false)
		c.send(harness.Connect{ID: "c", KeepAlive: 2}.Bytes())
		wait(8 * time.Second)
		c.want("connack:00")
		wait(2 * time.Second)
		c.send(harness.Ping())
		c.want("pong")
		wait(4 * time.Second)
		c.want("disconnect:8d")
	})
	test(t, func(s *setup) { s.auth = patient{time.Minute} }, func(g *rig) {
		c := g.dial(home, false)
		c.send(harness.Connect{ID: "c"}.Bytes())
		wait(11 * time.Second)
		c.want("connack:88")
		if wait(time.Second); !c.gone() {
			t.Error("not closed")
		}
	})
}

func TestNoAnswerBeforeTheCommit(t *testing.T) {
	test(t, nil, func(g *rig) {
		expires := harness.Prop(harness.PSessionExpiry, harness.U32(100))
		g.store.hold()
		c := g.dial(home, false)
		c.send(harness.Connect{ID: "c", Props: [][]byte{expires}}.Bytes(), publish("x", 1, 5))
		c.want("")
		g.store.release(1)
		c.want("connack:00 puback:1")
		c.send(harness.Subscribe(5, 3, nil, harness.To("t", 2)), harness.Ping())
		c.want("")
		g.store.release(1)
		c.want("suback:3 pong")
		c.send(publish("y", 2, 5))
		c.want("y")
		g.store.release(-1)
		c.want("puback:2")
	})
}

func TestTakeOverOfAStuckClient(t *testing.T) {
	test(t, nil, func(g *rig) {
		old := g.dial(home, true)
		go func() { _, _ = old.nc.Write(harness.Connect{ID: "c"}.Bytes()) }() // it never reads
		wait(time.Second)
		begun := time.Now()
		c := g.connect(harness.Connect{ID: "c"})
		if d := time.Since(begun); d > time.Second {
			t.Errorf("a stuck connection held its successor for %v", d)
		}
		c.send(harness.Ping())
		c.want("pong")
		wait(2 * time.Second)
		old.wake()
		if !old.gone() || g.server.Len() != 1 {
			t.Errorf("%d connections", g.server.Len())
		}
		third := g.connect(harness.Connect{ID: "c"})
		c.want("disconnect:8e")
		if wait(time.Second); !c.gone() || third.gone() {
			t.Error("the wrong one was closed")
		}
	})
}

func TestWillOfAnEndedConnection(t *testing.T) {
	test(t, nil, func(g *rig) {
		o := g.connect(harness.Connect{ID: "o"})
		o.subscribe("w", 0)
		c := g.connect(harness.Connect{Will: &harness.Will{Topic: "w", Payload: "will"}})
		_ = c.nc.Close()
		wait(time.Second)
		o.want("will")
		c = g.connect(harness.Connect{Will: &harness.Will{Topic: "w", Payload: "will"}})
		c.send(harness.Disconnect(4))
		o.want("will")
		c = g.connect(harness.Connect{Will: &harness.Will{Topic: "w", Payload: "will"}})
		c.send(harness.Disconnect(0))
		o.want("")
	})
}
