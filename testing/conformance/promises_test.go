package conformance

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/config"
	. "github.com/skeinmq/skein/testing/harness"
)

// What a broker owes its clients beyond single statements: under load, at the
// edges of a connection's life, at its limits.
func TestPromises(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	t.Run("DISCONNECT is the last packet under load", func(t *testing.T) {
		t.Parallel()
		for round := range 10 {
			id, topic := Name(), Name()
			first := b.Connect(t, persistent(V5, id))
			first.Subscribe(topic, byte(round%3))
			pub := b.Client(t, V5)
			var all []byte
			for i := range 300 {
				all = append(all, Publish{Topic: topic, Payload: "x", QoS: byte(round % 3), ID: i + 1}.Bytes(V5)...)
			}
			pub.Send(all)
			second := b.Connect(t, persistent(V5, id))
			ps := first.ExpectClosed()
			if len(ps) == 0 || ps[len(ps)-1].Type != DISCONNECT || ps[len(ps)-1].Code != 0x8E {
				t.Errorf("got %v, want DISCONNECT 0x8E last", ps)
			}
			second.Drop()
		}
	})

	t.Run("more in flight than a 3.x client was told", func(t *testing.T) {
		t.Parallel()
		for _, v := range []byte{V311, V31} {
			sub, pub, topic := pair(t, b, v, 1)
			const n = 5000
			var all []byte
			for i := range n {
				all = append(all, Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1, ID: i + 1}.Bytes(v)...)
			}
			go pub.Send(append(all, Ping()...)) // ends when the broker has read it
			for i := range n {
				sub.ExpectMessage(topic, fmt.Sprint(i))
			}
			acks, pings := 0, 0
			for acks < n || pings < 1 {
				switch p := pub.Next(); {
				case p.Type == PINGRESP:
					pings++
				case p.Type == PUBACK && p.ID == acks+1:
					acks++
				default:
					t.Fatalf("got %v, want PUBACK %d", p, acks+1)
				}
			}
		}
	})

	t.Run("publish, DISCONNECT and away", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			for _, n := range []int{10, 900} {
				sub, _, topic := pair(t, b, v, 1)
				pub := b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "will"}})
				var all []byte
				for i := range n {
					all = append(all, Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(i % 2), ID: i + 1}.Bytes(v)...)
				}
				pub.Send(append(all, Disconnect(0)...))
				if tcp, ok := pub.Conn.(*net.TCPConn); ok {
					_ = tcp.CloseWrite() // as a client does, which does not wait for answers
				}
				next := map[byte]int{0: 0, 1: 1}
				for range n {
					p := sub.Receive()
					if p.Payload != fmt.Sprint(next[p.QoS()]) {
						t.Fatalf("got %v, want %d", p, next[p.QoS()])
					}
					next[p.QoS()] += 2
				}
				pub.ExpectClosed()
				sub.ExpectNothing() // no will
			}
		}
	})

	t.Run("one client id, many connections at once", func(t *testing.T) {
		t.Parallel()
		for _, keep := range []bool{true, false} {
			id := Name()
			o := Connect{ID: id, Keep: keep}
			if keep {
				o = persistent(V5, id)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 15 {
						storm(t, b, o)
					}
				})
			}
			wg.Wait()
			c, topic := b.Connect(t, o), Name()
			c.Subscribe(topic, 1)
			for i := range 5 { // it is whole: nobody ends it later
				c.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
				c.ExpectMessage(topic, fmt.Sprint(i))
			}
		}
	})

	t.Run("a session that ends while its client comes back", func(t *testing.T) {
		t.Parallel()
		id, topic := Name(), Name()
		for i := range 50 {
			c := b.Connect(t, persistent(V5, id))
			c.Subscribe(topic, 1)
			c.Send(Disconnect(0, Prop(PSessionExpiry, U32(0))))
			c = b.Connect(t, persistent(V5, id)) // does not wait for the end of the first
			c.Subscribe(topic, 1)
			c.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
			c.ExpectMessage(topic, fmt.Sprint(i))
			c.Leave(Disconnect(0, Prop(PSessionExpiry, U32(0))))
		}
	})

	t.Run("a retained message is live or retained to a new subscriber", func(t *testing.T) {
		t.Parallel()
		for range 40 {
			topic := Name()
			sub, pub := b.Client(t, V5), b.Client(t, V5)
			var wg sync.WaitGroup
			wg.Go(func() { pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 1, Retain: true}) })
			sub.Send(Subscribe(V5, 1, nil, To(topic, 1)))
			wg.Wait()
			sub.Expect(SUBACK)
			sub.ExpectMessage(topic, "x") // at least once
		}
	})

	t.Run("subscription identifiers are part of the session", func(t *testing.T) {
		t.Parallel()
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(V5, id))
		c.Subscribe(topic, 1, Prop(PSubscriptionID, VarInt(5)))
		c.Drop()
		pub := b.Client(t, V5)
		pub.Publish(Publish{Topic: topic, Payload: "away", QoS: 1})
		c = b.Connect(t, persistent(V5, id))
		pub.Publish(Publish{Topic: topic, Payload: "back", QoS: 1})
		for _, want := range []string{"away", "back"} {
			if p := c.ExpectMessage(topic, want); p.Props.Num(PSubscriptionID, 0) != 5 {
				t.Errorf("got %v, want identifier 5", p)
			}
		}
		c.Subscribe(topic, 1, Prop(PSubscriptionID, VarInt(6)))
		pub.Publish(Publish{Topic: topic, Payload: "new", QoS: 1})
		if p := c.ExpectMessage(topic, "new"); p.Props.Num(PSubscriptionID, 0) != 6 {
			t.Errorf("got %v, want identifier 6", p)
		}
		c.Subscribe(topic, 1)
		pub.Publish(Publish{Topic: topic, Payload: "none", QoS: 1})
		if p := c.ExpectMessage(topic, "none"); p.Props.Has(PSubscriptionID) {
			t.Errorf("got %v, want no identifier", p)
		}
	})
}

// storm connects and goes at once, whatever becomes of it.
func storm(t *testing.T, b *Broker, o Connect) {
	t.Helper()
	nc, err := DialConn(b.TCP)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = nc.Close() }()            // as a client that crashed
	_ = nc.SetDeadline(time.Now().Add(Deadline)) // a broken connection fails the read
	_, _ = nc.Write(o.Bytes())
	var ack [1]byte
	if _, err := nc.Read(ack[:]); err != nil && TimedOut(err) {
		t.Error("a connect was not answered")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	b := NodeWith(t, Setup{All: true})
	five, three := b.Client(t, V5), b.Client(t, V311)
	over := Dial(t, b.WSS)
	over.Connect(Connect{ID: Name()})
	silent := Dial(t, b.TCP)
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	five.ExpectRefused(0x8B)
	three.ExpectRefused(0)
	over.ExpectRefused(0x8B)
	if got := silent.ReadAll(); len(got) > 0 {
		t.Errorf("got % x", got)
	}
	if nc, err := DialConn(b.TCP); err == nil {
		_ = nc.Close() // it should not be
		t.Error("a stopped node accepts")
	}
}

func TestQueueLimits(t *testing.T) {
	t.Parallel()
	const most = 5
	for rule, want := range map[config.Overflow]string{config.DropOldest: "5 6 7 8 9", config.DropNewest: "0 1 2 3 4"} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			b := Node(t, func(c *config.Config) { c.Session.Queue.Messages, c.Session.Queue.Overflow = most, rule })
			for _, v := range versions {
				id, topic := Name(), Name()
				c := b.Connect(t, persistent(v, id))
				c.Subscribe(topic, 1)
				c.Leave()
				pub := b.Client(t, v)
				for i := range 2 * most {
					pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
				}
				c = b.Connect(t, persistent(v, id))
				var got []string
				for range most {
					got = append(got, c.Receive().Payload)
				}
				if s := strings.Join(got, " "); s != want {
					t.Errorf("version %d: got %s, want %s", v, s, want)
				}
				c.ExpectNothing()
			}
		})
	}

	t.Run("session expiry is capped and told", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.Session.MaxExpiry = config.Duration(10 * time.Second) })
		never := []byte{0xFF, 0xFF, 0xFF, 0xFF}
		for _, c := range []struct {
			asked []byte
			want  int
		}{{U32(5), 5}, {U32(10), 10}, {U32(11), 10}, {never, 10}} {
			_, ack := b.TryConnect(t, Connect{Props: [][]byte{Prop(PSessionExpiry, c.asked)}})
			if got := ack.Props.Num(PSessionExpiry, c.want); got != c.want || !ack.Props.Has(PSessionExpiry) && c.want == 10 && c.asked[3] != 10 {
				t.Errorf("asked for % x: got %v, want %d", c.asked, ack, c.want)
			}
		}
	})
}
