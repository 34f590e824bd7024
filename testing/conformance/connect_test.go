package conformance

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	statement(t, "MQTT-3.1.0-1 3.1.1/MQTT-3.1.0-1", func(t *testing.T) {
		for name, p := range map[string][]byte{
			"publish":     Publish{Topic: "a", Payload: "x"}.Bytes(V311),
			"subscribe":   Subscribe(V311, 1, nil, To("a", 0)),
			"unsubscribe": Unsubscribe(V311, 1, "a"),
			"ping":        Ping(),
			"disconnect":  Disconnect(0),
			"puback":      Ack(PUBACK, 1, 0),
			"auth":        Auth(0x18, Prop(PAuthMethod, Str("m"))),
		} {
			c := Dial(t, b.TCP)
			c.Send(p)
			if got := c.ReadAll(); len(got) > 0 {
				t.Errorf("%s before CONNECT: got % x, want a closed connection", name, got)
			}
		}
	})

	each(t, "MQTT-3.1.0-2 3.1.1/MQTT-3.1.0-2", func(t *testing.T, v byte) {
		o := Connect{Version: v, ID: Name()}
		c := b.Connect(t, o)
		c.Send(o.Bytes())
		c.ExpectRefused(0x82)
	})

	statement(t, "MQTT-3.1.2-1", func(t *testing.T) {
		c := Dial(t, b.TCP)
		c.Send(Connect{ID: Name(), Name: "MQTX"}.Bytes())
		for _, p := range c.ExpectClosed() {
			if p.Type != CONNACK || p.Code != 0x84 {
				t.Errorf("got %v, want nothing or CONNACK 0x84", p)
			}
		}
	})

	statement(t, "3.1.1/MQTT-3.1.2-1", func(t *testing.T) {
		for _, name := range []string{"MQTX", "mqtt", "MQ", "MQTTT", ""} {
			c := Dial(t, b.TCP)
			o := Connect{Version: V311, ID: Name(), Name: name}
			if name == "" {
				c.Send(Frame(0x10, Str(""), []byte{4, 2}, U16(60), Str(o.ID)))
			} else {
				c.Send(o.Bytes())
			}
			if got := c.ReadAll(); len(got) >= 4 && got[0] == 0x20 && got[3] == 0 {
				t.Errorf("protocol name %q was accepted", name)
			}
		}
	})

	statement(t, "MQTT-3.1.2-2", func(t *testing.T) {
		c := Dial(t, b.TCP)
		c.Send(Connect{ID: Name(), Level: 6}.Bytes())
		switch got := c.ReadAll(); {
		case len(got) == 0, string(got) == "\x20\x02\x00\x01":
		case len(got) >= 4 && got[0] == 0x20 && got[3] == 0x84:
		default:
			t.Errorf("got % x, want nothing or a CONNACK that refuses the version", got)
		}
	})

	statement(t, "3.1.1/MQTT-3.1.2-2", func(t *testing.T) {
		c := Dial(t, b.TCP)
		c.Send(Connect{Version: V311, ID: Name(), Level: 2}.Bytes())
		if got := c.ReadAll(); string(got) != "\x20\x02\x00\x01" {
			t.Errorf("got % x, want return code 1 and a closed connection", got)
		}
	})

	both(t, "MQTT-3.1.2-3 3.1.1/MQTT-3.1.2-3", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Flags: 0x01})
	})

	both(t, "MQTT-3.1.2-9 3.1.1/MQTT-3.1.2-9", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Flags: 0x04})
	})

	both(t, "MQTT-3.1.2-11 3.1.1/MQTT-3.1.2-11 3.1.1/MQTT-3.1.2-13", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Flags: 0x08})
	})

	each(t, "MQTT-3.1.2-12 3.1.1/MQTT-3.1.2-14", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Will: &Will{Topic: "w", QoS: 3}})
		for q := byte(0); q < 3; q++ {
			b.Connect(t, Connect{Version: v, Will: &Will{Topic: Name(), QoS: q}}).Leave()
		}
	})

	both(t, "MQTT-3.1.2-13 3.1.1/MQTT-3.1.2-15", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Flags: 0x20})
	})

	both(t, "MQTT-3.1.2-16 3.1.1/MQTT-3.1.2-18", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, User: "u", Flags: 0x80})
	})

	both(t, "MQTT-3.1.2-17 3.1.1/MQTT-3.1.2-19", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Flags: 0x80})
	})

	both(t, "MQTT-3.1.2-18 3.1.1/MQTT-3.1.2-20", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, User: "u", Pass: "p", Flags: 0x40})
	})

	both(t, "MQTT-3.1.2-19 3.1.1/MQTT-3.1.2-21", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, User: "u", Flags: 0x40})
	})

	statement(t, "3.1.1/MQTT-3.1.2-22", func(t *testing.T) {
		badConnect(t, b, Connect{Version: V311, Pass: "p"})
	})

	statement(t, "MQTT-3.1.3-1 3.1.1/MQTT-3.1.3-1", func(t *testing.T) {
		for _, v := range versions {
			topic := Name()
			sub := b.Client(t, v)
			sub.Subscribe(topic, 0)
			c := b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "w"}, User: "u", Pass: "p"})
			c.Drop()
			sub.ExpectMessage(topic, "w")
		}
	})

	each(t, "MQTT-3.1.3-3 3.1.1/MQTT-3.1.3-3", func(t *testing.T, v byte) {
		name := map[bool]string{true: "MQIsdp", false: "MQTT"}[v == V31]
		body := Cat(Str(name), []byte{v, 2}, U16(60))
		if v == V5 {
			body = append(body, 0)
		}
		c := Dial(t, b.TCP)
		c.Version = v
		c.Send(Frame(0x10, body))
		noSuccess(t, c)
	})

	both(t, "MQTT-3.1.3-4 3.1.1/MQTT-3.1.3-4", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, ID: "a\xff"})
		badConnect(t, b, Connect{Version: v, ID: "a\x00"})
	})

	each(t, "MQTT-3.1.3-5 3.1.1/MQTT-3.1.3-5", func(t *testing.T, v byte) {
		const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for i := 0; i < len(all); i += 15 {
			id := (Name() + all[i:min(len(all), i+15)] + "0000000000000")[:23]
			b.Connect(t, Connect{Version: v, ID: id}).Leave()
		}
	})

	statement(t, "MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.2.2-16", func(t *testing.T) {
		seen := map[string]bool{}
		for range 3 {
			c := Dial(t, b.TCP)
			ack := c.Connect(Connect{ID: ""})
			id := ack.Props.Text(PAssignedClientID)
			if ack.Code != 0 || id == "" || seen[id] {
				t.Fatalf("got %v, want a new assigned client identifier", ack)
			}
			seen[id] = true
			// It is the client's: a second connection with it takes over.
			b.Connect(t, Connect{ID: id})
			c.ExpectRefused(0x8E)
		}
	})

	statement(t, "3.1.1/MQTT-3.1.3-6", func(t *testing.T) {
		topic := Name()
		var cs []*Client
		for range 2 { // two, so that they would collide without names of their own
			c := Dial(t, b.TCP)
			if ack := c.Connect(Connect{Version: V311, ID: ""}); ack.Code != 0 {
				t.Fatalf("got %v", ack)
			}
			c.Subscribe(topic, 0)
			cs = append(cs, c)
		}
		cs[0].Publish(Publish{Topic: topic, Payload: "x"})
		for _, c := range cs {
			c.ExpectMessage(topic, "x")
		}
	})

	statement(t, "3.1.1/MQTT-3.1.3-8 3.1.1/MQTT-3.1.3-9 3.1.1/MQTT-3.2.2-4 3.1.1/MQTT-3.2.2-5", func(t *testing.T) {
		c := Dial(t, b.TCP)
		c.Send(Connect{Version: V311, Keep: true}.Bytes())
		if got := c.ReadAll(); string(got) != "\x20\x02\x00\x02" {
			t.Errorf("got % x, want return code 2 and a closed connection", got)
		}
	})

	both(t, "MQTT-3.1.3-11 3.1.1/MQTT-3.1.3-10", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, Will: &Will{Topic: "a\xc3"}})
		badConnect(t, b, Connect{Version: v, Will: &Will{Topic: "a\x00b"}})
	})

	both(t, "MQTT-3.1.3-12 3.1.1/MQTT-3.1.3-11", func(t *testing.T, v byte) {
		badConnect(t, b, Connect{Version: v, User: "a\xed\xa0\x80"})
		badConnect(t, b, Connect{Version: v, User: "a\x00b"})
	})

	statement(t, "3.1.1/MQTT-3.1.4-1", func(t *testing.T) {
		for _, o := range []Connect{
			{Flags: 0x01}, {Flags: 0x08}, {AfterFields: []byte{0}}, {Will: &Will{Topic: "a", QoS: 3}}, {ID: "\xff"},
		} {
			o.Version = V311
			c := Dial(t, b.TCP)
			c.Send(o.Bytes())
			if got := c.ReadAll(); len(got) > 0 {
				t.Errorf("%+v: got % x, want no CONNACK", o, got)
			}
		}
	})

	statement(t, "MQTT-3.1.4-1", func(t *testing.T) {
		badConnect(t, b, Connect{AfterFields: []byte{0}})
		badConnect(t, b, Connect{Props: [][]byte{Prop(PTopicAlias, U16(1))}})
	})

	each(t, "MQTT-3.1.4-3 3.1.1/MQTT-3.1.4-2", func(t *testing.T, v byte) {
		id := Name()
		first := b.Connect(t, Connect{Version: v, ID: id})
		second := b.Connect(t, Connect{Version: v, ID: id})
		first.ExpectRefused(0x8E)
		second.ExpectNothing()
	})

	each(t, "MQTT-3.1.4-5 MQTT-3.2.0-1 3.1.1/MQTT-3.1.4-4 3.1.1/MQTT-3.2.0-1", func(t *testing.T, v byte) {
		id, topic := Name(), Name()
		c := b.Connect(t, persistent(v, id))
		c.Subscribe(topic, 1)
		c.Drop()
		pub := b.Client(t, v)
		for i := range 10 {
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1})
		}
		// Messages wait for the client; CONNACK comes before them (Connect wants it first).
		c = b.Connect(t, persistent(v, id))
		for i := range 10 {
			c.ExpectMessage(topic, fmt.Sprint(i))
		}
	})

	each(t, "MQTT-3.1.4-6 3.1.1/MQTT-3.1.4-5", func(t *testing.T, v byte) {
		topic := Name()
		bad := Connect{Version: v, ID: Name(), Will: &Will{Topic: "a/#"}}
		c := Dial(t, b.TCP)
		c.Version = v
		c.Send(bad.Bytes(), Publish{Topic: topic, Payload: "x", Retain: true}.Bytes(v))
		noSuccess(t, c)
		c = b.Client(t, v)
		c.Subscribe(topic, 0)
		c.ExpectNothing()
	})

	statement(t, "MQTT-3.2.0-2", func(t *testing.T) {
		c := b.Client(t, V5)
		c.Subscribe(Name(), 0)
		c.ExpectNothing() // a second CONNACK would be something
	})

	statement(t, "MQTT-3.2.2-7 MQTT-3.2.2-8 MQTT-3.2.2-6 MQTT-4.13.2-1", func(t *testing.T) {
		c, ack := b.TryConnect(t, Connect{Props: [][]byte{Prop(PAuthMethod, Str("no such method"))}})
		if ack.Code < 0x80 || ack.Present {
			t.Errorf("got %v, want a refusal without session present", ack)
		}
		c.ExpectClosed()
	})

	statement(t, "MQTT-1.5.5-1 MQTT-2.1.3-1 MQTT-2.2.2-1 MQTT-3.2.2-1", func(t *testing.T) {
		// The client reads strictly: lengths in their shortest form, reserved bits,
		// a property length in every packet. Here is one of each from the broker.
		topic := Name()
		c := b.Client(t, V5)
		c.Subscribe(topic, 2)
		for q := byte(0); q < 3; q++ {
			c.Publish(Publish{Topic: topic, Payload: strings.Repeat("x", 200), QoS: q})
			c.ExpectMessage(topic, strings.Repeat("x", 200))
		}
		c.Unsubscribe(topic)
		c.ExpectNothing()
	})
}

// badConnect wants a refusal of a CONNECT that is malformed: with MQTT 5 it may
// carry a CONNACK with 0x80 or above, with 3.x it carries none.
func badConnect(t *testing.T, b *Broker, o Connect) {
	t.Helper()
	c := Dial(t, b.TCP)
	if o.ID == "" {
		o.ID = Name()
	}
	c.Version = o.Version
	if c.Version == 0 {
		c.Version = V5
	}
	c.Send(o.Bytes())
	noSuccess(t, c)
}

// noSuccess wants the end of a connection that was never accepted.
func noSuccess(t *testing.T, c *Client) {
	t.Helper()
	for _, p := range c.ExpectClosed() {
		if p.Type != CONNACK || p.Code == 0 {
			t.Errorf("got %v, want a refusal", p)
		}
	}
}
