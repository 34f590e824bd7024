package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestSubscribe(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	each(t, "MQTT-2.2.1-6 MQTT-3.8.4-1 MQTT-3.8.4-2 3.1.1/MQTT-2.3.1-7 3.1.1/MQTT-3.8.4-1 3.1.1/MQTT-3.8.4-2", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		for _, id := range []int{1, 256, 65535} {
			c.Send(Subscribe(v, id, nil, To(Name(), 0)))
			if p := c.Expect(SUBACK); p.ID != id {
				t.Errorf("got %v, want id %d", p, id)
			}
			c.Send(Unsubscribe(v, id, Name()))
			if p := c.Expect(UNSUBACK); p.ID != id {
				t.Errorf("got %v, want id %d", p, id)
			}
		}
	})

	both(t, "MQTT-3.8.1-1 3.1.1/MQTT-3.8.1-1", func(t *testing.T, v byte) { badFlags(t, b, v, Subscribe(v, 1, nil, To("a", 0)), 2) })
	both(t, "MQTT-3.10.1-1 3.1.1/MQTT-3.10.1-1", func(t *testing.T, v byte) { badFlags(t, b, v, Unsubscribe(v, 1, "a"), 2) })
	both(t, "MQTT-3.6.1-1 3.1.1/MQTT-3.6.1-1", func(t *testing.T, v byte) { badFlags(t, b, v, Ack(PUBREL, 1, 0), 2) })

	each(t, "MQTT-3.8.3-1 3.1.1/MQTT-3.8.3-1", func(t *testing.T, v byte) {
		for _, bad := range []string{"a\xff", "a\x00b", "\xf5\x80\x80\x80"} {
			c := b.Client(t, v)
			c.Send(Subscribe(v, 1, nil, To(bad, 0)))
			c.ExpectRefused(0x81)
		}
	})

	each(t, "MQTT-3.10.3-1 3.1.1/MQTT-3.10.3-1", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		c.Send(Unsubscribe(v, 1, "a\xff"))
		c.ExpectRefused(0x81)
	})

	both(t, "MQTT-3.8.3-2 3.1.1/MQTT-3.8.3-3", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		c.Send(Subscribe(v, 1, nil))
		refusedWith(t, c, "\x81\x82")
	})

	both(t, "MQTT-3.10.3-2 3.1.1/MQTT-3.10.3-2", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		c.Send(Unsubscribe(v, 1))
		refusedWith(t, c, "\x81\x82")
	})

	statement(t, "MQTT-3.8.3-3", func(t *testing.T) {
		topic := Name()
		c, other := b.Client(t, V5), b.Client(t, V5)
		c.Subscribe(topic, NoLocal)
		other.Subscribe(topic, 0)
		c.Publish(Publish{Topic: topic, Payload: "own"})
		other.Publish(Publish{Topic: topic, Payload: "not own"})
		c.ExpectMessage(topic, "not own")
		c.ExpectNothing()
		other.ExpectMessage(topic, "own")
	})

	statement(t, "MQTT-3.8.3-4", func(t *testing.T) {
		c := b.Client(t, V5)
		c.Send(Subscribe(V5, 1, nil, To("$share/g/"+Name(), NoLocal)))
		c.ExpectRefused(0x82)
	})

	statement(t, "MQTT-3.8.3-5", func(t *testing.T) {
		for _, bits := range []byte{0x40, 0x80, 0xC0} {
			c := b.Client(t, V5)
			c.Send(Subscribe(V5, 1, nil, To(Name(), bits)))
			c.ExpectRefused(0x81)
		}
	})

	statement(t, "3.1.1/MQTT-3.8.3-4", func(t *testing.T) {
		for _, bits := range []byte{0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFC} {
			c := b.Client(t, V311)
			c.Send(Subscribe(V311, 1, nil, To(Name(), bits)))
			c.ExpectRefused(0)
		}
	})

	each(t, "MQTT-3.8.4-3 3.1.1/MQTT-3.8.4-3", func(t *testing.T, v byte) {
		topic := Name()
		c, pub := b.Client(t, v), b.Client(t, v)
		pub.Publish(Publish{Topic: topic, Payload: "kept", Retain: true, QoS: 1})
		for _, q := range []byte{0, 2, 1} {
			if got := c.Subscribe(topic, q); got != q {
				t.Errorf("granted %d, want %d", got, q)
			}
			if p := c.ExpectMessage(topic, "kept"); !p.Retain() {
				t.Errorf("got %v, want RETAIN", p)
			}
			pub.Publish(Publish{Topic: topic, Payload: "x", QoS: 2})
			if p := c.ExpectMessage(topic, "x"); p.QoS() != q {
				t.Errorf("got %v, want QoS %d", p, q)
			}
			c.ExpectNothing() // one subscription, not two
		}
	})

	each(t, "MQTT-3.8.4-4", func(t *testing.T, v byte) {
		// A stream runs while the subscription is replaced again and again.
		sub, pub, topic := pair(t, b, v, 1)
		const n = 60
		for i := range n {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
			if i%3 == 0 {
				sub.Subscribe(topic, 1)
			}
		}
		for i := range n {
			sub.ExpectMessage(topic, fmt.Sprint(i))
		}
	})

	each(t, "MQTT-3.8.4-5 MQTT-3.8.4-6 MQTT-3.8.4-7 MQTT-3.9.3-1 MQTT-3.9.3-2 3.1.1/MQTT-3.8.4-4 3.1.1/MQTT-3.8.4-5 3.1.1/MQTT-3.9.3-1 3.1.1/MQTT-3.9.3-2", func(t *testing.T, v byte) {
		base := Name()
		c := b.Client(t, v)
		c.Send(Subscribe(v, 1, nil, To(base+"/2", 2), To(base+"/0", 0), To(base+"/1", 1), To(base+"/2/+", 2)))
		if p := c.Expect(SUBACK); !bytes.Equal(p.Codes, []byte{2, 0, 1, 2}) {
			t.Errorf("got %v, want 2 0 1 2", p)
		}
		for _, s := range []string{"/2", "/0", "/1", "/2/x"} {
			c.Publish(Publish{Topic: base + s, Payload: s})
			c.ExpectMessage(base+s, s)
		}
	})

	each(t, "MQTT-3.8.4-8 MQTT-4.8.2-3 3.1.1/MQTT-3.8.4-6", func(t *testing.T, v byte) {
		for granted := byte(0); granted <= 2; granted++ {
			sub, pub, topic := pair(t, b, v, granted)
			share := b.Client(t, v)
			share.Subscribe("$share/g/"+topic, granted)
			for q := byte(0); q <= 2; q++ {
				pub.Publish(Publish{Topic: topic, Payload: "x", QoS: q})
				for _, c := range []*Client{sub, share} {
					if p := c.ExpectMessage(topic, "x"); p.QoS() != min(q, granted) {
						t.Errorf("got %v, want QoS %d", p, min(q, granted))
					}
				}
			}
		}
	})

	each(t, "MQTT-4.7.1-1 MQTT-4.7.1-2 3.1.1/MQTT-4.7.1-2 3.1.1/MQTT-4.7.1-3", func(t *testing.T, v byte) {
		for _, bad := range []string{"a#", "a/#/b", "#/", "a/b#", "##", "a+", "+a", "a/b+/c", "a/+b"} {
			c := b.Client(t, v)
			c.Send(Subscribe(v, 1, nil, To(bad, 0)))
			badFilter(t, c)
		}
		topic := Name()
		c := b.Client(t, v)
		for _, good := range []string{"/+", "/+/b", "/+/+", "/#", "/a/#", "/a/b/#"} {
			c.Subscribe(topic+good, 0)
			c.Publish(Publish{Topic: topic + "/a/b", Payload: good})
			if good != "/+" {
				c.ExpectMessage(topic+"/a/b", good)
			}
			c.Unsubscribe(topic + good)
			c.ExpectNothing()
		}
	})

	each(t, "MQTT-4.7.2-1 3.1.1/MQTT-4.7.2-1", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		// A client may not publish to $SYS, but to a name of its own with $.
		topic := "$" + Name() + "/x"
		for _, f := range []string{"#", "+/x", "+/#"} {
			c.Subscribe(f, retainNever(v))
		}
		c.Publish(Publish{Topic: topic, Payload: "x"})
		c.Barrier()
		c.Send(Ping())
		for p := c.Next(); p.Type == PUBLISH; p = c.Next() {
			if strings.HasPrefix(p.Topic, "$") {
				t.Errorf("a wildcard matched %q", p.Topic)
			}
		}
		c = b.Client(t, v)
		c.Subscribe(topic[:len(topic)-1]+"#", 0)
		c.Publish(Publish{Topic: topic, Payload: "y"})
		c.ExpectMessage(topic, "y")
	})

	each(t, "MQTT-4.7.3-1 3.1.1/MQTT-4.7.3-1", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		c.Send(Subscribe(v, 1, nil, To("", 0)))
		refusedWith(t, c, "\x81\x82\x8f")
		c = b.Client(t, v)
		c.Send(Publish{Topic: ""}.Bytes(v))
		refusedWith(t, c, "\x81\x82\x90")
		c = b.Client(t, v)
		c.Send(Unsubscribe(v, 1, ""))
		refusedWith(t, c, "\x81\x82\x8f")
	})

	each(t, "MQTT-4.7.3-2 3.1.1/MQTT-4.7.3-2", func(t *testing.T, v byte) {
		for _, p := range [][]byte{
			Subscribe(v, 1, nil, To("a/\x00", 0)), Unsubscribe(v, 1, "a/\x00"), Publish{Topic: "a/\x00"}.Bytes(v),
		} {
			c := b.Client(t, v)
			c.Send(p)
			c.ExpectRefused(0x81)
		}
	})

	each(t, "MQTT-4.7.3-3 3.1.1/MQTT-4.7.3-3", func(t *testing.T, v byte) {
		sub, pub := b.Client(t, v), b.Client(t, v)
		topic := Name()
		topic += strings.Repeat("x", 65535-len(topic))
		sub.Subscribe(topic, 0)
		pub.Publish(Publish{Topic: topic, Payload: "long"})
		sub.ExpectMessage(topic, "long")
	})

	each(t, "MQTT-4.7.3-4 3.1.1/MQTT-4.7.3-4", func(t *testing.T, v byte) {
		base := Name()
		c := b.Client(t, v)
		// Composed and decomposed, case, separators, dots and spaces differ.
		names := []string{"/é", "/e\u0301", "/A", "/a", "/a/", "//a", "/./a", "/a ", "/a/../a", "/%61"}
		for i, n := range names {
			c.Subscribe(base+n, 0)
			c.Publish(Publish{Topic: base + n, Payload: fmt.Sprint(i)})
			c.ExpectMessage(base+n, fmt.Sprint(i))
			c.ExpectNothing()
		}
	})
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	each(t, "MQTT-3.10.4-1 MQTT-3.10.4-2 3.1.1/MQTT-3.10.4-1 3.1.1/MQTT-3.10.4-2", func(t *testing.T, v byte) {
		base := Name()
		c := b.Client(t, v)
		c.Subscribe(base+"/+", 1)
		c.Subscribe(base+"/a/#", 1)
		for _, other := range []string{"/a", "/#", "/A/#", "/+/", "/a/+"} {
			c.Unsubscribe(base + other)
		}
		c.Publish(Publish{Topic: base + "/b", Payload: "1", QoS: 1})
		c.ExpectMessage(base+"/b", "1")
		c.Unsubscribe(base + "/+")
		c.Publish(Publish{Topic: base + "/b", Payload: "2", QoS: 1})
		c.ExpectNothing()
		c.Publish(Publish{Topic: base + "/a", Payload: "3", QoS: 1})
		c.ExpectMessage(base+"/a", "3")
		c.Unsubscribe(base + "/a/#")
		c.Publish(Publish{Topic: base + "/a", Payload: "4", QoS: 1})
		c.ExpectNothing()
	})

	each(t, "MQTT-3.10.4-3 3.1.1/MQTT-3.10.4-3", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		sub := b.Connect(t, persistent(v, id))
		sub.Subscribe(topic, 2)
		pub := b.Client(t, v)
		pub.Publish(Publish{Topic: topic, Payload: "1", QoS: 1})
		pub.Publish(Publish{Topic: topic, Payload: "2", QoS: 2})
		one, two := sub.Expect(PUBLISH), sub.Expect(PUBLISH)
		sub.Unsubscribe(topic)
		sub.Send(Ack(PUBREC, two.ID, 0))
		if p := sub.Expect(PUBREL); p.ID != two.ID {
			t.Errorf("got %v", p)
		}
		sub.Drop()
		sub = b.Connect(t, persistent(v, id))
		for range 2 {
			switch p := sub.Next(); {
			case p.Type == PUBLISH && p.ID == one.ID && p.Dup():
			case p.Type == PUBREL && p.ID == two.ID:
			default:
				t.Errorf("got %v, want the two deliveries to go on", p)
			}
		}
		sub.ExpectNothing()
	})

	each(t, "MQTT-3.10.4-4 MQTT-3.10.4-5 3.1.1/MQTT-3.10.4-4 3.1.1/MQTT-3.10.4-5", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		p := c.Unsubscribe(Name())
		if v == V5 && (len(p.Codes) != 1 || p.Codes[0] != 0x11) {
			t.Errorf("got %v, want 0x11", p)
		}
	})

	each(t, "MQTT-3.10.4-6 MQTT-3.11.3-1 MQTT-3.11.3-2 3.1.1/MQTT-3.10.4-6", func(t *testing.T, v byte) {
		base := Name()
		c := b.Client(t, v)
		c.Subscribe(base+"/a", 0)
		c.Subscribe(base+"/b", 0)
		c.Send(Unsubscribe(v, 9, base+"/a", base+"/none", base+"/b"))
		p := c.Expect(UNSUBACK)
		if v == V5 && !bytes.Equal(p.Codes, []byte{0, 0x11, 0}) || v != V5 && len(p.Codes) != 0 {
			t.Errorf("got %v", p)
		}
		c.Publish(Publish{Topic: base + "/a"})
		c.Publish(Publish{Topic: base + "/b"})
		c.ExpectNothing()
	})
}

// retainNever are the subscription options that keep retained messages away,
// where the version has them.
func retainNever(v byte) byte {
	if v == V5 {
		return RetainNever
	}
	return 0
}

// badFlags sends a packet with every set of flags but the one it must have.
func badFlags(t *testing.T, b *Broker, v byte, p []byte, want byte) {
	t.Helper()
	for f := byte(0); f < 16; f++ {
		if f == want {
			continue
		}
		c := b.Client(t, v)
		c.Send(append([]byte{p[0]&0xF0 | f}, p[1:]...))
		c.ExpectRefused(0x81)
	}
}

// badFilter wants a filter with a wrong form to be refused: in the SUBACK, or as
// malformed with the end of the connection.
func badFilter(t *testing.T, c *Client) {
	t.Helper()
	c.Send(Ping())
	p, err := c.Try()
	if err != nil {
		if c.Version == V5 {
			t.Errorf("closed without a reason: %v", err)
		}
		return
	}
	switch {
	case p.Type == SUBACK && len(p.Codes) == 1 && p.Codes[0] == map[bool]byte{true: 0x8F, false: 0x80}[c.Version == V5]:
		c.Expect(PINGRESP)
	case p.Type == DISCONNECT && (p.Code == 0x81 || p.Code == 0x82 || p.Code == 0x8F):
		c.ExpectClosed()
	default:
		t.Errorf("got %v, want a refusal of the filter", p)
	}
}
