package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/config"
	. "github.com/skeinmq/skein/testing/harness"
)

// What settings refuse, and what CONNACK tells of them.
func TestSettings(t *testing.T) {
	t.Parallel()

	t.Run("defaults", func(t *testing.T) {
		t.Parallel()
		OwnNode(t)
		_, ack := Shared(t).TryConnect(t, Connect{})
		for id, want := range map[byte]int{PMaximumQoS: 2, PRetainAvailable: 1, PWildcardAvailable: 1, PSubscriptionIDsAllowed: 1, PSharedAvailable: 1} {
			if got := ack.Props.Num(id, want); got != want {
				t.Errorf("property %#02x is %d, want %d or none", id, got, want)
			}
		}
		if ack.Props.Has(PMaximumQoS) {
			t.Errorf("got %v: a Maximum QoS of 2 is told by leaving it out", ack)
		}
		d := config.Default().MQTT
		if got := ack.Props.Num(PReceiveMaximum, 65535); got != d.ReceiveMaximum {
			t.Errorf("receive maximum %d, want %d", got, d.ReceiveMaximum)
		}
		if got := ack.Props.Num(PTopicAliasMaximum, 0); got != d.TopicAliasMaximum {
			t.Errorf("topic alias maximum %d, want %d", got, d.TopicAliasMaximum)
		}
		if got := ack.Props.Num(PMaximumPacketSize, 0); got != int(d.MaxPacketSize) {
			t.Errorf("maximum packet size %d, want %d", got, d.MaxPacketSize)
		}
	})

	statement(t, "MQTT-3.2.2-9 MQTT-3.2.2-10 MQTT-3.2.2-12", func(t *testing.T) {
		for most := 0; most < 2; most++ {
			b := Node(t, func(c *config.Config) { c.MQTT.MaximumQoS = most })
			c, ack := b.TryConnect(t, Connect{})
			if got := ack.Props.Num(PMaximumQoS, 2); got != most {
				t.Errorf("maximum QoS %d, want %d", got, most)
			}
			for q := byte(0); q <= 2; q++ {
				if got := c.Subscribe(Name(), q); got > q {
					t.Errorf("granted %d, asked for %d", got, q)
				}
			}
			refused(t, b, Connect{Will: &Will{Topic: "w", QoS: byte(most + 1)}}, 0x9B)
			for _, v := range versions {
				c := b.Client(t, v)
				c.Send(Publish{Topic: "a", QoS: byte(most + 1), ID: 1}.Bytes(v))
				c.ExpectRefused(0x9B)
			}
		}
	})

	statement(t, "MQTT-3.2.2-13", func(t *testing.T) {
		b := Node(t, func(c *config.Config) { c.MQTT.RetainAvailable = false })
		c, ack := b.TryConnect(t, Connect{})
		if got := ack.Props.Num(PRetainAvailable, 1); got != 0 {
			t.Errorf("retain available is %d, want 0", got)
		}
		refused(t, b, Connect{Will: &Will{Topic: "w", Retain: true}}, 0x9A)
		c.Send(Publish{Topic: "a", Retain: true}.Bytes(V5))
		c.ExpectRefused(0x9A)
		b.Client(t, V5).Publish(Publish{Topic: "a", QoS: 1})
	})

	statement(t, "3.1.1/MQTT-3.8.3-2", func(t *testing.T) {
		b := Node(t, func(c *config.Config) { c.MQTT.WildcardSubscriptions = false })
		c, ack := b.TryConnect(t, Connect{})
		if got := ack.Props.Num(PWildcardAvailable, 1); got != 0 {
			t.Errorf("wildcards available is %d, want 0", got)
		}
		refusesFilter(t, c, 0xA2, To("a/#", 0), To("+", 0), To("$share/g/+", 0))
		refusesFilter(t, b.Client(t, V311), 0x80, To("a/#", 0), To("+", 0))
		c.Subscribe("a", 0)
	})

	t.Run("subscription identifiers", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.MQTT.SubscriptionIdentifiers = false })
		c, ack := b.TryConnect(t, Connect{})
		if got := ack.Props.Num(PSubscriptionIDsAllowed, 1); got != 0 {
			t.Errorf("subscription identifiers available is %d, want 0", got)
		}
		c.Send(Subscribe(V5, 1, Prop(PSubscriptionID, VarInt(1)), To("a", 0)))
		switch p := c.Next(); {
		case p.Type == SUBACK && len(p.Codes) == 1 && p.Codes[0] == 0xA1:
		case p.Type == DISCONNECT && p.Code == 0xA1:
		default:
			t.Errorf("got %v, want 0xA1", p)
		}
	})

	t.Run("shared subscriptions", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.MQTT.SharedSubscriptions = false })
		c, ack := b.TryConnect(t, Connect{})
		if got := ack.Props.Num(PSharedAvailable, 1); got != 0 {
			t.Errorf("shared subscriptions available is %d, want 0", got)
		}
		refusesFilter(t, c, 0x9E, To("$share/g/a", 0))
		refusesFilter(t, b.Client(t, V311), 0x80, To("$share/g/a", 0))
	})

	t.Run("nobody subscribes", func(t *testing.T) {
		t.Parallel()
		loud, quiet := Node(t, nil), Node(t, func(c *config.Config) { c.MQTT.NoMatchCode = false })
		for _, q := range []byte{1, 2} {
			if ack := loud.Client(t, V5).Publish(Publish{Topic: Name(), QoS: q}); ack.Code != 0x10 {
				t.Errorf("got %v, want 0x10", ack)
			}
			if ack := quiet.Client(t, V5).Publish(Publish{Topic: Name(), QoS: q}); ack.Code != 0 {
				t.Errorf("got %v, want 0", ack)
			}
		}
	})

	statement(t, "MQTT-3.1.2-28", func(t *testing.T) {
		b := Node(t, func(c *config.Config) { c.MQTT.ResponseInformation = "answers/here" })
		for value, want := range map[byte]string{0: "", 1: "answers/here"} {
			_, ack := b.TryConnect(t, Connect{Props: [][]byte{PropByte(PRequestResponseInfo, value)}})
			if got := ack.Props.Text(PResponseInfo); got != want {
				t.Errorf("asked %d: response information %q, want %q", value, got, want)
			}
		}
		if _, ack := b.TryConnect(t, Connect{}); ack.Props.Has(PResponseInfo) {
			t.Errorf("got %v, want no response information", ack)
		}
	})

	t.Run("server keep alive", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.MQTT.ServerKeepAlive = config.Duration(time.Second) })
		c, ack := b.TryConnect(t, Connect{KeepAlive: 1000})
		if got := ack.Props.Num(PServerKeepAlive, 0); got != 1 {
			t.Errorf("server keep alive %d, want 1", got)
		}
		c.ExpectRefused(0x8D) // the server's counts, not the client's
	})

	t.Run("packet size", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.MQTT.MaxPacketSize = 2 * config.KiB })
		for _, v := range versions {
			c := b.Client(t, v)
			head := len(Publish{Topic: "a"}.Bytes(v)) + 1 // its length has a byte more
			c.Publish(Publish{Topic: "a", Payload: string(make([]byte, 2048-head))})
			c.Send(Publish{Topic: "a", Payload: string(make([]byte, 2049-head))}.Bytes(v))
			c.ExpectRefused(0x95)
		}
	})

	t.Run("payload format", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.MQTT.CheckPayloadFormat = true })
		c := b.Client(t, V5)
		format := [][]byte{PropByte(PPayloadFormat, 1)}
		if ack := c.Publish(Publish{Topic: "a", Payload: "ü", QoS: 1, Props: format}); ack.Code >= 0x80 {
			t.Errorf("got %v", ack)
		}
		for _, q := range []byte{1, 2} {
			if ack := c.Publish(Publish{Topic: "a", Payload: "\xff", QoS: q, Props: format}); ack.Code != 0x99 {
				t.Errorf("QoS %d: got %v, want 0x99", q, ack)
			}
		}
	})
}

// The topics that begin with $ and mean something.
func TestSpecialTopics(t *testing.T) {
	t.Parallel()
	OwnNode(t)
	b := Shared(t)

	t.Run("$exclusive", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		for _, v := range []byte{V5, V311} {
			first, second := b.Client(t, v), b.Client(t, v)
			first.Subscribe("$exclusive/"+topic, 1)
			code := map[byte]byte{V5: 0x97, V311: 0x80}[v]
			refusesFilter(t, second, code, To("$exclusive/"+topic, 1))
			second.Publish(Publish{Topic: topic, Payload: "1", QoS: 1})
			first.ExpectMessage(topic, "1")
			first.Unsubscribe("$exclusive/" + topic)
			second.Subscribe("$exclusive/"+topic, 1)
			second.Leave() // its session ends, and with it the claim
			first.Subscribe("$exclusive/"+topic, 1)
			first.Leave()
		}
	})

	t.Run("$delayed", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			sub, pub, topic := pair(t, b, v, 1)
			pub.Publish(Publish{Topic: "$delayed/1/" + topic, Payload: "later", QoS: 1})
			pub.Publish(Publish{Topic: topic, Payload: "now", QoS: 1})
			sub.ExpectMessage(topic, "now")
			sub.ExpectMessage(topic, "later")
			pub.Publish(Publish{Topic: "$delayed/0/" + topic, Payload: "at once"})
			sub.ExpectMessage(topic, "at once")
		}
	})

	t.Run("$delayed that cannot be", func(t *testing.T) {
		t.Parallel()
		for _, bad := range []string{"$delayed/x/a", "$delayed/-1/a", "$delayed/1", "$delayed/1/", "$delayed//a", "$delayed/999999999/a", "$delayed/99999999999999999999/a"} {
			c := b.Client(t, V5)
			if ack := c.Publish(Publish{Topic: bad, QoS: 1}); ack.Code < 0x80 {
				t.Errorf("%q: got %v, want a refusal", bad, ack)
			}
		}
	})

	t.Run("$SYS", func(t *testing.T) {
		t.Parallel()
		b := Node(t, func(c *config.Config) { c.SysInterval = config.Duration(time.Second) })
		c := b.Client(t, V5)
		c.Subscribe("$SYS/broker/#", 0)
		seen := map[string]string{}
		for len(seen) < 20 || seen["$SYS/broker/uptime"] == "" || seen["$SYS/broker/clients/connected"] == "" {
			p := c.Receive()
			seen[p.Topic] = p.Payload
		}
		for _, bad := range []string{"$SYS/broker/uptime", "$SYS/x"} {
			for _, v := range versions {
				pub := b.Client(t, v)
				if ack := pub.Publish(Publish{Topic: bad, Payload: "forged", QoS: 1}); v == V5 && ack.Code < 0x80 {
					t.Errorf("%q: got %v, want a refusal", bad, ack)
				}
			}
		}
		late := b.Client(t, V5)
		late.Subscribe("#", 0)
		late.Subscribe("+/broker/uptime", 0)
		late.ExpectNothing()
		late.Subscribe("$SYS/broker/uptime", 0)
		if p := late.Receive(); p.Payload == "forged" {
			t.Errorf("got %v", p)
		}
	})
}

// refusesFilter wants each filter to be refused with a code, alone and together,
// and the connection to go on.
func refusesFilter(t *testing.T, c *Client, code byte, filters ...Filter) {
	t.Helper()
	for _, f := range filters {
		id := c.NextID()
		c.Send(Subscribe(c.Version, id, nil, f))
		if p := c.Expect(SUBACK); p.ID != id || len(p.Codes) != 1 || p.Codes[0] != code {
			t.Errorf("%q: got %v, want code %#02x", f.Filter, p, code)
		}
	}
	id := c.NextID()
	c.Send(Subscribe(c.Version, id, nil, append(filters, To(Name(), 1))...))
	p := c.Expect(SUBACK)
	want := fmt.Sprintf("%x", append(bytesOf(code, len(filters)), 1))
	if got := fmt.Sprintf("%x", p.Codes); got != want {
		t.Errorf("got codes %s, want %s", got, want)
	}
	c.ExpectNothing()
}

func bytesOf(b byte, n int) []byte {
	list := make([]byte, n)
	for i := range list {
		list[i] = b
	}
	return list
}
