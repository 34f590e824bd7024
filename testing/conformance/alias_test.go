package conformance

import (
	"fmt"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func alias(n int) []byte { return Prop(PTopicAlias, U16(n)) }

func TestAlias(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	// open connects and tells how many aliases the broker accepts.
	open := func(t *testing.T, o Connect) (*Client, int) {
		t.Helper()
		c, ack := b.TryConnect(t, o)
		if ack.Code != 0 {
			t.Fatalf("got %v", ack)
		}
		return c, ack.Props.Num(PTopicAliasMaximum, 0)
	}

	statement(t, "MQTT-3.3.2-12", func(t *testing.T) {
		base := Name()
		sub := b.Client(t, V5)
		sub.Subscribe(base+"/#", 0)
		pub, most := open(t, Connect{})
		if most == 0 {
			t.Skip("the broker accepts no topic aliases")
		}
		for i := 1; i <= most; i++ {
			pub.Publish(Publish{Topic: fmt.Sprintf("%s/%d", base, i), Payload: "new", QoS: byte(i % 3), Props: [][]byte{alias(i)}})
			sub.ExpectMessage(fmt.Sprintf("%s/%d", base, i), "new")
		}
		for i := most; i > 0; i-- {
			pub.Publish(Publish{Payload: "known", QoS: byte(i % 3), Props: [][]byte{alias(i)}})
			sub.ExpectMessage(fmt.Sprintf("%s/%d", base, i), "known")
		}
		pub.Publish(Publish{Topic: base + "/other", Payload: "moved", Props: [][]byte{alias(1)}})
		pub.Publish(Publish{Payload: "again", Props: [][]byte{alias(1)}})
		sub.ExpectMessage(base+"/other", "moved")
		sub.ExpectMessage(base+"/other", "again")
	})

	statement(t, "MQTT-3.3.2-8", func(t *testing.T) {
		c := b.Client(t, V5)
		c.Send(Publish{Topic: Name(), Props: [][]byte{alias(0)}}.Bytes(V5))
		c.ExpectRefused(0x94)
	})

	t.Run("above the maximum", func(t *testing.T) {
		t.Parallel()
		c, most := open(t, Connect{})
		c.Send(Publish{Topic: Name(), Props: [][]byte{alias(most + 1)}}.Bytes(V5))
		c.ExpectRefused(0x94)
	})

	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		c := b.Client(t, V5)
		c.Send(Publish{Props: [][]byte{alias(1)}}.Bytes(V5))
		refusedWith(t, c, "\x82\x94")
	})

	statement(t, "MQTT-3.3.2-7", func(t *testing.T) {
		id := Name()
		c, most := open(t, persistent(V5, id))
		if most == 0 {
			t.Skip("the broker accepts no topic aliases")
		}
		c.Publish(Publish{Topic: Name(), Props: [][]byte{alias(1)}})
		c.Drop()
		c, _ = open(t, persistent(V5, id))
		c.Send(Publish{Props: [][]byte{alias(1)}}.Bytes(V5))
		refusedWith(t, c, "\x82\x94")
	})

	statement(t, "MQTT-3.1.2-26 MQTT-3.3.2-11", func(t *testing.T) {
		base := Name()
		sub, _ := open(t, Connect{Props: [][]byte{Prop(PTopicAliasMaximum, U16(3))}})
		sub.Subscribe(base+"/#", 0)
		pub := b.Client(t, V5)
		known := map[int]string{}
		for i := range 30 {
			topic := fmt.Sprintf("%s/%d", base, i%6)
			pub.Publish(Publish{Topic: topic, Payload: fmt.Sprint(i)})
			p := sub.Receive()
			a := p.Props.Num(PTopicAlias, 0)
			if a > 3 || p.Props.Has(PTopicAlias) && a == 0 {
				t.Fatalf("got %v, want an alias of 1 to 3", p)
			}
			if p.Topic == "" {
				p.Topic = known[a]
			} else if a > 0 {
				known[a] = p.Topic
			}
			if p.Topic != topic || p.Payload != fmt.Sprint(i) {
				t.Fatalf("got %v, want topic %s payload %d", p, topic, i)
			}
		}
	})

	statement(t, "MQTT-3.1.2-27", func(t *testing.T) {
		for _, props := range [][][]byte{nil, {Prop(PTopicAliasMaximum, U16(0))}} {
			base := Name()
			sub, _ := open(t, Connect{Props: props})
			sub.Subscribe(base, 0)
			pub, _ := open(t, Connect{})
			for range 5 {
				pub.Publish(Publish{Topic: base, Payload: "x"})
				if p := sub.ExpectMessage(base, "x"); p.Props.Has(PTopicAlias) {
					t.Errorf("got %v, want no alias", p)
				}
			}
		}
	})
}
