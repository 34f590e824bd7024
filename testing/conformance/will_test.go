package conformance

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestWill(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	watch := func(t *testing.T, v byte) (*Client, string) {
		t.Helper()
		topic := Name()
		c := b.Client(t, v)
		c.Subscribe(topic, 2)
		return c, topic
	}

	each(t, "MQTT-3.1.2-7 MQTT-3.1.2-8 3.1.1/MQTT-3.1.2-8", func(t *testing.T, v byte) {
		for q := byte(0); q <= 2; q++ {
			w, topic := watch(t, v)
			c := b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "gone", QoS: q}})
			w.ExpectNothing()
			c.Drop()
			if p := w.ExpectMessage(topic, "gone"); p.QoS() != q {
				t.Errorf("got %v, want QoS %d", p, q)
			}
		}
	})

	each(t, "MQTT-3.1.2-10 MQTT-3.14.4-3 3.1.1/MQTT-3.1.2-10 3.1.1/MQTT-3.14.4-3", func(t *testing.T, v byte) {
		w, topic := watch(t, v)
		c := b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "gone"}})
		c.Leave()
		w.ExpectNothing()
		// Sent once: the session's next connection, without a will, sends none.
		o := persistent(v, Name())
		o.Will = &Will{Topic: topic, Payload: "once"}
		c = b.Connect(t, o)
		c.Drop()
		w.ExpectMessage(topic, "once")
		o.Will = nil
		b.Connect(t, o).Drop()
		b.Connect(t, o).Leave()
		w.ExpectNothing()
	})

	each(t, "3.1.1/MQTT-3.1.2-12", func(t *testing.T, v byte) {
		w, _ := watch(t, v)
		id := Name()
		b.Connect(t, Connect{Version: v, ID: id}).Drop()
		b.Connect(t, Connect{Version: v, ID: id}).Leave() // the first has ended by now
		w.ExpectNothing()
	})

	each(t, "MQTT-3.1.2-14 MQTT-3.1.2-15 3.1.1/MQTT-3.1.2-16 3.1.1/MQTT-3.1.2-17", func(t *testing.T, v byte) {
		for _, retain := range []bool{false, true} {
			w, topic := watch(t, v)
			b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "gone", QoS: 1, Retain: retain}}).Drop()
			w.ExpectMessage(topic, "gone")
			late := b.Client(t, v)
			late.Subscribe(topic, 1)
			if retain {
				if p := late.ExpectMessage(topic, "gone"); !p.Retain() {
					t.Errorf("got %v, want RETAIN", p)
				}
			}
			late.ExpectNothing()
		}
	})

	statement(t, "MQTT-3.1.3-10", func(t *testing.T) {
		w, topic := watch(t, V5)
		b.Connect(t, Connect{Will: &Will{Topic: topic, Payload: "gone", Props: [][]byte{
			UserProp("b", "1"), PropByte(PPayloadFormat, 1), UserProp("a", "2"), Prop(PContentType, Str("text")), UserProp("b", "3"),
			Prop(PResponseTopic, Str("r")), Prop(PCorrelationData, Str("\x00c")), Prop(PMessageExpiry, U32(500)),
		}}}).Drop()
		p := w.ExpectMessage(topic, "gone")
		us := p.Props.All(PUserProperty)
		if len(us) != 3 || us[0].Value != "1" || us[1].Value != "2" || us[2].Value != "3" {
			t.Errorf("user properties %v, want b=1 a=2 b=3", us)
		}
		if p.Props.Text(PContentType) != "text" || p.Props.Text(PResponseTopic) != "r" || p.Props.Text(PCorrelationData) != "\x00c" ||
			p.Props.Num(PPayloadFormat, 0) != 1 || p.Props.Num(PMessageExpiry, 0) > 500 || p.Props.Num(PMessageExpiry, 0) < 400 {
			t.Errorf("got %v, want all properties of the will", p)
		}
	})

	statement(t, "MQTT-3.1.3-9", func(t *testing.T) {
		w, topic := watch(t, V5)
		o := persistent(V5, Name())
		o.Will = &Will{Topic: topic, Payload: "gone", Props: [][]byte{Prop(PWillDelay, U32(1))}}
		b.Connect(t, o).Drop()
		o.Will = nil
		c := b.Connect(t, o)
		wait(t, b, Name(), 2)
		w.ExpectNothing()
		c.ExpectNothing()
	})

	t.Run("delay ends with the session", func(t *testing.T) {
		t.Parallel()
		w, topic := watch(t, V5)
		b.Connect(t, Connect{
			Props: [][]byte{Prop(PSessionExpiry, U32(1))},
			Will:  &Will{Topic: topic, Payload: "gone", Props: [][]byte{Prop(PWillDelay, U32(1000))}},
		}).Drop()
		w.ExpectMessage(topic, "gone")
		b.Connect(t, Connect{Will: &Will{Topic: topic, Payload: "at once", Props: [][]byte{Prop(PWillDelay, U32(1000))}}}).Drop()
		w.ExpectMessage(topic, "at once") // its session ended with the connection
	})

	t.Run("a new session sends the will of the old", func(t *testing.T) {
		t.Parallel()
		w, topic := watch(t, V5)
		o := persistent(V5, Name())
		o.Will = &Will{Topic: topic, Payload: "gone", Props: [][]byte{Prop(PWillDelay, U32(1000))}}
		b.Connect(t, o).Drop()
		o.Keep, o.Will = false, nil
		b.Connect(t, o)
		w.ExpectMessage(topic, "gone")
	})

	t.Run("reason codes", func(t *testing.T) {
		t.Parallel()
		w, topic := watch(t, V5)
		for _, code := range []byte{0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99} {
			c := b.Connect(t, Connect{Will: &Will{Topic: topic, Payload: string(code)}})
			c.Leave(Disconnect(code))
			w.ExpectMessage(topic, string(code))
		}
		c := b.Connect(t, Connect{Will: &Will{Topic: topic, Payload: "short form"}})
		c.Leave(Frame(DISCONNECT<<4, []byte{0x04})) // without a property length
		w.ExpectMessage(topic, "short form")
	})

	t.Run("taken over", func(t *testing.T) {
		t.Parallel()
		w, topic := watch(t, V5)
		id := Name()
		b.Connect(t, Connect{ID: id, Will: &Will{Topic: topic, Payload: "gone"}})
		b.Connect(t, Connect{ID: id})
		w.ExpectMessage(topic, "gone")
	})

	each(t, "MQTT-3.1.2-22 MQTT-3.2.2-22 3.1.1/MQTT-3.1.2-24", func(t *testing.T, v byte) {
		w, topic := watch(t, v)
		c := b.Connect(t, Connect{Version: v, KeepAlive: 1, Will: &Will{Topic: topic, Payload: "silent"}})
		ps := c.ExpectClosed()
		if v == V5 && (len(ps) != 1 || ps[0].Code != 0x8D) {
			t.Errorf("got %v, want DISCONNECT 0x8D", ps)
		}
		w.ExpectMessage(topic, "silent")
	})
}
