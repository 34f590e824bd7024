package conformance

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestDisconnect(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	each(t, "MQTT-3.12.4-1 3.1.1/MQTT-3.12.4-1", func(t *testing.T, v byte) {
		c := b.Client(t, v)
		for range 3 {
			c.Send(Ping())
			c.Expect(PINGRESP)
		}
		c.Send(Cat(Ping(), Ping(), Ping()))
		for range 3 {
			c.Expect(PINGRESP)
		}
	})

	statement(t, "MQTT-3.14.0-1", func(t *testing.T) {
		// Whatever is wrong before CONNACK, no DISCONNECT answers it.
		for _, p := range [][]byte{
			Ping(), Disconnect(0x81), Connect{Flags: 1, ID: Name()}.Bytes(), Connect{ID: "\xff"}.Bytes(),
			Connect{ID: Name(), Props: [][]byte{Prop(PAuthMethod, Str("unknown"))}}.Bytes(), Frame(0xF0), {0x00, 0x00},
		} {
			c := Dial(t, b.TCP)
			c.Send(p)
			for _, got := range c.ExpectClosed() {
				if got.Type != CONNACK {
					t.Errorf("after % x: got %v", p, got)
				}
			}
		}
	})

	both(t, "MQTT-3.14.1-1 3.1.1/MQTT-3.14.1-1", func(t *testing.T, v byte) {
		badFlags(t, b, v, Disconnect(0), 0)
	})

	statement(t, "MQTT-3.14.2-1 MQTT-3.14.2-2 MQTT-3.14.4-1 MQTT-3.14.4-2", func(t *testing.T) {
		// The reader refuses other codes and properties; ExpectClosed wants the end,
		// and the DISCONNECT to be the last packet.
		topic := Name()
		c := b.Connect(t, persistent(V5, Name()))
		c.Subscribe(topic, 0)
		c.Send(Publish{Topic: topic, QoS: 3}.Bytes(V5), Publish{Topic: topic, Payload: "late"}.Bytes(V5), Ping())
		ps := c.ExpectClosed()
		if len(ps) != 1 || ps[0].Type != DISCONNECT {
			t.Errorf("got %v, want one DISCONNECT", ps)
		}
	})

	t.Run("nothing after a client's DISCONNECT is processed", func(t *testing.T) {
		t.Parallel()
		for _, v := range versions {
			sub, pub, topic := pair(t, b, v, 0)
			pub.Send(Disconnect(0), Publish{Topic: topic, Payload: "late"}.Bytes(v))
			if ps := pub.ExpectClosed(); len(ps) > 0 {
				t.Errorf("got %v, want the end", ps)
			}
			sub.ExpectNothing()
		}
	})

	both(t, "MQTT-4.13.1-1 3.1.1/MQTT-4.8.0-1 3.1.1/MQTT-2.2.2-1 3.1.1/MQTT-2.2.2-2", func(t *testing.T, v byte) {
		badFlags(t, b, v, Ping(), 0)
		for _, kind := range []byte{PUBACK, PUBREC, PUBCOMP} {
			badFlags(t, b, v, Ack(kind, 1, 0), 0)
		}
	})
}
