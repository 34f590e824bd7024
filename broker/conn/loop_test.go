package conn_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/testing/harness"
)

func TestKeepAlive(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c", KeepAlive: 10})
		for range 5 {
			wait(14 * time.Second)
			c.send(harness.Ping())
			c.want("pong")
		}
		wait(14 * time.Second)
		c.want("")
		wait(2 * time.Second)
		c.want("disconnect:8d")
		none := g.connect(harness.Connect{ID: "n", KeepAlive: harness.NoKeepAlive})
		wait(1000 * time.Hour)
		none.send(harness.Ping())
		none.want("pong")
	})
}

// A packet that has begun must end in time, also while bytes trickle in.
func TestPacketTimeout(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c", KeepAlive: 1000})
		long := publish(strings.Repeat("x", 100), 0, 5)
		for i := range 29 {
			c.send(long[i : i+1])
			wait(time.Second)
		}
		c.want("")
		wait(3 * time.Second)
		c.want("disconnect:81")
	})
}

// A connection that is always inside some packet is not one whose packet does not end.
func TestPacketTimeoutIsForOnePacket(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c", KeepAlive: 1000})
		c.subscribe("t", 0)
		const n = 100
		var all []byte
		for i := range n {
			all = append(all, publish(fmt.Sprintf("%03d", i), 0, 5)...)
		}
		size := len(all) / n
		at := size / 2
		c.send(all[:at])
		for at+size < len(all) {
			wait(5 * time.Second)
			c.send(all[at : at+size])
			at += size
		}
		if c.gone() {
			t.Fatalf("closed: %s", c.take())
		}
		c.send(all[at:])
		if got := strings.Fields(c.take()); len(got) != n {
			t.Errorf("%d of %d arrived", len(got), n)
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.dial(home, true)
		go func() { _, _ = c.nc.Write(harness.Connect{ID: "c", KeepAlive: harness.NoKeepAlive}.Bytes()) }() // it never reads
		wait(50 * time.Second)
		if g.server.Len() != 1 {
			t.Error("closed too early")
		}
		wait(time.Minute)
		if g.server.Len() != 0 {
			t.Error("a client that never reads is still connected")
		}
		c.wake()
	})
}

// 3.x clients know no Receive Maximum: publishes beyond it are parked, in order, while
// PINGREQ and acknowledgements are handled, until the park is full.
func TestPark(t *testing.T) {
	test(t, func(s *setup) { s.ReceiveMaximum = 3; s.InboundBytes = 200 }, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c", Version: 4, Keep: true, KeepAlive: 10})
		c.subscribe("t", 1)
		g.store.hold()
		var want []string
		for i := 1; i <= 8; i++ {
			c.send(publish(fmt.Sprint("m", i), i, 4))
			want = append(want, fmt.Sprint("puback:", i))
		}
		c.send(publish("zero", 0, 4)) // keeps its place
		c.want("m1 m2 m3")            // delivered, and not acknowledged
		c.send(harness.Ping())
		c.want("pong")
		c.send(harness.Ack(harness.PUBACK, 1, 0), harness.Ping())
		c.want("pong")
		full := make(chan struct{})
		go func() { // what does not fit is not read
			defer close(full)
			for i := 9; i < 50; i++ {
				_, _ = c.nc.Write(publish(fmt.Sprint("m", i), i, 4))
			}
		}()
		wait(time.Minute) // nor is it silence
		select {
		case <-full:
			t.Error("the park has no limit")
		default:
		}
		if c.gone() {
			t.Fatal("closed by its keep alive while nothing was read")
		}
		g.store.release(1)
		c.want("puback:1 m4") // one leaves, one may come
		g.store.release(-1)
		<-full
		var acks, messages []string
		for _, w := range strings.Fields(c.take()) {
			if strings.HasPrefix(w, "puback") {
				acks = append(acks, w)
			} else {
				messages = append(messages, w)
			}
		}
		if len(acks) != 48 || strings.Join(acks[:7], " ") != strings.Join(want[1:], " ") {
			t.Errorf("%d acknowledged: %v", len(acks), acks)
		}
		if !strings.HasPrefix(strings.Join(messages, " "), "m5 m6 m7 m8 zero m9") || len(messages) != 46 {
			t.Errorf("%d delivered: %v", len(messages), messages)
		}
	})
}

// What was parked when the client says goodbye and closes is still carried out.
func TestParkedPacketsOutliveTheirSocket(t *testing.T) {
	test(t, func(s *setup) { s.ReceiveMaximum = 1 }, func(g *rig) {
		s := g.connect(harness.Connect{ID: "s", Version: 4, Keep: true})
		s.subscribe("t", 1)
		o := g.connect(harness.Connect{ID: "o"})
		o.subscribe("w", 0)
		g.store.hold()
		c := g.connect(harness.Connect{ID: "c", Version: 4, Will: &harness.Will{Topic: "w", Payload: "will"}})
		c.send(publish("1", 1, 4), publish("2", 2, 4), publish("3", 0, 4), harness.Disconnect(0)[:2])
		_ = c.nc.Close()
		wait(time.Second)
		g.store.release(-1)
		wait(time.Second)
		s.want("1 2 3")
		o.want("") // it said goodbye
	})
}

func TestReceiveMaximumOfTheServer(t *testing.T) {
	test(t, func(s *setup) { s.ReceiveMaximum = 3 }, func(g *rig) {
		s := g.connect(harness.Connect{ID: "s", Version: 4, Keep: true})
		s.subscribe("t", 1)
		c := g.connect(harness.Connect{ID: "c"})
		for i := 1; i <= 10; i++ {
			c.send(publish("x", i, 5))
			c.want(fmt.Sprint("puback:", i))
		}
		g.store.hold()
		for i := 1; i <= 4; i++ {
			c.send(publish("x", i, 5))
		}
		c.want("disconnect:93")
	})
}

func TestAliases(t *testing.T) {
	alias := func(topic string, n int) []byte {
		return harness.Publish{Topic: topic, Payload: "x", Props: [][]byte{harness.Prop(harness.PTopicAlias, harness.U16(n))}}.Bytes(5)
	}
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c"})
		c.subscribe("+", 0)
		c.send(alias("a", 1), alias("", 1), alias("b", 1), alias("", 1), alias("c", 5), alias("", 5))
		c.want("x x x x x x")
		c.send(alias("", 2))
		c.want("disconnect:82")
		c = g.connect(harness.Connect{ID: "c"})
		c.send(alias("", 1)) // they end with the connection
		c.want("disconnect:82")
		c = g.connect(harness.Connect{ID: "c"})
		c.send(alias("a", 6))
		c.want("disconnect:94")
	})
}

// Over the rate reading rests: nothing is lost, and the rest is not the client's silence.
func TestPublishRate(t *testing.T) {
	test(t, func(s *setup) { s.PublishRate = 10 }, func(g *rig) {
		o := g.connect(harness.Connect{ID: "o", KeepAlive: harness.NoKeepAlive})
		o.subscribe("t", 0)
		c := g.connect(harness.Connect{ID: "c", KeepAlive: 2})
		begun := time.Now()
		for i := range 100 {
			c.send(publish(fmt.Sprint(i), 0, 5))
		}
		c.send(harness.Ping())
		for got := ""; got != "pong"; got = c.take() {
			wait(100 * time.Millisecond)
		}
		if d := time.Since(begun); d < 8*time.Second || d > 12*time.Second {
			t.Errorf("100 messages at 10 a second took %v", d)
		}
		if n := len(strings.Fields(o.take())); n != 100 {
			t.Errorf("%d of 100 arrived", n)
		}
	})
	test(t, func(s *setup) { s.PublishBytes = 1000 }, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c", KeepAlive: 2})
		begun := time.Now()
		for range 5 {
			c.send(publish(strings.Repeat("x", 1000), 0, 5))
		}
		c.send(harness.Ping())
		for got := ""; got != "pong"; got = c.take() {
			wait(100 * time.Millisecond)
		}
		if d := time.Since(begun); d < 3*time.Second || d > 6*time.Second {
			t.Errorf("5 kB at 1 kB a second took %v", d)
		}
	})
}

// Nothing follows DISCONNECT [MQTT-3.14.4-1].
func TestNothingFollowsDisconnect(t *testing.T) {
	test(t, func(s *setup) { s.router.Queue = session.Limits{Messages: 1, Overflow: session.Disconnect} }, func(g *rig) {
		keep := harness.Prop(harness.PSessionExpiry, harness.U32(100))
		s := g.dial(home, true)
		go func() {
			_, _ = s.nc.Write(harness.Cat(harness.Connect{ID: "s", Props: [][]byte{keep, harness.Prop(harness.PReceiveMaximum, harness.U16(1))}}.Bytes(), harness.Subscribe(5, 1, nil, harness.To("t", 1))))
		}()
		wait(time.Second)
		p := g.connect(harness.Connect{ID: "p"})
		g.store.hold()
		for i := 1; i < 9; i++ {
			p.send(publish("x", i, 5))
		}
		g.store.release(-1)
		s.wake()
		wait(5 * time.Second)
		if got := s.take(); !strings.HasSuffix(got, "disconnect:97") || !s.gone() {
			t.Errorf("got %s", got)
		}
	})
}

func TestStop(t *testing.T) {
	test(t, nil, func(g *rig) {
		five, four := g.connect(harness.Connect{ID: "5"}), g.connect(harness.Connect{ID: "4", Version: 4})
		five.subscribe("t", 0)
		stuck := g.dial(home, true)
		go func() { _, _ = stuck.nc.Write(harness.Connect{ID: "s"}.Bytes()) }() // it never reads
		early := g.dial(home, false)                                            // has not sent CONNECT
		wait(time.Second)
		four.send(publish("last", 1, 4))
		begun := time.Now()
		g.server.Stop(nil)
		if d := time.Since(begun); d > 3*time.Second {
			t.Errorf("took %v", d)
		}
		five.want("last disconnect:8b")
		four.want("puback:1")
		early.want("")
		if !five.gone() || !four.gone() || !early.gone() {
			t.Error("somebody is still connected")
		}
		late := g.dial(home, false)
		late.send(harness.Connect{}.Bytes())
		if !late.gone() {
			t.Error("a connection after Stop")
		}
		stuck.wake()
	})
}

// A peer that floods a connection that ends does not keep it.
func TestFloodAtTheEnd(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c"})
		c.send([]byte{0xf0 | 1, 0})
		over := make(chan struct{})
		go func() {
			defer close(over)
			for {
				if _, err := c.nc.Write(publish("x", 0, 5)); err != nil {
					return
				}
				<-time.After(time.Millisecond)
			}
		}()
		wait(2 * time.Second)
		if g.server.Len() != 0 {
			t.Error("still connected")
		}
		<-over
	})
}

// Connections of a user, and of an address, share a rate; others are not slowed down.
func TestSharedPublishRates(t *testing.T) {
	for rule, change := range map[string]func(*setup){
		"limits.publish_rate_per_user":    func(s *setup) { s.UserRate = 10 },
		"limits.publish_rate_per_address": func(s *setup) { s.AddressRate = 10 },
	} {
		test(t, change, func(g *rig) {
			dial := func(address, user, id string) *client {
				c := g.dial(address, false)
				c.send(harness.Connect{ID: id, User: user, KeepAlive: harness.NoKeepAlive}.Bytes())
				c.want("connack:00")
				return c
			}
			a, b := dial("192.0.2.1", "ann", "a"), dial("192.0.2.1", "ann", "b")
			other := dial("192.0.2.2", "bob", "c")
			// The first messages of both together are within the rate.
			time50 := func(c ...*client) time.Duration {
				begun := time.Now()
				for _, c := range c {
					for i := range 25 {
						c.send(publish(fmt.Sprint(i), 0, 5))
						wait(time.Millisecond)
					}
					c.send(harness.Ping())
				}
				for _, c := range c {
					for got := ""; got != "pong"; got = c.take() {
						wait(100 * time.Millisecond)
					}
				}
				return time.Since(begun)
			}
			if d := time50(a, b); d < 3*time.Second || d > 6*time.Second {
				t.Errorf("%s: 50 messages of two at 10 a second took %v", rule, d)
			}
			if d := time50(other); d < time.Second || d > 3*time.Second {
				t.Errorf("%s: 25 messages of another took %v", rule, d)
			}
			if n := g.stats.Snapshot().Throttled[rule]; n == 0 {
				t.Errorf("%s: not counted: %v", rule, g.stats.Snapshot().Throttled)
			}
		})
	}
}
