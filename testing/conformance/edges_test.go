package conformance

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// Where two rules meet.
func TestEdges(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	t.Run("the alias of a message that was too large is not known", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		for q := byte(0); q <= 2; q++ {
			sub := b.Connect(t, Connect{Props: [][]byte{Prop(PMaximumPacketSize, U32(200)), Prop(PTopicAliasMaximum, U16(5))}})
			sub.Subscribe(topic, q)
			pub := b.Client(t, V5)
			pub.Publish(Publish{Topic: topic, Payload: strings.Repeat("x", 300), QoS: q})
			pub.Publish(Publish{Topic: topic, Payload: "small", QoS: q})
			if p := sub.Receive(); p.Topic != topic || p.Payload != "small" {
				t.Errorf("got %v, want the topic by its name", p)
			}
		}
	})

	t.Run("what is sent again has its topic again", func(t *testing.T) {
		t.Parallel()
		for q := byte(1); q <= 2; q++ {
			topic := Name()
			o := persistent(V5, Name())
			o.Props = append(o.Props, Prop(PTopicAliasMaximum, U16(5)))
			sub := b.Connect(t, o)
			sub.Subscribe(topic, q)
			pub := b.Client(t, V5)
			const n = 4
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: q})
				sub.Expect(PUBLISH)
			}
			sub.Drop()
			o.Props = o.Props[:1] // without aliases
			sub = b.Connect(t, o)
			for i := range n {
				if p := sub.Expect(PUBLISH); p.Topic != topic || p.Payload != fmt.Sprint(i) || p.Props.Has(PTopicAlias) {
					t.Errorf("got %v, want %d with its topic", p, i)
				}
			}
		}
	})

	t.Run("redelivery within a smaller window", func(t *testing.T) {
		t.Parallel()
		for q := byte(1); q <= 2; q++ {
			topic := Name()
			o := persistent(V5, Name())
			sub := b.Connect(t, o)
			sub.Subscribe(topic, q)
			pub := b.Client(t, V5)
			const n = 5
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: q})
				sub.Expect(PUBLISH)
			}
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(n), QoS: q})
			sub.Drop()
			o.Props = append(o.Props, Prop(PReceiveMaximum, U16(1)))
			sub = b.Connect(t, o)
			for i := range n + 1 {
				p := sub.Expect(PUBLISH)
				if p.Payload != fmt.Sprint(i) {
					t.Fatalf("QoS %d: got %v, want %d", q, p, i)
				}
				sub.ExpectNothing()
				if q == 1 {
					sub.Send(Ack(PUBACK, p.ID, 0))
					continue
				}
				sub.Send(Ack(PUBREC, p.ID, 0))
				sub.Expect(PUBREL)
				sub.Send(Ack(PUBCOMP, p.ID, 0))
			}
			sub.ExpectNothing()
		}
	})

	t.Run("PUBREL is not held back by the window", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		o := persistent(V5, Name())
		sub := b.Connect(t, o)
		sub.Subscribe(topic, 2)
		pub := b.Client(t, V5)
		ids := map[int]bool{}
		const n = 4
		for range n {
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 2})
			p := sub.Expect(PUBLISH)
			sub.Send(Ack(PUBREC, p.ID, 0))
			sub.Expect(PUBREL)
			ids[p.ID] = true
		}
		sub.Drop()
		o.Props = append(o.Props, Prop(PReceiveMaximum, U16(1)))
		sub = b.Connect(t, o)
		for range n {
			p := sub.Expect(PUBREL)
			if !ids[p.ID] {
				t.Errorf("got %v, want one of %v", p, ids)
			}
			delete(ids, p.ID)
		}
		sub.ExpectNothing()
	})

	t.Run("an acknowledgement of the wrong flow ends no delivery", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			for q, wrong := range map[byte][]byte{1: {PUBREC, PUBCOMP}, 2: {PUBACK, PUBCOMP}} {
				for _, kind := range wrong {
					id, topic := Name(), Name()
					sub := b.Connect(t, persistent(v, id))
					sub.Subscribe(topic, q)
					b.Client(t, v).Publish(Publish{Topic: topic, Payload: "x", QoS: q})
					p := sub.Expect(PUBLISH)
					sub.Send(Ack(kind, p.ID, 0), Disconnect(0)) // it may also end the connection
					sub.ExpectClosed()
					sub = b.Connect(t, persistent(v, id))
					if again := sub.Expect(PUBLISH); again.ID != p.ID || again.Payload != "x" {
						t.Errorf("version %d QoS %d type %d: got %v, want the message again", v, q, kind, again)
					}
				}
			}
		}
	})

	t.Run("acknowledgements of nothing do nothing", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			c := b.Client(t, v)
			c.Send(Ack(PUBACK, 500, 0), Ack(PUBCOMP, 501, 0))
			c.ExpectNothing()
		}
	})

	t.Run("everything at once", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions { // a client need not wait for CONNACK
			topic := Name()
			c := Dial(t, b.TCP)
			c.Version = v
			c.Send(Connect{Version: v, ID: Name()}.Bytes(), Subscribe(v, 1, nil, To(topic, 1)),
				Publish{Topic: topic, Payload: "x", QoS: 1, ID: 2}.Bytes(v), Ping(), Unsubscribe(v, 3, topic))
			c.ExpectCode(CONNACK, 0)
			c.Expect(SUBACK)
			got := map[byte]int{}
			for range 4 {
				got[c.Next().Type]++
			}
			for _, kind := range []byte{PUBLISH, PUBACK, PINGRESP, UNSUBACK} {
				if got[kind] != 1 {
					t.Errorf("version %d: got types %v, want one of %d", v, got, kind)
				}
			}
			c.ExpectNothing()
		}
	})

	t.Run("many filters in one packet", func(t *testing.T) {
		t.Parallel()
		base := Name()
		c := b.Client(t, V5)
		var fs []Filter
		var names []string
		const n = 3000
		for i := range n {
			names = append(names, fmt.Sprintf("%s/%d", base, i))
			fs = append(fs, To(names[i], byte(i%3)))
		}
		c.Send(Subscribe(V5, 1, nil, fs...))
		p := c.Expect(SUBACK)
		for i, code := range p.Codes {
			if code != byte(i%3) {
				t.Fatalf("filter %d: code %#02x", i, code)
			}
		}
		if len(p.Codes) != n {
			t.Fatalf("%d codes, want %d", len(p.Codes), n)
		}
		c.Publish(Publish{Topic: names[n-1], Payload: "x"})
		c.ExpectMessage(names[n-1], "x")
		c.Send(Unsubscribe(V5, 2, names...))
		if p := c.Expect(UNSUBACK); len(p.Codes) != n {
			t.Fatalf("%d codes, want %d", len(p.Codes), n)
		}
		c.Publish(Publish{Topic: names[n-1], Payload: "x"})
		c.ExpectNothing()
	})

	t.Run("retained messages within the window", func(t *testing.T) {
		t.Parallel()
		base := Name()
		pub := b.Client(t, V5)
		const n = 100
		for i := range n {
			pub.Publish(Publish{Topic: fmt.Sprintf("%s/%d", base, i), Payload: "x", QoS: byte(1 + i%2), Retain: true})
		}
		sub := b.Connect(t, Connect{Props: [][]byte{Prop(PReceiveMaximum, U16(2))}})
		sub.Subscribe(base+"/#", 2)
		seen := map[string]bool{}
		for range n {
			p := sub.Receive()
			if !p.Retain() || seen[p.Topic] {
				t.Errorf("got %v, want each once with RETAIN", p)
			}
			seen[p.Topic] = true
		}
		sub.ExpectNothing()
	})

	t.Run("a retained QoS is limited by the subscription", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			topic := Name()
			b.Client(t, v).Publish(Publish{Topic: topic, Payload: "x", QoS: 2, Retain: true})
			for q := byte(0); q <= 2; q++ {
				c := b.Client(t, v)
				c.Subscribe(topic, q)
				if p := c.ExpectMessage(topic, "x"); p.QoS() != q {
					t.Errorf("got %v, want QoS %d", p, q)
				}
			}
		}
	})

	t.Run("traffic is as good as PINGREQ", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		c := b.Connect(t, Connect{KeepAlive: 1})
		late := b.Connect(t, Connect{KeepAlive: 1})
		c.Subscribe(topic, 1)
		late.Subscribe(topic, 0)
		clock := b.Client(t, V5) // tells when 3 s are over: the delay of a will
		clock.Subscribe(topic+"/end", 0)
		b.Connect(t, Connect{Props: [][]byte{Prop(PSessionExpiry, U32(99))}, Will: &Will{
			Topic: topic + "/end", Payload: "end", Props: [][]byte{Prop(PWillDelay, U32(3))}}}).Drop()
		pub := b.Client(t, V5)
		Poll(t, 0, func() bool {
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 1})
			c.ExpectMessage(topic, "x") // its PUBACK is a sign of life
			clock.Barrier()
			return clock.Waiting() > 0
		})
		c.ExpectNothing()
		ps := late.ExpectClosed() // to be sent something is none
		if len(ps) == 0 || ps[len(ps)-1].Code != 0x8D {
			t.Errorf("got %v, want DISCONNECT 0x8D", ps)
		}
	})

	t.Run("levels", func(t *testing.T) {
		t.Parallel()
		OwnNode(t)
		for _, v := range []byte{V5, V311} {
			code := map[byte]byte{V5: 0x8F, V311: 0x80}[v]
			for _, f := range []string{strings.Repeat("a/", 128) + "a", strings.Repeat("/", 65535), strings.Repeat("+/", 32767)} {
				c := b.Client(t, v)
				c.Send(Subscribe(v, 1, nil, To(f, 0)))
				if p := c.Expect(SUBACK); len(p.Codes) != 1 || p.Codes[0] != code {
					t.Errorf("version %d, %d bytes: got %v, want %#02x", v, len(f), p, code)
				}
			}
			c := b.Client(t, v)
			c.Subscribe(strings.Repeat("a/", 127)+"a", 0)
			c.Publish(Publish{Topic: strings.Repeat("a/", 127) + "a", Payload: "deep"})
			c.ExpectMessage(strings.Repeat("a/", 127)+"a", "deep")
		}
		c := b.Client(t, V5)
		if ack := c.Publish(Publish{Topic: strings.Repeat("/", 65535), QoS: 1}); ack.Code != 0x90 {
			t.Errorf("got %v, want 0x90", ack)
		}
	})
}

// Shared subscriptions whose members come and go.
func TestSharedMembers(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	t.Run("what a member did not acknowledge goes on when its session ends", func(t *testing.T) {
		t.Parallel()
		OwnNode(t) // a broker may also drop it
		for _, v := range versions {
			topic := Name()
			one := b.Client(t, v)
			one.Subscribe("$share/g/"+topic, 1)
			pub := b.Client(t, v)
			const n = 5
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
				one.Expect(PUBLISH)
			}
			two := b.Client(t, v)
			two.Subscribe("$share/g/"+topic, 1)
			one.Leave()
			for i := range n {
				two.ExpectMessage(topic, fmt.Sprint(i))
			}
		}
	})

	t.Run("messages go to who is there", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			topic, id := Name(), Name()
			away := b.Connect(t, persistent(v, id))
			away.Subscribe("$share/g/"+topic, 1)
			away.Leave()
			here := b.Client(t, v)
			here.Subscribe("$share/g/"+topic, 1)
			pub := b.Client(t, v)
			const n = 10
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
			}
			for i := range n {
				here.ExpectMessage(topic, fmt.Sprint(i))
			}
			b.Connect(t, persistent(v, id)).ExpectNothing()
		}
	})

	t.Run("messages wait while nobody is there", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			topic, id := Name(), Name()
			away := b.Connect(t, persistent(v, id))
			away.Subscribe("$share/g/"+topic, 2)
			away.Leave()
			pub := b.Client(t, v)
			const n = 10
			for i := range n {
				pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
			}
			back := b.Connect(t, persistent(v, id))
			for i := range n {
				back.ExpectMessage(topic, fmt.Sprint(i))
			}
			back.ExpectNothing()
		}
	})

	t.Run("a member with a full window does not hold the others", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		full := b.Connect(t, Connect{Props: [][]byte{Prop(PReceiveMaximum, U16(1))}})
		full.Subscribe("$share/g/"+topic, 1)
		free := b.Client(t, V5)
		free.Subscribe("$share/g/"+topic, 1)
		pub := b.Client(t, V5)
		const n = 20
		for i := range n {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
		}
		full.Expect(PUBLISH) // and never acknowledges it
		for range n - 1 {
			free.Receive()
		}
		free.ExpectNothing()
		full.ExpectNothing()
	})
}
